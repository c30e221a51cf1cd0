/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/orchestrator.h"

static json_t *
parse(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(value);
	return value;
}

static bool
has_dpdk(const char *capabilities)
{
	json_t *value = parse(capabilities);
	bool has;

	assert_int_equal(orchestrator_check_capabilities(value, "source", NULL), 0);
	has = orchestrator_has_capability(value, "dpdk");
	json_decref(value);
	return has;
}

static void
capabilities_are_whole_words(void **state)
{
	(void)state;
	assert_true(has_dpdk("\"dpdk\""));
	assert_true(has_dpdk("\"hvm,snapshot,dpdk\""));
	assert_true(has_dpdk("\"dpdk,hvm\""));
	assert_true(has_dpdk("\"hvm, dpdk , snapshot\""));
	assert_true(has_dpdk("[\"hvm\", \"dpdk\"]"));
	assert_false(has_dpdk("\"hvm,nodpdk\""));
	assert_false(has_dpdk("\"dpdk2,dpdk-x,DPDK\""));
	assert_false(has_dpdk("\"dpdk hvm\""));
	assert_false(has_dpdk("\"\""));
	assert_false(has_dpdk("\",,\""));
	assert_false(has_dpdk("null"));
	assert_false(has_dpdk("[]"));
	assert_false(has_dpdk("[\"nodpdk\"]"));
	assert_false(orchestrator_has_capability(NULL, "dpdk"));
}

static void
assert_ill_typed(int (*check)(const json_t *, const char *, struct err *), const char *text)
{
	json_t *value = parse(text);
	struct err err = {0};

	assert_int_equal(check(value, "vm", &err), -EINVAL);
	assert_string_equal(err.code, "bad-parameter");
	assert_string_equal(err.param, "vm");
	assert_non_null(strstr(err.message, "vm"));
	json_decref(value);
}

static void
ill_typed_texts_are_refused(void **state)
{
	(void)state;
	assert_ill_typed(orchestrator_check_capabilities, "1");
	assert_ill_typed(orchestrator_check_capabilities, "{}");
	assert_ill_typed(orchestrator_check_capabilities, "[\"a\", 1]");
}

/* The holder's details are these; `expected` NULL: they are refused. Both written with ' for ". */
static void
assert_details(const char *holder, const char *expected)
{
	char *texts[] = {strdup(holder), strdup(expected ? expected : "{}")};
	struct err err = {0};
	json_t *value, *wanted, *details;

	for (int i = 0; i < 2; i++)
		for (char *c = texts[i]; *c; c++)
			*c = *c == '\'' ? '"' : *c;
	value = parse(texts[0]);
	wanted = parse(texts[1]);
	details = orchestrator_details(value, "vm", &err);
	if (expected) {
		if (!json_equal(details, wanted))
			fail_msg("%s: %s", holder, err.message);
	} else {
		assert_null(details);
		assert_string_equal(err.code, "bad-parameter");
		assert_string_equal(err.param, "vm");
	}
	json_decref(details);
	json_decref(wanted);
	json_decref(value);
	free(texts[0]);
	free(texts[1]);
}

static void
details_come_in_many_forms(void **state)
{
	(void)state;
	assert_details("{'details': {'a': 'x', 'b': null}}", "{'a': 'x', 'b': null}");
	assert_details("{'details': [{'key': 'a', 'value': 'x'}, {'key': 'b'}]}",
		       "{'a': 'x', 'b': null}");
	assert_details("{'details': [{'key': 'a', 'value': 'x'}, {'key': 'a', 'value': 'y'}]}",
		       "{'a': 'y'}");
	assert_details("{'serviceofferingdetails': [{'a': 'x', 'b': 'y'}]}",
		       "{'a': 'x', 'b': 'y'}");
	assert_details("{'serviceofferingdetails[0].key': 'a', 'serviceofferingdetails[0].value': 'x',"
		       " 'details[12].b': 'y', 'name': 'tiny'}",
		       "{'a': 'x', 'b': 'y'}");
	assert_details("{'details': {'details[1].value': 'x', 'details[1].key': 'a', 'b': 'y'}}",
		       "{'a': 'x', 'b': 'y'}");
	/* What only looks like it. */
	assert_details("{'details': {'details[].key': 'x', 'details[1]key': 'y',"
		       " 'xdetails[0].key': 'z', 'details[99999999999999999999].key': 'w'}}",
		       "{'details[].key': 'x', 'details[1]key': 'y', 'xdetails[0].key': 'z',"
		       " 'details[99999999999999999999].key': 'w'}");
	assert_details("{'details': null}", "{}");
	assert_details("{}", "{}");
	assert_details("{'details': 'x'}", NULL);
	assert_details("{'details': [1]}", NULL);
	assert_details("{'details': [{'value': 'x'}]}", NULL);
	assert_details("{'details': [{'key': 1, 'value': 'x'}]}", NULL);
	assert_details("{'details[0].value': 'x'}", NULL);
}

