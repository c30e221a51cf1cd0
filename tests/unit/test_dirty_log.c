/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/dirty_log.h"

#define WORDS 4
#define PAGES (WORDS * 64)
#define PAGE(n) ((uint64_t)(n) << DIRTY_LOG_PAGE_SHIFT)

static uint64_t word[WORDS + 1]; /* one more, which nobody may touch */
static const struct dirty_log log_of_words = {.word = word, .pages = PAGES};

static int
setup(void **state)
{
	(void)state;
	memset(word, 0, sizeof(word));
	return 0;
}

/* Exactly the pages from..to are marked. */
static void
assert_marked(unsigned int from, unsigned int to)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++)
		assert_int_equal(word[page / 64] >> page % 64 & 1, page >= from && page <= to);
	assert_int_equal(word[WORDS], 0);
}

static void
a_range_marks_each_page_that_it_touches(void **state)
{
	static const struct {
		uint64_t addr, bytes;
		unsigned int from, to;
	} ranges[] = {
		{0, 1, 0, 0},
		{PAGE(1) - 1, 1, 0, 0},
		{PAGE(1), 1, 1, 1},
		{PAGE(5) + 7, 100, 5, 5},
		{PAGE(6) - 1, 2, 5, 6},
		{PAGE(63), 2 * PAGE(1), 63, 64},
		{PAGE(60) + 1, PAGE(80) - 1, 60, 139},
		{0, PAGE(PAGES), 0, PAGES - 1},
		{PAGE(PAGES) - 1, 1, PAGES - 1, PAGES - 1},
	};
	unsigned int i;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		setup(state);
		dirty_log_mark(&log_of_words, ranges[i].addr, ranges[i].bytes);
		assert_marked(ranges[i].from, ranges[i].to);
	}
}

static void
marks_of_others_stay(void **state)
{
	(void)state;
	dirty_log_mark(&log_of_words, PAGE(3), 1);
	dirty_log_mark(&log_of_words, PAGE(4), 1);
	dirty_log_mark(&log_of_words, PAGE(3), 1);
	assert_marked(3, 4);
}

static void
what_is_outside_is_left_out(void **state)
{
	(void)state;
	dirty_log_mark(&log_of_words, PAGE(PAGES), PAGE(1));
	dirty_log_mark(&log_of_words, UINT64_MAX, 1);
	dirty_log_mark(&log_of_words, UINT64_MAX - 2, 100); /* around the end */
	assert_marked(1, 0);
	dirty_log_mark(&log_of_words, PAGE(PAGES - 2), PAGE(100));
	assert_marked(PAGES - 2, PAGES - 1);
}

static void
the_front_end_sees_the_marks(void **state)
{
	int fd = memfd_create("log", 0);
	struct dirty_log *log;
	uint8_t byte = 0;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	log = dirty_log_open(fd, 20); /* two words, and half a one, which is not used */
	assert_non_null(log);
	assert_int_equal(log->pages, 128);
	dirty_log_mark(log, PAGE(9), 1);
	dirty_log_mark(log, PAGE(128), 1);
	assert_int_equal(pread(fd, &byte, 1, 1), 1);
	assert_int_equal(byte, 1 << 1);
	assert_int_equal(pread(fd, &byte, 1, 16), 1);
	assert_int_equal(byte, 0);
	dirty_log_close(log);
	close(fd);
}

static void
what_is_no_file_is_no_log(void **state)
{
	(void)state;
	assert_null(dirty_log_open(-1, 4096));
	dirty_log_close(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_marks_each_page_that_it_touches),
		cmocka_unit_test_setup(marks_of_others_stay, setup),
		cmocka_unit_test_setup(what_is_outside_is_left_out, setup),
		cmocka_unit_test(the_front_end_sees_the_marks),
		cmocka_unit_test(what_is_no_file_is_no_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
