/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "datapath/fdb.h"

static uint64_t
key_of(uint32_t n, uint16_t vlan)
{
	uint8_t mac[6] = {0x02, 0, n >> 24, n >> 16, n >> 8, n};

	return fdb_key(mac, vlan);
}

static int
port_of(const struct fdb *fdb, uint64_t key)
{
	uint16_t port;

	return fdb_find(fdb, key, &port) == NULL ? -1 : port;
}

/* Without a limit for the port. */
static int
learn(struct fdb *fdb, uint64_t key, uint16_t port)
{
	return fdb_learn(fdb, key, port, UINT32_MAX);
}

static int
setup(void **state)
{
	fdb_now_s = 1000;
	*state = fdb_create(4096, 300);
	return *state == NULL;
}

static int
teardown(void **state)
{
	fdb_destroy(*state);
	return 0;
}

static void
learns_moves_and_forgets(void **state)
{
	struct fdb *fdb = *state;

	assert_int_equal(port_of(fdb, key_of(1, 0)), -1);
	assert_int_equal(learn(fdb, key_of(1, 0), 7), 0);
	assert_int_equal(port_of(fdb, key_of(1, 0)), 7);
	assert_int_equal(port_of(fdb, key_of(1, 5)), -1); /* another VLAN is another entry */
	assert_int_equal(learn(fdb, key_of(1, 0), 8), 0);
	assert_int_equal(port_of(fdb, key_of(1, 0)), 8);
	assert_int_equal(fdb->n_learned_ctl, 1);
	fdb_del(fdb, key_of(1, 0));
	assert_int_equal(port_of(fdb, key_of(1, 0)), -1);
	assert_int_equal(fdb->n_learned_ctl, 0);
}

static void
all_zero_mac_is_a_mac(void **state)
{
	struct fdb *fdb = *state;
	uint8_t zero[6] = {0};

	assert_int_equal(port_of(fdb, fdb_key(zero, 0)), -1);
	assert_int_equal(learn(fdb, fdb_key(zero, 0), 3), 0);
	assert_int_equal(port_of(fdb, fdb_key(zero, 0)), 3);
}

static void
static_never_moves_nor_ages(void **state)
{
	struct fdb *fdb = *state;

	assert_int_equal(learn(fdb, key_of(1, 0), 7), 0);
	assert_int_equal(fdb_add_static(fdb, key_of(1, 0), 9), 0); /* takes over */
	assert_int_equal(fdb->n_learned_ctl, 0);
	assert_int_equal(learn(fdb, key_of(1, 0), 7), -EEXIST);
	assert_int_equal(fdb_add_static(fdb, key_of(1, 0), 7), -EEXIST);
	learn(fdb, key_of(2, 0), 7);
	fdb_now_s += 100000;
	fdb_age(fdb);
	fdb_flush_port(fdb, 9);
	assert_int_equal(port_of(fdb, key_of(1, 0)), 9);
	assert_int_equal(port_of(fdb, key_of(2, 0)), -1);
}

static void
ages_what_was_not_seen(void **state)
{
	struct fdb *fdb = *state;
	struct fdb_value *seen;
	uint16_t port;

	learn(fdb, key_of(1, 0), 1);
	learn(fdb, key_of(2, 0), 1);
	fdb_now_s += 299;
	seen = fdb_find(fdb, key_of(2, 0), &port);
	seen->seen_s = fdb_now_s;
	fdb_age(fdb);
	assert_int_equal(port_of(fdb, key_of(1, 0)), 1);
	fdb_now_s += 1;
	fdb_age(fdb);
	assert_int_equal(port_of(fdb, key_of(1, 0)), -1);
	assert_int_equal(port_of(fdb, key_of(2, 0)), 1);
	assert_int_equal(fdb->n_learned_ctl, 1);
}

static void
flushes_one_port(void **state)
{
	struct fdb *fdb = *state;
	uint32_t n;

	for (n = 0; n < 100; n++)
		learn(fdb, key_of(n, 1), n % 2);
	fdb_flush_port(fdb, 1);
	for (n = 0; n < 100; n++)
		assert_int_equal(port_of(fdb, key_of(n, 1)), n % 2 == 0 ? 0 : -1);
	assert_int_equal(fdb->n_learned_ctl, 50);
}

