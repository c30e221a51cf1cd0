/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/uplink_wake.h"

#define N 4

/* A descriptor that another thread has just closed is given to the next socket. */
static void
sockets_are_sorted_by_age(void **state)
{
	int opened[N], fd[N], spare[N];
	unsigned int i;

	(void)state;
	for (i = 0; i < N; i++)
		spare[i] = dup(STDIN_FILENO);
	for (i = N; i-- > 0;) {
		close(spare[i]);
		opened[i] = socket(AF_PACKET, SOCK_RAW, 0);
		if (opened[i] < 0)
			skip(); /* not root */
	}
	assert_true(opened[0] < opened[N - 1]);
	for (i = 0; i < N; i++)
		fd[i] = opened[i];
	uplink_wake_sort(fd, N);
	for (i = 0; i < N; i++)
		assert_int_equal(fd[i], opened[N - 1 - i]);
	for (i = 0; i < N; i++)
		close(opened[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_are_sorted_by_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
