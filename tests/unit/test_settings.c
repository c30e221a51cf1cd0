/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/settings.h"

/* ' stands for ". */
static json_t *
params_of(const char *text)
{
	char *json = strdup(text);
	json_t *params;

	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	params = json_loads(json, 0, NULL);
	assert_non_null(params);
	free(json);
	return params;
}

static struct port_settings
port_of(const char *text)
{
	json_t *params = params_of(text);
	struct port_settings set;

	assert_int_equal(settings_of_port(params, &set, NULL), 0);
	json_decref(params);
	return set;
}

static void
a_port_has_the_defaults_of_the_contract(void **state)
{
	struct port_settings set = port_of("{'name': 'p', 'bridge': 'b'}");

	(void)state;
	assert_string_equal(set.name, "p");
	assert_string_equal(set.bridge, "b");
	assert_false(set.client);
	assert_string_equal(set.socket, "");
	assert_int_equal(set.queues, 1);
	assert_int_equal(set.node, -1);
	assert_int_equal(set.rules.mtu, 1500);
	assert_true(set.rules.learn);
	assert_false(set.rules.vepa);
	assert_true(set.rules.vlans.all);
	assert_int_equal(set.rules.vlans.vlan, 0);
	assert_int_equal(set.rules.n_macs, 0);
	assert_int_equal(set.rules.park_ms, 2000);
	assert_int_equal(set.rules.park_frames, 16384);
	assert_false(set.incoming);
	assert_false(port_of("{'name': 'p', 'mac': '02:00:00:00:00:01'}").rules.learn);
	assert_true(port_of("{'name': 'p', 'mac': '02:00:00:00:00:01', 'learn': true}").rules.learn);
}

static void
a_bridge_has_the_defaults_of_the_contract(void **state)
{
	json_t *params = params_of("{'name': 'b'}");
	struct bridge_settings set;

	(void)state;
	settings_of_bridge(params, &set);
	assert_string_equal(set.name, "b");
	assert_int_equal(set.mac_age_s, 300);
	assert_int_equal(set.mac_limit, 65536);
	json_decref(params);
}

static void
vlans_are_access_or_trunk(void **state)
{
	struct dp_rules rules = {.mtu = 1500};
	json_t *both = params_of("{'vlan': 1, 'trunks': [1]}");
	struct err err = {0};
	struct port_settings set;

	(void)state;
	set = port_of("{'vlan': 4094}");
	assert_int_equal(set.rules.vlans.vlan, 4094);
	assert_false(set.rules.vlans.all);
	set = port_of("{'trunks': [0, 63, 64, 4094]}");
	assert_false(set.rules.vlans.all);
	assert_true(set.rules.vlans.trunks[0] == (1 | UINT64_C(1) << 63));
	assert_true(set.rules.vlans.trunks[1] == 1);
	assert_true(set.rules.vlans.trunks[63] == UINT64_C(1) << 62);
	assert_true(port_of("{'trunks': []}").rules.vlans.all);
	assert_int_equal(settings_change(both, &rules, &err), -EINVAL);
	assert_string_equal(err.code, "bad-parameter");
	assert_string_equal(err.param, "trunks");
	json_decref(both);
}

