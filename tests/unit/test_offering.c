/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/offering.h"
#include "control/offering_interface.h"
#include "control/offering_text.h"
#include "control/offering_xml.h"

/* What results look like is in the cases of tests/integration; here is what the sentences say, and what
 * bad input costs. */

#define NUMA "extraconfig-dpdk-numa"
#define HUGEPAGES "extraconfig-dpdk-hugepages"
#define INTERFACE "extraconfig-dpdk-interface-x"

static void
assert_decoded(const char *text, const char *expected)
{
	struct err err = {0};
	char *decoded = offering_decode(text, "offering", "k", &err);

	if (!decoded)
		fail_msg("%s: %s", text, err.message);
	assert_string_equal(decoded, expected);
	free(decoded);
}

/* Refused, with this in the sentence. */
static void
assert_not_decoded(const char *text, const char *says)
{
	struct err err = {0};

	assert_null(offering_decode(text, "offering", "k", &err));
	assert_string_equal(err.code, "bad-encoding");
	assert_string_equal(err.param, "offering");
	assert_string_equal(err.key, "k");
	if (!strstr(err.message, says))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, says);
}

static void
values_are_decoded_once(void **state)
{
	(void)state;
	assert_decoded("", "");
	assert_decoded("%3Ca%2f%3E", "<a/>");
	assert_decoded("a+b%2Bc", "a b+c");
	assert_decoded("%253C", "%3C");
	assert_decoded("%C3%A4\xc3\xa4", "\xc3\xa4\xc3\xa4");
	assert_decoded("%E0%A0%80%ED%9F%BF%F0%90%80%80%F4%8F%BF%BF",
		       "\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

static void
the_wrong_byte_is_named(void **state)
{
	(void)state;
	assert_not_decoded("100%", "at byte 4");
	assert_not_decoded("%", "at byte 1");
	assert_not_decoded("ab%4", "\"%4\" at byte 3");
	assert_not_decoded("%41%4g", "\"%4g\" at byte 4");
	assert_not_decoded("%00", "NUL at byte 1");
	assert_not_decoded("a%41+%00", "NUL at byte 6");
	assert_not_decoded("%ff", "byte 1 begins no character");
	assert_not_decoded("%41%C3", "byte 4 begins");
	assert_not_decoded("%E2%82", "byte 1 begins");
	assert_not_decoded("%C3%A4%C1%81", "byte 7 begins");
	assert_not_decoded("%E0%9F%BF", "byte 1");
	assert_not_decoded("%ED%A0%80", "byte 1");
	assert_not_decoded("%F0%8F%BF%BF", "byte 1");
	assert_not_decoded("%F4%90%80%80", "byte 1");
	assert_not_decoded("%F5%80%80%80", "byte 1");
	assert_not_decoded("%80", "byte 1");
}

static void
assert_sections(const char *text, const char *expected)
{
	json_t *wanted = json_loads(expected, 0, NULL), *sections = offering_sections(text);
	char *got = json_dumps(sections, 0);

	assert_non_null(wanted);
	if (!json_equal(sections, wanted))
		fail_msg("\"%s\" has the sections %s", text, got);
	free(got);
	json_decref(sections);
	json_decref(wanted);
}

static void
sections_have_titles_or_numbers(void **state)
{
	(void)state;
	assert_sections("", "{}");
	assert_sections(" \n\n\r\n", "{}");
	assert_sections("a", "{\"extraconfig-1\": \"a\"}");
	assert_sections("x:\na\nb\n\nc\n",
			"{\"extraconfig-x\": \"a\\nb\", \"extraconfig-2\": \"c\\n\"}");
	assert_sections("x:\r\na\r\n\r\nb", "{\"extraconfig-x\": \"a\", \"extraconfig-2\": \"b\"}");
	assert_sections("x:\na\n\nx:\nb\n\nc",
			"{\"extraconfig-x\": \"b\", \"extraconfig-3\": \"c\"}");
	assert_sections("x:", "{\"extraconfig-x\": \"\"}");
	assert_sections("x:\n", "{\"extraconfig-x\": \"\"}");
	assert_sections(":", "{\"extraconfig-1\": \":\"}");
	assert_sections("::", "{\"extraconfig-:\": \"\"}");
	assert_sections("a b:\nc", "{\"extraconfig-1\": \"a b:\\nc\"}");
	assert_sections("a:\tb:\nc", "{\"extraconfig-1\": \"a:\\tb:\\nc\"}");
	assert_sections(
		"a\n\n\n\nb",
		"{\"extraconfig-1\": \"a\", \"extraconfig-2\": \"\", \"extraconfig-3\": \"b\"}");
	for (int n = 2; n < 8; n++) {
		char text[] = "a\n\n\n\n\n\n\n\n\n";

		text[1 + n] = '\0';
		assert_sections(text, "{\"extraconfig-1\": \"a\"}");
	}
}

/* The warning of a key, or NULL. */
static const json_t *
warning_of(const json_t *result, const char *key)
{
	size_t i;
	json_t *warning;

	json_array_foreach(json_object_get(result, "warnings"), i, warning)
	{
		if (!strcmp(json_string_value(json_object_get(warning, "key")), key))
			return warning;
	}
	return NULL;
}

/* Of an offering with one extra configuration, the code of its warning ("": none) and words in it. */
static void
assert_warning(const char *key, const char *value, const char *code, const char *says)
{
	json_t *params = json_pack("{s:{s:{s:s}}}", "offering", "details", key, value);
	struct err err = {0};
	json_t *result = offering_resolve(params, &err);
	const json_t *warning = warning_of(result, key);
	const char *message = json_string_value(json_object_get(warning, "message"));

	if (!result)
		fail_msg("%s: %s", key, err.message);
	if (!warning)
		assert_string_equal(code, "");
	else
		assert_string_equal(json_string_value(json_object_get(warning, "code")), code);
	if (warning && !strstr(message, says))
		fail_msg("%s: \"%s\" does not say \"%s\"", value, message, says);
	json_decref(result);
	json_decref(params);
}

static void
warnings_say_what_the_guest_would_suffer(void **state)
{
	(void)state;
	assert_warning(NUMA, "<cpu><numa><cell memAccess='shared'/></numa></cpu>", "", "");
	assert_warning(NUMA, "<cpu/>", "no-shared-memory", "would carry nothing");
	assert_warning(HUGEPAGES, "<memoryBacking/>", "no-shared-memory", "would carry nothing");
	assert_warning(HUGEPAGES, "<memoryBacking><hugepages/></memoryBacking>", "", "");
	assert_warning(HUGEPAGES, "<cpu/>", "wrong-element", "one <memoryBacking> element");
	assert_warning(NUMA, "<cpu>\n<numa", "bad-xml", "line 2, column");
	assert_warning(NUMA, "<cpu", "bad-xml", "the guest not start");
	assert_warning(NUMA, "a", "bad-xml", "outside of its elements");
	assert_warning(NUMA, "", "bad-xml", "no element");
	assert_warning(NUMA, "1%zz", "bad-encoding", "left out");
	assert_warning("extraconfig-x", "%3Ca/%3E", "not-for-offerings", "VM's own");
	assert_warning("hypervisortoolsversion", "%zz", "", "");
}

/* One key, two reasons: one warning. */
static void
a_key_has_one_warning(void **state)
{
	json_t *params = json_pack("{s:{s:{s:s}}, s:{s:{s:s}}}", "offering", "details", NUMA, "%zz",
				   "vm", "details", NUMA, "<cpu");
	struct err err = {0};
	json_t *result = offering_resolve(params, &err);
	const char *message =
		json_string_value(json_object_get(warning_of(result, NUMA), "message"));

	(void)state;
	assert_int_equal(json_array_size(json_object_get(result, "warnings")), 1);
	assert_non_null(strstr(message, "%zz"));
	assert_non_null(strstr(message, "well-formed"));
	json_decref(result);
	json_decref(params);
}

/* The text of n times `piece`, for the caller to free(). */
static char *
repeat(const char *piece, size_t n)
{
	size_t len = strlen(piece);
	char *text = malloc(n * len + 1);

	for (size_t i = 0; i < n; i++)
		memcpy(text + i * len, piece, len);
	text[n * len] = '\0';
	return text;
}

/* libxml2 would take minutes, or gigabytes. */
static void
costly_xml_is_refused(void **state)
{
	char *deep = repeat("<a>", 10000), *attributes = repeat(" a='b'", 1000), *text;
	char *more = repeat(" ", 70000);

	(void)state;
	assert_warning(INTERFACE, deep, "bad-xml", "depth");
	assert_true(asprintf(&text, "<a%s/>", attributes) > 0);
	assert_warning(INTERFACE, text, "bad-xml", "attributes");
	free(text);
	assert_true(asprintf(&text, "<a>%s</a>", more) > 0);
	assert_warning(INTERFACE, text, "bad-xml", "70007 bytes");
	free(text);
	assert_warning(INTERFACE, "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "bad-xml",
		       "well-formed");
	assert_warning(INTERFACE, "<a>&b;</a>", "bad-xml", "'b'");
	assert_warning(INTERFACE, "<a>&#0;</a>", "bad-xml", "well-formed");
	free(deep);
	free(attributes);
	free(more);
}

static void
refusals_name_their_key(void **state)
{
	static const struct {
		const char *params, *code, *param, *key, *says;
	} cases[] = {
		{"{'offering': {'details': {'DPDK-VHOSTUSER': 'klient'}}}", "invalid-mode",
		 "offering", "DPDK-VHOSTUSER", "\"klient\""},
		{"{'offering': {}, 'vm': {'extraconfig': 'a%'}}", "additional-config-disabled",
		 "vm", "extraconfig", "enable.additional.vm.configuration"},
		{"{'offering': {}, 'vm': {'extraconfig': 'a%'}, 'settings':"
		 " {'additional_vm_configuration': true}}",
		 "bad-encoding", "vm", "extraconfig", "byte 2"},
		{"{'offering': {'details': [{'value': 'x'}]}}", "bad-parameter", "offering", "",
		 "key"},
		{"{'offering': {}, 'vm': {'type': 1}}", "bad-parameter", "vm", "", "vm.type"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};
		char *text = strdup(cases[i].params);
		json_t *params;

		for (char *c = text; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		params = json_loads(text, 0, NULL);
		assert_non_null(params);
		assert_null(offering_resolve(params, &err));
		assert_string_equal(err.code, cases[i].code);
		assert_string_equal(err.param, cases[i].param);
		assert_string_equal(err.key, cases[i].key);
		if (!strstr(err.message, cases[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].says);
		json_decref(params);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_decoded_once),
		cmocka_unit_test(the_wrong_byte_is_named),
		cmocka_unit_test(sections_have_titles_or_numbers),
		cmocka_unit_test(warnings_say_what_the_guest_would_suffer),
		cmocka_unit_test(a_key_has_one_warning),
		cmocka_unit_test(costly_xml_is_refused),
		cmocka_unit_test(refusals_name_their_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
