/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/schema.h"

static const struct param *
param_of(const char *method, const char *name)
{
	const struct method *m = schema_find(method);

	assert_non_null(m);
	for (const struct param *p = m->params; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	fail_msg("%s has no %s", method, name);
	return NULL;
}

/* The verdict on a request, written with ' for ". */
static int
check(const char *method, const char *text, struct err *err)
{
	char *json = strdup(text);
	json_t *params;
	int rc;

	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	params = json_loads(json, JSON_DECODE_ANY, NULL);
	assert_non_null(params);
	memset(err, 0, sizeof(*err));
	rc = schema_check(schema_find(method), params, err);
	json_decref(params);
	free(json);
	return rc;
}

static void
assert_good(const char *method, const char *text)
{
	struct err err;

	if (check(method, text, &err) != 0)
		fail_msg("%s %s: %s", method, text, err.message);
}

static void
assert_bad(const char *method, const char *text, const char *param)
{
	struct err err;

	if (check(method, text, &err) != -EINVAL)
		fail_msg("%s took %s", method, text);
	assert_string_equal(err.param, param);
	assert_string_equal(err.code, "bad-parameter");
	assert_non_null(strstr(err.message, param));
}

static void
every_method_and_parameter_is_described(void **state)
{
	(void)state;
	for (const struct method *m = schema_methods; m->name; m++) {
		assert_ptr_equal(schema_find(m->name), m);
		assert_non_null(strchr(m->name, '.'));
		assert_non_null(m->help);
		for (const struct param *p = m->params; p->name; p++) {
			assert_ptr_equal(param_of(m->name, p->name), p);
			assert_true(strlen(p->name) < sizeof(((struct err *)0)->param));
			assert_non_null(p->help);
			assert_null(strchr(p->help, '\n'));
			assert_true(p->type != PARAM_INT || p->min < p->max);
			assert_true(p->type != PARAM_ENUM || p->words);
		}
	}
	assert_null(schema_find("port.lists"));
	assert_null(schema_find(""));
}

static void
names_are_checked(void **state)
{
	char longest[65];

	(void)state;
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_false(schema_name_ok(longest));
	longest[63] = '\0';
	assert_true(schema_name_ok(longest));
	assert_true(schema_name_ok("a"));
	assert_true(schema_name_ok("_9.-Z"));
	assert_false(schema_name_ok(""));
	assert_false(schema_name_ok(".a"));
	assert_false(schema_name_ok("-a"));
	assert_false(schema_name_ok("a/b"));
	assert_false(schema_name_ok("a b"));
	assert_false(schema_name_ok("\xc3\xa4"));
}

static void
macs_are_read(void **state)
{
	const uint8_t expected[6] = {0x52, 0x54, 0x00, 0xab, 0xCD, 0xff};
	uint8_t mac[6];

	(void)state;
	assert_true(schema_mac_parse("52:54:00:ab:CD:fF", mac));
	assert_memory_equal(mac, expected, 6);
	assert_false(schema_mac_parse("", mac));
	assert_false(schema_mac_parse("5", mac));
	assert_false(schema_mac_parse("52:54:00:ab:cd", mac));
	assert_false(schema_mac_parse("52:54:00:ab:cd:", mac));
	assert_false(schema_mac_parse("52:54:00:ab:cd:e", mac));
	assert_false(schema_mac_parse("52:54:00:ab:cd:ef:", mac));
	assert_false(schema_mac_parse("52:54:00:ab:cd:eg", mac));
	assert_false(schema_mac_parse("52-54-00-ab-cd-ef", mac));
	assert_false(schema_mac_parse(" 2:54:00:ab:cd:ef", mac));
}

static void
parameters_must_be_known_and_there(void **state)
{
	struct err err;

	(void)state;
	assert_good("daemon.version", "{}");
	assert_int_equal(schema_check(schema_find("daemon.version"), NULL, NULL), 0);
	assert_int_equal(schema_check(schema_find("bridge.add"), NULL, &err), -EINVAL);
	assert_string_equal(err.param, "name");
	assert_bad("daemon.version", "{'colour': 1}", "colour");
	assert_bad("bridge.add", "{'name': 'b', 'Name': 'b'}", "Name");
	assert_bad("port.attach", "{'name': 'p'}", "bridge");
	assert_bad("port.attach", "{'name': 'p', 'bridge': 'b', 'speed': 1}", "speed");
	assert_bad("port.set", "{'name': 'p', 'datapath': 'direct'}", "datapath");
	assert_bad("port.set", "{'name': 'p', 'incoming': true}", "incoming");
	assert_bad("uplink.add", "{'name': 'u', 'bridge': 'b', 'devargs': 'd', 'tx_retries': 1}",
		   "tx_retries");
	assert_bad("capture.start", "{'port': 'p'}", "file");
	assert_bad("bridge.add", "['b']", "params");
	assert_bad("bridge.add", "'b'", "params");
}

static void
values_are_checked(void **state)
{
#define ATTACH(rest) "{'name': 'p', 'bridge': 'b', " rest "}"
	static const struct {
		const char *good, *bad, *param;
	} cases[] = {
		{ATTACH("'mode': 'client'"), ATTACH("'mode': 'clien'"), "mode"},
		{ATTACH("'mode': 'server'"), ATTACH("'mode': ''"), "mode"},
		{ATTACH("'mode': 'server'"), ATTACH("'mode': 'server client'"), "mode"},
		{ATTACH("'socket': 'x'"), ATTACH("'socket': ''"), "socket"},
		{ATTACH("'socket': '/a \xc3\xa4'"), ATTACH("'socket': 'a\\u0007'"), "socket"},
		{ATTACH("'socket': '\\u00a0'"), ATTACH("'socket': '\\u009b'"), "socket"},
		{ATTACH("'socket': '/a'"), ATTACH("'socket': 'a\\u007f'"), "socket"},
		{ATTACH("'vlan': 1"), ATTACH("'vlan': 0"), "vlan"},
		{ATTACH("'vlan': 4094"), ATTACH("'vlan': 4095"), "vlan"},
		{ATTACH("'vlan': 7"), ATTACH("'vlan': 7.0"), "vlan"},
		{ATTACH("'trunks': []"), ATTACH("'trunks': 7"), "trunks"},
		{ATTACH("'trunks': [0, 4094]"), ATTACH("'trunks': [4095]"), "trunks"},
		{ATTACH("'trunks': [2, 1]"), ATTACH("'trunks': [1, 2, 1]"), "trunks"},
		{ATTACH("'queues': 16"), ATTACH("'queues': 17"), "queues"},
		{ATTACH("'mtu': 68"), ATTACH("'mtu': 67"), "mtu"},
		{ATTACH("'mtu': 9702"), ATTACH("'mtu': 9703"), "mtu"},
		{ATTACH("'node': 'auto'"), ATTACH("'node': 'Auto'"), "node"},
		{ATTACH("'node': 0"), ATTACH("'node': -1"), "node"},
		{ATTACH("'node': 7"), ATTACH("'node': 8"), "node"},
		{ATTACH("'lcore': 1"), ATTACH("'lcore': 0"), "lcore"},
		{ATTACH("'lcore': 64"), ATTACH("'lcore': 65"), "lcore"},
		{ATTACH("'lcore': 'auto'"), ATTACH("'lcore': 'any'"), "lcore"},
		{ATTACH("'lcore': null"), ATTACH("'lcore': true"), "lcore"},
		{ATTACH("'lcore': [2, 'auto', null, 2]"), ATTACH("'lcore': []"), "lcore"},
		{ATTACH("'lcore': [1]"), ATTACH("'lcore': [1, [2]]"), "lcore"},
		{ATTACH("'lcore': [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"),
		 ATTACH("'lcore': [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), "lcore"},
		{ATTACH("'learn': true"), ATTACH("'learn': 'true'"), "learn"},
		{ATTACH("'mac': []"), ATTACH("'mac': null"), "mac"},
		{ATTACH("'mac': '02:00:00:00:00:01'"), ATTACH("'mac': '01:00:00:00:00:01'"), "mac"},
		{ATTACH("'mac': ['02:00:00:00:00:0a']"), ATTACH("'mac': '00:00:00:00:00:00'"),
		 "mac"},
		{ATTACH("'mac': ['02:00:00:00:00:0a', '02:00:00:00:00:0b']"),
		 ATTACH("'mac': ['02:00:00:00:00:0a', '02:00:00:00:00:0A']"), "mac"},
		{ATTACH("'peer_users': ['root', '64055']"), ATTACH("'peer_users': 'root'"),
		 "peer_users"},
		{ATTACH("'peer_users': []"), ATTACH("'peer_users': ['']"), "peer_users"},
		{ATTACH("'peer_users': ['a']"), ATTACH("'peer_users': ['a\\n']"), "peer_users"},
		{ATTACH("'rate_mbps': 1000000"), ATTACH("'rate_mbps': -1"), "rate_mbps"},
		{ATTACH("'rate_mbps': 0"), ATTACH("'rate_mbps': 1.5"), "rate_mbps"},
		{ATTACH("'burst_kb': 0"), ATTACH("'burst_kb': '1'"), "burst_kb"},
		{ATTACH("'storm_broadcast_pps': 1000000000"),
		 ATTACH("'storm_broadcast_pps': 1000000001"), "storm_broadcast_pps"},
		{ATTACH("'storm_multicast_pps': 0"), ATTACH("'storm_multicast_pps': -1"),
		 "storm_multicast_pps"},
		{ATTACH("'storm_unknown_pps': 1"), ATTACH("'storm_unknown_pps': null"),
		 "storm_unknown_pps"},
		{ATTACH("'tx_retries': 32"), ATTACH("'tx_retries': 33"), "tx_retries"},
		{ATTACH("'park_ms': 600000"), ATTACH("'park_ms': 600001"), "park_ms"},
		{ATTACH("'park_frames': 0"), ATTACH("'park_frames': 1048577"), "park_frames"},
		{ATTACH("'incoming': true"), ATTACH("'incoming': 1"), "incoming"},
		{ATTACH("'datapath': 'library'"), ATTACH("'datapath': 'both'"), "datapath"},
		{ATTACH("'socket_mode': '0660'"), ATTACH("'socket_mode': '00660'"), "socket_mode"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_good("port.attach", cases[i].good);
		assert_bad("port.attach", cases[i].bad, cases[i].param);
	}
	assert_good("port.drain", "{'name': 'p', 'timeout_ms': 60000, 'then': 'drop'}");
	assert_bad("port.drain", "{'name': 'p', 'timeout_ms': 0}", "timeout_ms");
	assert_bad("port.drain", "{'name': 'p', 'then': 'wait'}", "then");
	assert_good("port.next_name", "{'existing': ['', 'a', 'a']}");
	assert_bad("port.next_name", "{'existing': [1]}", "existing");
	assert_bad("port.next_name", "{'existing': 'a'}", "existing");
	assert_good("migration.rewrite", "{'xml': '', 'map': {}}");
	assert_good("migration.rewrite", "{'xml': '<a>\\n</a>', 'map': {'x': 1}}");
	assert_bad("migration.rewrite", "{'xml': 1, 'map': {}}", "xml");
	assert_bad("migration.rewrite", "{'xml': '', 'map': []}", "map");
	assert_good("migration.prepare", "{'bridge': 'b', 'nics': [{}]}");
	assert_bad("migration.prepare", "{'bridge': 'b', 'nics': {}}", "nics");
	assert_bad("migration.prepare", "{'bridge': 'b', 'nics': [1]}", "nics");
	assert_good("events.subscribe", "{'types': ['port.up', 'mac.limit', 'port.announced']}");
	assert_bad("events.subscribe", "{'types': ['port.u']}", "types");
	assert_bad("events.subscribe", "{'types': ['port.up port.down']}", "types");
}

/* What schema_value() makes of the word, as compact JSON; NULL: refused, naming the parameter. */
static char *
value_of(const char *method, const char *name, const char *text)
{
	struct err err = {0};
	json_t *value = schema_value(param_of(method, name), text, &err);
	char *json = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (!value)
		assert_string_equal(err.param, name);
	json_decref(value);
	return json;
}

static void
assert_value(const char *name, const char *text, const char *expected)
{
	char *json = value_of("port.attach", name, text);

	if (!expected)
		assert_null(json);
	else
		assert_string_equal(json ? json : "refused", expected);
	free(json);
}

static void
words_become_values(void **state)
{
	(void)state;
	assert_value("mtu", "1500", "1500");
	assert_value("mtu", "15", NULL);
	assert_value("mtu", "", NULL);
	assert_value("mtu", " 1500", NULL);
	assert_value("mtu", "1500x", NULL);
	assert_value("mtu", "99999999999999999999", NULL);
	assert_value("learn", "true", "true");
	assert_value("learn", "false", "false");
	assert_value("learn", "yes", NULL);
	assert_value("node", "auto", "\"auto\"");
	assert_value("node", "1", "1");
	assert_value("node", "one", NULL);
	assert_value("lcore", "2", "2");
	assert_value("lcore", "auto", "\"auto\"");
	assert_value("lcore", "1,auto,2", "[1,\"auto\",2]");
	assert_value("lcore", "", NULL);
	assert_value("lcore", "1,", "[1]");
	assert_value("lcore", "1,,2", NULL);
	assert_value("lcore", "one", NULL);
	assert_value("lcore", "\xff", NULL);
	assert_value("trunks", "", "[]");
	assert_value("trunks", "1,2", "[1,2]");
	assert_value("trunks", "1,,2", NULL);
	assert_value("trunks", "1,x", NULL);
	assert_value("mac", "02:00:00:00:00:01,02:00:00:00:00:02",
		     "[\"02:00:00:00:00:01\",\"02:00:00:00:00:02\"]");
	assert_value("mac", "02:00:00:00:00", NULL);
	assert_value("peer_users", "root,nobody", "[\"root\",\"nobody\"]");
	assert_value("name", "p", "\"p\"");
	assert_value("name", "-p", NULL);
	assert_value("socket", "/a", "\"/a\"");
	assert_value("socket", "\xff", NULL);
	assert_value("mode", "client", "\"client\"");
	assert_value("mode", "c", NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_method_and_parameter_is_described),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(macs_are_read),
		cmocka_unit_test(parameters_must_be_known_and_there),
		cmocka_unit_test(values_are_checked),
		cmocka_unit_test(words_become_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
