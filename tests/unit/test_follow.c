/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/follow.h"
#include "control/methods.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/lcore_fixture.h"

static const int two_nodes[] = {0, 0, 1, 1};
static const int node_0[] = {0, 0, 0, 0}, node_1[] = {1, 1, 1, 1};

static int
setup(void **state)
{
	if (lcore_fixture_setup(state) < 0)
		return -1;
	lcore_fixture_lcores(two_nodes, 4);
	return 0;
}

/* The lcore of the queue, as model and datapath agree on it. */
static unsigned int
lcore_of(const struct model_port *port, unsigned int queue)
{
	assert_int_equal(port->lcore[queue], fake_dp.port[port->id].lcore[queue]);
	return port->lcore[queue];
}

/* port.get, its queue 0 alone. The caller frees *port. */
static json_t *
get_queue(const char *name, json_t **port)
{
	json_t *params = json_pack("{s:s}", "name", name);

	*port = method_port_get(&d, NULL, params, NULL);
	json_decref(params);
	return json_array_get(json_object_get(*port, "queues"), 0);
}

static void
assert_placement(const char *name, const char *words)
{
	json_t *port, *placement;

	get_queue(name, &port);
	placement = json_object_get(port, "placement");
	if (words)
		assert_string_equal(json_string_value(placement), words);
	else
		assert_true(json_is_null(placement));
	json_decref(port);
}

static void
set_lcore(const char *name, const char *pins)
{
	json_t *params = json_pack("{s:s, s:o}", "name", name, "lcore",
				   json_loads(pins, JSON_DECODE_ANY, NULL));
	struct err err = {0};
	json_t *result = method_port_set(&d, NULL, params, &err);

	if (!result)
		fail_msg("%s", err.message);
	json_decref(result);
	json_decref(params);
}

static void
a_queue_goes_to_its_guests_memory(void **state)
{
	struct model_port *port = lcore_fixture_port("p", 1, NULL);
	json_t *event;

	(void)state;
	assert_int_equal(lcore_of(port, 0), 1);
	lcore_fixture_up(port, node_1);
	assert_int_equal(lcore_of(port, 0), 3);
	event = lcore_fixture_event("queue.moved");
	assert_string_equal(json_string_value(json_object_get(event, "port")), "p");
	assert_string_equal(json_string_value(json_object_get(event, "reason")), "memory");
	assert_int_equal(json_integer_value(json_object_get(event, "queue")), 0);
	assert_int_equal(json_integer_value(json_object_get(event, "from")), 1);
	assert_int_equal(json_integer_value(json_object_get(event, "to")), 3);
	assert_placement("p", NULL);

	/* It is there: nothing is to be done, even for a less busy lcore. */
	lcore_fixture_work(port, 0, 80);
	lcore_fixture_seconds(6);
	lcore_fixture_up(port, node_1);
	assert_int_equal(lcore_of(port, 0), 3);
	assert_null(lcore_fixture_event("queue.moved"));
	assert_null(lcore_fixture_event("port.remote"));
}

static void
a_guest_on_two_nodes_is_placed_by_queue(void **state)
{
	struct model_port *port = lcore_fixture_port("p", 4, NULL);
	const int nodes[] = {1, 0, 0, 1};

	(void)state;
	lcore_fixture_up(port, nodes);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(d.model.lcore[lcore_of(port, i) - 1].node, nodes[i]);
}

static void
the_less_busy_lcore_is_taken(void **state)
{
	struct model_port *busy = lcore_fixture_port("busy", 1, "3");
	struct model_port *idle[] = {lcore_fixture_port("i", 1, "4"),
				     lcore_fixture_port("j", 1, "4")};
	struct model_port *port = lcore_fixture_port("p", 1, NULL);
	struct model_port *other = lcore_fixture_port("q", 1, NULL);

	(void)state;
	(void)idle;
	/* Who has fewest queues, while none is busier to speak of. */
	lcore_fixture_work(busy, 0, 5);
	lcore_fixture_seconds(1);
	lcore_fixture_up(port, node_1);
	assert_int_equal(lcore_of(port, 0), 3);
	lcore_fixture_work(busy, 0, 60);
	lcore_fixture_seconds(1);
	lcore_fixture_up(other, node_1);
	assert_int_equal(lcore_of(other, 0), 4);
}

