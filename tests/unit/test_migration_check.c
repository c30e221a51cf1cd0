/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/migration_check.h"
#include "control/migration_nic.h"

#define BOTH_KEYS "'extraconfig-dpdk-numa': 'x', 'extraconfig-dpdk-hugepages': 'x'"

/* A value written with ' for ". */
static json_t *
parse(const char *text)
{
	char buf[2048];
	json_t *value;

	strcpy(buf, text);
	for (char *c = buf; *c; c++)
		if (*c == '\'')
			*c = '"';
	value = json_loads(buf, 0, NULL);
	if (!value)
		fail_msg("the test has no JSON: %s", buf);
	return value;
}

/* Parameters of a check, all as they should be, with one put in their place. */
static json_t *
params_with(const char *name, const char *text)
{
	json_t *params = parse("{'vm': {'type': 'User', 'state': 'Running', 'details': {" BOTH_KEYS
			       "}}, 'offering': {'details': {}},"
			       " 'source': {'name': 'h1', 'capabilities': 'hvm,dpdk'},"
			       " 'destinations': [{'name': 'h2', 'capabilities': 'dpdk'},"
			       " {'name': 'h1', 'capabilities': 'dpdk'},"
			       " {'name': 'h3', 'capabilities': 'hvm'}]}");

	json_object_set_new(params, name, parse(text));
	return params;
}

/* The verdict is this, but for `detail` and what is not named. */
static void
assert_verdict(const char *name, const char *text, const char *expected)
{
	json_t *params = params_with(name, text), *wanted = parse(expected), *value;
	struct err err = {0};
	json_t *verdict = migration_check(params, &err);
	const char *key;

	if (!verdict)
		fail_msg("%s %s: %s", name, text, err.message);
	json_object_foreach(wanted, key, value)
	{
		json_t *got = json_object_get(verdict, key);

		if (json_is_null(value) ? got != NULL : !json_equal(got, value))
			fail_msg("%s %s: %s", name, text, json_dumps(verdict, 0));
	}
	json_decref(params);
	json_decref(wanted);
	json_decref(verdict);
}

static void
a_dpdk_vm_moves_to_dpdk_hosts(void **state)
{
	(void)state;
	assert_verdict("offering", "{}",
		       "{'dpdk_vm': true, 'eligible': true, 'reason': null, 'suitable': ['h2'],"
		       " 'refused': [{'name': 'h1', 'reason': 'same-host'},"
		       " {'name': 'h3', 'reason': 'destination-not-dpdk'}]}");
	assert_verdict("destinations", "[{'name': 'h3'}, {'name': 'h4', 'capabilities': null}]",
		       "{'eligible': false, 'reason': 'destination-not-dpdk', 'suitable': []}");
	assert_verdict("destinations", "[{'name': 'h1', 'capabilities': ['dpdk']}]",
		       "{'eligible': false, 'reason': 'same-host', 'suitable': []}");
	assert_verdict("destinations", "[]",
		       "{'eligible': false, 'reason': 'no-destination', 'refused': []}");
}

static void
keys_may_be_the_offerings(void **state)
{
	(void)state;
	assert_verdict("vm", "{'type': 'User', 'state': 'Running', 'details': {}}",
		       "{'dpdk_vm': false, 'reason': 'missing-both'}");
	assert_verdict("vm",
		       "{'type': 'User', 'state': 'Running', 'details':"
		       " [{'key': 'extraconfig-dpdk-numa', 'value': 'x'}]}",
		       "{'dpdk_vm': false, 'reason': 'missing-extraconfig-dpdk-hugepages'}");
	assert_verdict("vm",
		       "{'type': 'User', 'state': 'Running', 'details':"
		       " {'extraconfig-dpdk-hugepages': 'x', 'extraconfig-dpdk-numa-1': 'x'}}",
		       "{'dpdk_vm': false, 'reason': 'missing-extraconfig-dpdk-numa'}");
	assert_verdict("offering", "{'details': [{'key': 'extraconfig-dpdk-numa'}]}",
		       "{'dpdk_vm': true}");
}

