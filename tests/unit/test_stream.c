/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/frontend/stream.h"

static void
assert_counts(const struct stream *stream, uint64_t unique, uint64_t duplicate, uint64_t reordered)
{
	assert_int_equal(stream->unique, unique);
	assert_int_equal(stream->duplicate, duplicate);
	assert_int_equal(stream->reordered, reordered);
	assert_int_equal(stream->too_late, 0);
}

static void
in_order_is_only_unique(void **state)
{
	struct stream stream = {0};
	uint64_t i;

	(void)state;
	for (i = 0; i < 5 * STREAM_WINDOW; i++)
		stream_accept(&stream, i);
	assert_counts(&stream, 5 * STREAM_WINDOW, 0, 0);
	assert_int_equal(stream.next, 5 * STREAM_WINDOW);
}

/* The same, told at once: from every place in a word, over more than a word and more than a lap. */
static void
frames_that_follow_count_as_one_by_one(void **state)
{
	const uint64_t counts[] = {0, 1, 63, 64, 65, STREAM_WINDOW, 2 * STREAM_WINDOW + 7};
	uint64_t first, i, c;

	(void)state;
	for (first = 0; first < 130; first++) {
		for (c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
			struct stream one_by_one = {.next = first}, at_once = {.next = first};

			memset(one_by_one.seen, 0x55, sizeof(one_by_one.seen));
			memset(at_once.seen, 0x55, sizeof(at_once.seen));
			for (i = 0; i < counts[c]; i++)
				stream_accept(&one_by_one, first + i);
			stream_accept_next(&at_once, counts[c]);
			assert_memory_equal(&one_by_one, &at_once, sizeof(at_once));
		}
	}
}

static void
every_second_time_is_a_duplicate(void **state)
{
	struct stream stream = {0};
	uint64_t i;

	(void)state;
	for (i = 0; i < 3 * STREAM_WINDOW; i++) {
		stream_accept(&stream, i);
		stream_accept(&stream, i);
	}
	assert_counts(&stream, 3 * STREAM_WINDOW, 3 * STREAM_WINDOW, 0);
}

static void
late_frames_fill_their_gap_once(void **state)
{
	struct stream stream = {0};

	(void)state;
	stream_accept(&stream, 0);
	stream_accept(&stream, 5);
	stream_accept(&stream, 3);
	stream_accept(&stream, 3);
	stream_accept(&stream, 5);
	assert_counts(&stream, 3, 2, 1);
	assert_int_equal(stream.next, 6);
}

/* A jump over several laps of the window must leave nothing of the old laps. */
static void
a_jump_forgets_what_was(void **state)
{
	uint64_t jump;

	(void)state;
	for (jump = 1; jump < 3 * STREAM_WINDOW; jump++) {
		struct stream stream = {0};
		uint64_t i, first = 200;

		for (i = 0; i < first; i++)
			stream_accept(&stream, i);
		stream_accept(&stream, first + jump);
		/* All that was jumped over and lies within reach is late, not twice. */
		for (i = first; i < first + jump; i++) {
			if (first + jump + 1 - i <= STREAM_WINDOW - 64)
				stream_accept(&stream, i);
		}
		assert_int_equal(stream.duplicate, 0);
		assert_int_equal(stream.too_late, 0);
		assert_int_equal(stream.unique, first + 1 + stream.reordered);
	}
}

static void
beyond_the_window_nobody_knows(void **state)
{
	struct stream stream = {0};

	(void)state;
	stream_accept(&stream, 10 * STREAM_WINDOW);
	stream_accept(&stream, 8 * STREAM_WINDOW);
	assert_int_equal(stream.too_late, 1);
	assert_int_equal(stream.unique, 1);
}

static void
segments_make_a_frame(void **state)
{
	struct stream stream = {0};

	(void)state;
	assert_false(stream_accept_segment(&stream, 0, 0, 1000, false));
	assert_false(stream_accept_segment(&stream, 0, 1000, 1000, false));
	assert_true(stream_accept_segment(&stream, 0, 2000, 100, true));
	assert_counts(&stream, 1, 0, 0);
	assert_false(stream_accept_segment(&stream, 1, 0, 1000, false));
	assert_true(stream_accept_segment(&stream, 1, 1000, 10, true));
	assert_counts(&stream, 2, 0, 0);
}

static void
a_missing_segment_makes_no_frame(void **state)
{
	struct stream stream = {0};

	(void)state;
	assert_false(stream_accept_segment(&stream, 0, 0, 1000, false));
	assert_false(stream_accept_segment(&stream, 0, 2000, 100, true));
	assert_false(stream_accept_segment(&stream, 1, 1000, 100, true));
	assert_counts(&stream, 0, 0, 0);
}

/* Segments show 32 bits of the number only. */
static void
segments_count_beyond_32_bits(void **state)
{
	struct stream stream = {.next = (UINT64_C(7) << 32) - 1};

	(void)state;
	assert_true(stream_accept_segment(&stream, UINT32_MAX, 0, 10, true));
	assert_true(stream_accept_segment(&stream, 0, 0, 10, true));
	assert_counts(&stream, 2, 0, 0);
	assert_int_equal(stream.next, (UINT64_C(7) << 32) + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_is_only_unique),
		cmocka_unit_test(frames_that_follow_count_as_one_by_one),
		cmocka_unit_test(every_second_time_is_a_duplicate),
		cmocka_unit_test(late_frames_fill_their_gap_once),
		cmocka_unit_test(a_jump_forgets_what_was),
		cmocka_unit_test(beyond_the_window_nobody_knows),
		cmocka_unit_test(segments_make_a_frame),
		cmocka_unit_test(a_missing_segment_makes_no_frame),
		cmocka_unit_test(segments_count_beyond_32_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
