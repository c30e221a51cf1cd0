/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_STATS_H
#define DATAPATH_STATS_H

#include <rte_common.h>

#include "datapath/dp.h"

/*
 * Counters with one writer, the lcore that owns the queue, and any reader.
 *
 * A plain add would do on the writer's side; the relaxed atomics make the reader's view whole
 * (no torn or invented values) and cost nothing on 64-bit machines.
 */
static inline void
stats_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* Adds the counters of `from` to `*sum`. Thread: any. */
void stats_sum(struct dp_stats *sum, const struct dp_stats *from);

#endif