static void
modes_of_vlans(void **state)
{
	static const struct {
		const char *params;
		struct dp_vlans vlans;
	} cases[] = {
		{"{'vlan_mode': 'trunk'}", {DP_VLANS_TRUNK, .all = true}},
		{"{'vlan_mode': 'trunk', 'trunks': [0, 5]}", {DP_VLANS_TRUNK, .trunks = {33}}},
		{"{'vlan_mode': 'access', 'vlan': 7}", {DP_VLANS_ACCESS, .vlan = 7}},
		{"{'vlan_mode': 'native-tagged', 'vlan': 7}",
		 {DP_VLANS_NATIVE_TAGGED, .vlan = 7, .all = true}},
		{"{'vlan_mode': 'native-untagged', 'vlan': 7, 'trunks': [5]}",
		 {DP_VLANS_NATIVE_UNTAGGED, .vlan = 7, .trunks = {32}}},
		{"{'vlan_mode': 'native-untagged', 'vlan': 7, 'trunks': []}",
		 {DP_VLANS_NATIVE_UNTAGGED, .vlan = 7, .all = true}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_rules rules = {
			.vlans = {DP_VLANS_NATIVE_TAGGED, .vlan = 9, .trunks = {6}}};
		json_t *params = params_of(cases[i].params);

		assert_int_equal(settings_change(params, &rules, NULL), 0);
		assert_memory_equal(&rules.vlans, &cases[i].vlans, sizeof(rules.vlans));
		json_decref(params);
	}
}

static void
modes_of_vlans_that_make_no_sense(void **state)
{
	static const char *const cases[][2] = {
		{"{'vlan_mode': 'access'}", "vlan_mode"},
		{"{'vlan_mode': 'access', 'trunks': [1]}", "trunks"},
		{"{'vlan_mode': 'access', 'vlan': 7, 'trunks': []}", "trunks"},
		{"{'vlan_mode': 'trunk', 'vlan': 7}", "vlan"},
		{"{'vlan_mode': 'native-tagged'}", "vlan_mode"},
		{"{'vlan_mode': 'native-untagged', 'trunks': [7]}", "vlan_mode"},
		{"{'vlan_mode': 'native-untagged', 'vlan': 7, 'trunks': [0, 8]}", "trunks"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *params = params_of(cases[i][0]);
		struct dp_rules rules = {.mtu = 1500};
		struct err err = {0};

		assert_int_equal(settings_change(params, &rules, &err), -EINVAL);
		assert_string_equal(err.code, "bad-parameter");
		assert_string_equal(err.param, cases[i][1]);
		json_decref(params);
	}
}

static void
a_change_leaves_the_rest(void **state)
{
	struct dp_rules rules = port_of("{'mac': ['02:00:00:00:00:01', '02:00:00:00:00:02'],"
					" 'vlan': 7, 'mtu': 9000, 'switching': 'vepa'}")
					.rules;
	json_t *change = params_of("{'name': 'p', 'learn': true}");

	(void)state;
	assert_int_equal(settings_change(change, &rules, NULL), 0);
	json_decref(change);
	assert_true(rules.learn);
	assert_int_equal(rules.n_macs, 2);
	assert_int_equal(rules.mac[1].byte[5], 2);
	assert_int_equal(rules.vlans.vlan, 7);
	assert_int_equal(rules.mtu, 9000);
	assert_true(rules.vepa);
	change = params_of("{'mac': [], 'trunks': [5], 'mtu': 68, 'switching': 'veb'}");
	assert_int_equal(settings_change(change, &rules, NULL), 0);
	json_decref(change);
	assert_int_equal(rules.n_macs, 0);
	assert_int_equal(rules.vlans.vlan, 0);
	assert_true(rules.vlans.trunks[0] == 1 << 5);
	assert_int_equal(rules.mtu, 68);
	assert_false(rules.vepa);
}

/* Unless somebody has said it. */
static void
learn_follows_mac(void **state)
{
	static const struct {
		const char *port, *change;
		bool learn;
	} cases[] = {
		{"{}", "{'mac': '02:00:00:00:00:01'}", false},
		{"{'mac': []}", "{'mtu': 1400}", true},
		{"{'mac': '02:00:00:00:00:01'}", "{'mac': []}", true},
		{"{'mac': '02:00:00:00:00:01'}", "{'mac': '02:00:00:00:00:02'}", false},
		{"{'mac': '02:00:00:00:00:01'}", "{'mtu': 1400}", false},
		{"{'mac': '02:00:00:00:00:01', 'learn': true}", "{'mac': '02:00:00:00:00:02'}",
		 true},
		{"{}", "{'mac': '02:00:00:00:00:01', 'learn': true}", true},
		{"{'learn': false}", "{'mtu': 1400}", false},
		{"{'learn': false}", "{'mac': []}", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_rules rules = port_of(cases[i].port).rules;
		json_t *change = params_of(cases[i].change);

		assert_int_equal(settings_change(change, &rules, NULL), 0);
		if (rules.learn != cases[i].learn)
			fail_msg("%s, then %s: learn is %d", cases[i].port, cases[i].change,
				 rules.learn);
		json_decref(change);
	}
}

static void
limits_are_given_and_taken_back(void **state)
{
	struct port_settings set = port_of("{'rate_mbps': 40000, 'burst_kb': 7,"
					   " 'storm_broadcast_pps': 1, 'storm_multicast_pps': 2,"
					   " 'storm_unknown_pps': 1000000000, 'tx_retries': 32}");
	json_t *off = params_of("{'rate_mbps': 0, 'storm_broadcast_pps': 0, 'tx_retries': 0,"
				" 'storm_multicast_pps': 0, 'storm_unknown_pps': 0}");
	struct dp_rules none = port_of("{}").rules;

	(void)state;
	assert_true(set.rules.limits.rate_bps == UINT64_C(40000000000));
	assert_int_equal(set.rules.limits.burst_bits, 7000);
	assert_int_equal(set.rules.limits.storm_pps[DP_STORM_BROADCAST], 1);
	assert_int_equal(set.rules.limits.storm_pps[DP_STORM_MULTICAST], 2);
	assert_int_equal(set.rules.limits.storm_pps[DP_STORM_UNKNOWN], 1000000000);
	assert_int_equal(set.rules.tx_retries, 32);
	assert_int_equal(settings_change(off, &set.rules, NULL), 0);
	assert_memory_equal(&set.rules, &none, sizeof(none));
	json_decref(off);
}

/* 10 ms and at least 512 kb, unless somebody has said it. */
static void
burst_follows_rate(void **state)
{
	static const struct {
		const char *port, *change;
		unsigned int burst_kb;
	} cases[] = {
		{"{'rate_mbps': 1}", "{}", 512},
		{"{'rate_mbps': 51}", "{}", 512},
		{"{'rate_mbps': 52}", "{}", 520},
		{"{'rate_mbps': 1000000}", "{}", 10000000},
		{"{'rate_mbps': 100}", "{'rate_mbps': 200}", 2000},
		{"{'rate_mbps': 100}", "{'mtu': 1400}", 1000},
		{"{'rate_mbps': 100, 'burst_kb': 9}", "{'rate_mbps': 200}", 9},
		{"{'rate_mbps': 100, 'burst_kb': 9}", "{'mtu': 1400}", 9},
		{"{'rate_mbps': 100, 'burst_kb': 9}", "{'burst_kb': 0}", 1000},
		{"{'rate_mbps': 100}", "{'burst_kb': 9}", 9},
		{"{'rate_mbps': 100, 'burst_kb': 9}", "{'rate_mbps': 0}", 0},
		{"{'rate_mbps': 0, 'burst_kb': 0}", "{}", 0},
		{"{}", "{'rate_mbps': 100}", 1000},
		{"{}", "{'rate_mbps': 100, 'burst_kb': 10}", 10},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dp_rules rules = port_of(cases[i].port).rules;
		json_t *change = params_of(cases[i].change);

		assert_int_equal(settings_change(change, &rules, NULL), 0);
		if (rules.limits.burst_bits != UINT64_C(1000) * cases[i].burst_kb)
			fail_msg("%s, then %s: %lu bits", cases[i].port, cases[i].change,
				 (unsigned long)rules.limits.burst_bits);
		json_decref(change);
	}
}

/* A rate is told back in the larger unit where that tells all of it. */
static void
rates_have_two_units(void **state)
{
	static const struct {
		const char *port, *change, *told;
		unsigned int value;
	} cases[] = {
		{"{'rate_kbps': 1500}", "{'mtu': 1400}", "rate_kbps", 1500},
		{"{'rate_kbps': 2000}", "{'mtu': 1400}", "rate_mbps", 2},
		{"{'rate_kbps': 1500}", "{'rate_mbps': 3}", "rate_mbps", 3},
		{"{'rate_mbps': 3}", "{'rate_kbps': 1}", "rate_kbps", 1},
		{"{'rate_kbps': 1000000000}", "{}", "rate_mbps", 1000000},
	};
	json_t *both = params_of("{'rate_mbps': 1, 'rate_kbps': 1000}");
	struct port_settings set;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *change = params_of(cases[i].change), *json;

		set = port_of(cases[i].port);
		assert_int_equal(settings_change(change, &set.rules, NULL), 0);
		json = settings_port_json(&set);
		assert_int_equal(json_integer_value(json_object_get(json, cases[i].told)),
				 cases[i].value);
		assert_int_equal(!json_object_get(json, "rate_mbps"),
				 !!json_object_get(json, "rate_kbps"));
		json_decref(change);
		json_decref(json);
	}
	assert_int_equal(settings_of_port(both, &set, &err), -EINVAL);
	assert_string_equal(err.param, "rate_kbps");
	json_decref(both);
}

static void
a_burst_without_a_rate_is_refused(void **state)
{
	static const char *const wrong[] = {"{'burst_kb': 1}", "{'rate_mbps': 0, 'burst_kb': 1}"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		json_t *params = params_of(wrong[i]);
		struct port_settings set;
		struct err err = {0};

		assert_int_equal(settings_of_port(params, &set, &err), -EINVAL);
		assert_string_equal(err.param, "burst_kb");
		assert_non_null(strstr(err.message, "rate_mbps"));
		json_decref(params);
	}
}

static void
datapath_is_the_daemons_unless_given(void **state)
{
	(void)state;
	assert_int_equal(port_of("{}").datapath, DATAPATH_STANDARD);
	assert_int_equal(port_of("{'datapath': 'direct'}").datapath, DATAPATH_DIRECT);
	assert_int_equal(port_of("{'datapath': 'library'}").datapath, DATAPATH_LIBRARY);
}

/* What is off is not shown. */
static void
limits_are_shown_when_set(void **state)
{
	static const char *const names[] = {
		"rate_mbps",
		"burst_kb",
		"storm_broadcast_pps",
		"storm_multicast_pps",
		"storm_unknown_pps",
		"tx_retries",
		"datapath",
	};
	struct port_settings plain = port_of("{'name': 'p', 'bridge': 'b'}");
	struct port_settings set = port_of("{'name': 'p', 'bridge': 'b', 'rate_mbps': 1,"
					   " 'storm_broadcast_pps': 1, 'storm_multicast_pps': 2,"
					   " 'storm_unknown_pps': 3, 'tx_retries': 4,"
					   " 'datapath': 'direct'}");
	json_t *off = settings_port_json(&plain), *on = settings_port_json(&set);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_null(json_object_get(off, names[i]));
		assert_non_null(json_object_get(on, names[i]));
	}
	assert_int_equal(json_integer_value(json_object_get(on, "rate_mbps")), 1);
	assert_int_equal(json_integer_value(json_object_get(on, "burst_kb")), 512);
	json_decref(off);
	json_decref(on);
}

static void
a_client_port_has_no_server_socket(void **state)
{
	static const char *const names[] = {"socket_owner", "socket_group", "socket_mode"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *params = json_pack("{s:s, s:s}", "mode", "client", names[i], "0");
		struct port_settings set;
		struct err err = {0};

		assert_int_equal(settings_of_port(params, &set, &err), -EINVAL);
		assert_string_equal(err.param, names[i]);
		json_decref(params);
	}
}

static void
settings_survive_the_way_there_and_back(void **state)
{
	static const char *const ports[] = {
		"{'name': 'p', 'bridge': 'b'}",
		"{'name': 'p', 'bridge': 'b', 'mode': 'client', 'socket': '/s/x', 'queues': 16,"
		" 'node': 3, 'mtu': 9702, 'vlan': 5, 'learn': true, 'switching': 'vepa',"
		" 'mac': ['02:ab:00:00:00:01', '02:cd:00:00:00:02'], 'peer_users': ['root', '1'],"
		" 'owner': 'libvirt:1'}",
		"{'name': 'p', 'bridge': 'b', 'socket_owner': 'nobody', 'socket_group': '0',"
		" 'socket_mode': '0600'}",
		"{'name': 'p', 'bridge': 'b', 'trunks': [0, 1, 2000, 4094], 'learn': false}",
		"{'name': 'p', 'bridge': 'b', 'vlan_mode': 'native-tagged', 'vlan': 3}",
		"{'name': 'p', 'bridge': 'b', 'vlan_mode': 'native-untagged', 'vlan': 3, 'trunks': [4]}",
		"{'name': 'p', 'bridge': 'b', 'rate_mbps': 25, 'storm_unknown_pps': 9,"
		" 'datapath': 'library'}",
		"{'name': 'p', 'bridge': 'b', 'rate_mbps': 400000, 'burst_kb': 3, 'tx_retries': 2,"
		" 'storm_broadcast_pps': 7, 'storm_multicast_pps': 8, 'datapath': 'direct'}",
		"{'name': 'p', 'bridge': 'b', 'incoming': true, 'park_ms': 0, 'park_frames': 1}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		struct port_settings set = port_of(ports[i]), back;
		json_t *json = settings_port_json(&set);

		memset(&back, 0xff, sizeof(back));
		assert_int_equal(settings_of_port(json, &back, NULL), 0);
		assert_memory_equal(&set.rules, &back.rules, sizeof(set.rules));
		assert_string_equal(set.owner, back.owner);
		assert_string_equal(set.socket, back.socket);
		assert_int_equal(set.client, back.client);
		assert_int_equal(set.incoming, back.incoming);
		assert_int_equal(set.datapath, back.datapath);
		assert_int_equal(set.queues, back.queues);
		assert_int_equal(set.node, back.node);
		assert_string_equal(set.socket_owner, back.socket_owner);
		assert_string_equal(set.socket_group, back.socket_group);
		assert_string_equal(set.socket_mode, back.socket_mode);
		assert_int_equal(set.n_peer_users, back.n_peer_users);
		assert_memory_equal(set.peer_user, back.peer_user, sizeof(set.peer_user));
		json_decref(json);
	}
}

static void
pins_are_one_or_one_for_each_queue(void **state)
{
	static const struct {
		const char *lcore, *back; /* NULL: not told */
		uint8_t pin[3];
	} cases[] = {
		{"'auto'", NULL, {0, 0, 0}},
		{"null", NULL, {0, 0, 0}},
		{"2", "2", {2, 2, 2}},
		{"[2, 2, 2]", "2", {2, 2, 2}},
		{"[1, 'auto', 3]", "[1, 'auto', 3]", {1, 0, 3}},
		{"['auto', null, 'auto']", NULL, {0, 0, 0}},
	};
	struct port_settings set = port_of("{'name': 'p', 'bridge': 'b', 'queues': 3}");
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[100];
		json_t *params, *back;

		snprintf(text, sizeof(text), "{'lcore': %s}", cases[i].lcore);
		params = params_of(text);
		assert_int_equal(settings_change_pins(params, &set, NULL), 0);
		assert_memory_equal(set.pin, cases[i].pin, 3);
		json_decref(params);
		/* What does not speak of it leaves it. */
		params = params_of("{'mtu': 1500}");
		assert_int_equal(settings_change_pins(params, &set, NULL), 0);
		assert_memory_equal(set.pin, cases[i].pin, 3);
		json_decref(params);
		snprintf(text, sizeof(text), "{'lcore': %s}", cases[i].back ? cases[i].back : "0");
		params = params_of(text);
		back = settings_port_json(&set);
		if (cases[i].back)
			assert_true(json_equal(json_object_get(back, "lcore"),
					       json_object_get(params, "lcore")));
		else
			assert_null(json_object_get(back, "lcore"));
		json_decref(back);
		json_decref(params);
	}
	for (unsigned int n = 2; n <= 4; n += 2) {
		json_t *params =
			params_of(n == 2 ? "{'lcore': [1, 2]}" : "{'lcore': [1, 2, 3, 4]}");

		assert_int_equal(settings_change_pins(params, &set, &err), -EINVAL);
		assert_string_equal(err.param, "lcore");
		json_decref(params);
	}
}

