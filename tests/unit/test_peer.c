/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/peer.h"

static void
credentials_decide(void **state)
{
	const struct peer_policy policy = {.uid = 100, .group = 7};
	const struct peer_policy reading = {.uid = 100, .group = 7, .group_reads_only = true};
	const struct peer_policy no_group = {.uid = 100, .group = (gid_t)-1};
	const gid_t member[] = {5, 6, 7}, stranger[] = {5, 6, (gid_t)-1};

	(void)state;
	assert_int_equal(peer_judge(&policy, 0, stranger, 3), PEER_OWNER);
	assert_int_equal(peer_judge(&policy, 100, stranger, 3), PEER_OWNER);
	assert_int_equal(peer_judge(&policy, 101, stranger, 3), PEER_NOTHING);
	assert_int_equal(peer_judge(&policy, 101, member, 3), PEER_ALL);
	assert_int_equal(peer_judge(&policy, 101, member, 2), PEER_NOTHING);
	assert_int_equal(peer_judge(&reading, 101, member, 3), PEER_READ);
	assert_int_equal(peer_judge(&reading, 0, member, 3), PEER_OWNER);
	assert_int_equal(peer_judge(&no_group, 101, stranger, 3), PEER_NOTHING);
}

static void
the_kernel_is_asked(void **state)
{
	/* Nobody's policy: only membership of our own group lets us in, unless we are root. */
	const struct peer_policy policy = {.uid = (uid_t)-1, .group = getgid()};
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(peer_access(&policy, fd[0]), getuid() == 0 ? PEER_OWNER : PEER_ALL);
	close(fd[0]);
	close(fd[1]);
	assert_int_equal(peer_access(&policy, fd[0]), PEER_NOTHING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_decide),
		cmocka_unit_test(the_kernel_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
