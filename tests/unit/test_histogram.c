/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/frontend/histogram.h"

/* A histogram with the values 1..count. */
static struct histogram *
filled(uint64_t count)
{
	struct histogram *h = calloc(1, sizeof(*h));
	uint64_t i;

	assert_non_null(h);
	for (i = 1; i <= count; i++)
		histogram_record(h, i);
	return h;
}

static void
empty_has_no_percentile(void **state)
{
	struct histogram *h = filled(0);

	(void)state;
	assert_int_equal(histogram_percentile(h, 0.5), 0);
	assert_int_equal(histogram_percentile(h, 1.0), 0);
	free(h);
}

static void
small_values_are_exact(void **state)
{
	struct histogram *h = filled(60);

	(void)state;
	assert_int_equal(histogram_percentile(h, 0.0), 1);
	assert_int_equal(histogram_percentile(h, 0.5), 30);
	assert_int_equal(histogram_percentile(h, 0.51), 31);
	assert_int_equal(histogram_percentile(h, 1.0), 60);
	free(h);
}

static void
large_values_are_near(void **state)
{
	static const double shares[] = {0.1, 0.5, 0.9, 0.99, 0.999};
	const uint64_t count = 1000000;
	struct histogram *h = filled(count);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		double exact = shares[i] * (double)count;
		double got = (double)histogram_percentile(h, shares[i]);

		assert_true(got >= exact);
		assert_true(got <= exact * (1 + 1.0 / (1 << HISTOGRAM_SUB_BITS)));
	}
	assert_int_equal(histogram_percentile(h, 1.0), count);
	free(h);
}

static void
buckets_grow_with_values_and_stay_inside(void **state)
{
	uint64_t value = 1;
	unsigned int before = histogram_bucket(0), exponent;

	(void)state;
	assert_int_equal(before, 0);
	for (exponent = 0; exponent < 64; exponent++, value <<= 1) {
		assert_true(histogram_bucket(value) > before);
		before = histogram_bucket(value);
	}
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void
one_outlier_is_the_maximum(void **state)
{
	struct histogram *h = filled(999);

	(void)state;
	histogram_record(h, 123456789);
	assert_int_equal(h->max, 123456789);
	assert_int_equal(histogram_percentile(h, 1.0), 123456789);
	assert_true(histogram_percentile(h, 0.999) < 1024);
	free(h);
}

static void
add_is_like_recording_both(void **state)
{
	struct histogram *a = filled(100), *b = filled(1000);

	(void)state;
	histogram_add(a, b);
	assert_int_equal(a->total, 1100);
	assert_int_equal(a->max, 1000);
	assert_in_range(histogram_percentile(a, 0.5), 450, 460);
	free(a);
	free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_has_no_percentile),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(large_values_are_near),
		cmocka_unit_test(buckets_grow_with_values_and_stay_inside),
		cmocka_unit_test(one_outlier_is_the_maximum),
		cmocka_unit_test(add_is_like_recording_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
