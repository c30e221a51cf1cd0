/* SPDX-License-Identifier: BSD-3-Clause */
/* A drained port: its lcores end one after the other, and the control thread looks when it has time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/migration_fixture.h"

static void
add_with_two_pairs(void)
{
	add(1, true);
	add(3, true);
	port(1)->n_queues = 2;
	assert_int_equal(table_publish(), 0);
}

/* Its lcore finds the ring of a pair empty. */
static void
looks_at(uint16_t pair)
{
	struct port_queue *q = &fakes[1].queue[pair];

	assert_true(park_may_poll(q, 256));
	park_polled(q, 0);
	assert_false(park_may_poll(q, 256));
}

/* However late the control thread looks. */
static void
a_port_is_drained_once(void **state)
{
	(void)state;
	add_with_two_pairs();
	assert_int_equal(dp_port_drain(1, true), 0);
	expect(DP_EVENT_PORT_PARKING, 1);
	looks_at(0);
	expect_nothing();
	looks_at(1);
	expect(DP_EVENT_PORT_DRAINED, 1);
	expect_nothing();
	assert_int_equal(dp_port_resume(1), 0);

	assert_int_equal(dp_port_drain(1, false), 0);
	looks_at(0);
	looks_at(1);
	expect(DP_EVENT_PORT_DRAINED, 1);
	expect_nothing();
}

/* Nor does the end of the first drain end the second, and what is parked stays so. */
static void
resumed_and_drained_between_two_looks_it_is_drained_anew(void **state)
{
	uint16_t pair;

	(void)state;
	add_with_two_pairs();
	assert_int_equal(dp_port_drain(1, true), 0);
	for (pair = 0; pair < 2; pair++)
		looks_at(pair);
	sends(3, 1, 3, 100, 3);
	assert_int_equal(park_of(1)->n, 3);
	assert_int_equal(dp_port_resume(1), 0);
	assert_int_equal(dp_port_drain(1, true), 0);
	expect(DP_EVENT_PORT_PARKING, 1);
	expect(DP_EVENT_PORT_PARKING, 1);
	expect_nothing();
	runs_parks();
	assert_int_equal(park_of(1)->n, 3);
	for (pair = 0; pair < 2; pair++)
		looks_at(pair);
	expect(DP_EVENT_PORT_DRAINED, 1);
	expect_nothing();

	assert_int_equal(dp_port_resume(1), 0);
	for (pair = 0; pair < 2; pair++)
		assert_true(park_may_poll(&fakes[1].queue[pair], 256));
	runs_parks();
	assert_got_bytes(1, 100, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_migration, teardown_migration)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_port_is_drained_once),
		TEST(resumed_and_drained_between_two_looks_it_is_drained_anew),
	};

	if (forward_fixture_start() < 0)
		return 1;
	return cmocka_run_group_tests_name("park_hold", tests, NULL, NULL);
}