/* What offering.resolve leaves out does not make a DPDK VM. */
static void
values_that_are_left_out_do_not_count(void **state)
{
	(void)state;
	assert_verdict("vm",
		       "{'type': 'User', 'state': 'Running', 'details':"
		       " {'extraconfig-dpdk-numa': null, 'extraconfig-dpdk-hugepages': 'x'}}",
		       "{'dpdk_vm': false, 'reason': 'missing-extraconfig-dpdk-numa'}");
	assert_verdict("vm",
		       "{'type': 'User', 'state': 'Running', 'details':"
		       " {'extraconfig-dpdk-numa': '100%', 'extraconfig-dpdk-hugepages': 'x'}}",
		       "{'dpdk_vm': true}");
}

static void
an_offerings_value_that_does_not_decode_does_not_count(void **state)
{
	json_t *params = params_with("vm", "{'type': 'User', 'state': 'Running'}"), *verdict;

	(void)state;
	json_object_set_new(params, "offering",
			    parse("{'details': {'extraconfig-dpdk-numa': '100%',"
				  " 'extraconfig-dpdk-hugepages': 'x'}}"));
	verdict = migration_check(params, NULL);
	assert_true(json_is_false(json_object_get(verdict, "dpdk_vm")));
	assert_string_equal(json_string_value(json_object_get(verdict, "reason")),
			    "missing-extraconfig-dpdk-numa");
	json_decref(verdict);
	json_decref(params);
}

static void
an_ordinary_vm_moves_to_any_other_host(void **state)
{
	static const char everywhere[] =
		"{'dpdk_vm': false, 'eligible': true, 'reason': '%s', 'suitable': ['h2', 'h3'],"
		" 'refused': [{'name': 'h1', 'reason': 'same-host'}]}";
	char expected[256];

	(void)state;
	snprintf(expected, sizeof(expected), everywhere, "not-user-vm");
	assert_verdict("vm",
		       "{'type': 'DomainRouter', 'state': 'Running', 'details': {" BOTH_KEYS "}}",
		       expected);
	snprintf(expected, sizeof(expected), everywhere, "host-not-dpdk");
	assert_verdict("source", "{'name': 'h1', 'capabilities': 'hvm,nodpdk'}", expected);
}

/* That nobody named a host hides nothing. */
static void
the_reason_is_the_same_with_no_destination(void **state)
{
	json_t *params = params_with("destinations", "[]"), *verdict;

	(void)state;
	json_object_set_new(params, "source", parse("{'name': 'h1', 'capabilities': 'hvm'}"));
	verdict = migration_check(params, NULL);
	assert_true(json_is_false(json_object_get(verdict, "eligible")));
	assert_string_equal(json_string_value(json_object_get(verdict, "reason")), "host-not-dpdk");
	json_decref(verdict);
	json_decref(params);
}

static void
a_vm_that_does_not_run_stays(void **state)
{
	(void)state;
	assert_verdict("vm", "{'type': 'User', 'state': 'Stopped', 'details': {" BOTH_KEYS "}}",
		       "{'dpdk_vm': true, 'eligible': false, 'reason': 'vm-not-running',"
		       " 'suitable': []}");
}

static void
assert_ill_typed(const char *name, const char *text, const char *code)
{
	json_t *params = params_with(name, text);
	struct err err = {0};

	if (migration_check(params, &err))
		fail_msg("%s %s was taken", name, text);
	assert_string_equal(err.code, code);
	assert_string_equal(err.param, name);
	assert_non_null(strstr(err.message, strcmp(code, "bad-vlan") ? name : "vlan"));
	json_decref(params);
}

static void
ill_typed_members_are_named(void **state)
{
	(void)state;
	assert_ill_typed("vm", "{'state': 'Running'}", "bad-parameter");
	assert_ill_typed("vm", "{'type': 'User', 'state': 1}", "bad-parameter");
	assert_ill_typed("vm", "{'type': 'User', 'state': 'Running', 'details': 1}",
			 "bad-parameter");
	assert_ill_typed("offering", "{'details': [1]}", "bad-parameter");
	assert_ill_typed("source", "{'capabilities': 'dpdk'}", "bad-parameter");
	assert_ill_typed("source", "{'name': 'h1', 'capabilities': 1}", "bad-parameter");
	assert_ill_typed("destinations", "[{'name': ''}]", "bad-parameter");
	assert_ill_typed("destinations", "[{'name': 'h2', 'mtu': '1'}]", "bad-parameter");
	assert_ill_typed("destinations",
			 "[{'name': 'h2', 'capabilities': 'dpdk'}, {'name': 'h3'}, {'name': 'h2'}]",
			 "bad-parameter");
	assert_ill_typed("destinations", "[{'name': 'h2', 'features': [1]}]", "bad-parameter");
	assert_ill_typed("nics", "[{}]", "bad-parameter");
	assert_ill_typed("nics", "[{'mac': '52:54:00:00:00:01', 'vlan': 'x'}]", "bad-vlan");
}

