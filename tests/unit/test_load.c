/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/load.h"
#include "tests/unit/fake_dp.h"

/* Adds a second of work to the counters. */
static struct dp_lcore_stats
after(struct dp_lcore_stats s, uint64_t busy, uint64_t packets, uint64_t rounds)
{
	s.busy_cycles += busy;
	s.total_cycles += 1000000;
	s.packets += packets;
	s.rounds += rounds;
	return s;
}

static void
figures_are_of_the_last_interval(void **state)
{
	struct load_lcore lcore = {.stats = {.busy_cycles = 5, .total_cycles = 7, .packets = 9}};

	(void)state;
	load_update(&lcore, &(struct dp_lcore_stats){.busy_cycles = 250005,
						     .total_cycles = 1000007,
						     .packets = 1009});
	assert_true(lcore.busy_percent > 24.99 && lcore.busy_percent < 25.01);
	assert_true(lcore.cycles_per_packet > 249.9 && lcore.cycles_per_packet < 250.1);
}

static void
an_idle_lcore_divides_by_nothing(void **state)
{
	struct load_lcore lcore = {0};
	struct dp_lcore_stats same = {0};

	(void)state;
	load_update(&lcore, &same);
	assert_true(lcore.busy_percent == 0 && lcore.cycles_per_packet == 0);
	assert_false(lcore.overloaded);
}

static void
counters_read_at_different_times_stay_within_100_percent(void **state)
{
	struct load_lcore lcore = {0};
	const struct dp_lcore_stats now = {.busy_cycles = 110, .total_cycles = 100, .packets = 1};

	(void)state;
	load_update(&lcore, &now);
	assert_true(lcore.busy_percent == 100);
}

static void
overload_takes_time_and_full_bursts(void **state)
{
	struct load_lcore lcore = {0};

	(void)state;
	/* Busy, but with bursts of one frame: it would cope with more. */
	for (int i = 0; i < 2 * LOAD_OVERLOAD_SAMPLES; i++) {
		struct dp_lcore_stats now = after(lcore.stats, 1000000, 1000, 1000);

		load_update(&lcore, &now);
		assert_false(lcore.overloaded);
	}
	for (int i = 1; i <= LOAD_OVERLOAD_SAMPLES; i++) {
		struct dp_lcore_stats now = after(lcore.stats, 1000000, 64000, 1000);

		load_update(&lcore, &now);
		assert_int_equal(lcore.overloaded, i == LOAD_OVERLOAD_SAMPLES);
	}
}

static void
overload_is_over_when_it_eases(void **state)
{
	struct load_lcore lcore = {.overloaded = true};
	struct dp_lcore_stats now = after(lcore.stats, 950000, 1000, 1000);

	(void)state;
	load_update(&lcore, &now);
	assert_true(lcore.overloaded);
	now = after(lcore.stats, 800000, 1000, 1000);
	load_update(&lcore, &now);
	assert_false(lcore.overloaded);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_are_of_the_last_interval),
		cmocka_unit_test(an_idle_lcore_divides_by_nothing),
		cmocka_unit_test(counters_read_at_different_times_stay_within_100_percent),
		cmocka_unit_test(overload_takes_time_and_full_bursts),
		cmocka_unit_test(overload_is_over_when_it_eases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
