/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "datapath/limit.h"

/* The clock is a number: no test depends on how fast the machine is. */

#define HZ UINT64_C(2500000000)
#define FRAME_MAX 65553

static struct limit limit;
static _Atomic uint64_t state;

/* A full bucket at `now`. */
static void
start(uint64_t rate, uint64_t burst, uint64_t hz, uint64_t now)
{
	limit_set(&limit, rate, burst, FRAME_MAX, hz);
	atomic_store(&state, now << LIMIT_FRACTION_BITS);
}

/* How many frames of `units` pass at one moment, up to `max`. */
static unsigned int
passing(uint64_t now, uint32_t units, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && limit_take(&limit, &state, now, units))
		n++;
	return n;
}

static void
test_no_limit(void **unused)
{
	uint32_t units[64] = {0};

	(void)unused;
	start(0, 1000, HZ, 0);
	assert_false(limit_is_set(&limit));
	assert_int_equal(passing(0, 65535, 1000), 1000);
	assert_true(limit_take_burst(&limit, &state, 0, units, 64) == UINT64_MAX);
	assert_int_equal(limit_take_burst(&limit, &state, 0, units, 3), 7);
}

/* Offers frames of one size as fast as the clock steps, for so long that the burst does not matter. */
static void
check_rate(uint64_t rate, uint32_t units, uint64_t hz)
{
	uint64_t step = (uint64_t)((double)hz * units / rate / 3) + 1, frames = 50000;
	uint64_t now = 123456789, end = now + (uint64_t)((double)hz * units / rate * frames);
	uint64_t passed = 0;
	double seconds;

	start(rate, units, hz, now);
	for (; now < end; now += step)
		passed += limit_take(&limit, &state, now, units);
	seconds = (double)(end - 123456789) / hz;
	assert_true((double)passed * units > seconds * rate * 0.999);
	assert_true((double)passed * units < seconds * rate * 1.001);
}

static void
test_rate_of_many_sizes(void **unused)
{
	static const uint64_t rates[] = {
		125,
		125000,
		12500000,
		1250000000,
		UINT64_C(50000000000), /* 1 kbit/s .. 400 Gbit/s */
	};
	static const uint32_t sizes[] = {14, 60, 64, 333, 1514, 9014, 65550};
	static const uint64_t clocks[] = {1000000000, 2100000000, UINT64_C(5000000000)};

	(void)unused;
	for (unsigned int r = 0; r < 5; r++)
		for (unsigned int s = 0; s < 7; s++)
			for (unsigned int c = 0; c < 3; c++) {
				/* A step is a whole number of cycles; below 60 bytes at 400 Gbit/s
				 * there are not even two to a frame on a clock of 1 GHz. */
				if (rates[r] > 1250000000 && sizes[s] < 1514)
					continue;
				check_rate(rates[r], sizes[s], clocks[c]);
			}
}

static void
test_rate_of_packets(void **unused)
{
	static const uint64_t rates[] = {1, 7, 1000, 1488095, 30000000};

	(void)unused;
	for (unsigned int r = 0; r < 5; r++)
		check_rate(rates[r], 1, HZ);
}

/* Where a frame takes a cycle or so, many are offered at once. */
static void
check_fast_rate(uint64_t rate, uint32_t size, uint64_t hz)
{
	uint32_t units[64];
	uint64_t passed = 0, cycles = 20000000, now;

	for (unsigned int i = 0; i < 64; i++)
		units[i] = size;
	start(rate, 64 * size, hz, 0);
	for (now = 0; now < cycles; now += 20)
		passed += __builtin_popcountll(limit_take_burst(&limit, &state, now, units, 64));
	assert_true((double)passed * size > (double)cycles / hz * rate * 0.998);
	assert_true((double)passed * size < (double)cycles / hz * rate * 1.002);
}

static void
test_fastest_rates(void **unused)
{
	(void)unused;
	check_fast_rate(UINT64_C(50000000000), 60, HZ);
	check_fast_rate(UINT64_C(50000000000), 60, 1000000000);
	check_fast_rate(UINT64_C(50000000000), 1514, UINT64_C(5000000000));
	check_fast_rate(1000000000, 1, HZ);
	check_fast_rate(1000000000, 1, 1000000000);
}

