/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_tell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/ovsdb_apply.h"
#include "tests/unit/daemon_fixture.h"
#include "tests/unit/ovsdb_want_fixture.h"

static const struct placement_lcore lcores[] = {{.cpu = 3}};
static struct ovsdb_want want;
static struct ovsdb_tell tell;

static int
setup(void **state)
{
	rows_reset();
	rows_bridge(1, "br");
	rows_port(1, 9, "br", "{'type': 'internal'}", "{}");
	if (setup_daemon(state) < 0)
		return -1;
	tell = (struct ovsdb_tell){
		.rows = &rows,
		.want = &want,
		.daemon = &d,
		.ofports = json_object(),
		.counted = json_object(),
	};
	return 0;
}

static int
teardown(void **state)
{
	json_decref(tell.ofports);
	json_decref(tell.counted);
	ovsdb_want_free(&want);
	return teardown_daemon(state);
}

static void
read_want(void)
{
	const struct ovsdb_host host = {.dirs = &d.model.socket_dirs,
					.lcore = lcores,
					.n_lcores = 1};
	struct ovsdb_want next;

	assert_int_equal(ovsdb_want_read(&rows, &host, &want, &next), 0);
	ovsdb_want_free(&want);
	want = next;
	assert_int_equal(ovsdb_tell_number(&tell), 0);
}

/* All of it. Returns how many operations the last step took. */
static size_t
serve(void)
{
	read_want();
	rows_commit(ovsdb_tell_early(&tell));
	ovsdb_apply(&d, &want);
	assert_int_equal(ovsdb_tell_number(&tell), 0);
	return rows_commit(ovsdb_tell_state(&tell));
}

static void
assert_text(const char *table, unsigned int number, const char *column, const char *text)
{
	const char *is = json_string_value(json_object_get(rows_row(table, number), column));

	if (text ? !is || !strstr(is, text) : !!is)
		fail_msg("%s %u: %s is \"%s\", not \"%s\"", table, number, column, is ? is : "",
			 text ? text : "");
}

static void
assert_ofport(unsigned int number, json_int_t ofport)
{
	assert_number((json_t *)rows_row("Interface", number), "ofport", ofport);
}

static void
assert_status(unsigned int number, const char *key, const char *text)
{
	const json_t *status = json_object_get(rows_row("Interface", number), "status");

	assert_string_equal(json_string_value(json_object_get(status, key)), text);
}

static void
only_what_is_new_is_told(void **state)
{
	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	assert_int_not_equal(serve(), 0);
	assert_int_equal(rows_commit(ovsdb_tell_state(&tell)), 0);
	assert_ofport(9, OVSDB_OFPORT_LOCAL);
	assert_ofport(10, 1);
	assert_text("Interface", 10, "error", NULL);
	assert_text("Interface", 10, "admin_state", "up");
	assert_text("Interface", 10, "link_state", "down");
	assert_text("Interface", 10, "mac_in_use", "02:00:00:00:00:10");
	assert_number((json_t *)rows_row("Interface", 10), "mtu", 1500);
	assert_status(10, "mode", "server");
	assert_status(10, "state", "waiting");
	assert_status(10, "lcore", "1");
	assert_false(ovsdb_tell_lacks_types(&rows));
	/* vswitchd writes its own types alone. */
	rows_set("Open_vSwitch", 0, "{'datapath_types': ['netdev'], 'iface_types': ['dpdk']}");
	assert_true(ovsdb_tell_lacks_types(&rows));
	assert_int_equal(rows_commit(ovsdb_tell_state(&tell)), 1);
	assert_false(ovsdb_tell_lacks_types(&rows));
	assert_int_equal(json_array_size(json_object_get(rows_row("Open_vSwitch", 0),
							 "iface_types")),
			 3);
}

static void
guest_is_told(void **state)
{
	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	serve();
	info()->connected = info()->up = true;
	info()->negotiated = 0x10000;
	assert_int_equal(rows_commit(ovsdb_tell_state(&tell)), 1);
	assert_text("Interface", 10, "link_state", "up");
	assert_status(10, "status", "connected");
	assert_status(10, "features", "0x0000000000010000");
	call("port.set", "{\"name\": \"a\", \"mac\": \"02:00:00:00:00:77\"}");
	assert_int_equal(rows_commit(ovsdb_tell_state(&tell)), 1);
	assert_text("Interface", 10, "mac_in_use", "02:00:00:00:00:77");
}

