/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/domain_xml.h"

#define MAC_A "52:54:00:00:00:0a"
#define MAC_B "52:54:00:00:00:0B"
#define ENTRY(port) "{\"path\": \"/run//s/\", \"port\": \"" port "\", \"mode\": \"client\"}"
#define MAP_A "{\"" MAC_A "\": " ENTRY("csdpdk-7") "}"

#define INTERFACE(mac, rest)                                       \
	"<interface type=\"vhostuser\"><mac address=\"" mac "\"/>" \
	"<source type=\"unix\" path=\"/old/csdpdk-1\" mode=\"server\"/>" rest "</interface>"
#define DOMAIN(devices) \
	"<domain type=\"kvm\"><name>vm</name><devices>" devices "</devices></domain>"

static json_t *
rewrite(const char *xml, const char *map, struct err *err)
{
	json_t *params = json_pack("{s:s, s:o}", "xml", xml, "map", json_loads(map, 0, NULL));
	json_t *result;

	assert_non_null(params);
	*err = (struct err){0};
	result = domain_xml_rewrite(params, err);
	json_decref(params);
	return result;
}

static void
assert_rewritten(const char *xml, const char *map, int changed, const char *expected)
{
	struct err err;
	json_t *result = rewrite(xml, map, &err);
	const char *text = json_string_value(json_object_get(result, "xml"));

	if (!result)
		fail_msg("%s: %s", xml, err.message);
	assert_int_equal(json_integer_value(json_object_get(result, "changed")), changed);
	/* libxml2 ends the document with a line end. */
	assert_int_equal(strlen(text), strlen(expected) + 1);
	assert_memory_equal(text, expected, strlen(expected));
	json_decref(result);
}

static void
assert_refused(const char *xml, const char *map, const char *code, const char *key)
{
	struct err err;
	json_t *result = rewrite(xml, map, &err);

	if (result)
		fail_msg("%s was taken", xml);
	assert_string_equal(err.code, code);
	assert_string_equal(err.key, key);
	assert_true(strlen(err.message) > 20);
	assert_null(strchr(err.message, '\n'));
}

static void
sockets_are_replaced(void **state)
{
	(void)state;
	assert_rewritten(DOMAIN(INTERFACE(MAC_A, "<target dev=\"csdpdk-1\"/>")), MAP_A, 1,
			 DOMAIN("<interface type=\"vhostuser\"><mac address=\"" MAC_A "\"/>"
				"<source type=\"unix\" path=\"/run/s/csdpdk-7\" mode=\"client\"/>"
				"<target dev=\"csdpdk-7\"/></interface>"));
	/* No target where there was none. */
	assert_rewritten(DOMAIN(INTERFACE(MAC_A, "")), MAP_A, 1,
			 DOMAIN("<interface type=\"vhostuser\"><mac address=\"" MAC_A "\"/>"
				"<source type=\"unix\" path=\"/run/s/csdpdk-7\" mode=\"client\"/>"
				"</interface>"));
}

/* libvirt 9.0 takes <reconnect enabled='yes'> of a client only. */
static void
who_listens_does_not_reconnect(void **state)
{
	static const char map[] = "{\"" MAC_A "\": {\"path\": \"/run/s\", \"port\": \"p\","
				  " \"mode\": \"server\"}}";

	(void)state;
	for (int keeps = 0; keeps < 2; keeps++)
		assert_rewritten(DOMAIN("<interface type=\"vhostuser\"><mac address=\"" MAC_A "\"/>"
					"<source type=\"unix\" path=\"/old\" mode=\"client\">"
					"<reconnect enabled=\"yes\"/></source></interface>"),
				 keeps ? MAP_A : map, 1,
				 keeps ? DOMAIN("<interface type=\"vhostuser\"><mac address=\"" MAC_A
						"\"/><source type=\"unix\""
						" path=\"/run/s/csdpdk-7\" mode=\"client\">"
						"<reconnect enabled=\"yes\"/></source></interface>") :
					 DOMAIN("<interface type=\"vhostuser\"><mac address=\"" MAC_A
						"\"/><source type=\"unix\" path=\"/run/s/p\""
						" mode=\"server\"/></interface>"));
}

