/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/envelope.h"
#include "control/log.h"
#include "control/rpc.h"
#include "tests/unit/scratch_dir.h"

/*
 * Client and server share one thread: whenever a test sends or reads, the server has its turn, until
 * what the test waits for is there or DEADLINE_S have passed.
 */
#define DEADLINE_S 10
#define PARTIAL_MS 50
#define CONNECTIONS_MAX 3

static struct event_base *base;
static struct rpc *rpc;
static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static unsigned int calls, calls_at_mark;
static struct rpc_answer *answer; /* owed by the last "later" */

#define ECHO(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"echo\"}\n"
#define ECHOED(id) "{\"jsonrpc\":\"2.0\",\"result\":\"echo\",\"id\":" id "}"
#define BIG "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\"}\n"
#define BIG_SIZE 100000

static json_t *
big(void)
{
	static char text[BIG_SIZE + 1];

	memset(text, 'x', BIG_SIZE);
	return json_string(text);
}

static int
call(void *arg, struct rpc_connection *connection, const char *method, const json_t *params,
     json_t **result, struct err *err)
{
	(void)arg;
	(void)params;
	calls++;
	assert_int_equal(rpc_access(connection), PEER_OWNER);
	if (!strcmp(method, "mark")) {
		calls_at_mark = calls;
		*result = json_true();
	} else if (!strcmp(method, "echo")) {
		*result = json_string("echo");
	} else if (!strcmp(method, "later")) {
		answer = rpc_answer_later(connection);
		assert_true(rpc_answers_later(connection));
	} else if (!strcmp(method, "big")) {
		*result = big();
	} else if (!strcmp(method, "subscribe")) {
		rpc_subscribe(connection, 1 << 3);
		*result = json_true();
	} else if (!strcmp(method, "flood")) {
		for (int i = 0; i < 2 * RPC_BACKLOG_CUT / BIG_SIZE; i++)
			rpc_notify(rpc, 1 << 3, json_pack("{s:o}", "big", big()));
		*result = json_true();
	} else {
		err_set(err, ENOSYS, "none", "no such method");
		return ENVELOPE_NO_METHOD;
	}
	return 0;
}

static void
start(void)
{
	rpc = rpc_start(
		&(struct rpc_config){
			.base = base,
			.path = path,
			.policy = {.uid = geteuid(), .group = -1},
			.connections_max = CONNECTIONS_MAX,
			.partial_line_ms = PARTIAL_MS,
			.call = call,
		},
		NULL);
}

static int
setup(void **state)
{
	log_start(-1);
	signal(SIGPIPE, SIG_IGN); /* as main() does */
	if (scratch_dir_make(state) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s", scratch_path(state, "ctl"));
	calls = 0;
	base = event_base_new();
	start();
	return rpc ? 0 : -1;
}

static int
teardown(void **state)
{
	rpc_stop(rpc);
	rpc_destroy(rpc);
	event_base_free(base);
	return scratch_dir_remove(state);
}

static double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static int
connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, sizeof(path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Sends all of it, as fast as the server takes it; false if it does not for a quarter second. */
static bool
try_send(int fd, const char *data, size_t len)
{
	double deadline = now_s() + 0.25;

	while (len && now_s() < deadline) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n > 0) {
			data += n;
			len -= n;
			deadline = now_s() + 0.25;
		}
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	return !len;
}

static void
send_text(int fd, const char *text)
{
	assert_true(try_send(fd, text, strlen(text)));
}

/* Waits for the next line, to be freed; NULL: the server has closed the connection. */
static char *
read_line(int fd)
{
	double deadline = now_s() + DEADLINE_S;
	size_t len = 0;
	char *line = NULL;

	while (now_s() < deadline) {
		char buf[4096], *end;
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_PEEK);

		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			free(line);
			return NULL;
		}
		if (n < 0) {
			event_base_loop(base, EVLOOP_NONBLOCK);
			continue;
		}
		end = memchr(buf, '\n', n);
		n = recv(fd, buf, end ? end - buf + 1 : n, 0);
		line = realloc(line, len + n + 1);
		memcpy(line + len, buf, n);
		len += n;
		line[len - !!end] = '\0';
		if (end)
			return line;
	}
	fail_msg("no line came");
	return NULL;
}

static void
assert_line(int fd, const char *expected)
{
	char *line = read_line(fd);

	assert_string_equal(line ? line : "closed", expected);
	free(line);
}

/* The next line must be an error of this code; returns nothing of it. */
static void
assert_error(int fd, int code)
{
	char *line = read_line(fd);
	json_t *reply = line ? json_loads(line, 0, NULL) : NULL;

	assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "error"),
							    "code")),
			 code);
	json_decref(reply);
	free(line);
}

static void
assert_closed(int fd)
{
	assert_null(read_line(fd));
	close(fd);
}

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

static void
notify(unsigned int bit)
{
	rpc_notify(rpc, 1U << bit, json_pack("{s:i}", "bit", bit));
}

static void
subscribers_get_their_topics(void **state)
{
	int fd = connect_client(), other = connect_client();

	(void)state;
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n");
	free(read_line(fd));
	send_text(other, ECHO("1"));
	notify(2);
	notify(3);
	assert_line(fd, "{\"bit\":3}");
	assert_line(other, ECHOED("1"));
	send_text(other, ECHO("2"));
	assert_line(other, ECHOED("2"));
	close(fd);
	close(other);
}

static void
a_subscriber_that_does_not_read_is_cut_off(void **state)
{
	int fd = connect_client(), other = connect_client();
	double deadline = now_s() + DEADLINE_S;
	char *line;

	(void)state;
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n");
	free(read_line(fd));
	while (send(fd, "\n", 1, MSG_NOSIGNAL) == 1 && now_s() < deadline) {
		for (int i = 0; i < 1000; i++)
			notify(3);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	assert_true(now_s() < deadline);
	while ((line = read_line(fd)))
		free(line);
	close(fd);
	send_text(other, ECHO("1"));
	assert_line(other, ECHOED("1"));
	close(other);
}

static void
a_subscriber_is_cut_off_within_its_request(void **state)
{
	int fd = connect_client(), other = connect_client();

	(void)state;
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n"
		      "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"flood\"}\n");
	for (char *line; (line = read_line(fd));)
		free(line);
	close(fd);
	send_text(other, ECHO("1"));
	assert_line(other, ECHOED("1"));
	close(other);
}

static void
only_our_own_socket_is_removed(void **state)
{
	unlink(path);
	scratch_file(state, "ctl", "somebody else's");
	rpc_stop(rpc);
	rpc_destroy(rpc);
	assert_int_equal(unlink(path), 0);
	start(); /* for teardown() */
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(a_line_that_is_not_finished_ends_the_connection),
		TEST(a_line_that_is_finished_late_but_in_time_is_served),
		TEST(the_longest_line_is_taken_and_one_more_byte_is_not),
		TEST(a_long_line_without_end_is_not_gathered),
		TEST(who_does_not_read_is_not_read),
		TEST(one_connection_too_many_is_told_so),
		TEST(a_lack_of_descriptors_passes),
		TEST(subscribers_get_their_topics),
		TEST(a_subscriber_that_does_not_read_is_cut_off),
		TEST(a_subscriber_is_cut_off_within_its_request),
		TEST(only_our_own_socket_is_removed),
		TEST(a_path_that_is_taken_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
