/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_LOAD_H
#define CONTROL_LOAD_H

#include <stdbool.h>

#include "datapath/dp.h"

/*
 * How busy each lcore was over the last sample interval, from differences of its counters.
 * Thread: control.
 */

#define LOAD_INTERVAL_S 1

struct load_lcore {
	struct dp_lcore_stats stats; /* at the last sample */
	double busy_percent;
	double cycles_per_packet; /* 0: no packet came */
	bool overloaded;
	unsigned int full_samples; /* in a row */
};

struct load {
	unsigned int n;
	struct load_lcore lcore[DP_LCORES_MAX];
};

/*
 * Takes a sample; to be called every LOAD_INTERVAL_S. Calls `overload` for an lcore that became
 * overloaded: for LOAD_OVERLOAD_SAMPLES it did nothing but work, with bursts that were at least
 * half full, so that polling less often would not have helped.
 */
#define LOAD_OVERLOAD_SAMPLES 5
void load_sample(struct load *load, void (*overload)(const struct load_lcore *lcore, void *arg),
		 void *arg);

/* The arithmetic of it: what lies between two readings. Pure. */
void load_update(struct load_lcore *lcore, const struct dp_lcore_stats *now);

#endif
