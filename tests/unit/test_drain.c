/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
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

#include "control/daemon.h"
#include "control/events.h"
#include "control/log.h"
#include "control/methods.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/scratch_dir.h"

/*
 * Requests and events as a client sees them, over a datapath that does what the test says. Client
 * and server share one thread: while a test waits for a message, the server has its turn.
 */
#define DEADLINE_S 10

static struct daemon d;
static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static int client, watcher; /* connections: one asks, the other has subscribed */

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

static int
connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, sizeof(path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void
send_request(int fd, const char *method, const char *params)
{
	char line[400];
	int len = snprintf(line, sizeof(line),
			   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
			   method, params);

	assert_int_equal(send(fd, line, len, MSG_NOSIGNAL), len);
}

/* Waits for the next message; NULL: there is none within a turn of the server (`now`). */
static json_t *
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

static json_t *
read_result(int fd)
{
	json_t *message = read_message(fd, false);
	json_t *result = json_incref(json_object_get(message, "result"));

	if (!result)
		fail_msg("%s", json_dumps(message, 0));
	json_decref(message);
	return result;
}

/* The answer must be the refusal with this code, in words that hold these. */
static void
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

static void
assert_number(json_t *object, const char *key, json_int_t value)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	assert_int_equal(json_integer_value(json_object_get(object, key)), value);
}

static void
call(const char *method, const char *params)
{
	send_request(client, method, params);
	json_decref(read_result(client));
}

/* The next event must be of the type. A new reference to its facts. */
static json_t *
next_event(const char *type)
{
	json_t *message = read_message(watcher, false);
	json_t *event = json_incref(json_object_get(message, "params"));

	assert_string_equal(json_string_value(json_object_get(event, "type")), type);
	json_decref(message);
	return event;
}

static void
assert_event(const char *type)
{
	json_decref(next_event(type));
}

static void
assert_state(const char *state)
{
	json_t *port;

	send_request(client, "port.get", "{\"name\": \"p\"}");
	port = read_result(client);
	assert_string_equal(json_string_value(json_object_get(port, "state")), state);
	json_decref(port);
}

/* The datapath tells something about the port. */
static void
happen(enum dp_event_type type, uint64_t value)
{
	fake_dp.event[0] = (struct dp_event){.type = type, .port = 0, .value = value, .time_ns = 1};
	fake_dp.n_events = 1;
	fake_dp.events_read = 0;
	events_pump(&d);
}

static struct dp_port_info *
info(void)
{
	return &fake_dp.port[0].info;
}

static void
run_guest(void)
{
	info()->up = true;
	happen(DP_EVENT_PORT_UP, 0);
	assert_event("port.up");
}

static int
setup(void **state)
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

static int
teardown(void **state)
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

#define PORT "\"name\": \"p\", \"bridge\": \"b\", \"mac\": \"02:00:00:00:00:01\""

/* A port whose guest runs. */
static void
attach(const char *params)
{
	call("port.attach", params);
	run_guest();
}

static void
the_answer_comes_when_the_port_is_drained(void **state)
{
	json_t *result, *event;

	(void)state;
	attach("{" PORT "}");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	event = next_event("port.draining");
	assert_string_equal(json_string_value(json_object_get(event, "then")), "park");
	json_decref(event);
	assert_true(fake_dp.port[0].parks);
	assert_null(read_message(client, true));
	/* Others are answered meanwhile, on the same connection too. */
	assert_state("draining");

	info()->drain = DP_DRAINED;
	info()->parked = 3;
	happen(DP_EVENT_PORT_DRAINED, 12);
	event = next_event("port.drained");
	assert_number(event, "forwarded", 12);
	json_decref(event);
	result = read_result(client);
	assert_string_equal(json_string_value(json_object_get(result, "state")), "drained");
	assert_number(result, "forwarded", 12);
	assert_number(result, "parked", 3);
	assert_true(json_is_integer(json_object_get(result, "waited_us")));
	json_decref(result);
	assert_state("drained");

	call("port.resume", "{\"name\": \"p\"}");
	event = next_event("port.resumed");
	assert_string_equal(json_string_value(json_object_get(event, "reason")), "asked");
	json_decref(event);
	assert_state("up");
}

