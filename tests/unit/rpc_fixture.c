/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/rpc_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/envelope.h"
#include "control/log.h"
#include "tests/unit/scratch_dir.h"

struct event_base *base;
struct rpc *rpc;
char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
unsigned int calls, calls_at_mark;
struct rpc_answer *answer;

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

void
start_rpc(void)
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

int
setup_rpc(void **state)
{
	log_start(-1);
	signal(SIGPIPE, SIG_IGN); /* as main() does */
	if (scratch_dir_make(state) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s", scratch_path(state, "ctl"));
	calls = 0;
	base = event_base_new();
	start_rpc();
	return rpc ? 0 : -1;
}

int
teardown_rpc(void **state)
{
	rpc_stop(rpc);
	rpc_destroy(rpc);
	event_base_free(base);
	return scratch_dir_remove(state);
}

double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int
connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, sizeof(path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

bool
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

void
send_text(int fd, const char *text)
{
	assert_true(try_send(fd, text, strlen(text)));
}

char *
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

void
assert_line(int fd, const char *expected)
{
	char *line = read_line(fd);

	assert_string_equal(line ? line : "closed", expected);
	free(line);
}

void
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

void
assert_closed(int fd)
{
	assert_null(read_line(fd));
	close(fd);
}
