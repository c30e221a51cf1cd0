/* SPDX-License-Identifier: BSD-3-Clause */
/* port.detach waits for what is parked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/daemon_fixture.h"

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_daemon, teardown_daemon)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_drained_port_may_be_detached),
		TEST(a_detach_waits_for_what_is_parked),
		TEST(a_detach_waits_no_longer_than_park_ms),
		TEST(force_ends_the_wait_of_a_detach),
		TEST(a_detach_that_fails_late_leaves_the_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