static void
refused_rows_say_why(void **state)
{
	(void)state;
	rows_port(1, 10, "a", "{'type': 'vxlan'}", "{}");
	rows_port(1, 11, "p", "{}", "{}");
	call("port.attach", "{\"name\": \"p\", \"bridge\": \"b\"}");
	read_want();
	rows_commit(ovsdb_tell_early(&tell));
	assert_ofport(10, -1);
	assert_text("Interface", 10, "error", "vxlan");
	assert_ofport(11, 1); /* as far as is known before it is made */
	serve();
	assert_ofport(11, -1);
	assert_text("Interface", 11, "error", "port detach p");
	assert_text("Interface", 11, "link_state", NULL);
	assert_int_equal(serve(), 0); /* nor does the number flicker */
	call("port.detach", "{\"name\": \"p\"}");
	serve();
	assert_ofport(11, 1);
	assert_text("Interface", 11, "error", NULL);
	/* A port that goes on as it was keeps its number, and what it is. */
	rows_set("Port", 11, "{'tag': 70000}");
	serve();
	assert_ofport(11, 1);
	assert_text("Interface", 11, "error", "tag");
	assert_text("Interface", 11, "link_state", "down");
	/* One that is none any more has nothing left in its row. */
	rows_set("Interface", 11, "{'type': 'tap'}");
	serve();
	assert_ofport(11, -1);
	assert_text("Interface", 11, "mac_in_use", NULL);
	assert_int_equal(json_object_size(json_object_get(rows_row("Interface", 11), "status")), 0);
}

static void
numbers_are_given_once(void **state)
{
	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	rows_port(1, 11, "b2", "{'ofport_request': 1}", "{}");
	rows_port(1, 12, "c", "{'ofport': 70000}", "{}");
	rows_port(1, 13, "e", "{'ofport': 7}", "{}");
	rows_port(1, 14, "f", "{'ofport_request': 7}", "{}");
	rows_port(1, 15, "g", "{'ofport': 7}", "{}");
	serve();
	assert_ofport(11, 1);
	assert_ofport(14, 7);
	assert_ofport(10, 2);
	assert_ofport(12, 3);
	assert_ofport(13, 4);
	assert_ofport(15, 5);
	rows_delete_port(1, 10);
	rows_port(1, 16, "h", "{}", "{}");
	serve();
	assert_ofport(15, 5);
	assert_ofport(16, 2);
	assert_null(json_object_get(tell.ofports, rows_uuid(10)));
}

/* Between the transaction and its echo the row does not have the number yet. */
static void
numbers_on_their_way_are_kept(void **state)
{
	(void)state;
	rows_port(1, 11, "b2", "{}", "{}");
	read_want();
	assert_int_equal(want.port[0].ofport, 1);
	rows_delete_port(1, 11);
	rows_port(1, 10, "a", "{}", "{}");
	rows_port(1, 11, "b2", "{}", "{}");
	read_want();
	assert_int_equal(ovsdb_want_find(&want, "b2")->ofport, 1);
	assert_int_equal(ovsdb_want_find(&want, "a")->ofport, 2);
}

static void
bridge_says_what_it_lacks(void **state)
{
	const json_t *status;

	(void)state;
	rows_set("Bridge", 1, "{'controller': ['x'], 'status': {'other': 'kept'}}");
	serve();
	status = json_object_get(rows_row("Bridge", 1), "status");
	assert_non_null(strstr(json_string_value(json_object_get(status, "sluice")), "controller"));
	assert_non_null(json_object_get(status, "other"));
	assert_text("Interface", 9, "error", "controller");
	assert_ofport(9, OVSDB_OFPORT_LOCAL);
	rows_set("Bridge", 1, "{'controller': []}");
	serve();
	assert_text("Interface", 9, "error", NULL);
	status = json_object_get(rows_row("Bridge", 1), "status");
	assert_int_equal(json_object_size(status), 1);
	/* One that cannot have what is asked of it now is there all the same. */
	rows_set("Bridge", 1, "{'other_config': {'mac-aging-time': '60'}}");
	serve();
	assert_text("Interface", 9, "error", "mac-aging-time");
	assert_ofport(9, OVSDB_OFPORT_LOCAL);
	rows_set("Bridge", 1, "{'other_config': {}}");
	serve();
	/* And so is one whose row has a slip, with its ports and their numbers. */
	rows_port(1, 10, "a", "{}", "{}");
	serve();
	assert_ofport(10, 1);
	rows_set("Bridge", 1, "{'other_config': {'mac-aging-time': 'soon'}}");
	serve();
	assert_text("Interface", 9, "error", "mac-aging-time");
	assert_ofport(9, OVSDB_OFPORT_LOCAL);
	assert_text("Interface", 10, "error", "its bridge: other_config:mac-aging-time");
	assert_ofport(10, 1);
	rows_set("Bridge", 1, "{'other_config': {}}");
	serve();
	/* What concerns all of us is no error of theirs. */
	tell.note = "restart sluiced";
	rows_commit(ovsdb_tell_state(&tell));
	status = json_object_get(rows_row("Bridge", 1), "status");
	assert_string_equal(json_string_value(json_object_get(status, "sluice")), tell.note);
	assert_text("Interface", 9, "error", NULL);
}

