/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/stats.h"

/* dp_stats is nothing but counters: summed as an array, so that a new one can't be forgotten. */
#define STATS_WORDS (sizeof(struct dp_stats) / sizeof(uint64_t))

void
stats_sum(struct dp_stats *sum, const struct dp_stats *from)
{
	const uint64_t *src = (const uint64_t *)from;
	uint64_t *dst = (uint64_t *)sum;
	size_t i;

	for (i = 0; i < STATS_WORDS; i++)
		dst[i] += __atomic_load_n(&src[i], __ATOMIC_RELAXED);
}

const char *
dp_out_drop_name(enum dp_out_drop reason)
{
	static const char *const name[DP_OUT_DROPS] = {
		[DP_OUT_RING_FULL] = "ring_full",	[DP_OUT_QUEUE_OFF] = "queue_off",
		[DP_OUT_NO_GUEST] = "no_guest",		[DP_OUT_PARK_FULL] = "park_full",
		[DP_OUT_PARK_EXPIRED] = "park_expired", [DP_OUT_MTU] = "mtu",
		[DP_OUT_OFFLOAD] = "offload",
	};

	return name[reason];
}

const char *
dp_in_drop_name(enum dp_in_drop reason)
{
	static const char *const name[DP_IN_DROPS] = {
		[DP_IN_BAD_FRAME] = "bad_frame",
		[DP_IN_BAD_RING] = "bad_ring",
		[DP_IN_VLAN] = "vlan",
		[DP_IN_SPOOF] = "spoof",
		[DP_IN_RATE] = "rate",
		[DP_IN_STORM] = "storm",
		[DP_IN_MTU] = "mtu",
		[DP_IN_NO_MBUF] = "no_mbuf",
		[DP_IN_NO_OUTPUT] = "no_output",
	};

	return name[reason];
}
