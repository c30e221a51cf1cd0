/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_want.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/ovsdb_want_fixture.h"

static char dirs_text[][8] = {"/run/s", "/run/t"};
static struct sockpath_dirs dirs;
static const struct placement_lcore lcores[] = {{.cpu = 3}, {.cpu = 7}};
static struct ovsdb_host host;
static struct ovsdb_want want, none;

static int
setup(void **state)
{
	(void)state;
	dirs = (struct sockpath_dirs){.n = 2, .dir = {dirs_text[0], dirs_text[1]}};
	host = (struct ovsdb_host){.dirs = &dirs, .lcore = lcores, .n_lcores = 2};
	rows_reset();
	rows_bridge(1, "br");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ovsdb_want_free(&want);
	return 0;
}

static void
read_want(void)
{
	ovsdb_want_free(&want);
	assert_int_equal(ovsdb_want_read(&rows, &host, &none, &want), 0);
}

/* The only port, which must be good. */
static const struct port_settings *
port_of(const char *interface, const char *port)
{
	setup(NULL);
	rows_port(1, 9, "p", interface, port);
	read_want();
	assert_int_equal(want.n_ports, 1);
	if (want.port[0].error)
		fail_msg("%s %s: %s", interface, port, want.port[0].error);
	assert_string_equal(want.port[0].uuid, rows_uuid(9));
	assert_non_null(want.port[0].set);
	return want.port[0].set;
}

static void
assert_refused(const char *name, const char *interface, const char *port, const char *words)
{
	const char *error;

	setup(NULL);
	rows_port(1, 9, name, interface, port);
	read_want();
	assert_int_equal(want.n_ports, 1);
	error = want.port[0].error;
	assert_null(want.port[0].set);
	if (!error || !strstr(error, words))
		fail_msg("%.60s %.60s: \"%s\" does not say \"%s\"", interface, port, error, words);
	assert_true(strlen(error) < 512);
	for (const char *c = error; *c; c++)
		assert_true((unsigned char)*c >= 0x20);
}

static void
types_become_ports_and_uplinks(void **state)
{
	const struct port_settings *set = port_of("{}", "{}");

	(void)state;
	assert_string_equal(set->name, "p");
	assert_string_equal(set->bridge, "br");
	assert_string_equal(set->socket, "/run/s/p");
	assert_false(set->client);
	assert_int_equal(set->queues, 1);
	assert_int_equal(set->rules.mtu, 1500);
	assert_true(set->rules.learn);
	set = port_of("{'type': 'dpdkvhostuserclient', 'options': {'vhost-server-path': '/run/t/x',"
		      " 'n_rxq': '4'}, 'mtu_request': 9000}",
		      "{}");
	assert_true(set->client);
	assert_string_equal(set->socket, "/run/t/x");
	assert_int_equal(set->queues, 4);
	assert_int_equal(set->rules.mtu, 9000);
	assert_false(want.port[0].is_uplink);
	set = port_of("{'type': 'dpdk', 'options': {'dpdk-devargs': '0000:3b:00.0', 'n_rxq': '2'}}",
		      "{}");
	assert_true(want.port[0].is_uplink);
	assert_string_equal(set->devargs, "0000:3b:00.0");
	assert_int_equal(set->queues, 2);
}

