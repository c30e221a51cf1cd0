/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>
#include <rte_cycles.h>

#include "datapath/capture.h"

#define LCORES 3
#define BYTES 100

/* EAL, which does not run here, would measure it. */
uint64_t
rte_get_tsc_hz(void)
{
	return 2000000000;
}

static struct capture *capture;

static int
teardown(void **unused)
{
	(void)unused;
	capture_destroy(capture);
	capture = NULL;
	return 0;
}

static void
start(unsigned int snaplen)
{
	capture = capture_create(snaplen, LCORES);
	assert_non_null(capture);
}

/* A frame in two pieces whose bytes count up from `first`; the head is a private copy that differs
 * from what lies in the buffers by now. */
static struct frame
frame_in_pieces(uint8_t *data, uint8_t first, uint32_t bytes)
{
	static struct burst_seg rest;
	struct frame f = {.bytes = bytes, .n_more = 1, .more = &rest};

	for (uint32_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(first + i);
	memcpy(f.head, data, RTE_MIN(bytes, (uint32_t)FRAME_HEAD_BYTES));
	f.first = (struct burst_seg){data, bytes / 2};
	rest = (struct burst_seg){data + bytes / 2, bytes - bytes / 2};
	memset(data, 0xee, 4); /* the guest has changed it */
	return f;
}

static void
assert_counts_up(const uint8_t *data, uint8_t first, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_equal(data[i], (uint8_t)(first + i));
}

static void
test_what_was_seen_is_read(void **unused)
{
	uint8_t data[BYTES];
	struct frame f = frame_in_pieces(data, 5, BYTES);
	struct dp_captured got;

	(void)unused;
	start(262144);
	assert_false(capture_read(capture, &got));
	capture_frame(capture, 2, true, &f, false);
	f = frame_in_pieces(data, 50, 14);
	capture_frame(capture, 2, false, &f, false);
	assert_true(capture_read(capture, &got));
	assert_true(got.to_guest);
	assert_int_equal(got.frame_bytes, BYTES);
	assert_int_equal(got.bytes, BYTES);
	assert_counts_up(got.data, 5, BYTES);
	assert_true(capture_read(capture, &got));
	assert_false(got.to_guest);
	assert_int_equal(got.bytes, 14);
	assert_counts_up(got.data, 50, 14);
	assert_false(capture_read(capture, &got));
	assert_int_equal(capture_lost(capture), 0);
}

static void
test_frames_are_cut(void **unused)
{
	static const unsigned int snaplens[] = {1, 12, 15, 16, 17, 31, 33, 99, 100, 101};
	uint8_t data[BYTES];
	struct frame f = frame_in_pieces(data, 0, BYTES);
	struct dp_captured got;

	(void)unused;
	for (size_t i = 0; i < sizeof(snaplens) / sizeof(snaplens[0]); i++) {
		start(snaplens[i]);
		capture_frame(capture, 1, true, &f, false);
		assert_true(capture_read(capture, &got));
		assert_int_equal(got.bytes, RTE_MIN(snaplens[i], (unsigned int)BYTES));
		assert_int_equal(got.frame_bytes, BYTES);
		assert_counts_up(got.data, 0, got.bytes);
		teardown(NULL);
	}
}

static void
test_tags_come_and_go(void **unused)
{
	static const uint8_t tag[] = {0x81, 0x00, 0x01, 0x23};
	static const unsigned int snaplens[] = {262144, 11, 12, 13, 15, 16, 17};
	uint8_t data[BYTES];
	struct frame f = frame_in_pieces(data, 0, BYTES);
	struct dp_captured got;
	uint8_t all[BYTES + 4];

	(void)unused;
	f.vlan = 0x123;
	memcpy(all, f.head, 12);
	memcpy(all + 12, tag, 4);
	for (unsigned int i = 12; i < BYTES; i++)
		all[4 + i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(snaplens) / sizeof(snaplens[0]); i++) {
		start(snaplens[i]);
		f.tagged = false;
		capture_frame(capture, 1, true, &f, true);
		assert_true(capture_read(capture, &got));
		assert_int_equal(got.frame_bytes, BYTES + 4);
		assert_int_equal(got.bytes, RTE_MIN(snaplens[i], BYTES + 4u));
		assert_memory_equal(got.data, all, got.bytes);
		f.tagged = true;
		capture_frame(capture, 1, true, &f, true);
		assert_true(capture_read(capture, &got));
		assert_int_equal(got.frame_bytes, BYTES);
		assert_counts_up(got.data, 0, got.bytes);
		capture_frame(capture, 1, true, &f, false);
		assert_true(capture_read(capture, &got));
		assert_int_equal(got.frame_bytes, BYTES - 4);
		assert_int_equal(got.bytes, RTE_MIN(snaplens[i], BYTES - 4u));
		assert_counts_up(got.data, 0, RTE_MIN(got.bytes, 12u));
		if (got.bytes > 12)
			assert_counts_up(got.data + 12, 16, got.bytes - 12);
		teardown(NULL);
	}
}

/* Around the ring's end many times, with sizes that meet it everywhere. */
static void
test_ring_goes_around(void **unused)
{
	static uint8_t data[FRAME_BYTES_MAX];
	struct dp_captured got;

	(void)unused;
	start(262144);
	for (unsigned int i = 0; i < 3000; i++) {
		uint32_t bytes = i % 7 == 0 ? FRAME_BYTES_MAX : 60 + i * 37 % 3000;
		struct frame f = frame_in_pieces(data, (uint8_t)i, bytes);

		capture_frame(capture, 1, i % 2, &f, false);
		if (i % 2 == 0)
			continue;
		for (unsigned int k = i - 1; k <= i; k++) {
			bytes = k % 7 == 0 ? FRAME_BYTES_MAX : 60 + k * 37 % 3000;
			assert_true(capture_read(capture, &got));
			assert_int_equal(got.to_guest, k % 2);
			assert_int_equal(got.bytes, bytes);
			assert_counts_up(got.data, (uint8_t)k, bytes);
		}
		assert_false(capture_read(capture, &got));
	}
	assert_int_equal(capture_lost(capture), 0);
}

static void
test_what_has_no_room_is_lost(void **unused)
{
	uint8_t data[BYTES];
	struct frame f = frame_in_pieces(data, 0, BYTES);
	unsigned int sent = 0, kept = 0;
	struct dp_captured got;

	(void)unused;
	start(262144);
	while (capture_lost(capture) < 10) {
		capture_frame(capture, 1, true, &f, false);
		sent++;
	}
	/* Others have room of their own. */
	capture_frame(capture, 3, true, &f, false);
	assert_int_equal(capture_lost(capture), 10);
	while (capture_read(capture, &got)) {
		assert_counts_up(got.data, 0, BYTES);
		kept++;
	}
	assert_int_equal(kept, sent - 10 + 1);
	assert_true(kept > 1000);
	capture_frame(capture, 1, true, &f, false);
	assert_true(capture_read(capture, &got));
	assert_int_equal(capture_lost(capture), 10);
}

static uint32_t
size_of(unsigned int i)
{
	return i % 5 == 0 ? 50000 + i * 97 % 9000 : 60 + i * 37 % 3000;
}

/* A reader that is behind all the time: what is in the ring is not written over, wherever it lies. */
static void
test_slow_reader_gets_whole_frames(void **unused)
{
	static uint8_t data[FRAME_BYTES_MAX];
	static unsigned int kept[100000];
	unsigned int n_kept = 0, n_read = 0, i = 0;
	struct dp_captured got;
	uint64_t lost = 0;

	(void)unused;
	start(262144);
	while (n_read < 5000) {
		while (capture_lost(capture) == lost) {
			struct frame f = frame_in_pieces(data, (uint8_t)i, size_of(i));

			capture_frame(capture, 1, true, &f, false);
			if (capture_lost(capture) == lost)
				kept[n_kept++] = i;
			i++;
		}
		lost = capture_lost(capture);
		for (unsigned int k = 0; k < 1 + lost % 40; k++, n_read++) {
			assert_true(capture_read(capture, &got));
			assert_int_equal(got.bytes, size_of(kept[n_read]));
			assert_counts_up(got.data, (uint8_t)kept[n_read], got.bytes);
		}
	}
	assert_true(lost > 100);
}

static void
test_lcores_are_merged_by_time(void **unused)
{
	uint8_t data[BYTES];
	struct dp_captured got;
	struct timespec ts;
	int64_t before, last = 0;

	(void)unused;
	start(262144);
	clock_gettime(CLOCK_REALTIME, &ts);
	before = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
	for (unsigned int i = 0; i < 60; i++) {
		struct frame f = frame_in_pieces(data, (uint8_t)i, 60);

		capture_frame(capture, 1 + i * 7 % LCORES, true, &f, false);
	}
	for (unsigned int i = 0; i < 60; i++) {
		assert_true(capture_read(capture, &got));
		assert_counts_up(got.data, (uint8_t)i, 60);
		assert_true(got.time_ns >= last);
		last = got.time_ns;
	}
	/* The TSC's rate is not the one told above; the clock is right within far less than this. */
	assert_true(last > before - INT64_C(60000000000));
	assert_true(last < before + INT64_C(60000000000));
}

#define THREAD_FRAMES 200000

static void *
capture_many(void *arg)
{
	unsigned int lcore = *(unsigned int *)arg;
	uint8_t data[64];
	struct frame f = {.bytes = sizeof(data), .first = {data, sizeof(data)}};

	for (uint32_t i = 0; i < THREAD_FRAMES; i++) {
		memset(data, (int)i, sizeof(data));
		memcpy(data + FRAME_HEAD_BYTES, &i, sizeof(i));
		memcpy(f.head, data, FRAME_HEAD_BYTES);
		capture_frame(capture, lcore, lcore == 1, &f, false);
	}
	return NULL;
}

/* Each frame is read once, whole and in its lcore's order, or is lost. */
static void
test_threads(void **unused)
{
	unsigned int lcore[2] = {1, 2}, read = 0, running = 2;
	uint32_t next[2] = {0};
	struct dp_captured got;
	pthread_t thread[2];
	uint32_t i;

	(void)unused;
	start(262144);
	for (unsigned int t = 0; t < 2; t++)
		assert_int_equal(pthread_create(&thread[t], NULL, capture_many, &lcore[t]), 0);
	while (running > 0 || capture_read(capture, &got)) {
		if (running > 0) {
			if (pthread_tryjoin_np(thread[running - 1], NULL) == 0)
				running--;
			if (!capture_read(capture, &got))
				continue;
		}
		memcpy(&i, got.data + FRAME_HEAD_BYTES, sizeof(i));
		for (unsigned int k = 0; k < 64; k++) {
			if (k < FRAME_HEAD_BYTES || k >= FRAME_HEAD_BYTES + sizeof(i))
				assert_int_equal(got.data[k], (uint8_t)i);
		}
		assert_true(i >= next[got.to_guest]);
		next[got.to_guest] = i + 1;
		read++;
	}
	assert_int_equal(read + capture_lost(capture), 2 * THREAD_FRAMES);
	assert_true(read > 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_seen_is_read),     TEST(test_frames_are_cut),
		TEST(test_tags_come_and_go),	      TEST(test_ring_goes_around),
		TEST(test_what_has_no_room_is_lost),  TEST(test_slow_reader_gets_whole_frames),
		TEST(test_lcores_are_merged_by_time), TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
