/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/event.h"
#include "datapath/vhost_conn.h"

#define PORT 12
#define VID 3

static struct {
	int times, port;
	uint64_t value;
	enum dp_event_type type;
} posted;

void __wrap_event_post(enum dp_event_type type, uint16_t port, uint64_t value);

void
__wrap_event_post(enum dp_event_type type, uint16_t port, uint64_t value)
{
	posted.times++;
	posted.value = value;
	posted.port = port;
	posted.type = type;
}

static int ends[2]; /* ours, the guest's */

static int
set_up(void **state)
{
	(void)state;
	posted.times = 0;
	vhost_conn_forgive(PORT);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		return -1;
	vhost_conn_open(VID, PORT, ends[0]);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	vhost_conn_close(VID);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static bool
hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

static void
a_cut_is_seen_at_both_ends_and_told_once(void **state)
{
	(void)state;
	errno = EXDEV;
	vhost_conn_cut(VID, DP_EVENT_PEER_BAD_MESSAGE, 13);
	assert_int_equal(errno, EXDEV);
	assert_true(hung_up(ends[0]));
	assert_true(hung_up(ends[1]));
	assert_int_equal(posted.port, PORT);
	assert_int_equal(posted.type, DP_EVENT_PEER_BAD_MESSAGE);
	assert_int_equal(posted.value, 13);
	vhost_conn_cut(VID, DP_EVENT_MEMORY_GONE, 0);
	assert_int_equal(posted.times, 1);
}

static void
a_port_that_was_cut_refuses_for_a_while(void **state)
{
	(void)state;
	assert_false(vhost_conn_refused(PORT));
	vhost_conn_cut(VID, DP_EVENT_MEMORY_GONE, 0);
	assert_true(vhost_conn_refused(PORT));
	assert_false(vhost_conn_refused(PORT + 1));
	vhost_conn_forgive(PORT);
	assert_false(vhost_conn_refused(PORT));
}

static void
a_descriptor_that_is_somebody_else_s_by_now_is_left_alone(void **state)
{
	int others[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, others), 0);
	assert_int_equal(dup2(others[0], ends[0]), ends[0]); /* the number has come again */
	vhost_conn_cut(VID, DP_EVENT_MEMORY_GONE, 0);
	assert_false(hung_up(others[0]));
	assert_false(hung_up(others[1]));
	assert_int_equal(posted.times, 0);
	assert_false(vhost_conn_refused(PORT));
	assert_false(vhost_conn_is_known(others[0]));
	close(others[0]);
	close(others[1]);
}

static void
a_closed_connection_is_not_cut(void **state)
{
	(void)state;
	vhost_conn_close(VID);
	vhost_conn_cut(VID, DP_EVENT_MEMORY_GONE, 0);
	assert_false(hung_up(ends[1]));
	assert_int_equal(posted.times, 0);
	assert_int_equal(vhost_conn_fd(VID), -1);
}

static void
sockets_and_their_copies_are_known(void **state)
{
	int copy = dup(ends[0]);

	(void)state;
	assert_int_equal(vhost_conn_fd(VID), ends[0]);
	assert_true(vhost_conn_is_known(ends[0]));
	assert_true(vhost_conn_is_known(copy));
	assert_false(vhost_conn_is_known(ends[1]));
	assert_false(vhost_conn_is_known(STDIN_FILENO));
	vhost_conn_close(VID);
	assert_false(vhost_conn_is_known(copy));
	close(copy);
}

static void
a_port_s_connections_are_closed_together(void **state)
{
	int others[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, others), 0);
	vhost_conn_open(VID + 1, PORT + 1, others[0]);
	vhost_conn_close_port(PORT);
	assert_int_equal(vhost_conn_fd(VID), -1);
	assert_int_equal(vhost_conn_fd(VID + 1), others[0]);
	vhost_conn_close_port(PORT + 1);
	assert_int_equal(vhost_conn_fd(VID + 1), -1);
	close(others[0]);
	close(others[1]);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_cut_is_seen_at_both_ends_and_told_once),
		CASE(a_port_that_was_cut_refuses_for_a_while),
		CASE(a_descriptor_that_is_somebody_else_s_by_now_is_left_alone),
		CASE(a_closed_connection_is_not_cut),
		CASE(sockets_and_their_copies_are_known),
		CASE(a_port_s_connections_are_closed_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