static void
a_drain_may_drop(void **state)
{
	(void)state;
	attach("{" PORT "}");
	send_request(client, "port.drain", "{\"name\": \"p\", \"then\": \"drop\"}");
	assert_event("port.draining");
	assert_false(fake_dp.port[0].parks);
}

static void
a_deadline_leaves_the_port_as_it_was(void **state)
{
	json_t *event;

	(void)state;
	attach("{" PORT ", \"queues\": 3}");
	info()->queue[1].drained = true;
	send_request(client, "port.drain", "{\"name\": \"p\", \"timeout_ms\": 1}");
	assert_refused(client, "drain-timeout", "queues 0, 2 are still busy");
	assert_event("port.draining");
	event = next_event("port.resumed");
	assert_string_equal(json_string_value(json_object_get(event, "reason")), "drain-timeout");
	json_decref(event);
	assert_state("up");
	assert_true(LIST_EMPTY(&d.drain_waits));
}

/* Its event lies unread. */
static void
drained_at_the_last_moment_is_drained(void **state)
{
	json_t *result;

	(void)state;
	attach("{" PORT "}");
	send_request(client, "port.drain", "{\"name\": \"p\", \"timeout_ms\": 1}");
	assert_event("port.draining");
	fake_dp.event[0] = (struct dp_event){.type = DP_EVENT_PORT_DRAINED, .value = 7};
	fake_dp.n_events = 1;
	fake_dp.events_read = 0;
	result = read_result(client);
	assert_number(result, "forwarded", 7);
	json_decref(result);
}

static void
wrong_states_are_refused(void **state)
{
	(void)state;
	call("port.attach", "{" PORT "}");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	assert_refused(client, "bad-state", "port p is waiting");
	send_request(client, "port.resume", "{\"name\": \"p\"}");
	assert_refused(client, "bad-state", "nothing to resume");
	run_guest();
	send_request(client, "port.resume", "{\"name\": \"p\"}");
	assert_refused(client, "bad-state", "port p is up");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	assert_event("port.draining");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	assert_refused(client, "bad-state", "port p is draining already");
	send_request(client, "port.drain", "{\"name\": \"q\"}");
	assert_refused(client, "no-such-port", "q");
}

static void
a_drain_ends_with_resume_and_with_its_guest(void **state)
{
	int other = connect_client();

	(void)state;
	attach("{" PORT "}");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	assert_event("port.draining");
	send_request(other, "port.resume", "{\"name\": \"p\"}");
	json_decref(read_result(other));
	assert_refused(client, "bad-state", "resumed");
	assert_event("port.resumed");

	send_request(client, "port.drain", "{\"name\": \"p\"}");
	assert_event("port.draining");
	/* In one heap, with another drain behind it: that one goes on. */
	send_request(client, "port.resume", "{\"name\": \"p\"}");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	json_decref(read_result(client));
	assert_refused(client, "bad-state", "resumed");
	assert_event("port.resumed");
	assert_event("port.draining");
	assert_int_equal(info()->drain, DP_DRAINING);

	info()->drain = DP_DRAIN_NONE;
	info()->up = false;
	happen(DP_EVENT_PORT_DOWN, 0);
	assert_refused(client, "bad-state", "guest went away");
	assert_event("port.down");
	close(other);
}

static void
a_client_that_hangs_up_changes_nothing(void **state)
{
	int other = connect_client();

	(void)state;
	attach("{" PORT "}");
	send_request(other, "port.drain", "{\"name\": \"p\"}");
	assert_event("port.draining");
	close(other);
	assert_state("draining");
	info()->drain = DP_DRAINED;
	happen(DP_EVENT_PORT_DRAINED, 0);
	assert_event("port.drained");
	assert_state("drained");
	assert_true(LIST_EMPTY(&d.drain_waits));
}