static void
uplinks_and_bridges_survive_it_too(void **state)
{
	json_t *json = params_of("{'name': 'u', 'bridge': 'b', 'devargs': 'net_null0', 'vlan': 3,"
				 " 'rate_mbps': 5, 'storm_multicast_pps': 6}");
	struct bridge_settings bridge = {.name = "b", .mac_age_s = 1, .mac_limit = 0}, same;
	struct port_settings set, back;

	(void)state;
	assert_int_equal(settings_of_uplink(json, &set, NULL), 0);
	assert_true(set.rules.learn);
	json_decref(json);
	json = settings_uplink_json(&set);
	assert_null(json_object_get(json, "queues"));
	assert_null(json_object_get(json, "lcore"));
	assert_int_equal(settings_of_uplink(json, &back, NULL), 0);
	assert_memory_equal(&set.rules, &back.rules, sizeof(set.rules));
	assert_string_equal(back.devargs, "net_null0");
	json_decref(json);
	json = settings_bridge_json(&bridge);
	settings_of_bridge(json, &same);
	assert_memory_equal(&bridge, &same, sizeof(bridge));
	json_decref(json);
}

/* How many queues it gets may be left open; one lcore for all is right for any number. */
static void
queues_of_uplinks_are_pinned_too(void **state)
{
	static const struct {
		const char *params;
		unsigned int queues;
		uint8_t pin[3], last; /* of the first three, and of the last */
	} cases[] = {
		{"{'lcore': 2}", 0, {2, 2, 2}, 2},
		{"{'lcore': 'auto'}", 0, {0}, 0},
		{"{'queues': 2}", 2, {0}, 0},
		{"{'queues': 2, 'lcore': 3}", 2, {3, 3, 0}, 0},
		{"{'queues': 3, 'lcore': [1, 'auto', 2]}", 3, {1, 0, 2}, 0},
	};
	static const char *const wrong[] = {"{'lcore': [1]}", "{'queues': 2, 'lcore': [1]}",
					    "{'queues': 1, 'lcore': [1, 1]}"};
	struct port_settings set, back;
	struct err err;
	json_t *json;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json = params_of(cases[i].params);
		assert_int_equal(settings_of_uplink(json, &set, NULL), 0);
		json_decref(json);
		assert_int_equal(set.queues, cases[i].queues);
		assert_memory_equal(set.pin, cases[i].pin, sizeof(cases[i].pin));
		assert_int_equal(set.pin[DP_QUEUES_MAX - 1], cases[i].last);
		json = settings_uplink_json(&set);
		assert_int_equal(settings_of_uplink(json, &back, NULL), 0);
		assert_int_equal(back.queues, set.queues);
		assert_memory_equal(back.pin, set.pin, sizeof(set.pin));
		json_decref(json);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		json = params_of(wrong[i]);
		assert_int_equal(settings_of_uplink(json, &set, &err), -EINVAL);
		assert_string_equal(err.param, "lcore");
		json_decref(json);
	}
}