static void
a_node_without_lcore_is_served_by_the_nearest(void **state)
{
	static const char words[] =
		"queues 0-1 have their memory on node 2, which has no lcore, so lcores"
		" 3-4 of another node poll them, which is slower: give sluiced an lcore"
		" of node 2";
	struct model_port *port = lcore_fixture_port("p", 2, NULL);
	const int nodes[] = {2, 2};
	json_t *event;

	(void)state;
	assert_placement("p", NULL);
	lcore_fixture_up(port, nodes);
	assert_int_equal(lcore_of(port, 0), 3);
	assert_int_equal(lcore_of(port, 1), 4);
	assert_placement("p", words);
	event = lcore_fixture_event("port.remote");
	assert_string_equal(json_string_value(json_object_get(event, "port")), "p");
	assert_string_equal(json_string_value(json_object_get(event, "placement")), words);
}

static void
a_pinned_queue_stays_and_says_so(void **state)
{
	struct model_port *port = lcore_fixture_port("p", 2, "[1, \"auto\"]");
	json_t *get, *queue;

	(void)state;
	lcore_fixture_up(port, node_1);
	assert_int_equal(lcore_of(port, 0), 1);
	assert_int_equal(d.model.lcore[lcore_of(port, 1) - 1].node, 1);
	assert_placement("p",
			 "queue 0 has its memory on node 1, but is pinned to lcore 1 of another node,"
			 " which is slower: `sluicectl port set p --lcore auto` brings it home");
	assert_non_null(lcore_fixture_event("port.remote"));
	queue = get_queue("p", &get);
	assert_true(json_is_true(json_object_get(queue, "pinned")));
	assert_int_equal(json_integer_value(json_object_get(queue, "memory_node")), 1);
	assert_int_equal(json_integer_value(json_object_get(queue, "node")), 0);
	json_decref(get);

	set_lcore("p", "\"auto\"");
	assert_int_equal(d.model.lcore[lcore_of(port, 0) - 1].node, 1);
	assert_placement("p", NULL);
	queue = get_queue("p", &get);
	assert_true(json_is_false(json_object_get(queue, "pinned")));
	json_decref(get);
}

static void
pins_are_obeyed_and_told(void **state)
{
	struct model_port *port = lcore_fixture_port("p", 2, NULL);
	json_t *event;

	(void)state;
	lcore_fixture_up(port, node_0);
	set_lcore("p", "4");
	assert_int_equal(lcore_of(port, 0), 4);
	assert_int_equal(lcore_of(port, 1), 4);
	event = lcore_fixture_event("queue.moved");
	assert_string_equal(json_string_value(json_object_get(event, "reason")), "asked");
	assert_int_equal(json_integer_value(json_object_get(event, "to")), 4);
	set_lcore("p", "[2, 3]");
	assert_int_equal(lcore_of(port, 0), 2);
	assert_int_equal(lcore_of(port, 1), 3);
	set_lcore("p", "null");
	assert_int_equal(lcore_of(port, 0), 2);
	assert_int_equal(d.model.lcore[lcore_of(port, 1) - 1].node, 0);
}

static void
bad_pins_are_refused(void **state)
{
	static const char *const bad[] = {"5", "[1, 5]", "[1]", "[1, 2, 3]"};
	struct model_port *port = lcore_fixture_port("p", 2, "[1, 2]");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *params = json_pack("{s:s, s:o, s:i}", "name", "p", "lcore",
					   json_loads(bad[i], JSON_DECODE_ANY, NULL), "mtu", 9000);
		struct err err = {0};

		assert_null(method_port_set(&d, NULL, params, &err));
		assert_string_equal(err.code, "bad-parameter");
		assert_string_equal(err.param, "lcore");
		assert_int_equal(port->set.rules.mtu, 1500);
		assert_int_equal(lcore_of(port, 0), 1);
		assert_int_equal(lcore_of(port, 1), 2);
		json_object_set_new(params, "name", json_string("q"));
		json_object_set_new(params, "bridge", json_string("b"));
		json_object_set_new(params, "queues", json_integer(2));
		assert_null(method_port_attach(&d, NULL, params, &err));
		assert_null(model_port_find(&d.model, "q"));
		json_decref(params);
	}
}

static void
a_pin_to_an_lcore_that_is_gone_is_told(void **state)
{
	struct model_port *port =
		lcore_fixture_port("p", 1, "9"); /* as after a restart with fewer */

	(void)state;
	lcore_fixture_up(port, node_1);
	assert_int_equal(lcore_of(port, 0), 3);
	assert_placement("p", "queue 0 is pinned to lcore 9, which sluiced does not have now");
	assert_null(lcore_fixture_event("port.remote"));
}

