/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_apply.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/drain.h"
#include "tests/unit/daemon_fixture.h"
#include "tests/unit/ovsdb_want_fixture.h"

static const struct placement_lcore lcores[] = {{.cpu = 3}};
static struct ovsdb_want want;

static int
setup(void **state)
{
	rows_reset();
	rows_bridge(1, "br");
	return setup_daemon(state);
}

static int
teardown(void **state)
{
	ovsdb_want_free(&want);
	return teardown_daemon(state);
}

/* Reads and applies. Returns what ovsdb_apply() does. */
static bool
apply(void)
{
	const struct ovsdb_host host = {.dirs = &d.model.socket_dirs,
					.lcore = lcores,
					.n_lcores = 1};
	struct ovsdb_want next;
	bool left;

	assert_int_equal(ovsdb_want_read(&rows, &host, &want, &next), 0);
	ovsdb_want_free(&want);
	want = next;
	left = ovsdb_apply(&d, &want);
	return left;
}

static struct model_port *
port(const char *name)
{
	return model_port_find(&d.model, name);
}

static void
assert_failure(const char *name, const char *words)
{
	const struct ovsdb_want_port *wanted = ovsdb_want_find(&want, name);

	assert_non_null(wanted);
	if (!wanted->failure || !strstr(wanted->failure, words))
		fail_msg("%s: \"%s\" does not say \"%s\"", name, wanted->failure, words);
}

/* Counts how often the state is written. */
int __real_store_save(const char *dir, json_t *document, struct err *err);
int __wrap_store_save(const char *dir, json_t *document, struct err *err);
static unsigned int saves;
static bool disk_full;

int
__wrap_store_save(const char *dir, json_t *document, struct err *err)
{
	saves++;
	if (disk_full)
		return err_set(err, ENOSPC, "store-failed", "the disk is full");
	return __real_store_save(dir, document, err);
}

static void
rows_become_ports(void **state)
{
	unsigned int changes;

	(void)state;
	rows_port(1, 10, "a", "{}", "{'tag': 5}");
	rows_port(1, 11, "u", "{'type': 'dpdk', 'options': {'dpdk-devargs': 'x'}}", "{}");
	assert_false(apply());
	assert_string_equal(port("a")->set.owner, OVSDB_OWNER);
	assert_string_equal(port("a")->bridge->set.name, "br");
	assert_true(ovsdb_owns_bridge(port("a")->bridge));
	assert_true(port("u")->is_uplink);
	assert_int_equal(port("a")->set.rules.vlans.vlan, 5);
	/* The same again changes nothing, and writes nothing. */
	changes = fake_dp.changes;
	saves = 0;
	assert_false(apply());
	assert_int_equal(fake_dp.changes, changes);
	assert_int_equal(saves, 0);
	rows_delete_port(1, 10);
	assert_false(apply());
	assert_null(port("a"));
	rows_set("Open_vSwitch", 0, "{'bridges': []}");
	assert_false(apply());
	assert_null(port("u"));
	assert_null(model_bridge_find(&d.model, "br"));
	assert_non_null(model_bridge_find(&d.model, "b")); /* RPC's */
}

static void
only_what_changed_is_changed(void **state)
{
	struct model_port *a;
	unsigned int changes;
	json_t *params;

	(void)state;
	rows_port(1, 10, "a", "{}", "{'tag': 5}");
	rows_port(1, 11, "b2", "{}", "{}");
	apply();
	a = port("a");
	call("port.set", "{\"name\": \"a\", \"mac\": \"02:00:00:00:00:09\", \"park_ms\": 7}");
	changes = fake_dp.changes;
	rows_set("Port", 10, "{'tag': 6}");
	assert_false(apply());
	assert_ptr_equal(port("a"), a);
	assert_int_equal(fake_dp.changes, changes + 1);
	assert_int_equal(a->set.rules.vlans.vlan, 6);
	assert_int_equal(a->set.rules.park_ms, 7);
	assert_int_equal(a->set.rules.n_macs, 1);
	params = json_pack("{s:i}", "mtu", 1400);
	d.ovsdb = (struct ovsdb *)&want; /* not looked into */
	assert_int_equal(ovsdb_check_port(&d, a, params, NULL), -EPERM);
	d.ovsdb = NULL;
	json_decref(params);
	/* What cannot be changed makes it anew. */
	rows_set("Interface", 10, "{'options': {'n_rxq': '2'}}");
	assert_false(apply());
	assert_int_equal(port("a")->set.queues, 2);
	assert_int_equal(port("a")->set.rules.n_macs, 0);
}

