/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl_rate.h"

static json_t *
counters(int rx_packets, int rx_dropped, int ring_full, int mtu, int spoof)
{
	return json_pack("{si si si si s{si si} s{si}}", "rx_packets", rx_packets, "rx_bytes",
			 rx_packets * 100, "rx_dropped", rx_dropped, "tx_dropped", spoof,
			 "rx_dropped_by", "ring_full", ring_full, "mtu", mtu, "tx_dropped_by",
			 "spoof", spoof);
}

static void
rates_are_per_second(void **state)
{
	json_t *before = counters(1000, 10, 10, 0, 0), *after = counters(3000, 18, 12, 6, 3);
	struct ctl_rate rate;

	(void)state;
	ctl_rate_between(before, after, 2, &rate);
	assert_true(rate.rx_pps == 1000);
	assert_true(rate.rx_bits == 800000);
	assert_true(rate.tx_pps == 0);
	assert_true(rate.drops == 5.5);
	assert_string_equal(rate.side, "rx");
	assert_string_equal(rate.reason, "mtu"); /* grew most, though it is not the greatest */
	json_decref(before);
	json_decref(after);
}

static void
reason_may_be_on_the_other_side(void **state)
{
	json_t *before = counters(0, 0, 0, 0, 0), *after = counters(0, 1, 1, 0, 2);
	struct ctl_rate rate;

	(void)state;
	ctl_rate_between(before, after, 1, &rate);
	assert_string_equal(rate.side, "tx");
	assert_string_equal(rate.reason, "spoof");
	json_decref(before);
	json_decref(after);
}

static void
no_drops_have_no_reason(void **state)
{
	json_t *same = counters(1, 1, 1, 1, 1);
	struct ctl_rate rate;

	(void)state;
	ctl_rate_between(same, same, 1, &rate);
	assert_true(rate.drops == 0);
	assert_null(rate.reason);
	json_decref(same);
}

static void
counters_may_begin_anew(void **state)
{
	json_t *before = counters(1000, 50, 50, 0, 0), *after = counters(40, 2, 2, 0, 0);
	struct ctl_rate rate;

	(void)state;
	ctl_rate_between(before, after, 1, &rate);
	assert_true(rate.rx_pps == 40);
	assert_true(rate.drops == 2);
	ctl_rate_between(NULL, after, 1, &rate);
	assert_true(rate.rx_pps == 40);
	ctl_rate_between(before, NULL, 1, &rate);
	assert_true(rate.rx_pps == 0);
	json_decref(before);
	json_decref(after);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_per_second),
		cmocka_unit_test(reason_may_be_on_the_other_side),
		cmocka_unit_test(no_drops_have_no_reason),
		cmocka_unit_test(counters_may_begin_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