static void
test_burst_is_exact(void **unused)
{
	(void)unused;
	start(125000, 64000, HZ, 0);
	assert_int_equal(passing(0, 1000, 1000), 64);
	start(125000, 64000, HZ, 0);
	assert_int_equal(passing(0, 1514, 1000), 43); /* 42.3: the last one makes a debt */
	start(7, 100, HZ, 0);
	assert_int_equal(passing(0, 1, 1000), 100);
	start(1, 1, HZ, 0);
	assert_int_equal(passing(0, 1, 1000), 1);
	/* However long it was idle, it fills no further. */
	start(125000, 64000, HZ, 0);
	assert_int_equal(passing(3600 * HZ, 1000, 1000), 64);
}

static void
test_debt_is_paid(void **unused)
{
	(void)unused;
	/* One TSO frame passes the smallest bucket; then nothing, until it is paid for. */
	start(125000, 125, HZ, 0);
	assert_int_equal(passing(0, 65550, 10), 1);
	assert_int_equal(passing((uint64_t)(0.52 * HZ), 1, 10), 0);
	assert_int_equal(passing((uint64_t)(0.5244 * HZ), 65550, 10), 1);
	/* A depth of nothing: frame after frame, at the rate. */
	start(1000, 0, HZ, 0);
	assert_int_equal(passing(0, 100, 10), 1);
	assert_int_equal(passing(HZ / 10 - 1, 100, 10), 0);
	assert_int_equal(passing(HZ / 10 + 1, 100, 10), 1);
}

static void
test_many_frames_in_one_take(void **unused)
{
	static const uint32_t units[] = {100, 60, 100, 1, 1};

	(void)unused;
	start(1000, 200, HZ, 0);
	assert_int_equal(limit_take_burst(&limit, &state, 0, units, 5), 0x7);
	assert_int_equal(limit_take_burst(&limit, &state, 0, units, 5), 0);
	/* 60 too many, and 1 is there again after 61 ms. */
	assert_int_equal(limit_take_burst(&limit, &state, HZ / 1000 * 60, units, 5), 0);
	assert_int_equal(limit_take_burst(&limit, &state, HZ / 1000 * 61, units, 5), 0x1);
}

static void
test_idle_for_long(void **unused)
{
	uint64_t wrap = UINT64_C(1) << (64 - LIMIT_FRACTION_BITS);

	(void)unused;
	start(125000, 1000, HZ, 0);
	assert_int_equal(passing(0, 1000, 10), 1);
	assert_int_equal(passing(HZ * 86400 * 30, 1000, 10), 1);
	/* Times wrap, and so does the TSC itself. */
	start(125000, 1000, HZ, wrap - HZ);
	assert_int_equal(passing(wrap - 1, 1001, 10), 1);
	assert_int_equal(passing(wrap + 1, 1000, 10), 0);
	assert_int_equal(passing(wrap + HZ, 1000, 10), 1);
	start(125000, 1000, HZ, UINT64_MAX - HZ);
	assert_int_equal(passing(UINT64_MAX, 1001, 10), 1);
	assert_int_equal(passing(1, 1000, 10), 0);
	assert_int_equal(passing(HZ, 1000, 10), 1);
	/* More than half around, where a signed difference would see a deficit. */
	start(125000, 1000, HZ, 0);
	assert_int_equal(passing(wrap / 4 * 3, 1000, 10), 1);
	/* All around, at the worst moment: the time to fill, and no more. */
	assert_int_equal(passing(wrap / 4 * 7, 1000, 10), 0);
	assert_int_equal(passing(wrap / 4 * 7 + HZ, 1000, 10), 1);
}

/* Two lcores, one of them with a clock that is behind, get together what one would. */
static void
test_two_users(void **unused)
{
	static const uint64_t behind[] = {0, 1, 1000, HZ / 100};
	uint64_t seconds = 20, now, passed[2];

	(void)unused;
	for (unsigned int b = 0; b < 4; b++) {
		start(125000, 12500, HZ, HZ);
		passed[0] = passed[1] = 0;
		for (now = HZ; now < (1 + seconds) * HZ; now += HZ / 1000) {
			passed[0] += limit_take(&limit, &state, now, 500);
			passed[1] += limit_take(&limit, &state, now - behind[b], 500);
		}
		assert_in_range(passed[0] + passed[1], seconds * 250, seconds * 250 + 26);
	}
}

