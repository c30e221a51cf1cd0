/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/stream.h"

#define WORDS (STREAM_WINDOW / 64)

/* Nothing is known yet of the words between the last number seen and the new one. */
void
stream_advance(struct stream *stream, uint64_t sequence)
{
	uint64_t from = stream->next / 64 + (stream->next % 64 != 0);
	uint64_t to = sequence / 64;

	if (to >= from && to - from >= WORDS)
		from = to - WORDS + 1;
	for (; from <= to; from++)
		stream->seen[from % WORDS] = 0;
}

void
stream_accept_next(struct stream *stream, uint64_t count)
{
	while (count > 0) {
		uint64_t bit = stream->next % 64;
		uint64_t n = count < 64 - bit ? count : 64 - bit;
		uint64_t *word = &stream->seen[stream->next / 64 % WORDS];

		if (bit == 0)
			*word = 0;
		*word |= UINT64_MAX >> (64 - n) << bit;
		stream->next += n;
		stream->unique += n;
		count -= n;
	}
}

/* The whole number that ends in `low`, near to what is expected. */
static uint64_t
sequence_near(const struct stream *stream, uint32_t low)
{
	return stream->next + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)stream->next);
}

bool
stream_accept_segment(struct stream *stream, uint32_t sequence_low, uint32_t offset, uint32_t bytes,
		      bool is_last)
{
	if (offset == 0) {
		stream->partial_sequence = sequence_low;
		stream->partial_bytes = 0;
	}
	if (sequence_low != stream->partial_sequence || offset != stream->partial_bytes)
		return false;
	stream->partial_bytes += bytes;
	if (!is_last)
		return false;
	stream_accept(stream, sequence_near(stream, sequence_low));
	stream->partial_bytes = 0;
	return true;
}