#define NIC "'mac': '52:54:00:00:00:01'"

static void
network_cards_are_checked(void **state)
{
	static const char *const good[] = {
		"[]",
		"[{" NIC "}]",
		"[{" NIC ", 'vlan': '100', 'mtu': 9000, 'queues': 16, 'features': ['mq'],"
		" 'rate_mbps': 5, 'park_ms': 1, 'peer_users': ['root']}]",
		"[{" NIC "}, {'mac': '52:54:00:00:00:02', 'trunks': [1]}]",
	};
	static const char *const bad[] = {
		"[{'mac': 1}]",
		"[{'mac': ['52:54:00:00:00:01']}]",
		"[{'mac': '01:00:00:00:00:01'}]",
		"[{" NIC ", 'mtu': 1}]",
		"[{" NIC ", 'features': 'mq'}]",
		"[{" NIC ", 'features': ['a\\u0007']}]",
		"[{" NIC ", 'name': 'p'}]",
		"[{" NIC ", 'socket': '/x'}]",
		"[{" NIC ", 'node': 0}]",
		"[{" NIC ", 'colour': 1}]",
		"[{'mac': '52:54:00:00:00:0A'}, {'mac': '52:54:00:00:00:0a'}]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		json_t *nics = parse(good[i]);
		struct err err = {0};

		if (migration_nics_check(nics, &err) < 0)
			fail_msg("%s: %s", good[i], err.message);
		json_decref(nics);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *nics = parse(bad[i]);
		struct err err = {0};

		if (migration_nics_check(nics, &err) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_string_equal(err.code, "bad-parameter");
		assert_string_equal(err.param, "nics");
		json_decref(nics);
	}
}

static void
a_card_becomes_a_port(void **state)
{
	json_t *nic = parse("{" NIC ", 'vlan': '0', 'mtu': 9000, 'features': ['mq']}");
	json_t *params = migration_nic_attach(nic, "csdpdk-1", "br0", true, NULL);
	json_t *expected = parse("{" NIC ", 'mtu': 9000, 'name': 'csdpdk-1', 'bridge': 'br0',"
				 " 'mode': 'client', 'incoming': true}");

	(void)state;
	assert_true(json_equal(params, expected));
	json_decref(params);
	json_decref(expected);
	json_object_set_new(nic, "vlan", json_integer(7));
	params = migration_nic_attach(nic, "csdpdk-1", "br0", false, NULL);
	assert_int_equal(json_integer_value(json_object_get(params, "vlan")), 7);
	json_decref(params);
	json_decref(nic);
}

/* A nic on a host: NULL fits, else it is refused for this reason, with a word about it. */
static void
assert_fits(const char *nic_text, const char *host_text, const char *code, const char *word)
{
	json_t *nic = parse(nic_text), *host = parse(host_text);
	struct err err = {0};
	int rc = migration_nic_fits(nic, host, "host h2", &err);

	assert_int_equal(rc, code ? -ENOTSUP : 0);
	assert_string_equal(err.code, code ? code : "");
	if (code) {
		assert_string_equal(err.key, "52:54:00:00:00:01");
		assert_non_null(strstr(err.message, word));
		assert_non_null(strstr(err.message, "host h2"));
	}
	json_decref(nic);
	json_decref(host);
}

static void
what_a_guest_has_must_be_there(void **state)
{
	(void)state;
	assert_fits("{" NIC ", 'mtu': 9000}", "{'mtu': 1500}", "destination-mtu-too-low", "9000");
	assert_fits("{" NIC ", 'mtu': 1500}", "{'mtu': 1500}", NULL, NULL);
	assert_fits("{" NIC "}", "{'mtu': 1499}", "destination-mtu-too-low", "1500");
	assert_fits("{" NIC ", 'mtu': 68}", "{'mtu': 68}", NULL, NULL);
	assert_fits("{" NIC ", 'mtu': 9000}", "{}", NULL, NULL);
	assert_fits("{" NIC ", 'queues': 8}", "{'max_queues': 4}", "destination-lacks-queues", "8");
	assert_fits("{" NIC ", 'features': ['mq', 'host_tso4', 'guest_ufo']}",
		    "{'features': ['mq']}", "destination-lacks-features", "host_tso4, guest_ufo");
	assert_fits("{" NIC ", 'features': ['mq']}", "{'features': ['csum', 'mq']}", NULL, NULL);
	assert_fits("{" NIC ", 'features': ['mq']}", "{'features': []}",
		    "destination-lacks-features", "mq");
	assert_fits("{" NIC ", 'features': ['mq']}", "{}", NULL, NULL);
}

static void
hosts_that_lack_something_are_refused(void **state)
{
	json_t *params = params_with("nics", "[{" NIC ", 'mtu': 9000}]"), *verdict, *refused;

	(void)state;
	json_object_set_new(params, "destinations",
			    parse("[{'name': 'low', 'capabilities': 'dpdk', 'mtu': 1500},"
				  " {'name': 'high', 'capabilities': 'dpdk', 'mtu': 9702}]"));
	verdict = migration_check(params, NULL);
	assert_int_equal(json_array_size(json_object_get(verdict, "suitable")), 1);
	refused = json_array_get(json_object_get(verdict, "refused"), 0);
	assert_string_equal(json_string_value(json_object_get(refused, "name")), "low");
	assert_string_equal(json_string_value(json_object_get(refused, "reason")),
			    "destination-mtu-too-low");
	assert_non_null(strstr(json_string_value(json_object_get(refused, "detail")), "9000"));
	json_decref(verdict);
	json_object_set_new(params, "nics",
			    parse("[{" NIC ", 'features': ['mq']}, {'mac': '52:54:00:00:00:02',"
				  " 'features': ['mq', 'csum']}]"));
	json_object_set_new(params, "destinations",
			    parse("[{'name': 'old', 'capabilities': 'dpdk', 'features': ['mq']},"
				  " {'name': 'new', 'capabilities': 'dpdk',"
				  " 'features': ['csum', 'csum', 'mq']}]"));
	verdict = migration_check(params, NULL);
	assert_int_equal(json_array_size(json_object_get(verdict, "suitable")), 1);
	refused = json_array_get(json_object_get(verdict, "refused"), 0);
	assert_string_equal(json_string_value(json_object_get(refused, "reason")),
			    "destination-lacks-features");
	assert_non_null(strstr(json_string_value(json_object_get(refused, "detail")),
			       "52:54:00:00:00:02: its guest uses csum"));
	json_decref(verdict);
	json_decref(params);
}

/* Its name, cut in the middle of a character, is in the sentence. */
static void
a_host_with_a_long_name_is_refused_too(void **state)
{
	json_t *params = params_with("nics", "[{" NIC ", 'mtu': 9000}]"), *verdict, *refused;

	(void)state;
	json_object_set_new(params, "destinations",
			    parse("[{'name': 'a\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
				  "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
				  "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
				  "\u00e4\u00e4\u00e4\u00e4', 'capabilities': 'dpdk', 'mtu': 1500}]"));
	verdict = migration_check(params, NULL);
	assert_int_equal(json_array_size(json_object_get(verdict, "suitable")), 0);
	refused = json_array_get(json_object_get(verdict, "refused"), 0);
	assert_string_equal(json_string_value(json_object_get(refused, "reason")),
			    "destination-mtu-too-low");
	json_decref(verdict);
	json_decref(params);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dpdk_vm_moves_to_dpdk_hosts),
		cmocka_unit_test(keys_may_be_the_offerings),
		cmocka_unit_test(values_that_are_left_out_do_not_count),
		cmocka_unit_test(an_offerings_value_that_does_not_decode_does_not_count),
		cmocka_unit_test(an_ordinary_vm_moves_to_any_other_host),
		cmocka_unit_test(the_reason_is_the_same_with_no_destination),
		cmocka_unit_test(a_vm_that_does_not_run_stays),
		cmocka_unit_test(ill_typed_members_are_named),
		cmocka_unit_test(network_cards_are_checked),
		cmocka_unit_test(a_card_becomes_a_port),
		cmocka_unit_test(what_a_guest_has_must_be_there),
		cmocka_unit_test(hosts_that_lack_something_are_refused),
		cmocka_unit_test(a_host_with_a_long_name_is_refused_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
