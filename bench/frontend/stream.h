/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_STREAM_H
#define FRONTEND_STREAM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What arrived of one stream: told by numbers, is each frame new, late, or here for the second time?
 * A stream is what one transmit queue sends in one flow: a switch may spread flows over receive
 * queues, but must not reorder within one.
 * Pure. Thread: one writer. May wait: no.
 */
#define STREAM_WINDOW 16384 /* numbers back to which a late frame is told from a duplicate */

struct stream {
	uint64_t next; /* highest number seen + 1 */
	uint64_t unique;
	uint64_t duplicate;
	uint64_t reordered;
	uint64_t too_late; /* nearly a window or more behind: late or duplicate, nobody knows */
	uint32_t partial_sequence; /* frame that arrives in segments: its number's lower half */
	uint32_t partial_bytes; /* how much of its payload has come */
	uint64_t seen[STREAM_WINDOW / 64];
} __attribute__((aligned(64)));

/* Prepares the window for a number that is ahead. */
void stream_advance(struct stream *stream, uint64_t sequence);

/* Counts the arrival of `count` frames that follow each other, the first of them the next expected. */
void stream_accept_next(struct stream *stream, uint64_t count);

/*
 * Takes in one segment of a frame that was cut on its way. Returns true when it completes the
 * frame, which is counted then; a frame with a segment missing is never counted.
 */
bool stream_accept_segment(struct stream *stream, uint32_t sequence_low, uint32_t offset,
			   uint32_t bytes, bool is_last);

/* Counts the arrival of a frame. */
static inline void
stream_accept(struct stream *stream, uint64_t sequence)
{
	uint64_t *word = &stream->seen[sequence / 64 % (STREAM_WINDOW / 64)];
	uint64_t bit = UINT64_C(1) << sequence % 64;

	if (sequence >= stream->next) {
		if (sequence != stream->next || sequence % 64 == 0)
			stream_advance(stream, sequence);
		stream->next = sequence + 1;
	} else if (stream->next - sequence > STREAM_WINDOW - 64) {
		stream->too_late++;
		return;
	} else if (*word & bit) {
		stream->duplicate++;
		return;
	} else {
		stream->reordered++;
	}
	*word |= bit;
	stream->unique++;
}

#endif
