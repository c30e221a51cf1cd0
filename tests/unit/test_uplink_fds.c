/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_ethdev.h>

#include "datapath/uplink_fds.h"

/* The test is the driver: connect(), eventfd() and close() are called as it calls them. */
static int interrupt_fd[2];

int
rte_eth_dev_info_get(uint16_t dev, struct rte_eth_dev_info *info)
{
	(void)dev;
	*info = (struct rte_eth_dev_info){.nb_rx_queues = 2};
	return 0;
}

int
rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t dev, uint16_t queue)
{
	(void)dev;
	return interrupt_fd[queue];
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void
begin_to_close(void)
{
	interrupt_fd[0] = eventfd(0, 0);
	interrupt_fd[1] = eventfd(0, 0);
	uplink_fds_close_begin(0);
}

static void
what_is_closed_twice_has_its_number_until_the_second_time(void **state)
{
	int other;

	(void)state;
	begin_to_close();
	assert_int_equal(close(interrupt_fd[0]), 0);
	assert_int_equal(close(interrupt_fd[1]), 0);
	other = eventfd(0, 0);
	assert_int_not_equal(other, interrupt_fd[0]);
	assert_int_not_equal(other, interrupt_fd[1]);
	assert_int_equal(close(interrupt_fd[0]), 0);
	assert_false(is_open(interrupt_fd[0]));
	assert_true(is_open(interrupt_fd[1]));
	uplink_fds_close_end();
	/* Closed once only, it is closed now; and nothing else is. */
	assert_false(is_open(interrupt_fd[1]));
	assert_true(is_open(other));
	assert_int_equal(close(other), 0);
	assert_false(is_open(other));
}

static void
a_number_that_came_again_is_left_alone(void **state)
{
	int other;

	(void)state;
	begin_to_close();
	close(interrupt_fd[0]);
	close(interrupt_fd[0]);
	other = eventfd(0, 0); /* the lowest that is free */
	assert_int_equal(other, interrupt_fd[0]);
	uplink_fds_close_end();
	assert_true(is_open(other));
	assert_true(is_open(interrupt_fd[1]));
	close(other);
	close(interrupt_fd[1]);
}

/* Makes a device as far as it gets, and returns its descriptors. */
static void
make(int connection, int fd[3])
{
	const struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/nobody"};

	uplink_fds_open_begin(connection);
	fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd[0], (const struct sockaddr *)&un, sizeof(un)), 0);
	fd[1] = eventfd(0, 0);
	fd[2] = eventfd(0, 0);
}

static void
a_device_gets_the_connection_and_keeps_what_it_made(void **state)
{
	int pair[2], fd[3], i;
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	make(pair[0], fd);
	uplink_fds_open_end(true);
	assert_int_equal(write(fd[0], "x", 1), 1);
	assert_int_equal(read(pair[1], &byte, 1), 1);
	for (i = 0; i < 3; i++)
		assert_int_equal(close(fd[i]), 0);
	assert_true(is_open(pair[0]));
	close(pair[0]);
	close(pair[1]);
}

static void
a_device_that_fails_keeps_nothing(void **state)
{
	int pair[2], fd[3], other;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	make(pair[0], fd);
	/* What it closes itself may be another's before it is over. */
	assert_int_equal(close(fd[1]), 0);
	other = dup(pair[1]);
	assert_int_equal(other, fd[1]);
	uplink_fds_open_end(false);
	assert_false(is_open(fd[0]));
	assert_true(is_open(other));
	assert_false(is_open(fd[2]));
	assert_true(is_open(pair[0]));
	close(other);
	close(pair[0]);
	close(pair[1]);
}

static void
without_a_connection_it_connects(void **state)
{
	const struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/nobody"};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	uplink_fds_open_begin(-1);
	assert_int_equal(connect(fd, (const struct sockaddr *)&un, sizeof(un)), -1);
	assert_int_equal(errno, ENOENT);
	uplink_fds_open_end(true);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_closed_twice_has_its_number_until_the_second_time),
		cmocka_unit_test(a_number_that_came_again_is_left_alone),
		cmocka_unit_test(a_device_gets_the_connection_and_keeps_what_it_made),
		cmocka_unit_test(a_device_that_fails_keeps_nothing),
		cmocka_unit_test(without_a_connection_it_connects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
