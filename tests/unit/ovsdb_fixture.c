/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/ovsdb_fixture.h"

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
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/scratch_dir.h"

struct event_base *base;
struct ovsdb_link *ovsdb;
int listener = -1, peer = -1;
char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
unsigned int fresh, changes, downs, locks;
struct err down;
char lock[32];
unsigned int armed_ms;
bool real_time;

static const struct ovsdb_rows *told;
static char input[1 << 20]; /* what the link sent, and server_read() did not give yet */
static size_t input_len;
static struct event *timer;

int __real_event_add(struct event *event, const struct timeval *delay);
int __wrap_event_add(struct event *event, const struct timeval *delay);

/* The link's timer waits for expire(), but where it is to run at once. */
int
__wrap_event_add(struct event *event, const struct timeval *delay)
{
	static const struct timeval never = {1000000, 0};

	if (real_time || !delay || (!delay->tv_sec && !delay->tv_usec))
		return __real_event_add(event, delay);
	timer = event;
	armed_ms = delay->tv_sec * 1000 + delay->tv_usec / 1000;
	return __real_event_add(event, &never);
}

void
expire(void)
{
	event_active(timer, EV_TIMEOUT, 0);
	turn();
}

double
now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

json_t *
parse(const char *text)
{
	char *copy = strdup(text);
	json_t *value;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	value = json_loads(copy, JSON_DECODE_ANY, NULL);
	if (!value)
		fail_msg("bad JSON in the test: %s", text);
	free(copy);
	return value;
}

void
server_listen(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, path, sizeof(path));
	unlink(path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 5), 0);
}

void
server_close(void)
{
	if (peer >= 0)
		close(peer);
	if (listener >= 0)
		close(listener);
	peer = listener = -1;
}

void
server_accept(void)
{
	if (peer >= 0)
		close(peer);
	input_len = 0;
	UNTIL((peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
}

bool
server_send_bytes(const char *data, size_t len)
{
	ssize_t n = 0;

	for (; len; data += n, len -= n) {
		UNTIL((n = send(peer, data, len, MSG_NOSIGNAL)) > 0 || errno != EAGAIN);
		if (n < 0)
			return false;
	}
	return true;
}

/* JSON, or text that tries to be. */
void
server_send(const char *text)
{
	char *copy = strdup(text);

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	server_send_bytes(copy, strlen(copy));
	free(copy);
}

/* One message of the input, if it is complete. */
static json_t *
cut_message(void)
{
	json_error_t error;
	json_t *message = json_loadb(input, input_len, JSON_DISABLE_EOF_CHECK, &error);

	if (message) {
		input_len -= error.position;
		memmove(input, input + error.position, input_len);
	}
	return message;
}

static bool
more_input(void)
{
	ssize_t n = recv(peer, input + input_len, sizeof(input) - input_len, 0);

	if (n <= 0)
		return n == 0 || errno != EAGAIN;
	input_len += n;
	return true;
}

json_t *
server_read(void)
{
	json_t *message;

	while (!(message = cut_message())) {
		size_t before = input_len;

		UNTIL(more_input());
		if (input_len == before)
			fail_msg("the link has closed");
	}
	return message;
}

void
server_read_text(const char *expected)
{
	json_t *message = server_read(), *is = parse(expected);
	char *text = json_dumps(message, JSON_COMPACT);

	if (!json_equal(message, is))
		fail_msg("%s, expected %s", text, expected);
	free(text);
	json_decref(message);
	json_decref(is);
}

void
server_read_end(void)
{
	do {
		input_len = 0;
		UNTIL(more_input());
	} while (input_len);
}

/* Answers the next request, which must be this one. */
static void
serve(const char *method, const char *result)
{
	json_t *request = server_read();
	char text[1000];

	assert_string_equal(json_string_value(json_object_get(request, "method")), method);
	snprintf(text, sizeof(text), "{'id': %lld, 'result': %s, 'error': null}",
		 (long long)json_integer_value(json_object_get(request, "id")), result);
	server_send(text);
	json_decref(request);
}

void
server_greet(void)
{
	unsigned int before = fresh;

	server_accept();
	serve("get_schema", SCHEMA);
	serve("monitor_cond", ROWS);
	UNTIL(fresh > before);
}

static void
rows_cb(void *arg, const struct ovsdb_rows *rows, bool first)
{
	(void)arg;
	told = rows;
	if (first)
		fresh++;
	else
		changes++;
}

static void
down_cb(void *arg, const struct err *why)
{
	(void)arg;
	downs++;
	down = *why;
}

static void
lock_cb(void *arg, const char *method, const char *id)
{
	(void)arg;
	locks++;
	snprintf(lock, sizeof(lock), "%s %s", method, id);
}

json_int_t
next_cfg(void)
{
	const json_t *root = told ? ovsdb_rows_root(told, NULL) : NULL;

	return root ? json_integer_value(json_object_get(root, "next_cfg")) : -1;
}

int
setup_ovsdb(void **state)
{
	struct ovsdb_link_config config = {
		.path = path,
		.on_rows = rows_cb,
		.on_down = down_cb,
		.on_lock = lock_cb,
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	if (scratch_dir_make(state) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s", scratch_path(state, "db.sock"));
	fresh = changes = downs = locks = armed_ms = 0;
	real_time = false;
	told = NULL;
	base = config.base = event_base_new();
	server_listen();
	ovsdb = ovsdb_link_create(&config, NULL);
	return ovsdb ? 0 : -1;
}

int
teardown_ovsdb(void **state)
{
	ovsdb_link_destroy(ovsdb);
	server_close();
	event_base_free(base);
	return scratch_dir_remove(state);
}
