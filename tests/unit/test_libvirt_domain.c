/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/libvirt_domain.h"

#define UUID "6F0AD7F5-6c4b-4b1c-bd18-ae13a8070af9"
#define MAC_A "52:54:00:00:00:0a"
#define MAC_B "52:54:00:00:00:0b"
#define PORTS(ports)                                                                          \
	"<metadata><o:else xmlns:o=\"urn:other\"/><s:ports xmlns:s=\"urn:sluice:libvirt:1\">" \
	" <!-- ours --> " ports "</s:ports></metadata>"
#define INTERFACE(mac, path, rest)                                        \
	"<interface type=\"vhostuser\"><mac address=\"" mac "\"/><source" \
	" type=\"unix\" path=\"" path "\" mode=\"client\"/>" rest "</interface>"
#define DOMAIN(metadata, devices)                                                   \
	"<domain><name>vm</name><uuid>" UUID "</uuid>" metadata "<devices>" devices \
	"</devices></domain>"

/* What the ports of a domain are, or NULL with *err set. */
static json_t *
read_ports(const char *xml, bool incoming, struct err *err)
{
	struct libvirt_domain domain;
	json_t *ports = NULL;

	*err = (struct err){0};
	if (libvirt_domain_read(&domain, xml, strlen(xml), err) == 0) {
		assert_non_null(domain.ports);
		ports = libvirt_domain_ports(&domain, incoming, err);
	}
	libvirt_domain_free(&domain);
	return ports;
}

static void
assert_ports(const char *xml, bool incoming, const char *expected)
{
	struct err err;
	json_t *ports = read_ports(xml, incoming, &err);
	json_t *wanted = json_loads(expected, 0, NULL);

	if (!ports)
		fail_msg("%s: %s", xml, err.message);
	assert_non_null(wanted);
	if (!json_equal(ports, wanted))
		fail_msg("%s", json_dumps(ports, 0));
	json_decref(wanted);
	json_decref(ports);
}

static void
assert_refused(const char *xml, const char *words)
{
	struct err err;
	json_t *ports = read_ports(xml, false, &err);

	if (ports)
		fail_msg("%s was not refused", xml);
	if (!strstr(err.message, words))
		fail_msg("%s: %s", xml, err.message);
	assert_string_not_equal(err.code, "");
}

static void
a_port_is_its_attributes_and_its_interface(void **state)
{
	const char *const xml =
		DOMAIN(PORTS("<s:port mac=\"" MAC_A
			     "\" bridge=\"br0\" trunks=\"10,20\" learn=\"true\"/>"),
		       INTERFACE(MAC_B, "/s/b", "")
			       INTERFACE("52:54:00:00:00:0A", "/s/a",
					 "<driver queues=\"4\"/><mtu size=\"9000\"/>"));

	(void)state;
	assert_ports(xml, false,
		     "[{\"name\": \"a\", \"socket\": \"/s/a\", \"mode\": \"server\", \"mac\":"
		     " [\"" MAC_A "\"], \"bridge\": \"br0\", \"trunks\": [10, 20], \"learn\": true,"
		     " \"queues\": 4, \"mtu\": 9000, \"owner\":"
		     " \"libvirt:6f0ad7f5-6c4b-4b1c-bd18-ae13a8070af9\"}]");
}

static void
the_port_of_a_guest_that_comes_is_incoming(void **state)
{
	const char *const xml = DOMAIN(PORTS("<s:port mac=\"" MAC_A "\" bridge=\"br0\"/>"),
				       INTERFACE(MAC_A, "/s/a", ""));

	(void)state;
	assert_ports(xml, true,
		     "[{\"name\": \"a\", \"socket\": \"/s/a\", \"mode\": \"server\", \"mac\":"
		     " [\"" MAC_A "\"], \"bridge\": \"br0\", \"incoming\": true, \"owner\":"
		     " \"libvirt:6f0ad7f5-6c4b-4b1c-bd18-ae13a8070af9\"}]");
}

static void
no_port_is_a_list_too(void **state)
{
	(void)state;
	assert_ports(DOMAIN(PORTS(""), INTERFACE(MAC_A, "/s/a", "")), false, "[]");
}

static void
a_domain_without_our_metadata_is_none_of_ours(void **state)
{
	static const char *const domains[] = {
		"<domain/>",
		DOMAIN("", INTERFACE(MAC_A, "/s/a", "")),
		DOMAIN("<metadata><ports/><x:ports xmlns:x=\"urn:x\"/></metadata>", ""),
		DOMAIN("", PORTS("")),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		struct libvirt_domain domain;
		struct err err;

		assert_int_equal(libvirt_domain_read(&domain, domains[i], strlen(domains[i]), &err),
				 0);
		assert_null(domain.ports);
		libvirt_domain_free(&domain);
	}
}

static void
what_cannot_be_a_port_is_refused(void **state)
{
	static const char *const cases[][2] = {
		{"<domain><name>vm", "not well-formed"},
		{"<network/>", "its root is <network>"},
		{"<!DOCTYPE d><domain/>", "document type"},
		{"<domain>" PORTS("") "</domain>", "no <uuid>"},
		{DOMAIN(PORTS("<port/>"), ""), "<port>; only its"},
		{DOMAIN(PORTS("<s:port bridge=\"b\"/>"), ""), "no mac"},
		{DOMAIN(PORTS("<s:port mac=\"" MAC_A "\"/>"), INTERFACE(MAC_A, "/a", "")),
		 "bridge"},
		{DOMAIN(PORTS("<s:port mac=\"" MAC_A "\" bridge=\"b\"/>"), ""), "no vhostuser"},
		{DOMAIN(PORTS("<s:port mac=\"" MAC_A "\" bridge=\"b\" mtu=\"9000\"/>"),
			INTERFACE(MAC_A, "/a", "")),
		 "leave out mtu: <mtu size=...> says it"},
		{DOMAIN(PORTS("<s:port mac=\"" MAC_A "\" bridge=\"b\"/>"),
			INTERFACE(MAC_A, "/auto", "")),
		 "named \"auto\""},
		{DOMAIN(PORTS("<s:port mac=\"" MAC_A "\" bridge=\"b\"/>"
			      "<s:port mac=\"" MAC_B "\" bridge=\"b\"/>"),
			INTERFACE(MAC_A, "/a/x", "") INTERFACE(MAC_B, "/b/x", "")),
		 "named \"x\""},
		{DOMAIN(PORTS("<s:port mac=\"" MAC_A "\" bridge=\"b\"/>"),
			INTERFACE(MAC_A, "/a", "") INTERFACE(MAC_A, "/b", "")),
		 "two vhostuser interfaces"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i][0], cases[i][1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_is_its_attributes_and_its_interface),
		cmocka_unit_test(the_port_of_a_guest_that_comes_is_incoming),
		cmocka_unit_test(no_port_is_a_list_too),
		cmocka_unit_test(a_domain_without_our_metadata_is_none_of_ours),
		cmocka_unit_test(what_cannot_be_a_port_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
