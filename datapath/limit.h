/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_LIMIT_H
#define DATAPATH_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Policing and storm control: so many units (bytes, or packets) a second from a port, over all of
 * its queues, whichever lcores poll them, without a lock.
 *
 * A token bucket whose whole state is one word: the time at which it will be full again (the
 * "theoretical arrival time" of the generic cell rate algorithm). What lies ahead of now is what is
 * missing of the depth; each unit puts that time off by what a unit costs. A frame passes while there
 * is any credit, and may leave the bucket in debt: so a bucket of any depth lets a 64 KiB frame
 * through, and what passes in the long run is the rate to the last unit. From a full bucket of B
 * units exactly ceil(B / S) frames of S units pass at once.
 *
 * Time is counted in TSC cycles with LIMIT_FRACTION_BITS more, and a cost is rounded up: a minimal
 * frame at 400 Gbit/s, or a packet at 1 Gpps, takes some 2500 of these units on a slow TSC, so the
 * rate is met within 0.05 % there, and far better below.
 *
 * Times wrap around (after 41 days on a TSC of 5 GHz), so only differences are looked at: up to
 * `window`, which is as far ahead as a bucket can get, they are a deficit, and all else is the past.
 * Whatever the state was, then, it can hold up a port for the time of one debt and a second at most:
 * after an idle time of just those 41 days, or when the limit was given other numbers, or at first.
 * Nothing overflows: depth is cut off at 2^62, and a frame in debt, at one unit a second and 16 GHz,
 * adds less than 2^61.
 *
 * A time slightly before that of another lcore only makes the deficit look larger by as much.
 */
#define LIMIT_FRACTION_BITS 10
#define LIMIT_COST_BITS 20 /* more, of the cost of one unit */

/* Immutable. All zero: no limit. */
struct limit {
	uint64_t cost; /* of a unit; TSC cycles << (LIMIT_FRACTION_BITS + LIMIT_COST_BITS) */
	uint64_t depth; /* TSC cycles << LIMIT_FRACTION_BITS, as below; 0: no limit */
	uint64_t window;
};

/*
 * `units_per_s` 0: no limit; else at most 2^40. A `burst_units` of 0: a frame passes when the one
 * before it is paid for. `frame_units`: of the largest frame, up to 2^17. Thread: any.
 */
void limit_set(struct limit *l, uint64_t units_per_s, uint64_t burst_units, uint32_t frame_units,
	       uint64_t tsc_hz);

static inline bool
limit_is_set(const struct limit *l)
{
	return l->depth != 0;
}

static inline uint64_t
limit_cost(const struct limit *l, uint64_t units)
{
	unsigned __int128 cost = (unsigned __int128)units * l->cost;

	return (uint64_t)((cost + (1 << LIMIT_COST_BITS) - 1) >> LIMIT_COST_BITS);
}

/*
 * Which of the frames with units[0..n-1], n from 1 to 64, may pass: one bit each. One atomic write for
 * all of them; it is tried again only when another lcore has written in between.
 * Thread: any lcore. May wait: no.
 */
static inline uint64_t
limit_take_burst(const struct limit *l, _Atomic uint64_t *state, uint64_t now_tsc,
		 const uint32_t *units, unsigned int n)
{
	uint64_t now = now_tsc << LIMIT_FRACTION_BITS;
	uint64_t full_at = atomic_load_explicit(state, memory_order_relaxed);
	uint64_t lacks, passed;
	unsigned int i;

	if (!limit_is_set(l))
		return UINT64_MAX >> (64 - n);
	do {
		lacks = full_at - now <= l->window ? full_at - now : 0;
		passed = 0;
		for (i = 0; i < n && lacks < l->depth; i++) {
			lacks += limit_cost(l, units[i]);
			passed |= UINT64_C(1) << i;
		}
	} while (passed != 0 && !atomic_compare_exchange_weak_explicit(state, &full_at, now + lacks,
								       memory_order_relaxed,
								       memory_order_relaxed));
	return passed;
}

/* As limit_take_burst(), for one frame. */
static inline bool
limit_take(const struct limit *l, _Atomic uint64_t *state, uint64_t now_tsc, uint32_t units)
{
	return limit_take_burst(l, state, now_tsc, &units, 1) != 0;
}

#endif
