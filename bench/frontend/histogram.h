/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_HISTOGRAM_H
#define FRONTEND_HISTOGRAM_H

#include <stdint.h>

/*
 * A log-linear histogram: each power of two is cut into 64 equal buckets, so that a percentile is
 * right within 1.6 % whatever its size, and a record costs a few instructions.
 * Pure; the unit is the caller's. Thread: one writer. May wait: no.
 */
#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t total;
	uint64_t max;
	uint64_t count[HISTOGRAM_BUCKETS];
};

static inline unsigned int
histogram_bucket(uint64_t value)
{
	unsigned int exponent;

	if (value < (UINT64_C(1) << HISTOGRAM_SUB_BITS))
		return (unsigned int)value;
	exponent = 63u - (unsigned int)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return (exponent << HISTOGRAM_SUB_BITS) + (unsigned int)(value >> exponent);
}

static inline void
histogram_record(struct histogram *h, uint64_t value)
{
	h->count[histogram_bucket(value)]++;
	h->total++;
	if (value > h->max)
		h->max = value;
}

/* Adds what `from` holds. */
void histogram_add(struct histogram *h, const struct histogram *from);

/*
 * The smallest value that at least `share` (0..1) of the records do not exceed, as the upper end of
 * its bucket but never over the maximum; 0 where nothing was recorded.
 */
uint64_t histogram_percentile(const struct histogram *h, double share);

#endif