static void
test_time_may_step_back(void **unused)
{
	(void)unused;
	start(1000, 100, HZ, HZ);
	assert_int_equal(passing(HZ, 100, 10), 1);
	assert_int_equal(passing(HZ - 1, 100, 10), 0);
	assert_int_equal(passing(HZ - HZ / 2, 100, 10), 0);
	/* At the end of the longest debt, too: no lcore may take it for a full bucket. */
	start(125000, 12500, HZ, HZ);
	assert_int_equal(passing(HZ, 12499, 1), 1);
	assert_int_equal(passing(HZ, FRAME_MAX, 1), 1);
	assert_int_equal(passing(HZ - HZ / 2, 60, 10), 0);
	assert_int_equal(passing(HZ, 60, 10), 0);
}

static void
test_new_numbers_forget_an_old_debt(void **unused)
{
	(void)unused;
	/* Nine minutes of debt, and then somebody grants 10 Gbit/s. */
	start(125, 125, HZ, 0);
	assert_int_equal(passing(0, 65550, 10), 1);
	assert_int_equal(passing(HZ, 60, 10), 0);
	limit_set(&limit, 1250000000, 12500000, FRAME_MAX, HZ);
	assert_int_equal(passing(HZ, 12500, 2000), 1000);
	/* Off and on again. */
	limit_set(&limit, 0, 0, FRAME_MAX, HZ);
	assert_int_equal(passing(2 * HZ, 60, 10), 10);
}

/* One debt and a second, whatever word the state is. */
static void
test_any_state_will_do(void **unused)
{
	uint64_t first, second;

	(void)unused;
	for (unsigned int i = 0; i < 1000; i++) {
		limit_set(&limit, 1, 1, 1, HZ);
		atomic_store(&state, UINT64_MAX / 1000 * i);
		first = passing(7 * HZ, 1, 10);
		second = passing(9 * HZ + 1, 1, 10);
		assert_true(first == 1 || second == 1);
	}
	atomic_store(&state, (7 * HZ << LIMIT_FRACTION_BITS) + limit.window);
	assert_int_equal(passing(7 * HZ, 1, 10), 0);
	assert_int_equal(passing(9 * HZ + 1, 1, 10), 1);
	atomic_store(&state, (7 * HZ << LIMIT_FRACTION_BITS) + limit.window + 1);
	assert_int_equal(passing(7 * HZ, 1, 10), 1);
}

static void
test_extremes(void **unused)
{
	uint64_t hz = UINT64_C(16000000000);

	(void)unused;
	start(1, UINT64_MAX, hz, 0); /* cut off at 2^62: 2^52 cycles, three days at this clock */
	assert_int_equal(passing(0, FRAME_MAX, 1000), 5);
	assert_int_equal(passing((UINT64_C(1) << 53), FRAME_MAX, 1000), 5);
	start(UINT64_C(1) << 40, UINT64_MAX, 1000000000, 0);
	assert_int_equal(passing(0, FRAME_MAX, 100000), 100000);
	start(UINT64_C(1) << 40, 1, 1000000000, 0);
	assert_int_equal(passing(0, FRAME_MAX, 1000), 1);
}

#define THREADS 4
#define TAKES 200000

static pthread_barrier_t barrier;

static void *
take_many(void *arg)
{
	uint32_t units[3] = {1, 1, 1};
	uint64_t *passed = arg;

	pthread_barrier_wait(&barrier);
	for (unsigned int i = 0; i < TAKES; i++)
		*passed += __builtin_popcountll(limit_take_burst(&limit, &state, HZ, units, 3));
	return NULL;
}

/* At one moment, no more passes than the bucket holds, whoever takes it. */
static void
test_threads_share_it(void **unused)
{
	uint64_t passed[THREADS] = {0}, sum = 0;
	pthread_t thread[THREADS];

	(void)unused;
	start(1000, THREADS * TAKES, HZ, 0);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_many, &passed[i]), 0);
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		sum += passed[i];
	}
	pthread_barrier_destroy(&barrier);
	assert_int_equal(sum, THREADS * TAKES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_rate_of_many_sizes),
		cmocka_unit_test(test_rate_of_packets),
		cmocka_unit_test(test_fastest_rates),
		cmocka_unit_test(test_burst_is_exact),
		cmocka_unit_test(test_debt_is_paid),
		cmocka_unit_test(test_many_frames_in_one_take),
		cmocka_unit_test(test_idle_for_long),
		cmocka_unit_test(test_two_users),
		cmocka_unit_test(test_time_may_step_back),
		cmocka_unit_test(test_new_numbers_forget_an_old_debt),
		cmocka_unit_test(test_any_state_will_do),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