static void
a_socket_path_is_not_cut(void **state)
{
	char path[DP_PATH_SIZE + 1] = {0};
	struct port_settings set;
	struct err err = {0};
	json_t *params;

	(void)state;
	memset(path, 'x', DP_PATH_SIZE);
	params = json_pack("{s:s, s:s}", "name", "p", "socket", path);
	assert_int_equal(settings_of_port(params, &set, &err), -EINVAL);
	assert_string_equal(err.code, "socket-path-refused");
	json_decref(params);
}

static void
access_is_the_standard_where_nothing_was_given(void **state)
{
	const struct dp_socket_access standard = {.owner = 1,
						  .group = 2,
						  .mode = 0640,
						  .n_peer_uids = 1,
						  .peer_uid = {3}};
	struct port_settings set = port_of("{'name': 'p'}");
	struct dp_socket_access access;

	(void)state;
	assert_int_equal(settings_access(&set, &standard, &access, NULL), 0);
	assert_memory_equal(&access, &standard, sizeof(access));
	set = port_of("{'name': 'p', 'socket_owner': 'root', 'socket_group': '7',"
		      " 'socket_mode': '777', 'peer_users': ['5', 'root']}");
	assert_int_equal(settings_access(&set, &standard, &access, NULL), 0);
	assert_int_equal(access.owner, 0);
	assert_int_equal(access.group, 7);
	assert_int_equal(access.mode, 0777);
	assert_int_equal(access.n_peer_uids, 2);
	assert_int_equal(access.peer_uid[0], 5);
	assert_int_equal(access.peer_uid[1], 0);
}