static void
each_gets_its_own(void **state)
{
	struct err err;
	json_t *result = rewrite(DOMAIN(INTERFACE(MAC_B, "") INTERFACE("52:54:00:00:00:0A", "")),
				 "{\"" MAC_A "\": " ENTRY("a") ", \"52:54:00:00:00:0b\": " ENTRY(
					 "b") ", \"52:54:00:00:00:0c\": " ENTRY("c") "}",
				 &err);
	const char *text = json_string_value(json_object_get(result, "xml"));
	json_t *unused = json_object_get(result, "unused");

	(void)state;
	assert_non_null(text);
	assert_true(strstr(text, "/run/s/b\"") < strstr(text, "/run/s/a\""));
	assert_non_null(strstr(text, "/run/s/b\""));
	assert_int_equal(json_integer_value(json_object_get(result, "changed")), 2);
	assert_int_equal(json_array_size(unused), 1);
	assert_string_equal(json_string_value(json_array_get(unused, 0)), "52:54:00:00:00:0c");
	json_decref(result);
}

/* libvirt reads those of all. */
static void
interfaces_of_each_list_of_devices_are_rewritten(void **state)
{
	(void)state;
	assert_rewritten("<domain><devices/>text<devices>" INTERFACE(MAC_A,
								     "") "</devices><devices/></domain>",
			 MAP_A, 1,
			 "<domain><devices/>text<devices><interface type=\"vhostuser\">"
			 "<mac address=\"" MAC_A "\"/>"
			 "<source type=\"unix\" path=\"/run/s/csdpdk-7\" mode=\"client\"/>"
			 "</interface></devices><devices/></domain>");
	assert_refused("<domain><devices>" INTERFACE(MAC_A, "") "</devices><devices>" INTERFACE(
			       MAC_A, "") "</devices></domain>",
		       MAP_A, "bad-xml", "xml");
	assert_refused("<domain><devices>" INTERFACE(MAC_A, "") "</devices><devices>" INTERFACE(
			       MAC_B, "") "</devices></domain>",
		       MAP_A, "no-mapping-for-mac", MAC_B);
}

