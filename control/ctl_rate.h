/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_RATE_H
#define CONTROL_CTL_RATE_H

#include <jansson.h>

/* What a port did per second between two looks at its counters. */
struct ctl_rate {
	double rx_pps, rx_bits, tx_pps, tx_bits, drops;
	const char *reason; /* of most drops, points into `after`; NULL without drops */
	const char *side; /* "rx" or "tx", where they were dropped */
};

/*
 * `before` and `after` are the counters of one port, `seconds` (> 0) apart. Counters that went
 * back, or were not there before, began anew in between. Pure.
 */
void ctl_rate_between(const json_t *before, const json_t *after, double seconds,
		      struct ctl_rate *rate);

#endif
