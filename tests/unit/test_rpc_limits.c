/* SPDX-License-Identifier: BSD-3-Clause */
/* What a client may ask of the server: lines, connections, and that it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/envelope.h"
#include "tests/unit/rpc_fixture.h"

static void
a_line_that_is_not_finished_ends_the_connection(void **state)
{
	int fd = connect_client();

	(void)state;
	send_text(fd, ECHO("1") "{");
	assert_line(fd, ECHOED("1"));
	assert_error(fd, ENVELOPE_INVALID);
	assert_closed(fd);
}

static void
a_line_that_is_finished_late_but_in_time_is_served(void **state)
{
	int fd = connect_client();
	double end = now_s() + 3 * PARTIAL_MS / 1000.0;

	(void)state;
	/* Idle is not half a line. */
	while (now_s() < end)
		event_base_loop(base, EVLOOP_NONBLOCK);
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,");
	send_text(fd, "\"method\":\"echo\"}\n");
	assert_line(fd, ECHOED("1"));
	while (now_s() < end + 3 * PARTIAL_MS / 1000.0)
		event_base_loop(base, EVLOOP_NONBLOCK);
	send_text(fd, ECHO("2"));
	assert_line(fd, ECHOED("2"));
	close(fd);
}

static void
the_longest_line_is_taken_and_one_more_byte_is_not(void **state)
{
	int fd = connect_client();
	char *line = malloc(RPC_LINE_MAX + 2);

	(void)state;
	memset(line, ' ', RPC_LINE_MAX + 2);
	memcpy(line, ECHO("1"), strlen(ECHO("1")) - 1);
	line[RPC_LINE_MAX] = '\n';
	assert_true(try_send(fd, line, RPC_LINE_MAX + 1));
	assert_line(fd, ECHOED("1"));
	line[RPC_LINE_MAX] = ' ';
	line[RPC_LINE_MAX + 1] = '\n';
	try_send(fd, line, RPC_LINE_MAX + 2);
	assert_error(fd, ENVELOPE_INVALID);
	assert_closed(fd);
	assert_int_equal(calls, 1);
	free(line);
}

static void
a_long_line_without_end_is_not_gathered(void **state)
{
	int fd = connect_client();
	char *line = malloc(2 * RPC_LINE_MAX);

	(void)state;
	memset(line, 'x', 2 * RPC_LINE_MAX);
	assert_false(try_send(fd, line, 2 * RPC_LINE_MAX));
	assert_error(fd, ENVELOPE_INVALID);
	assert_closed(fd);
	free(line);
}

static void
who_does_not_read_is_not_read(void **state)
{
	int deaf = connect_client(), other = connect_client();
	unsigned int sent = 0;

	(void)state;
	while (sent < 10000 && try_send(deaf, BIG, strlen(BIG)))
		sent++;
	assert_true(sent < 10000); /* the way in is full */
	/* Some replies are in the kernel, a few with us, and all other requests wait. */
	assert_true(calls < 100);
	send_text(other, ECHO("1"));
	assert_line(other, ECHOED("1"));
	/* When it reads, it gets all that it asked for. */
	for (unsigned int i = 0; i < 20; i++) {
		char *line = read_line(deaf);

		assert_non_null(line);
		assert_true(strlen(line) > BIG_SIZE);
		free(line);
	}
	close(deaf);
	close(other);
}

static void
one_connection_too_many_is_told_so(void **state)
{
	int fd[CONNECTIONS_MAX], more;

	(void)state;
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		fd[i] = connect_client();
		send_text(fd[i], ECHO("1"));
		assert_line(fd[i], ECHOED("1"));
	}
	more = connect_client();
	assert_error(more, ENVELOPE_DOMAIN);
	assert_closed(more);
	close(fd[0]);
	for (bool served = false; !served;) {
		char *line;

		more = connect_client();
		try_send(more, ECHO("1"), strlen(ECHO("1")));
		line = read_line(more);
		served = line && !strcmp(line, ECHOED("1"));
		free(line);
		close(more);
	}
	for (int i = 1; i < CONNECTIONS_MAX; i++)
		close(fd[i]);
}

static void
a_lack_of_descriptors_passes(void **state)
{
	struct rlimit limit, low;
	int fd, highest = dup(0);

	(void)state;
	close(highest);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = highest + 1; /* the client's */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	fd = connect_client();
	for (int i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	setrlimit(RLIMIT_NOFILE, &limit);
	send_text(fd, ECHO("1"));
	assert_line(fd, ECHOED("1"));
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_rpc, teardown_rpc)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_that_is_not_finished_ends_the_connection),
		TEST(a_line_that_is_finished_late_but_in_time_is_served),
		TEST(the_longest_line_is_taken_and_one_more_byte_is_not),
		TEST(a_long_line_without_end_is_not_gathered),
		TEST(who_does_not_read_is_not_read),
		TEST(one_connection_too_many_is_told_so),
		TEST(a_lack_of_descriptors_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