/* The access VLAN, -1: refused. */
static int
vlan_of(const char *text)
{
	json_t *value = parse(text);
	struct err err = {0};
	int vlan;

	if (orchestrator_vlan(value, &vlan, "nics", &err) < 0) {
		assert_string_equal(err.code, "bad-vlan");
		assert_string_equal(err.param, "nics");
		assert_string_equal(err.key, "vlan");
		vlan = -1;
	}
	json_decref(value);
	return vlan;
}

static void
vlans_are_access_or_trunk(void **state)
{
	int vlan = 7;

	(void)state;
	assert_int_equal(vlan_of("1"), 1);
	assert_int_equal(vlan_of("4094"), 4094);
	assert_int_equal(vlan_of("\"100\""), 100);
	assert_int_equal(vlan_of("\"0100\""), 100);
	assert_int_equal(vlan_of("0"), 0);
	assert_int_equal(vlan_of("4095"), 0);
	assert_int_equal(vlan_of("-1"), 0);
	assert_int_equal(vlan_of("\"0\""), 0);
	assert_int_equal(vlan_of("\"4095\""), 0);
	assert_int_equal(vlan_of("\"-5\""), 0);
	assert_int_equal(vlan_of("\"99999999999999999999\""), 0);
	assert_int_equal(vlan_of("null"), 0);
	assert_int_equal(orchestrator_vlan(NULL, &vlan, "nics", NULL), 0);
	assert_int_equal(vlan, 0);
	assert_int_equal(vlan_of("\"\""), -1);
	assert_int_equal(vlan_of("\"abc\""), -1);
	assert_int_equal(vlan_of("\"10a\""), -1);
	assert_int_equal(vlan_of("\" 10\""), -1);
	assert_int_equal(vlan_of("\"-\""), -1);
	assert_int_equal(vlan_of("\"--1\""), -1);
	assert_int_equal(vlan_of("\"1.5\""), -1);
	assert_int_equal(vlan_of("1.5"), -1);
	assert_int_equal(vlan_of("true"), -1);
	assert_int_equal(vlan_of("[1]"), -1);
}

static void
modes_have_no_case(void **state)
{
	struct err err = {0};
	bool client = true;

	(void)state;
	assert_int_equal(orchestrator_mode(NULL, &client, "mode", "mode", &err), 0);
	assert_false(client);
	assert_int_equal(orchestrator_mode("CLIENT", &client, "mode", "mode", &err), 0);
	assert_true(client);
	assert_int_equal(orchestrator_mode("Server", &client, "mode", "mode", &err), 0);
	assert_false(client);
	assert_int_equal(orchestrator_mode("", &client, "mode", "mode", &err), -EINVAL);
	assert_int_equal(orchestrator_mode("client ", &client, "mode", "mode", &err), -EINVAL);
	assert_int_equal(orchestrator_mode("serverrrr", &client, "offering", "DPDK-VHOSTUSER",
					   &err),
			 -EINVAL);
	assert_string_equal(err.code, "invalid-mode");
	assert_string_equal(err.param, "offering");
	assert_string_equal(err.key, "DPDK-VHOSTUSER");
	assert_non_null(strstr(err.message, "serverrrr"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities_are_whole_words),
		cmocka_unit_test(ill_typed_texts_are_refused),
		cmocka_unit_test(details_come_in_many_forms),
		cmocka_unit_test(vlans_are_access_or_trunk),
		cmocka_unit_test(modes_have_no_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