static void
a_drained_port_may_be_detached(void **state)
{
	int other = connect_client();

	(void)state;
	attach("{" PORT "}");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	assert_event("port.draining");
	send_request(other, "port.detach", "{\"name\": \"p\"}");
	json_decref(read_result(other));
	assert_refused(client, "bad-state", "detached");
	assert_false(fake_dp.port[0].open);
	close(other);
}

static void
a_detach_waits_for_what_is_parked(void **state)
{
	json_t *stats;

	(void)state;
	attach("{" PORT ", \"park_ms\": 600000}");
	info()->parked = 5;
	send_request(client, "port.stats", "{\"name\": \"p\"}");
	stats = read_result(client);
	assert_number(stats, "parked", 5);
	assert_number(json_array_get(json_object_get(stats, "queues"), 0), "parked", 5);
	json_decref(stats);

	send_request(client, "port.detach", "{\"name\": \"p\"}");
	assert_null(read_message(client, true));
	happen(DP_EVENT_PORT_REDIRECTED, 4);
	info()->parked = 1;
	assert_event("port.redirected");
	assert_null(read_message(client, true));
	assert_true(fake_dp.port[0].open);
	send_request(watcher, "port.detach", "{\"name\": \"p\"}");
	assert_refused(watcher, "bad-state", "--force");
	send_request(watcher, "port.drain", "{\"name\": \"p\"}");
	assert_refused(watcher, "bad-state", "being detached");

	info()->parked = 0;
	happen(DP_EVENT_PORT_REDIRECTED, 1);
	assert_event("port.redirected");
	json_decref(read_result(client));
	assert_false(fake_dp.port[0].open);
	assert_null(model_port_find(&d.model, "p"));
}

static void
a_detach_waits_no_longer_than_park_ms(void **state)
{
	(void)state;
	attach("{" PORT ", \"park_ms\": 1}");
	info()->parked = 5;
	call("port.detach", "{\"name\": \"p\"}");
	assert_false(fake_dp.port[0].open);
}

static void
force_ends_the_wait_of_a_detach(void **state)
{
	int other = connect_client();

	(void)state;
	attach("{" PORT ", \"park_ms\": 600000}");
	info()->parked = 5;
	send_request(other, "port.detach", "{\"name\": \"p\"}");
	assert_null(read_message(other, true));
	call("port.detach", "{\"name\": \"p\", \"force\": true}");
	json_decref(read_result(other));
	assert_true(LIST_EMPTY(&d.drain_waits));
	close(other);
}

/* What cannot be written is not done; then it is no use to wait on. */
static void
a_detach_that_fails_late_leaves_the_port(void **state)
{
	(void)state;
	attach("{" PORT ", \"park_ms\": 600000}");
	info()->parked = 5;
	send_request(client, "port.detach", "{\"name\": \"p\"}");
	assert_null(read_message(client, true));
	fake_dp.refuse = true;
	info()->parked = 0;
	happen(DP_EVENT_PARK_EXPIRED, 5);
	assert_event("port.park_expired");
	assert_refused(client, "no-memory", "try again");
	assert_true(fake_dp.port[0].open);
	assert_true(LIST_EMPTY(&d.drain_waits));
}

static void
who_waits_is_told_when_sluiced_stops(void **state)
{
	(void)state;
	attach("{" PORT "}");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	assert_event("port.draining");
	drain_clear(&d);
	assert_refused(client, "stopping", "sluiced stops");
}