/* Where there is no vswitchd nobody else would. */
static void
what_is_no_longer_ours_is_taken_back(void **state)
{
	struct ovsdb_want before;

	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	rows_port(1, 11, "b2", "{}", "{}");
	rows_set("Bridge", 1, "{'controller': ['x'], 'status': {'other': 'kept'}}");
	serve();
	rows_commit(ovsdb_tell_statistics(&tell));
	before = want;
	want = (struct ovsdb_want){0};
	rows_delete_port(1, 11);
	rows_set("Bridge", 1, "{'datapath_type': 'netdev'}");
	read_want();
	assert_int_equal(rows_commit(ovsdb_tell_left(&tell, &before)), 3);
	ovsdb_want_free(&before);
	for (unsigned int i = 9; i < 11; i++) {
		assert_ofport(i, -1);
		assert_text("Interface", i, "error", NULL);
		assert_text("Interface", i, "link_state", NULL);
		assert_text("Interface", i, "mac_in_use", NULL);
	}
	assert_int_equal(json_object_size(json_object_get(rows_row("Interface", 10), "statistics")),
			 0);
	assert_int_equal(json_object_size(json_object_get(rows_row("Bridge", 1), "status")), 1);
	/* It comes back as it was. */
	rows_commit(ovsdb_tell_statistics(&tell));
	rows_set("Bridge", 1, "{'datapath_type': 'sluice', 'controller': []}");
	serve();
	assert_ofport(10, 1);
	assert_int_equal(rows_commit(ovsdb_tell_statistics(&tell)), 1);
}

/* One column that lacks would have the whole transaction refused. */
static void
older_database_is_told_what_it_has(void **state)
{
	const json_t *row;

	(void)state;
	rows.requests = json_pack("{s:[{s:[s]}], s:[{s:[s,s]}], s:[{s:[s]}]}", "Open_vSwitch",
				  "columns", "datapath_types", "Interface", "columns", "ofport",
				  "mtu", "Bridge", "columns", "name");
	rows_port(1, 10, "a", "{}", "{}");
	rows_port(1, 11, "x", "{'type': 'vxlan'}", "{}");
	rows_set("Bridge", 1, "{'controller': ['x']}");
	serve();
	assert_ofport(10, 1);
	assert_ofport(11, -1);
	row = rows_row("Interface", 10);
	assert_number((json_t *)row, "mtu", 1500);
	assert_null(json_object_get(row, "link_state"));
	assert_text("Interface", 11, "error", NULL);
	assert_int_equal(json_object_size(json_object_get(rows_row("Bridge", 1), "status")), 0);
	row = rows_row("Open_vSwitch", 0);
	assert_int_equal(json_array_size(json_object_get(row, "datapath_types")), 1);
	assert_int_equal(json_array_size(json_object_get(row, "iface_types")), 0);
	assert_false(ovsdb_tell_lacks_types(&rows));
}

static void
statistics_are_told_when_they_change(void **state)
{
	const json_t *statistics;

	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	rows_port(1, 11, "refused", "{'type': 'tap'}", "{}");
	serve();
	assert_int_equal(rows_commit(ovsdb_tell_statistics(&tell)), 1);
	statistics = json_object_get(rows_row("Interface", 10), "statistics");
	assert_number((json_t *)statistics, "rx_packets", 0);
	assert_number((json_t *)statistics, "tx_dropped", 0);
	assert_int_equal(rows_commit(ovsdb_tell_statistics(&tell)), 0);
	json_object_clear(tell.counted); /* another connection */
	assert_int_equal(rows_commit(ovsdb_tell_statistics(&tell)), 1);
	/* A port that is made anew begins anew, be it with the same counters. */
	rows_set("Interface", 10, "{'type': 'tap'}");
	serve();
	assert_int_equal(rows_commit(ovsdb_tell_statistics(&tell)), 0);
	rows_set("Interface", 10, "{'type': 'dpdkvhostuser'}");
	serve();
	assert_int_equal(rows_commit(ovsdb_tell_statistics(&tell)), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_what_is_new_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(guest_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_rows_say_why, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_are_given_once, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_on_their_way_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(bridge_says_what_it_lacks, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_longer_ours_is_taken_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(older_database_is_told_what_it_has, setup,
						teardown),
		cmocka_unit_test_setup_teardown(statistics_are_told_when_they_change, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