static void
one_that_fails_stops_no_other(void **state)
{
	(void)state;
	rows_port(1, 10, "a",
		  "{'type': 'dpdkvhostuserclient',"
		  " 'options': {'vhost-server-path': '/proc/x'}}",
		  "{}");
	rows_port(1, 11, "p", "{}", "{}");
	rows_port(1, 12, "z", "{}", "{}");
	call("port.attach", "{\"name\": \"p\", \"bridge\": \"b\"}");
	assert_true(apply());
	assert_failure("a", "/proc/x");
	assert_failure("p", "sluicectl port detach p");
	assert_non_null(port("z"));
	assert_null(port("a"));
	assert_string_equal(port("p")->set.owner, "");
	/* When the cause is gone it works, though the rows are as they were. */
	call("port.detach", "{\"name\": \"p\"}");
	assert_true(apply());
	assert_true(ovsdb_owns_port(port("p")));
	assert_null(ovsdb_want_find(&want, "p")->failure);
}

static void
bridge_of_rpc_is_left_alone(void **state)
{
	(void)state;
	rows_bridge(2, "b");
	rows_port(2, 20, "p", "{}", "{}");
	rows_port(1, 10, "q", "{}", "{}");
	assert_true(apply());
	assert_non_null(strstr(want.bridge[1].failure, "sluicectl bridge del b"));
	assert_non_null(port("q"));
	rows_set("Open_vSwitch", 0, "{'bridges': []}");
	assert_false(apply());
	assert_non_null(model_bridge_find(&d.model, "b"));
}

static void
what_is_refused_now_goes_on(void **state)
{
	struct model_port *a;

	(void)state;
	rows_port(1, 10, "a", "{}", "{'tag': 5}");
	apply();
	a = port("a");
	rows_set("Port", 10, "{'tag': 4095}");
	apply();
	assert_ptr_equal(port("a"), a);
	assert_int_equal(a->set.rules.vlans.vlan, 5);
	assert_ptr_equal(ovsdb_port_of(&d.model, ovsdb_want_find(&want, "a")), a);
	rows_set("Interface", 10, "{'type': 'system'}");
	apply();
	assert_null(port("a"));
}

/* Where a socket may not be is known before the port that is there is gone. */
static void
a_bad_place_costs_no_port(void **state)
{
	struct model_port *a;

	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	apply();
	a = port("a");
	rows_set("Interface", 10,
		 "{'type': 'dpdkvhostuserclient',"
		 " 'options': {'vhost-server-path': '/proc/x'}}");
	for (int i = 0; i < 2; i++) {
		assert_true(apply());
		assert_ptr_equal(port("a"), a);
		assert_false(a->set.client);
		assert_failure("a", "/proc/x");
	}
}

/* Nor does a slip in the bridge's row, to which a port may come later. */
static void
a_slip_costs_no_bridge(void **state)
{
	struct model_bridge *br;

	(void)state;
	apply();
	br = model_bridge_find(&d.model, "br");
	assert_non_null(br);
	rows_set("Bridge", 1, "{'other_config': {'mac-aging-time': 'soon'}}");
	assert_false(apply());
	assert_ptr_equal(model_bridge_find(&d.model, "br"), br);
}

/* Where sluiced serves no database nobody else could remove what one has left. */
static void
without_a_database_nobody_owns(void **state)
{
	struct ovsdb *served = (struct ovsdb *)&want; /* not looked into */

	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	apply();
	d.ovsdb = served;
	assert_int_equal(ovsdb_check_port(&d, port("a"), NULL, NULL), -EPERM);
	assert_int_equal(ovsdb_check_bridge(&d, port("a")->bridge, NULL), -EPERM);
	d.ovsdb = NULL;
	assert_int_equal(ovsdb_check_port(&d, port("a"), NULL, NULL), 0);
	assert_int_equal(ovsdb_check_bridge(&d, port("a")->bridge, NULL), 0);
}

