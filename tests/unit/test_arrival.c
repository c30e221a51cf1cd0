/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/events.h"
#include "tests/unit/daemon_fixture.h"

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
assert_failure(const char *words)
{
	json_t *port;

	send_request(client, "port.get", "{\"name\": \"p\"}");
	port = read_result(client);
	if (words)
		assert_string_equal(json_string_value(json_object_get(port, "failure")), words);
	else
		assert_null(json_object_get(port, "failure"));
	json_decref(port);
}

/* Who looks at the port learns why nobody is there, until somebody is. */
static void
a_guest_that_could_not_stay_is_told(void **state)
{
	(void)state;
	attach("{" PORT "}");
	assert_failure(NULL);
	info()->up = false;
	fake_dp.lacks = "too few hugepages";
	happen(DP_EVENT_PORT_DISCONNECTED, 0);
	assert_failure("too few hugepages");
	fake_dp.lacks = NULL;
	run_guest();
	assert_failure(NULL);
	info()->up = false;
	happen(DP_EVENT_PORT_DISCONNECTED, 0);
	assert_failure(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_daemon, teardown_daemon)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_that_arrives_is_announced),
		TEST(nobody_is_announced_who_has_gone),
		TEST(a_guest_that_could_not_stay_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
