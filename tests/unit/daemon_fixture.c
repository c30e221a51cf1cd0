/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/daemon_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/events.h"
#include "control/log.h"
#include "control/methods.h"
#include "tests/unit/scratch_dir.h"

#define DEADLINE_S 10

struct daemon d;
static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
int client, watcher;

int64_t
daemon_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void
daemon_quit(struct daemon *daemon)
{
	(void)daemon;
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

void
send_request(int fd, const char *method, const char *params)
{
	char line[400];
	int len = snprintf(line, sizeof(line),
			   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
			   method, params);

	assert_int_equal(send(fd, line, len, MSG_NOSIGNAL), len);
}

json_t *
read_message(int fd, bool now)
{
	int64_t deadline_ns = daemon_now_ns() + DEADLINE_S * INT64_C(1000000000);
	char line[16384];
	size_t len = 0;

	while (daemon_now_ns() < deadline_ns) {
		ssize_t n;

		event_base_loop(d.base, EVLOOP_NONBLOCK);
		while ((n = recv(fd, line + len, 1, 0)) == 1 && line[len] != '\n')
			len++;
		if (n == 1)
			return json_loadb(line, len, 0, NULL);
		if (now && !len)
			return NULL;
	}
	fail_msg("no message came");
	return NULL;
}

json_t *
read_result(int fd)
{
	json_t *message = read_message(fd, false);
	json_t *result = json_incref(json_object_get(message, "result"));

	if (!result)
		fail_msg("%s", json_dumps(message, 0));
	json_decref(message);
	return result;
}

void
assert_refused(int fd, const char *code, const char *words)
{
	json_t *message = read_message(fd, false);
	json_t *error = json_object_get(message, "error");
	const char *text = json_string_value(json_object_get(error, "message"));

	if (!error)
		fail_msg("%s", json_dumps(message, 0));
	assert_string_equal(json_string_value(json_object_get(json_object_get(error, "data"),
							      "code")),
			    code);
	if (!strstr(text, words))
		fail_msg("\"%s\" does not say \"%s\"", text, words);
	json_decref(message);
}

void
assert_number(json_t *object, const char *key, json_int_t value)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	assert_int_equal(json_integer_value(json_object_get(object, key)), value);
}

void
call(const char *method, const char *params)
{
	send_request(client, method, params);
	json_decref(read_result(client));
}

json_t *
next_event(const char *type)
{
	json_t *message = read_message(watcher, false);
	json_t *event = json_incref(json_object_get(message, "params"));

	assert_string_equal(json_string_value(json_object_get(event, "type")), type);
	json_decref(message);
	return event;
}

void
assert_event(const char *type)
{
	json_decref(next_event(type));
}

void
assert_state(const char *state)
{
	json_t *port;

	send_request(client, "port.get", "{\"name\": \"p\"}");
	port = read_result(client);
	assert_string_equal(json_string_value(json_object_get(port, "state")), state);
	json_decref(port);
}

void
event_later(enum dp_event_type type, uint64_t value)
{
	fake_dp.event[0] = (struct dp_event){.type = type, .port = 0, .value = value, .time_ns = 1};
	fake_dp.n_events = 1;
	fake_dp.events_read = 0;
}

void
happen(enum dp_event_type type, uint64_t value)
{
	event_later(type, value);
	events_pump(&d);
}

struct dp_port_info *
info(void)
{
	return &fake_dp.port[0].info;
}

void
run_guest(void)
{
	info()->up = true;
	happen(DP_EVENT_PORT_UP, 0);
	assert_event("port.up");
}

int
setup_daemon(void **state)
{
	struct rpc_config config = {
		.path = path,
		.policy = {.uid = geteuid(), .group = -1},
		.connections_max = 4,
		.partial_line_ms = 1000,
		.call = methods_call,
		.arg = &d,
	};

	log_start(-1);
	signal(SIGPIPE, SIG_IGN);
	if (scratch_dir_make(state) < 0 || mkdir(scratch_path(state, "s"), 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s", scratch_path(state, "ctl"));
	fake_dp = (struct fake_dp){0};
	d = (struct daemon){.base = event_base_new()};
	model_init(&d.model);
	sockpath_dirs_add(&d.model.socket_dirs, scratch_path(state, "s"), NULL);
	d.model.state_dir = *state;
	d.model.n_lcores = 1;
	d.model.reconnect = reconnect_create(d.base, NULL);
	recorder_init(&d.recorder, d.base, NULL, NULL);
	config.base = d.base;
	d.rpc = rpc_start(&config, NULL);
	client = connect_client();
	watcher = connect_client();
	call("bridge.add", "{\"name\": \"b\"}");
	send_request(watcher, "events.subscribe", "{}");
	json_decref(read_result(watcher));
	return 0;
}

int
teardown_daemon(void **state)
{
	close(client);
	close(watcher);
	arrival_clear(&d);
	drain_clear(&d);
	rpc_stop(d.rpc);
	recorder_clear(&d.recorder);
	reconnect_destroy(d.model.reconnect);
	rpc_destroy(d.rpc);
	model_clear(&d.model);
	event_base_free(d.base);
	return scratch_dir_remove(state);
}

void
attach(const char *params)
{
	call("port.attach", params);
	run_guest();
}