/* All else is as it was, to the byte, where libxml2 writes it as it was written. */
static void
nothing_else_changes(void **state)
{
	static const char rest[] =
		"<domain xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\" type=\"kvm\">\n"
		"  <!-- \xc3\xa4 --><title>a &lt; b &amp; c</title><![CDATA[x]]>\n"
		"  <devices>\n    <interface type=\"bridge\"><mac address=\"" MAC_A "\"/>"
		"<source bridge=\"br0\"/></interface>\n"
		"    <controller type=\"usb\"/>\n  </devices>\n"
		"  <interface type=\"vhostuser\"/>\n"
		"  <qemu:commandline><qemu:arg value=\"-x\"/></qemu:commandline>\n</domain>";
	static const char declared[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<domain/>";

	(void)state;
	assert_rewritten(rest, MAP_A, 0, rest);
	assert_rewritten(DOMAIN(INTERFACE(MAC_A, "")), "{}", 0, DOMAIN(INTERFACE(MAC_A, "")));
	assert_rewritten(declared, "{}", 0, declared);
}

static void
a_domain_is_whole_or_refused(void **state)
{
	(void)state;
	assert_refused("", MAP_A, "bad-xml", "xml");
	assert_refused("domain", MAP_A, "bad-xml", "xml");
	assert_refused("<domain><devices></domain>", MAP_A, "bad-xml", "xml");
	assert_refused("<domain/><domain/>", MAP_A, "bad-xml", "xml");
	assert_refused("<network/>", MAP_A, "bad-xml", "xml");
	assert_refused("<network/>", "{}", "bad-xml", "xml");
	assert_refused(DOMAIN("<interface type=\"vhostuser\"/>"), MAP_A, "bad-xml", "xml");
	assert_refused(DOMAIN("<interface type=\"vhostuser\"><mac address=\"" MAC_A
			      "\"/></interface>"),
		       MAP_A, "bad-xml", "xml");
	assert_refused(DOMAIN(INTERFACE(MAC_A, "") INTERFACE(MAC_A, "")), MAP_A, "bad-xml", "xml");
	assert_refused(DOMAIN(INTERFACE(MAC_A, "") INTERFACE(MAC_B, "")), MAP_A,
		       "no-mapping-for-mac", MAC_B);
}

static void
document_types_and_entities_are_refused(void **state)
{
	(void)state;
	assert_refused("<!DOCTYPE domain><domain/>", "{}", "bad-xml", "xml");
	assert_refused("<!DOCTYPE domain [<!ENTITY x SYSTEM \"file:///etc/hostname\">]>"
		       "<domain>&x;</domain>",
		       "{}", "bad-xml", "xml");
	assert_refused("<!DOCTYPE domain SYSTEM \"file:///etc/hostname\"><domain/>", "{}",
		       "bad-xml", "xml");
	assert_refused("<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><a>&b;</a>",
		       "{}", "bad-xml", "xml");
	assert_refused("<domain>&x;</domain>", "{}", "bad-xml", "xml");
}

static void
depth_is_bounded(void **state)
{
	const size_t depth = 100000;
	char *xml = calloc(depth + 1, 3);

	(void)state;
	for (size_t i = 0; i < depth; i++)
		memcpy(xml + 3 * i, "<a>", 3);
	assert_refused(xml, "{}", "bad-xml", "xml");
	free(xml);
}

static void
maps_are_checked(void **state)
{
	static const char domain[] = "<domain/>";

	(void)state;
	assert_refused(domain, "{\"vm1\": " ENTRY("p") "}", "bad-parameter", "vm1");
	assert_refused(domain, "{\"" MAC_A "\": 1}", "bad-parameter", MAC_A);
	assert_refused(domain, "{\"" MAC_A "\": {\"port\": \"p\", \"mode\": \"client\"}}",
		       "bad-parameter", MAC_A);
	assert_refused(domain,
		       "{\"" MAC_A "\": {\"path\": \"s\", \"port\": \"p\", \"mode\": \"client\"}}",
		       "bad-parameter", MAC_A);
	assert_refused(domain,
		       "{\"" MAC_A
		       "\": {\"path\": \"/s/..\", \"port\": \"p\", \"mode\": \"client\"}}",
		       "bad-parameter", MAC_A);
	assert_refused(domain, "{\"" MAC_A "\": " ENTRY("a;b") "}", "invalid-port", MAC_A);
	assert_refused(domain, "{\"" MAC_A "\": " ENTRY("../x") "}", "invalid-port", MAC_A);
	assert_refused(domain,
		       "{\"" MAC_A "\": {\"path\": \"/s\", \"port\": \"p\", \"mode\": \"both\"}}",
		       "invalid-mode", MAC_A);
	assert_refused(domain,
		       "{\"" MAC_A "\": " ENTRY("p") ", \"52:54:00:00:00:0A\": " ENTRY("q") "}",
		       "bad-parameter", "52:54:00:00:00:0A");
	/* Dots in a name lead nowhere. */
	assert_rewritten(domain,
			 "{\"" MAC_A
			 "\": {\"path\": \"/s..\", \"port\": \"p\", \"mode\": \"client\"}}",
			 0, domain);
	/* A socket has one guest at its other end. */
	assert_refused(domain, "{\"" MAC_A "\": " ENTRY("p") ", \"" MAC_B "\": " ENTRY("p") "}",
		       "bad-parameter", MAC_B);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_are_replaced),
		cmocka_unit_test(who_listens_does_not_reconnect),
		cmocka_unit_test(each_gets_its_own),
		cmocka_unit_test(interfaces_of_each_list_of_devices_are_rewritten),
		cmocka_unit_test(nothing_else_changes),
		cmocka_unit_test(a_domain_is_whole_or_refused),
		cmocka_unit_test(document_types_and_entities_are_refused),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(maps_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
