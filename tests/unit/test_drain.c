/* SPDX-License-Identifier: BSD-3-Clause */
/* port.drain, its answer, and port.resume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/daemon_fixture.h"

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

static void
drained_at_the_last_moment_is_drained(void **state)
{
	json_t *result;

	(void)state;
	attach("{" PORT "}");
	send_request(client, "port.drain", "{\"name\": \"p\", \"timeout_ms\": 1}");
	assert_event("port.draining");
	event_later(DP_EVENT_PORT_DRAINED, 7);
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

/* The end of the second drain comes before the first was told that it was resumed. */
static void
a_drain_that_was_resumed_is_not_drained_by_the_next(void **state)
{
	int other = connect_client();
	json_t *result;

	(void)state;
	attach("{" PORT "}");
	send_request(other, "port.drain", "{\"name\": \"p\"}");
	assert_event("port.draining");
	send_request(client, "port.resume", "{\"name\": \"p\"}");
	send_request(client, "port.drain", "{\"name\": \"p\"}");
	event_later(DP_EVENT_PORT_DRAINED, 7);
	assert_refused(other, "bad-state", "resumed");
	json_decref(read_result(client));
	result = read_result(client);
	assert_number(result, "forwarded", 7);
	json_decref(result);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_daemon, teardown_daemon)

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
		TEST(a_drain_that_was_resumed_is_not_drained_by_the_next),
		TEST(a_client_that_hangs_up_changes_nothing),
		TEST(who_waits_is_told_when_sluiced_stops),
		TEST(events_say_what_became_of_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
