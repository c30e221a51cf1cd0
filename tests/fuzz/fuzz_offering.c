/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/domain_xml.h"
#include "control/offering.h"
#include "control/offering_interface.h"
#include "control/schema.h"
#include "control/xml_doc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

/*
 * What an orchestrator hands over: details, encoded values, sections, pieces of XML, a domain. Texts
 * are put together from words that mean something and from bytes that need not.
 *
 * What is checked: a method gives a result or one sentence with a code, never both or neither; a result
 * can be written as JSON; XML of ours can be read again, and is about the port that was asked for.
 */
#define TEXT_BYTES 1024

#define CHECK(condition)                                                                    \
	do {                                                                                \
		if (!(condition)) {                                                         \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                            \
		}                                                                           \
	} while (0)

bool fuzz_race; /* there is no second thread here */

static const char *const words[] = {
	"<cpu>",
	"</cpu>",
	"<numa>",
	"</numa>",
	"<cell memAccess='shared'/>",
	"<memoryBacking>",
	"</memoryBacking>",
	"<hugepages/>",
	"<source type='memfd' path='/a'/>",
	"<access mode='shared'/>",
	"<domain>",
	"</domain>",
	"<devices>",
	"</devices>",
	"<interface type='vhostuser'>",
	"</interface>",
	"<mac address='02:00:00:00:00:01'/>",
	"<target dev='a'/>",
	"<driver queues='4'/>",
	"<!DOCTYPE a [<!ENTITY b 'c'>]>",
	"&b;",
	"&lt;",
	"&#38;",
	"<!--",
	"-->",
	"<![CDATA[",
	"]]>",
	"<?xml version='1.0'?>",
	"<a:b xmlns:a='c'/>",
	"<a",
	" a='b'",
	"/>",
	"%3C",
	"%3E",
	"%2F",
	"%25",
	"%00",
	"%ff",
	"%C3%A4",
	"%",
	"+",
	"\n",
	"\n\n",
	"\r\n",
	"x:\n",
	":",
	"client",
	"server",
	"csdpdk-1",
	"02:00:00:00:00:01",
	"/run",
	"/../",
	"100",
	"-1",
	"extraconfig-",
};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

static const char *const keys[] = {
	"DPDK-VHOSTUSER",
	"extraconfig-dpdk-numa",
	"extraconfig-dpdk-hugepages",
	"extraconfig-dpdk-interface-a",
	"extraconfig-x",
	"details[0].key",
	"details[0].value",
	"details[1].extraconfig-dpdk-interface-b",
	"x",
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

/* Some text; null where the bytes are no UTF-8. */
static json_t *
take_text(struct input *in)
{
	char text[TEXT_BYTES];
	size_t len = 0;
	json_t *value;

	for (unsigned int n = take_below(in, 12); n > 0; n--) {
		char byte[2] = {(char)take(in), '\0'};
		const char *word = one_in(in, 8) ? byte : words[take_below(in, N_WORDS)];

		if (len + strlen(word) < sizeof(text))
			len += sprintf(text + len, "%s", word);
	}
	text[len] = '\0';
	value = json_string(text);
	return value ? value : json_null();
}

static json_t *
take_details(struct input *in)
{
	json_t *details = json_object();

	for (unsigned int n = take_below(in, 6); n > 0; n--) {
		const char *key = keys[take_below(in, N_KEYS)];

		json_object_set_new(details, key, take_text(in));
	}
	return details;
}

static json_t *
take_mode(struct input *in)
{
	return one_in(in, 4) ? take_text(in) : json_string(one_in(in, 2) ? "client" : "server");
}

/* Something, or mostly what is right. */
static json_t *
take_or(struct input *in, const char *right)
{
	return one_in(in, 6) ? take_text(in) : json_string(right);
}

static json_t *
take_params(struct input *in, const char *method)
{
	json_t *map, *params;

	if (!strcmp(method, "migration.rewrite")) {
		map = json_pack("{s:{s:o, s:o, s:o}}", "02:00:00:00:00:01", "path",
				take_or(in, "/run"), "port", take_or(in, "p"), "mode",
				take_mode(in));
		return json_pack("{s:o, s:o}", "xml", take_text(in), "map", map);
	}
	params = json_object();
	if (strcmp(method, "offering.resolve") != 0)
		json_object_update_new(params,
				       json_pack("{s:o, s:o, s:o, s:o}", "port", take_or(in, "p"),
						 "mac", take_or(in, "02:00:00:00:00:01"),
						 "socket_dir", take_or(in, "/run/<&'\">"), "vlan",
						 take_or(in, "100")));
	if (!strcmp(method, "offering.interface"))
		json_object_update_new(params, json_pack("{s:o, s:o}", "mode", take_mode(in),
							 "interface_extra", take_details(in)));
	else
		json_object_update_new(params,
				       json_pack("{s:{s:o}, s:{s:o, s:o}, s:{s:b}}", "offering",
						 "details", take_details(in), "vm", "details",
						 take_details(in), "extraconfig", take_text(in),
						 "settings", "additional_vm_configuration",
						 (int)one_in(in, 2)));
	return params;
}

static void
check_interface(const json_t *params, const json_t *text)
{
	const char *port = json_string_value(json_object_get(params, "port"));
	struct err err = {0};
	xmlDoc *doc = xml_doc_parse(json_string_value(text), json_string_length(text), &err);
	const xmlNode *source, *model;
	xmlChar *path;

	CHECK(doc != NULL);
	source = xmlDocGetRootElement(doc)->children;
	CHECK(xmlStrEqual(source->name, xml_doc_utf8("source")));
	path = xmlGetNoNsProp(source, xml_doc_utf8("path"));
	CHECK(path != NULL && strlen((char *)path) > strlen(port));
	CHECK(!strcmp((char *)path + strlen((char *)path) - strlen(port), port));
	model = source->next->next;
	CHECK(xmlStrEqual(model->name, xml_doc_utf8("model")));
	xmlFree(path);
	xmlFreeDoc(doc);
}

static void
run(struct input *in, const char *method, json_t *(*carry_out)(const json_t *, struct err *))
{
	json_t *params = take_params(in, method), *result;
	struct err err = {0};
	char *text;

	CHECK(params != NULL);
	if (schema_check(schema_find(method), params, &err) == 0) {
		result = carry_out(params, &err);
		CHECK((result != NULL) == (err.code[0] == '\0'));
		CHECK((result != NULL) == (err.message[0] == '\0'));
		text = json_dumps(result, JSON_ENCODE_ANY);
		CHECK((result != NULL) == (text != NULL));
		if (result && !strcmp(method, "offering.interface"))
			check_interface(params, json_object_get(result, "xml"));
		if (result && !strcmp(method, "offering.xml"))
			check_interface(params, json_object_get(result, "interface"));
		free(text);
		json_decref(result);
	}
	json_decref(params);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.at = data, .left = size, .state = size + 1};

	switch (take_below(&in, 4)) {
	case 0:
		run(&in, "offering.resolve", offering_resolve);
		break;
	case 1:
		run(&in, "offering.interface", offering_interface);
		break;
	case 2:
		run(&in, "offering.xml", offering_xml);
		break;
	default:
		run(&in, "migration.rewrite", domain_xml_rewrite);
		break;
	}
	return 0;
}