static void
a_guest_that_moves_is_waited_for(void **state)
{
	struct timespec pause = {0, 1000000};

	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	apply();
	fake_dp.port[0].info.parked = 3;
	fake_dp.port[0].info.park_left_ms = 30;
	rows_delete_port(1, 10);
	assert_true(apply());
	assert_non_null(port("a"));
	assert_true(drain_is_leaving(&d, port("a")));
	assert_true(apply()); /* it waits once */
	for (int i = 0; i < 5000 && port("a"); i++) {
		event_base_loop(d.base, EVLOOP_NONBLOCK);
		nanosleep(&pause, NULL);
	}
	assert_null(port("a"));
}

static void
a_name_that_comes_back_does_not_wait(void **state)
{
	(void)state;
	rows_port(1, 10, "a", "{}", "{}");
	apply();
	fake_dp.port[0].info.parked = 3;
	fake_dp.port[0].info.park_left_ms = 30000;
	rows_delete_port(1, 10);
	apply();
	fake_dp.port[0].info.parked = fake_dp.port[0].info.park_left_ms = 0;
	rows_port(1, 11, "a", "{}", "{'tag': 9}");
	assert_false(apply());
	assert_false(drain_is_leaving(&d, port("a")));
	assert_int_equal(port("a")->set.rules.vlans.vlan, 9);
}

/* They come back from disk as the database's, and are changed only where the rows have changed. */
static void
ports_outlive_a_restart(void **state)
{
	struct err err;

	(void)state;
	rows_port(1, 10, "a", "{'ingress_policing_rate': 1500}", "{'tag': 5}");
	rows_port(1, 11, "u", "{'type': 'dpdk', 'options': {'dpdk-devargs': 'x'}}", "{}");
	apply();
	for (unsigned int i = 0; i < 8; i++)
		fake_dp.port[i].open = false;
	while (!TAILQ_EMPTY(&d.model.ports)) {
		struct model_port *gone = TAILQ_FIRST(&d.model.ports);

		TAILQ_REMOVE(&d.model.ports, gone, link);
		free(gone);
	}
	while (!TAILQ_EMPTY(&d.model.bridges)) {
		struct model_bridge *gone = TAILQ_FIRST(&d.model.bridges);

		TAILQ_REMOVE(&d.model.bridges, gone, link);
		free(gone);
	}
	if (model_load(&d.model, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(model_open(&d.model, NULL), 0);
	assert_true(ovsdb_owns_port(port("a")));
	assert_true(ovsdb_owns_port(port("u")));
	assert_true(ovsdb_owns_bridge(model_bridge_find(&d.model, "br")));
	assert_false(ovsdb_owns_bridge(model_bridge_find(&d.model, "b")));
	assert_int_equal(port("a")->set.rules.limits.rate_bps, 1500000);
	fake_dp.changes = 0;
	assert_false(apply());
	assert_int_equal(fake_dp.changes, 0);
}

static void
many_changes_are_one_file(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		char name[8];

		snprintf(name, sizeof(name), "p%u", i);
		rows_port(1, 10 + i, name, "{}", "{}");
	}
	saves = 0;
	assert_false(apply());
	assert_int_equal(saves, 1);
	/* The rows know what the disk does not. */
	disk_full = true;
	rows_delete_port(1, 10);
	rows_set("Port", 11, "{'tag': 5}");
	assert_false(apply());
	disk_full = false;
	assert_null(port("p0"));
	assert_int_equal(port("p1")->set.rules.vlans.vlan, 5);
	call("port.set", "{\"name\": \"p1\", \"park_ms\": 5}");
	assert_int_equal(saves, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rows_become_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(only_what_changed_is_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_fails_stops_no_other, setup, teardown),
		cmocka_unit_test_setup_teardown(bridge_of_rpc_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_refused_now_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_place_costs_no_port, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slip_costs_no_bridge, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_database_nobody_owns, setup, teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_moves_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_that_comes_back_does_not_wait, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ports_outlive_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(many_changes_are_one_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
