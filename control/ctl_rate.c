/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_rate.h"

static double
growth(const json_t *before, const json_t *after, const char *key)
{
	double then = json_number_value(json_object_get(before, key));
	double now = json_number_value(json_object_get(after, key));

	return now >= then ? now - then : now;
}

/* Finds the reason that grew most, if it grew more than *most. */
static void
find_reason(const json_t *before, const json_t *after, const char *side, const char *key,
	    double *most, struct ctl_rate *rate)
{
	const json_t *by_before = json_object_get(before, key);
	json_t *by_after = json_object_get(after, key), *count;
	const char *reason;

	json_object_foreach(by_after, reason, count)
	{
		double grown = growth(by_before, by_after, reason);

		if (grown > *most) {
			*most = grown;
			rate->reason = reason;
			rate->side = side;
		}
	}
}

void
ctl_rate_between(const json_t *before, const json_t *after, double seconds, struct ctl_rate *rate)
{
	double most = 0;

	*rate = (struct ctl_rate){
		.rx_pps = growth(before, after, "rx_packets") / seconds,
		.rx_bits = growth(before, after, "rx_bytes") * 8 / seconds,
		.tx_pps = growth(before, after, "tx_packets") / seconds,
		.tx_bits = growth(before, after, "tx_bytes") * 8 / seconds,
		.drops = (growth(before, after, "rx_dropped") +
			  growth(before, after, "tx_dropped")) /
			 seconds,
	};
	find_reason(before, after, "rx", "rx_dropped_by", &most, rate);
	find_reason(before, after, "tx", "tx_dropped_by", &most, rate);
}
