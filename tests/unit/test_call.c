/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/call.h"

#define VIDS 8

static _Atomic int caught[VIDS]; /* by vid */

static void
blocked(int vid)
{
	atomic_fetch_add(&caught[vid], 1);
}

static int
set_up(void **state)
{
	int vid;

	(void)state;
	for (vid = 0; vid < VIDS; vid++)
		atomic_store(&caught[vid], 0);
	return call_start(blocked);
}

static int
tear_down(void **state)
{
	(void)state;
	call_stop();
	return 0;
}

/* An eventfd that a write waits at, unless it is non-blocking. */
static int
full_eventfd(int flags)
{
	int fd = eventfd(0, flags);

	assert_true(fd >= 0);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	return fd;
}

static void
a_call_is_a_write_of_one(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t n;

	(void)state;
	call_guest(3, fd);
	call_guest(3, fd);
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(caught[3], 0);
	close(fd);
}

static void
a_full_eventfd_that_does_not_block_is_nothing_bad(void **state)
{
	int fd = full_eventfd(EFD_NONBLOCK);

	(void)state;
	call_guest(3, fd);
	assert_int_equal(caught[3], 0);
	close(fd);
}

static void
who_blocks_is_told_and_the_caller_goes_on(void **state)
{
	int fd = full_eventfd(0);
	eventfd_t n;

	(void)state;
	call_guest(3, fd); /* returns */
	assert_int_equal(caught[3], 1);
	/* Nobody emptied it: the next one is caught as well, after the watcher has slept. */
	call_guest(4, fd);
	assert_int_equal(caught[4], 1);
	assert_int_equal(caught[3], 1);
	assert_int_equal(eventfd_read(fd, &n), 0);
	call_guest(5, fd);
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(caught[5], 0);
	close(fd);
}

static void
the_library_s_own_calls_are_watched(void **state)
{
	int fd = full_eventfd(0);

	(void)state;
	call_begin(6);
	assert_int_equal(eventfd_write(fd, 1), -1);
	call_end();
	assert_int_equal(caught[6], 1);
	close(fd);
}

struct slow {
	int pipe[2];
	_Atomic bool begun;
};

/* Takes long over a call, without waiting at the guest's eventfd. */
static void *
be_slow(void *arg)
{
	struct slow *slow = arg;
	char byte;

	call_begin(1);
	atomic_store(&slow->begun, true);
	while (read(slow->pipe[0], &byte, 1) != 1)
		;
	call_end();
	return NULL;
}

static void *
be_caught(void *arg)
{
	call_guest(2, *(int *)arg);
	return NULL;
}

static void
a_slow_caller_is_not_accused(void **state)
{
	struct slow slow = {.begun = false};
	int fd = full_eventfd(0), i;
	pthread_t one, other;

	(void)state;
	assert_int_equal(pipe(slow.pipe), 0);
	assert_int_equal(pthread_create(&one, NULL, be_slow, &slow), 0);
	while (!atomic_load(&slow.begun))
		;
	/* For each catch the watcher has looked twice at both. */
	for (i = 1; i <= 3; i++) {
		assert_int_equal(pthread_create(&other, NULL, be_caught, &fd), 0);
		assert_int_equal(pthread_join(other, NULL), 0);
		assert_int_equal(caught[2], i);
	}
	assert_int_equal(write(slow.pipe[1], "", 1), 1);
	assert_int_equal(pthread_join(one, NULL), 0);
	assert_int_equal(caught[1], 0);
	close(slow.pipe[0]);
	close(slow.pipe[1]);
	close(fd);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_call_is_a_write_of_one),
		CASE(a_full_eventfd_that_does_not_block_is_nothing_bad),
		CASE(who_blocks_is_told_and_the_caller_goes_on),
		CASE(the_library_s_own_calls_are_watched),
		CASE(a_slow_caller_is_not_accused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
