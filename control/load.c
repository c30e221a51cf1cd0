/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/load.h"

#define BUSY_FULL_PERCENT 98.0
#define BUSY_EASED_PERCENT 90.0 /* an overload that goes below this is over */
#define PACKETS_PER_ROUND_FULL 32.0

void
load_update(struct load_lcore *lcore, const struct dp_lcore_stats *now)
{
	double busy = now->busy_cycles - lcore->stats.busy_cycles;
	double total = now->total_cycles - lcore->stats.total_cycles;
	double packets = now->packets - lcore->stats.packets;
	double rounds = now->rounds - lcore->stats.rounds;
	bool full;

	/* The counters come from another thread, one by one: a sum may be a little behind. */
	if (busy > total)
		busy = total;
	lcore->busy_percent = total > 0 ? 100 * busy / total : 0;
	lcore->cycles_per_packet = packets > 0 ? busy / packets : 0;
	full = lcore->busy_percent >= BUSY_FULL_PERCENT &&
	       packets >= PACKETS_PER_ROUND_FULL * rounds;
	lcore->full_samples = full ? lcore->full_samples + 1 : 0;
	if (lcore->full_samples >= LOAD_OVERLOAD_SAMPLES)
		lcore->overloaded = true;
	else if (lcore->busy_percent < BUSY_EASED_PERCENT)
		lcore->overloaded = false;
	lcore->stats = *now;
}

void
load_sample(struct load *load, void (*overload)(const struct load_lcore *lcore, void *arg),
	    void *arg)
{
	struct dp_lcore_stats now;

	for (load->n = 0; load->n < DP_LCORES_MAX; load->n++) {
		struct load_lcore *lcore = &load->lcore[load->n];
		bool before = lcore->overloaded;

		if (dp_lcore_stats(load->n + 1, &now) < 0)
			return;
		load_update(lcore, &now);
		if (lcore->overloaded && !before)
			overload(lcore, arg);
	}
}
