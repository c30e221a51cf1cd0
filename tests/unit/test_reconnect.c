/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/reconnect.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/scratch_dir.h"

/* The fake counts the tries of dp_port_connect() and says how they end; what is on the path is of
 * no interest to it, only to inotify. */
#define PORT 3
#define DEADLINE_S 10

static struct event_base *base;
static struct reconnect *reconnect;

static double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static int
setup(void **state)
{
	if (scratch_dir_make(state) < 0 || mkdir(scratch_path(state, "s"), 0755) < 0)
		return -1;
	base = event_base_new();
	fake_dp = (struct fake_dp){.connect_result = -ENOENT};
	reconnect = reconnect_create(base, NULL);
	return reconnect ? 0 : -1;
}

static int
teardown(void **state)
{
	reconnect_destroy(reconnect);
	event_base_free(base);
	return scratch_dir_remove(state);
}

static void
run_for(double seconds)
{
	double end = now_s() + seconds;

	while (now_s() < end)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Runs until there were `n` tries; fails if that takes too long. Returns how long it took. */
static double
run_until_tries(unsigned int n)
{
	double begun = now_s();

	while (fake_dp.connects < n && now_s() < begun + DEADLINE_S)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_true(fake_dp.connects >= n);
	return now_s() - begun;
}

static void
add(void **state, int port, const char *name)
{
	assert_int_equal(reconnect_add(reconnect, port, scratch_path(state, name), false), 0);
}

static void
a_guest_that_is_there_is_met_at_once(void **state)
{
	fake_dp.connect_result = 0;
	add(state, PORT, "s/p");
	assert_int_equal(fake_dp.connects, 1);
	run_for(0.05);
	assert_int_equal(fake_dp.connects, 1);
}

static void
a_socket_that_appears_is_tried_before_the_second_is_over(void **state)
{
	add(state, PORT, "s/p");
	assert_int_equal(fake_dp.connects, 1);
	scratch_file(state, "s/other", "");
	run_for(0.05);
	assert_int_equal(fake_dp.connects, 1);

	scratch_file(state, "s/p", "");
	assert_true(run_until_tries(2) < 0.5);

	/* Also one that was made elsewhere and moved there. */
	scratch_file(state, "p", "");
	fake_dp.connects = 0;
	assert_int_equal(rename(scratch_path(state, "p"), scratch_path(state, "s/p")), 0);
	assert_true(run_until_tries(1) < 0.5);
}

static void
a_socket_that_refuses_is_tried_again_ever_more_slowly(void **state)
{
	unsigned int tries;

	fake_dp.connect_result = -ECONNREFUSED;
	add(state, PORT, "s/p");
	/* After 1, 2, 4, 8, 16 ms. */
	assert_true(run_until_tries(6) < 0.5);
	run_for(0.2);
	tries = fake_dp.connects;
	assert_true(tries < 32);
	fake_dp.connect_result = 0;
	run_until_tries(tries + 1);
	run_for(0.05);
	assert_int_equal(fake_dp.connects, tries + 1);
}

static void
a_lost_guest_is_looked_for_at_once(void **state)
{
	fake_dp.connect_result = 0;
	add(state, PORT, "s/p");
	reconnect_up(reconnect, PORT);
	reconnect_lost(reconnect, PORT);
	assert_int_equal(fake_dp.connects, 2);
}

static void
a_guest_that_never_gets_up_is_not_tried_in_a_circle(void **state)
{
	double end;

	fake_dp.connect_result = 0;
	add(state, PORT, "s/p");
	end = now_s() + 0.3;
	while (now_s() < end) {
		reconnect_lost(reconnect, PORT);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	assert_true(fake_dp.connects > 3);
	assert_true(fake_dp.connects < 15);
	/* One that does is as good as new. */
	reconnect_up(reconnect, PORT);
	run_for(1.1);
	fake_dp.connects = 0;
	reconnect_lost(reconnect, PORT);
	assert_int_equal(fake_dp.connects, 1);
}

static void
a_directory_that_is_replaced_is_found_again(void **state)
{
	add(state, PORT, "s/p");
	assert_int_equal(rmdir(scratch_path(state, "s")), 0);
	run_for(0.01);
	assert_int_equal(mkdir(scratch_path(state, "s"), 0755), 0);
	fake_dp.connects = 0;
	run_until_tries(1); /* the slow try, which also watches the new directory */
	scratch_file(state, "s/p", "");
	assert_true(run_until_tries(2) < 0.5);
}

static void
ports_of_one_directory_do_not_disturb_each_other(void **state)
{
	add(state, PORT, "s/p");
	add(state, PORT + 1, "s/q");
	fake_dp.connects = 0;
	reconnect_del(reconnect, PORT);
	reconnect_del(reconnect, PORT); /* twice does no harm */
	scratch_file(state, "s/p", "");
	run_for(0.05);
	assert_int_equal(fake_dp.connects, 0);
	scratch_file(state, "s/q", "");
	assert_true(run_until_tries(1) < 0.5);
	reconnect_lost(reconnect, PORT);
	reconnect_up(reconnect, PORT);
}

/* A socket without a listener, as a process that was killed leaves it. */
static void
leave_socket(void **state, const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", scratch_path(state, name));
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
}

static bool
is_there(void **state, const char *name)
{
	return access(scratch_path(state, name), F_OK) == 0;
}

static void
a_socket_that_was_left_behind_is_removed_for_who_wants_that(void **state)
{
	double end;

	/* That we were connected to: at once. */
	leave_socket(state, "s/p");
	leave_socket(state, "s/q");
	fake_dp.connect_result = 0;
	assert_int_equal(reconnect_add(reconnect, PORT, scratch_path(state, "s/p"), true), 0);
	assert_int_equal(reconnect_add(reconnect, PORT + 1, scratch_path(state, "s/q"), false), 0);
	fake_dp.connect_result = -ECONNREFUSED;
	reconnect_lost(reconnect, PORT);
	reconnect_lost(reconnect, PORT + 1);
	assert_false(is_there(state, "s/p"));
	assert_true(is_there(state, "s/q"));

	/* Another only when it is old: who made it may be about to listen. */
	leave_socket(state, "s/p");
	fake_dp.connects = 0;
	run_until_tries(1);
	assert_true(is_there(state, "s/p"));
	for (end = now_s() + DEADLINE_S; is_there(state, "s/p") && now_s() < end;)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_false(is_there(state, "s/p"));

	/* Nothing but a socket. */
	scratch_file(state, "s/p", "");
	run_for(0.05);
	assert_true(is_there(state, "s/p"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_that_is_there_is_met_at_once),
		TEST(a_socket_that_appears_is_tried_before_the_second_is_over),
		TEST(a_socket_that_refuses_is_tried_again_ever_more_slowly),
		TEST(a_lost_guest_is_looked_for_at_once),
		TEST(a_guest_that_never_gets_up_is_not_tried_in_a_circle),
		TEST(a_directory_that_is_replaced_is_found_again),
		TEST(a_socket_that_was_left_behind_is_removed_for_who_wants_that),
		TEST(ports_of_one_directory_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
