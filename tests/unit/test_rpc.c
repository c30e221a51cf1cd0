/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests and their answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/envelope.h"
#include "tests/unit/rpc_fixture.h"
#include "tests/unit/scratch_dir.h"

static void
the_socket_is_for_us_and_our_group(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void
requests_are_answered_in_order(void **state)
{
	int fd = connect_client();

	(void)state;
	send_text(fd, ECHO("1") ECHO("\"two\"") "\n  \r\n" ECHO(
			      "3") "nonsense\n"
				   "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"none\"}\n");
	assert_line(fd, ECHOED("1"));
	assert_line(fd, ECHOED("\"two\""));
	assert_line(fd, ECHOED("3"));
	assert_error(fd, ENVELOPE_PARSE);
	assert_error(fd, ENVELOPE_NO_METHOD);
	close(fd);
}

static void
ten_thousand_requests_in_one_heap(void **state)
{
	int fd = connect_client();
	char expected[100];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		char request[100];

		sprintf(request, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"echo\"}\n", i);
		send_text(fd, request);
		/* The client reads late, in bursts. */
		for (int k = i - 99; i % 100 == 99 && k <= i; k++) {
			sprintf(expected, ECHOED("%d"), k);
			assert_line(fd, expected);
		}
	}
	assert_int_equal(calls, 10000);
	close(fd);
}

static void
a_heap_of_requests_does_not_keep_others_waiting(void **state)
{
	int fd = connect_client(), other = connect_client();
	char heap[500 * sizeof(ECHO("1"))] = "";

	(void)state;
	for (int i = 0; i < 500; i++)
		strcat(heap, ECHO("1"));
	/* All at once, before the server looks. */
	assert_int_equal(send(fd, heap, strlen(heap), 0), strlen(heap));
	send_text(other, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"mark\"}\n");
	free(read_line(other));
	assert_true(calls_at_mark < 200);
	for (int i = 0; i < 500; i++)
		assert_line(fd, ECHOED("1"));
	assert_int_equal(calls, 501);
	close(fd);
	close(other);
}

static void
a_notification_has_no_answer(void **state)
{
	int fd = connect_client();

	(void)state;
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}\n"
		      "{\"jsonrpc\":\"2.0\",\"method\":\"none\"}\n" ECHO("1"));
	assert_line(fd, ECHOED("1"));
	assert_int_equal(calls, 3);
	close(fd);
}

#define LATER(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"later\"}\n"

static void
an_answer_may_come_later(void **state)
{
	struct err err = {0};
	int fd = connect_client();
	struct rpc_answer *first;

	(void)state;
	send_text(fd, LATER("\"one\"") ECHO("2"));
	assert_line(fd, ECHOED("2"));
	first = answer;
	send_text(fd, LATER("3") ECHO("4"));
	assert_line(fd, ECHOED("4"));
	err_set(&err, EBUSY, "busy", "not now");
	rpc_answer(answer, NULL, &err);
	rpc_answer(first, json_string("echo"), NULL);
	assert_error(fd, ENVELOPE_DOMAIN);
	assert_line(fd, ECHOED("\"one\""));
	close(fd);
}

/* Its client may have said all that it has to say, but not have heard all. */
static void
a_half_closed_connection_waits_for_its_answer(void **state)
{
	int fd = connect_client();

	(void)state;
	send_text(fd, LATER("1") ECHO("2"));
	shutdown(fd, SHUT_WR);
	assert_line(fd, ECHOED("2"));
	event_base_loop(base, EVLOOP_NONBLOCK);
	rpc_answer(answer, json_string("echo"), NULL);
	assert_line(fd, ECHOED("1"));
	assert_closed(fd);

	fd = connect_client();
	send_text(fd, ECHO("1") "{\"jsonrpc\":\"2.0\",\"method\":\"later\"}\n");
	assert_line(fd, ECHOED("1"));
	shutdown(fd, SHUT_WR);
	event_base_loop(base, EVLOOP_NONBLOCK);
	rpc_answer(answer, json_string("nobody wants it"), NULL);
	assert_closed(fd);
}

static void
who_hung_up_is_not_answered(void **state)
{
	int fd = connect_client(), other = connect_client();

	(void)state;
	send_text(fd, LATER("1") ECHO("2"));
	assert_line(fd, ECHOED("2"));
	close(fd);
	send_text(other, ECHO("1"));
	assert_line(other, ECHOED("1"));
	rpc_answer(answer, json_string("echo"), NULL);

	/* With an answer unread, which the server sees as an error. */
	fd = connect_client();
	send_text(fd, LATER("1") ECHO("2"));
	event_base_loop(base, EVLOOP_NONBLOCK);
	close(fd);
	send_text(other, ECHO("2"));
	assert_line(other, ECHOED("2"));
	rpc_answer(answer, json_string("echo"), NULL);

	send_text(other, "{\"jsonrpc\":\"2.0\",\"method\":\"later\"}\n" ECHO("3"));
	assert_line(other, ECHOED("3"));
	rpc_answer(answer, json_string("echo"), NULL); /* which nobody wants */
	send_text(other, ECHO("4"));
	assert_line(other, ECHOED("4"));
	close(other);
}

static void
the_last_line_may_lack_its_end(void **state)
{
	int fd = connect_client();
	const char *half = ECHO("2");

	(void)state;
	send_text(fd, ECHO("1"));
	assert_true(try_send(fd, half, strlen(half) - 1));
	shutdown(fd, SHUT_WR);
	assert_line(fd, ECHOED("1"));
	assert_line(fd, ECHOED("2"));
	assert_closed(fd);
}

static void
half_a_line_and_a_hangup_leave_nothing(void **state)
{
	(void)state;
	/* More than the limit, one after the other. */
	for (int i = 0; i < 2 * CONNECTIONS_MAX; i++) {
		int fd = connect_client();

		send_text(fd, ECHO("1") "{\"jso");
		assert_line(fd, ECHOED("1"));
		close(fd);
	}
	assert_int_equal(calls, 2 * CONNECTIONS_MAX);
}

static void
only_our_own_socket_is_removed(void **state)
{
	unlink(path);
	scratch_file(state, "ctl", "somebody else's");
	rpc_stop(rpc);
	rpc_destroy(rpc);
	assert_int_equal(unlink(path), 0);
	start_rpc(); /* for teardown() */
}

static void
a_path_that_is_taken_is_refused(void **state)
{
	struct rpc_config config = {.base = base, .path = path, .policy = {.group = -1}};
	struct err err = {0};

	(void)state;
	assert_null(rpc_start(&config, &err));
	assert_string_equal(err.param, "control");
	assert_non_null(strstr(err.message, path));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_rpc, teardown_rpc)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_socket_is_for_us_and_our_group),
		TEST(requests_are_answered_in_order),
		TEST(ten_thousand_requests_in_one_heap),
		TEST(a_heap_of_requests_does_not_keep_others_waiting),
		TEST(a_notification_has_no_answer),
		TEST(an_answer_may_come_later),
		TEST(a_half_closed_connection_waits_for_its_answer),
		TEST(who_hung_up_is_not_answered),
		TEST(the_last_line_may_lack_its_end),
		TEST(half_a_line_and_a_hangup_leave_nothing),
		TEST(only_our_own_socket_is_removed),
		TEST(a_path_that_is_taken_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
