/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/limit.h"

#define LIMIT_DEPTH_MAX (UINT64_C(1) << 62)

void
limit_set(struct limit *l, uint64_t units_per_s, uint64_t burst_units, uint32_t frame_units,
	  uint64_t tsc_hz)
{
	unsigned __int128 second = (unsigned __int128)tsc_hz
				   << (LIMIT_FRACTION_BITS + LIMIT_COST_BITS);
	unsigned __int128 depth;

	*l = (struct limit){0};
	if (units_per_s == 0)
		return;
	l->cost = (uint64_t)((second + units_per_s - 1) / units_per_s);
	depth = (unsigned __int128)l->cost * burst_units >> LIMIT_COST_BITS;
	l->depth = depth > LIMIT_DEPTH_MAX ? LIMIT_DEPTH_MAX : (uint64_t)depth;
	if (l->depth == 0)
		l->depth = 1; /* the first frame passes, and the next when it has been paid for */
	/* A second more: an lcore may have been off its CPU since it looked at the clock. */
	l->window = l->depth + limit_cost(l, frame_units) + (tsc_hz << LIMIT_FRACTION_BITS);
}