static void
holds_its_limit_and_no_more(void **state)
{
	struct fdb *fdb = *state;
	uint32_t n;

	for (n = 0; n < 4096; n++)
		assert_int_equal(learn(fdb, key_of(n, 1), n % 1000), 0);
	assert_int_equal(learn(fdb, key_of(n, 1), 1), -ENOSPC);
	assert_int_equal(port_of(fdb, key_of(n, 1)), -1);
	for (n = 0; n < 4096; n++)
		assert_int_equal(port_of(fdb, key_of(n, 1)), n % 1000);
	fdb_del(fdb, key_of(17, 1));
	assert_int_equal(learn(fdb, key_of(4096, 1), 1), 0);
	/* Static ones do not count against the learned ones' limit. */
	assert_int_equal(fdb_add_static(fdb, key_of(5000, 1), 2), 0);
}

static void
a_port_has_its_share_and_no_more(void **state)
{
	struct fdb *fdb = *state;
	uint32_t n;

	for (n = 0; n < 10; n++)
		assert_int_equal(fdb_learn(fdb, key_of(n, 1), 1, 10), 0);
	assert_int_equal(fdb_learn(fdb, key_of(n, 1), 1, 10), -EDQUOT);
	assert_int_equal(fdb_learn(fdb, key_of(3, 1), 1, 10), 0); /* one that it has */
	assert_int_equal(fdb_learn(fdb, key_of(n, 1), 2, 10), 0); /* another's share */
	assert_int_equal(fdb_learn(fdb, key_of(n, 1), 1, 10), -EDQUOT); /* nor by moving one */
	assert_int_equal(port_of(fdb, key_of(n, 1)), 2);
	assert_int_equal(fdb_learn(fdb, key_of(3, 1), 2, 10), 0); /* moves away */
	assert_int_equal(fdb_learn(fdb, key_of(20, 1), 1, 10), 0);
	assert_int_equal(fdb->learned_of_ctl[1], 10);
	assert_int_equal(fdb->learned_of_ctl[2], 2);
	fdb_flush_port(fdb, 1);
	assert_int_equal(fdb->learned_of_ctl[1], 0);
	assert_int_equal(fdb->n_learned_ctl, 2);
}

/* Random changes against a plain array that does the same. */
static void
agrees_with_a_plain_table(void **state)
{
	enum {
		KEYS = 3000,
		STEPS = 200000
	};
	static int model[KEYS];
	struct fdb *fdb = *state;
	unsigned int seed = 1, i;

	for (i = 0; i < KEYS; i++)
		model[i] = -1;
	for (i = 0; i < STEPS; i++) {
		uint32_t n = (uint32_t)rand_r(&seed) % KEYS;

		if (rand_r(&seed) % 3 == 0) {
			fdb_del(fdb, key_of(n, n % 7));
			model[n] = -1;
		} else {
			uint16_t port = (uint16_t)(rand_r(&seed) % 1024);

			assert_int_equal(learn(fdb, key_of(n, n % 7), port), 0);
			model[n] = port;
		}
	}
	for (i = 0; i < KEYS; i++)
		assert_int_equal(port_of(fdb, key_of(i, i % 7)), model[i]);
}

static void
count_visits(const struct dp_mac_entry *e, void *arg)
{
	unsigned int *n = arg;

	assert_int_equal(e->vlan, DP_VLAN_ANY);
	assert_int_equal(e->port, 4);
	assert_true(e->is_static);
	assert_int_equal(e->mac.byte[0], 0x02);
	assert_int_equal(e->mac.byte[5], 9);
	(*n)++;
}

static void
visits_what_is_there(void **state)
{
	struct fdb *fdb = *state;
	unsigned int n = 0;

	assert_int_equal(fdb_add_static(fdb, key_of(9, DP_VLAN_ANY), 4), 0);
	fdb_visit(fdb, count_visits, &n);
	assert_int_equal(n, 1);
	fdb_del(fdb, key_of(9, DP_VLAN_ANY));
	fdb_visit(fdb, count_visits, &n);
	assert_int_equal(n, 1);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(learns_moves_and_forgets),
		T(all_zero_mac_is_a_mac),
		T(static_never_moves_nor_ages),
		T(ages_what_was_not_seen),
		T(flushes_one_port),
		T(holds_its_limit_and_no_more),
		T(a_port_has_its_share_and_no_more),
		T(agrees_with_a_plain_table),
		T(visits_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