static void
vlans_are_read_as_ovs_reads_them(void **state)
{
	static const struct {
		const char *port;
		enum dp_vlan_mode mode;
		unsigned int vlan;
		bool all;
		uint64_t trunks; /* the first 64 */
	} cases[] = {
		{"{}", DP_VLANS_TRUNK, 0, true, 0},
		{"{'tag': 5}", DP_VLANS_ACCESS, 5, false, 0},
		{"{'tag': 5, 'trunks': [6]}", DP_VLANS_ACCESS, 5, false, 0},
		{"{'trunks': [6, 0]}", DP_VLANS_TRUNK, 0, false, 1 << 6 | 1},
		{"{'vlan_mode': 'trunk', 'tag': 5}", DP_VLANS_TRUNK, 0, true, 0},
		{"{'vlan_mode': 'access'}", DP_VLANS_TRUNK, 0, false, 1},
		{"{'vlan_mode': 'access', 'tag': 0, 'trunks': [7]}", DP_VLANS_TRUNK, 0, false, 1},
		{"{'vlan_mode': 'native-tagged', 'tag': 5}", DP_VLANS_NATIVE_TAGGED, 5, true, 0},
		{"{'vlan_mode': 'native-untagged', 'tag': 5, 'trunks': [0, 9]}",
		 DP_VLANS_NATIVE_UNTAGGED, 5, false, 1 << 9 | 1 << 5},
		{"{'vlan_mode': 'native-untagged', 'tag': 5, 'trunks': [0]}",
		 DP_VLANS_NATIVE_UNTAGGED, 5, false, 1 << 5},
		{"{'vlan_mode': 'native-tagged', 'trunks': [9]}", DP_VLANS_TRUNK, 0, false,
		 1 << 9 | 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dp_vlans *vlans = &port_of("{}", cases[i].port)->rules.vlans;

		if (vlans->mode != cases[i].mode || vlans->vlan != cases[i].vlan ||
		    vlans->all != cases[i].all || vlans->trunks[0] != cases[i].trunks)
			fail_msg("%s: mode %d vlan %u all %d trunks %llx", cases[i].port,
				 vlans->mode, vlans->vlan, vlans->all,
				 (unsigned long long)vlans->trunks[0]);
	}
}

static void
policing_is_exact(void **state)
{
	const struct dp_limits *limits;

	(void)state;
	limits = &port_of("{'ingress_policing_rate': 1}", "{}")->rules.limits;
	assert_int_equal(limits->rate_bps, 1000);
	assert_int_equal(limits->burst_bits, 8000000);
	limits = &port_of("{'ingress_policing_rate': 1234567, 'ingress_policing_burst': 10}", "{}")
			  ->rules.limits;
	assert_int_equal(limits->rate_bps, 1234567000);
	assert_int_equal(limits->burst_bits, 10000);
	limits = &port_of("{'ingress_policing_burst': 10}", "{}")->rules.limits;
	assert_int_equal(limits->rate_bps, 0);
}

static void
affinity_names_cpus(void **state)
{
	const struct port_settings *set;

	(void)state;
	set = port_of("{'options': {'n_rxq': '3'},"
		      " 'other_config': {'pmd-rxq-affinity': '2:3, 0:7'}}",
		      "{}");
	assert_int_equal(set->pin[0], 2);
	assert_int_equal(set->pin[1], 0);
	assert_int_equal(set->pin[2], 1);
	assert_int_equal(port_of("{'other_config': {'pmd-rxq-affinity': ''}}", "{}")->pin[0], 0);
}

static void
sockets_follow_vhost_sock_dir(void **state)
{
	static const char *const cases[][2] = {
		{"a/b", "/run/s/a/b/p"},	 {"/a", "/run/s//a/p"},
		{"/run/t", "/run/t/p"},		 {"/run/t/deep", "/run/t/deep/p"},
		{"/run/tx", "/run/s//run/tx/p"}, {"", "/run/s/p"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char root[100];

		setup(NULL);
		snprintf(root, sizeof(root), "{'other_config': {'vhost-sock-dir': '%s'}}",
			 cases[i][0]);
		rows_set("Open_vSwitch", 0, root);
		rows_port(1, 9, "p", "{}", "{}");
		read_want();
		assert_non_null(want.port[0].set);
		assert_string_equal(want.port[0].set->socket, cases[i][1]);
	}
	rows_set("Open_vSwitch", 0, "{'other_config': {'vhost-sock-dir': 'a/../../etc'}}");
	read_want();
	assert_non_null(strstr(want.port[0].error, "vhost-sock-dir"));
}

#define CLIENT(path) "{'type': 'dpdkvhostuserclient', 'options': {'vhost-server-path': '" path "'}}"

static void
what_cannot_be_done_is_refused(void **state)
{
	static const char *const cases[][3] = {
		{"{'type': 'vxlan'}", "{}", "type vxlan"},
		{"{'type': ''}", "{}", "type"},
		{"{'type': 'DPDKVHOSTUSER'}", "{}", "type"},
		{"{'type': 'dpdkvhostuserclient'}", "{}", "vhost-server-path"},
		{CLIENT(""), "{}", "vhost-server-path"},
		{"{'type': 'dpdk'}", "{}", "options:dpdk-devargs"},
		{"{'options': {'vhost-server-path': '/run/s/x'}}", "{}",
		 "options:vhost-server-path"},
		{"{'options': {'n_rxq': '17'}}", "{}", "options:n_rxq must be from 1 to 16"},
		{"{'options': {'n_rxq': '99999999'},"
		 " 'other_config': {'pmd-rxq-affinity': '0:3'}}",
		 "{}", "options:n_rxq must be from 1 to 16"},
		{"{'options': {'n_rxq': '-3'}}", "{}", "options:n_rxq"},
		{"{'options': {'n_rxq': '99999999999999999999'}}", "{}", "options:n_rxq"},
		{"{'options': {'n_rxq': ''}}", "{}", "options:n_rxq"},
		{"{'options': {'n_rxq_desc': '64'}}", "{}", "options:n_rxq_desc"},
		{"{'other_config': {'pmd-rxq-affinity': '0:4'}}", "{}", "CPU 4"},
		{"{'other_config': {'pmd-rxq-affinity': '1:3'}}", "{}", "n_rxq=2"},
		{"{'other_config': {'pmd-rxq-affinity': '0:-3'}}", "{}", "CPU"},
		{"{'other_config': {'pmd-rxq-affinity': '0:3;'}}", "{}", "pmd-rxq-affinity"},
		{"{'other_config': {'tx-steering': 'hash'}}", "{}", "other_config:tx-steering"},
		{"{'mtu_request': 70000}", "{}", "mtu_request"},
		{"{'mtu_request': -1}", "{}", "mtu_request"},
		{"{'ingress_policing_rate': -1}", "{}", "ingress_policing_rate"},
		{"{'ingress_policing_rate': 9223372036854775807}", "{}", "ingress_policing_rate"},
		{"{'ingress_policing_rate': 1, 'ingress_policing_burst': -1}", "{}",
		 "ingress_policing_burst"},
		{"{'ingress_policing_kpkts_rate': 1}", "{}", "ingress_policing_kpkts_rate"},
		{"{'bfd': {'enable': 'true'}}", "{}", "bfd"},
		{"{'cfm_mpid': 0}", "{}", "cfm_mpid"},
		{"{}", "{'tag': 4095}", "tag"},
		{"{}", "{'tag': 70000}", "tag"},
		{"{}", "{'tag': -1}", "tag"},
		{"{}", "{'trunks': [1, 5000]}", "trunks"},
		{"{}", "{'trunks': [-1]}", "trunks"},
		{"{}", "{'vlan_mode': 'native-tagged', 'tag': 4095}", "tag"},
		{"{}", "{'vlan_mode': 'dot1q-tunnel'}", "vlan_mode"},
		{"{}", "{'qos': ['x']}", "qos"},
		{"{}", "{'lacp': 'active'}", "lacp"},
		{"{}", "{'interfaces': ['x', 'y']}", "bond"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused("p", cases[i][0], cases[i][1], cases[i][2]);
	/* What OVS passes over, too, or what is somebody's note, is no reason. */
	port_of("{'bfd': {'enable': 'false'}, 'ingress_policing_kpkts_rate': 0, 'lldp': {},"
		" 'other_config': {'emc-enable': 'true'}, 'external_ids': {'iface-id': 'x'}}",
		"{'lacp': 'off', 'qos': [], 'protected': false, 'bond_mode': 'balance-slb',"
		" 'other_config': {'net_uuid': 'x', 'transient': 'true'}}");
}

static void
hostile_names_are_refused(void **state)
{
	static const char *const names[] = {"",	    "..",	"../x",	       "a/b",	"a\\\\b",
					    "a\nb", "\x1b[31m", "caf\xc3\xa9", "-dash", "a b"};
	char longest[10241];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_refused(names[i], "{}", "{}", "name");
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_refused(longest, "{}", "{}", "name");
	assert_string_equal(want.port[0].name, "");
}

/* A key, a type and a path of 10 kB, of characters of three bytes: what is said of them is cut between two. */
static void
hostile_texts_are_cut(void **state)
{
	static char long_text[10000], fields[10400];
	json_t *text;

	(void)state;
	for (size_t i = 0; i + 3 < sizeof(long_text); i += 3)
		memcpy(long_text + i, "\xe2\x82\xac", 3);
	snprintf(fields, sizeof(fields), "{'options': {'%s': '1'}}", long_text);
	assert_refused("p", fields, "{}", "options:\xe2\x82\xac");
	assert_non_null(strstr(want.port[0].error, "\xe2\x82\xac...`"));
	text = json_string(want.port[0].error); /* which must be UTF-8 */
	assert_non_null(text);
	json_decref(text);
	snprintf(fields, sizeof(fields), "{'type': '%s'}", long_text);
	assert_refused("p", fields, "{}", "type \xe2\x82\xac");
	snprintf(fields, sizeof(fields),
		 "{'type': 'dpdkvhostuserclient', 'options': {'vhost-server-path': '/%s'}}",
		 long_text);
	assert_refused("p", fields, "{}", "options:vhost-server-path");
}

static void
only_bridges_of_ours_are_read(void **state)
{
	(void)state;
	rows_bridge(2, "other");
	rows_set("Bridge", 2, "{'datapath_type': 'netdev'}");
	rows_port(2, 20, "theirs", "{}", "{}");
	rows_port(1, 10, "br", "{'type': 'internal'}", "{}");
	rows_port(1, 11, "ours", "{}", "{}");
	read_want();
	assert_int_equal(want.n_bridges, 1);
	assert_string_equal(want.bridge[0].interface, rows_uuid(10));
	assert_int_equal(want.n_ports, 1);
	assert_string_equal(want.port[0].name, "ours");
	assert_ptr_equal(ovsdb_want_find(&want, "ours"), &want.port[0]);
	assert_null(ovsdb_want_find(&want, "theirs"));
}

static void
one_name_is_one_port(void **state)
{
	(void)state;
	rows_bridge(2, "second");
	rows_port(1, 10, "same", "{}", "{'tag': 70000}");
	rows_port(2, 20, "same", "{}", "{}");
	rows_port(2, 21, "same", "{}", "{}");
	read_want();
	assert_int_equal(want.n_ports, 3);
	assert_non_null(want.port[0].error);
	assert_null(want.port[1].error);
	assert_non_null(strstr(want.port[2].error, "same"));
	assert_ptr_equal(ovsdb_want_find(&want, "same"), &want.port[1]);
	/* Two Ports with one Interface: it is the first's. */
	rows_set("Port", 21, "{'interfaces': ['00000000-0000-0000-0000-000000000020']}");
	read_want();
	assert_int_equal(want.n_ports, 2);
}

static void
bad_bridges_have_no_ports(void **state)
{
	(void)state;
	rows_bridge(2, "../up");
	rows_port(2, 20, "p2", "{}", "{}");
	rows_bridge(3, "br");
	rows_port(3, 30, "p3", "{}", "{}");
	rows_bridge(4, "aged");
	rows_set("Bridge", 4, "{'other_config': {'mac-aging-time': '60', 'mac-table-size': '99'}}");
	rows_bridge(5, "odd");
	rows_set("Bridge", 5, "{'other_config': {'mac-aging-time': '-1'}, 'mirrors': ['x']}");
	rows_port(5, 50, "p5", "{}", "{}");
	read_want();
	assert_int_equal(want.n_bridges, 5);
	assert_null(want.bridge[0].error);
	assert_non_null(want.bridge[1].error);
	assert_non_null(strstr(want.bridge[2].error, "name"));
	assert_int_equal(want.bridge[3].set.mac_age_s, 60);
	assert_int_equal(want.bridge[3].set.mac_limit, 99);
	assert_non_null(strstr(want.bridge[4].error, "mac-aging-time"));
	assert_non_null(strstr(want.bridge[4].note, "mirrors"));
	for (unsigned int i = 0; i < 3; i++)
		assert_non_null(strstr(want.port[i].error, "bridge"));
}

static void
number_of_ports_is_bounded(void **state)
{
	unsigned int refused = 0;

	(void)state;
	for (unsigned int i = 0; i < DP_PORTS_MAX + 5; i++) {
		char name[20];

		snprintf(name, sizeof(name), "p%u", i);
		rows_port(1, 10 + i, name, "{}", "{}");
	}
	read_want();
	for (unsigned int i = 0; i < want.n_ports; i++)
		refused += !!want.port[i].error;
	assert_int_equal(refused, 5);
}

static void
a_blank_database_asks_for_nothing(void **state)
{
	struct ovsdb_want nothing;

	(void)state;
	json_object_clear(json_object_get(rows.tables, "Open_vSwitch"));
	assert_int_equal(ovsdb_want_read(&rows, &host, &none, &nothing), -ENOENT);
	ovsdb_want_free(&nothing);
}

static void
what_did_not_change_is_shared(void **state)
{
	struct ovsdb_want next;

	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	rows_port(1, 11, "b", "{}", "{}");
	read_want();
	rows_set("Interface", 11, "{'mtu_request': 1400}");
	assert_int_equal(ovsdb_want_read(&rows, &host, &want, &next), 0);
	assert_ptr_equal(next.port[0].set, want.port[0].set);
	assert_ptr_not_equal(next.port[1].set, want.port[1].set);
	assert_false(ovsdb_want_equal(&next, &want));
	ovsdb_want_free(&want);
	assert_string_equal(next.port[0].set->name, "a");
	/* A column that asks for nothing. */
	rows_set("Interface", 11, "{'link_state': 'up'}");
	assert_int_equal(ovsdb_want_read(&rows, &host, &next, &want), 0);
	assert_true(ovsdb_want_equal(&next, &want));
	/* The root row's settings are everybody's. */
	ovsdb_want_free(&next);
	rows_set("Open_vSwitch", 0, "{'other_config': {'vhost-sock-dir': 'z'}}");
	assert_int_equal(ovsdb_want_read(&rows, &host, &want, &next), 0);
	assert_string_equal(next.port[0].set->socket, "/run/s/z/a");
	ovsdb_want_free(&next);
}

static void
masks_are_cpus(void **state)
{
	static const char *const bad[] = {"", "0x", "0", "xyz", "-1", "1,2", " 1"};
	char longest[300];
	cpu_set_t cpus;

	(void)state;
	assert_int_equal(ovsdb_want_mask("0x1008", &cpus), 0);
	assert_int_equal(CPU_COUNT(&cpus), 2);
	assert_true(CPU_ISSET(3, &cpus) && CPU_ISSET(12, &cpus));
	assert_int_equal(ovsdb_want_mask("A", &cpus), 0);
	assert_true(CPU_ISSET(1, &cpus) && CPU_ISSET(3, &cpus));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ovsdb_want_mask(bad[i], &cpus), -EINVAL);
	memset(longest, 'f', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(ovsdb_want_mask(longest, &cpus), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(types_become_ports_and_uplinks, setup, teardown),
		cmocka_unit_test_setup_teardown(vlans_are_read_as_ovs_reads_them, setup, teardown),
		cmocka_unit_test_setup_teardown(policing_is_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(affinity_names_cpus, setup, teardown),
		cmocka_unit_test_setup_teardown(sockets_follow_vhost_sock_dir, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_done_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_names_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_texts_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(only_bridges_of_ours_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(one_name_is_one_port, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_bridges_have_no_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(number_of_ports_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(a_blank_database_asks_for_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_did_not_change_is_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(masks_are_cpus, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