static void
access_that_makes_no_sense_is_refused(void **state)
{
	static const char *const cases[][2] = {
		{"socket_owner", "{'socket_owner': 'no such user'}"},
		{"socket_owner", "{'socket_owner': '4294967295'}"},
		{"socket_owner", "{'socket_owner': '99999999999'}"},
		{"socket_group", "{'socket_group': 'no such group'}"},
		{"socket_mode", "{'socket_mode': '0888'}"},
		{"socket_mode", "{'socket_mode': '7777'}"},
		{"peer_users", "{'peer_users': ['root', 'no such user']}"},
	};
	const struct dp_socket_access standard = {.mode = 0660};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct port_settings set = port_of(cases[i][1]);
		struct dp_socket_access access;
		struct err err = {0};

		assert_int_equal(settings_access(&set, &standard, &access, &err), -EINVAL);
		assert_string_equal(err.code, "bad-parameter");
		assert_string_equal(err.param, cases[i][0]);
		assert_ptr_equal(strstr(err.message, err.param), err.message);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_has_the_defaults_of_the_contract),
		cmocka_unit_test(a_bridge_has_the_defaults_of_the_contract),
		cmocka_unit_test(vlans_are_access_or_trunk),
		cmocka_unit_test(modes_of_vlans),
		cmocka_unit_test(modes_of_vlans_that_make_no_sense),
		cmocka_unit_test(a_change_leaves_the_rest),
		cmocka_unit_test(learn_follows_mac),
		cmocka_unit_test(limits_are_given_and_taken_back),
		cmocka_unit_test(burst_follows_rate),
		cmocka_unit_test(rates_have_two_units),
		cmocka_unit_test(a_burst_without_a_rate_is_refused),
		cmocka_unit_test(datapath_is_the_daemons_unless_given),
		cmocka_unit_test(limits_are_shown_when_set),
		cmocka_unit_test(a_client_port_has_no_server_socket),
		cmocka_unit_test(settings_survive_the_way_there_and_back),
		cmocka_unit_test(pins_are_one_or_one_for_each_queue),
		cmocka_unit_test(uplinks_and_bridges_survive_it_too),
		cmocka_unit_test(queues_of_uplinks_are_pinned_too),
		cmocka_unit_test(a_socket_path_is_not_cut),
		cmocka_unit_test(access_is_the_standard_where_nothing_was_given),
		cmocka_unit_test(access_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
