/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/vhost_watchdog.h"

static int pair[2];
static _Atomic pid_t tid;
static _Atomic int cut_fd = -1;

static void
only_a_blocked_transfer_counts(void **state)
{
	(void)state;
	assert_int_equal(vhost_watchdog_parse("running\n"), -1);
	assert_int_equal(vhost_watchdog_parse("-1 0x7ffd 0x7f00\n"), -1);
	assert_int_equal(vhost_watchdog_parse(""), -1);
#ifdef __x86_64__
	/* poll, then recvmsg, sendmsg, read, write */
	assert_int_equal(vhost_watchdog_parse("7 0x55 0x2 0x3e8 0x0 0x0 0x0 0x7ffd 0x7f00\n"), -1);
	assert_int_equal(vhost_watchdog_parse("47 0x1b 0x2 0x0 0x0 0x0 0x0 0x7ffd 0x7f00\n"), 0x1b);
	assert_int_equal(vhost_watchdog_parse("46 0x5 0x2 0x0 0x0 0x0 0x0 0x7ffd 0x7f00\n"), 5);
	assert_int_equal(vhost_watchdog_parse("0 0x6 0x2 0x0 0x0 0x0 0x0 0x7ffd 0x7f00\n"), 6);
	assert_int_equal(vhost_watchdog_parse("1 0x7 0x2 0x0 0x0 0x0 0x0 0x7ffd 0x7f00\n"), 7);
#endif
}

static void *
wait_for_peer(void *arg)
{
	char byte;

	(void)arg;
	tid = gettid();
	return (void *)(intptr_t)read(pair[0], &byte, 1);
}

static bool
cut(int fd)
{
	cut_fd = fd;
	shutdown(fd, SHUT_RDWR);
	return true;
}

static void
a_thread_that_waits_for_its_peer_is_freed(void **state)
{
	struct timespec deadline;
	pthread_t thread;
	void *ret;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_peer, NULL), 0);
	while (tid == 0)
		sched_yield();
	assert_int_equal(vhost_watchdog_start(tid, cut), 0);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	assert_int_equal(pthread_timedjoin_np(thread, &ret, &deadline), 0);
	assert_int_equal((intptr_t)ret, 0); /* end of file */
	assert_int_equal(cut_fd, pair[0]);
	vhost_watchdog_stop();
	close(pair[0]);
	close(pair[1]);
}

static void
a_thread_that_is_not_there_is_not_watched(void **state)
{
	(void)state;
	assert_true(vhost_watchdog_start(0, cut) < 0);
	vhost_watchdog_stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_blocked_transfer_counts),
		cmocka_unit_test(a_thread_that_waits_for_its_peer_is_freed),
		cmocka_unit_test(a_thread_that_is_not_there_is_not_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
