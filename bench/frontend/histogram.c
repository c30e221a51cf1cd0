/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/histogram.h"

void
histogram_add(struct histogram *h, const struct histogram *from)
{
	unsigned int i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->count[i] += from->count[i];
	h->total += from->total;
	if (from->max > h->max)
		h->max = from->max;
}

/* The largest value that falls into a bucket. */
static uint64_t
bucket_end(unsigned int bucket)
{
	unsigned int exponent;
	uint64_t mantissa;

	if (bucket < (1u << HISTOGRAM_SUB_BITS))
		return bucket;
	exponent = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	mantissa = (bucket & ((1u << HISTOGRAM_SUB_BITS) - 1)) | (1u << HISTOGRAM_SUB_BITS);
	return (mantissa << exponent) + ((UINT64_C(1) << exponent) - 1);
}

uint64_t
histogram_percentile(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->total);
	uint64_t seen = 0;
	unsigned int i;

	if (h->total == 0)
		return 0;
	if ((double)wanted < share * (double)h->total || wanted == 0)
		wanted++;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->count[i];
		if (seen >= wanted)
			return bucket_end(i) < h->max ? bucket_end(i) : h->max;
	}
	return h->max;
}