static void
a_ring_that_comes_later_is_followed(void **state)
{
	struct model_port *port = lcore_fixture_port("p", 2, NULL);
	const int first[] = {0, -1};

	(void)state;
	lcore_fixture_up(port, first);
	lcore_fixture_seconds(1);
	assert_int_equal(lcore_of(port, 1), 2);
	fake_dp.port[port->id].node[1] = 1;
	lcore_fixture_seconds(1);
	assert_int_equal(lcore_of(port, 0), 1);
	assert_int_equal(lcore_of(port, 1), 3);
	/* Once: who moves it away then has wanted it so. */
	assert_int_equal(model_queue_move(port, 1, 1, NULL), 0);
	lcore_fixture_seconds(2);
	assert_int_equal(lcore_of(port, 1), 1);
	assert_placement("p",
			 "queue 1 has its memory on node 1, but is polled by lcore 1 of another node,"
			 " which is slower: `sluicectl port set p --lcore auto` brings it home");
}

static void
an_lcore_that_is_away_is_told(void **state)
{
	static struct topology topology;
	struct model_port *port = lcore_fixture_port("p", 1, NULL);
	struct lcore_spot *spot = &d.lcore_watch.spot[2];

	(void)state;
	assert_int_equal(topology_parse("0,0,1,1", &topology, NULL), 0);
	d.lcore_watch.topology = &topology;
	d.lcore_watch.lcore = d.model.lcore;
	lcore_fixture_up(port, node_1);
	assert_int_equal(lcore_of(port, 0), 3);
	spot->away = LCORE_CPU_FORBIDDEN;
	CPU_SET(1, &spot->cpus);
	assert_placement("p",
			 "queue 0 has its memory on node 1, where lcore 3 belongs, but not now: it"
			 " runs on another node until the CPU is back, which is slower");
	CPU_SET(3, &spot->cpus);
	assert_placement("p", NULL);
}

static void
memory_that_moves_is_followed(void **state)
{
	struct model_port *port = lcore_fixture_port("p", 2, NULL);
	struct model_port *other = lcore_fixture_port("q", 1, NULL);
	struct fake_port *fake = &fake_dp.port[port->id];

	(void)state;
	lcore_fixture_up(port, node_0);
	lcore_fixture_up(other, node_0);
	lcore_fixture_seconds(10);
	/* The kernel is not asked of every port in every second. */
	assert_int_equal(fake->located, 2);
	assert_int_equal(fake_dp.port[other->id].located, 2);
	fake->moved = true;
	memcpy(fake->moved_to, node_1, sizeof(node_1));
	lcore_fixture_seconds(5);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(d.model.lcore[lcore_of(port, i) - 1].node, 1);
	assert_int_equal(d.model.lcore[lcore_of(other, 0) - 1].node, 0);
	assert_placement("p", NULL);
}

static void
a_move_that_fails_is_no_harm(void **state)
{
	struct model_port *port = lcore_fixture_port("p", 1, NULL);

	(void)state;
	fake_dp.move_refused = 1;
	lcore_fixture_up(port, node_1);
	assert_int_equal(lcore_of(port, 0), 1);
	assert_null(lcore_fixture_event("queue.moved"));
	assert_non_null(lcore_fixture_event("port.remote"));
}

static void
a_port_that_is_drained_is_left_in_peace(void **state)
{
	struct model_port *port = lcore_fixture_port("p", 1, NULL);

	(void)state;
	fake_dp.port[port->id].info.drain = DP_DRAINING;
	lcore_fixture_up(port, node_1);
	assert_int_equal(lcore_of(port, 0), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, lcore_fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_queue_goes_to_its_guests_memory),
		TEST(a_guest_on_two_nodes_is_placed_by_queue),
		TEST(the_less_busy_lcore_is_taken),
		TEST(a_node_without_lcore_is_served_by_the_nearest),
		TEST(a_pinned_queue_stays_and_says_so),
		TEST(pins_are_obeyed_and_told),
		TEST(bad_pins_are_refused),
		TEST(a_pin_to_an_lcore_that_is_gone_is_told),
		TEST(a_ring_that_comes_later_is_followed),
		TEST(an_lcore_that_is_away_is_told),
		TEST(memory_that_moves_is_followed),
		TEST(a_move_that_fails_is_no_harm),
		TEST(a_port_that_is_drained_is_left_in_peace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