static void
a_guest_that_arrives_is_announced(void **state)
{
	json_t *event;

	(void)state;
	call("port.attach", "{" PORT ", \"incoming\": true}");
	assert_true(fake_dp.port[0].config.incoming);
	assert_state("incoming");
	info()->incoming = false;
	run_guest();
	happen(DP_EVENT_PORT_ARRIVED, 0);
	event = next_event("port.incoming_up");
	assert_string_equal(json_string_value(json_array_get(json_object_get(event, "mac"), 0)),
			    "02:00:00:00:00:01");
	json_decref(event);
	for (unsigned int round = 1; round <= ARRIVAL_ROUNDS; round++) {
		event = next_event("port.announced");
		assert_number(event, "round", round);
		assert_int_equal(fake_dp.port[0].announced, round);
		json_decref(event);
	}
	assert_true(LIST_EMPTY(&d.arrivals));
	/* It is a port as any other now. */
	happen(DP_EVENT_PORT_DOWN, 0);
	assert_event("port.down");
	run_guest();
	assert_int_equal(fake_dp.port[0].announced, ARRIVAL_ROUNDS);
	/* Unless it was somewhere else meanwhile. */
	happen(DP_EVENT_PORT_ARRIVED, 0);
	assert_int_equal(fake_dp.port[0].announced, ARRIVAL_ROUNDS + 1);
}

static void
nobody_is_announced_who_has_gone(void **state)
{
	(void)state;
	call("port.attach", "{" PORT ", \"incoming\": true}");
	info()->incoming = false;
	run_guest();
	happen(DP_EVENT_PORT_ARRIVED, 0);
	assert_event("port.incoming_up");
	assert_event("port.announced");
	happen(DP_EVENT_PORT_DOWN, 0);
	assert_true(LIST_EMPTY(&d.arrivals));
	assert_event("port.down");

	call("port.detach", "{\"name\": \"p\"}");
	call("port.attach", "{" PORT ", \"incoming\": true}");
	info()->incoming = false;
	run_guest();
	happen(DP_EVENT_PORT_ARRIVED, 0);
	assert_false(LIST_EMPTY(&d.arrivals));
	call("port.detach", "{\"name\": \"p\"}");
	assert_true(LIST_EMPTY(&d.arrivals));
}

static void
events_say_what_became_of_frames(void **state)
{
	static const struct {
		enum dp_event_type happens;
		const char *type;
	} events[] = {
		{DP_EVENT_PORT_UNPARKED, "port.unparked"},
		{DP_EVENT_PORT_REDIRECTED, "port.redirected"},
		{DP_EVENT_PARK_EXPIRED, "port.park_expired"},
	};
	json_t *event;

	(void)state;
	attach("{" PORT ", \"park_ms\": 70, \"park_frames\": 80}");
	call("uplink.add", "{\"name\": \"up0\", \"bridge\": \"b\", \"devargs\": \"net_null0\"}");
	happen(DP_EVENT_PORT_PARKING, 0);
	event = next_event("port.parking");
	assert_number(event, "park_ms", 70);
	assert_number(event, "park_frames", 80);
	json_decref(event);
	happen(DP_EVENT_PORT_MOVED, 1);
	event = next_event("port.moved");
	assert_string_equal(json_string_value(json_object_get(event, "uplink")), "up0");
	assert_string_equal(json_string_value(json_object_get(event, "port")), "p");
	assert_int_equal(json_array_size(json_object_get(event, "mac")), 1);
	json_decref(event);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		happen(events[i].happens, 9);
		event = next_event(events[i].type);
		assert_number(event, "frames", 9);
		json_decref(event);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_answer_comes_when_the_port_is_drained),
		TEST(a_drain_may_drop),
		TEST(a_deadline_leaves_the_port_as_it_was),
		TEST(drained_at_the_last_moment_is_drained),
		TEST(wrong_states_are_refused),
		TEST(a_drain_ends_with_resume_and_with_its_guest),
		TEST(a_client_that_hangs_up_changes_nothing),
		TEST(a_drained_port_may_be_detached),
		TEST(a_detach_waits_for_what_is_parked),
		TEST(a_detach_waits_no_longer_than_park_ms),
		TEST(force_ends_the_wait_of_a_detach),
		TEST(a_detach_that_fails_late_leaves_the_port),
		TEST(who_waits_is_told_when_sluiced_stops),
		TEST(a_guest_that_arrives_is_announced),
		TEST(nobody_is_announced_who_has_gone),
		TEST(events_say_what_became_of_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
