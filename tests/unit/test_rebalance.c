/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/methods.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/lcore_fixture.h"

static const int one_node[] = {0, 0, 0}, two_nodes[] = {0, 0, 1, 1};

static int
setup(void **state)
{
	if (lcore_fixture_setup(state) < 0)
		return -1;
	lcore_fixture_lcores(one_node, 2);
	return 0;
}

/* A guest of one queue that works on an lcore, and need not stay there. */
static struct model_port *
guest(const char *name, unsigned int lcore, unsigned int percent)
{
	struct model_port *port = lcore_fixture_port(name, 1, NULL);

	assert_int_equal(model_queue_move(port, 0, lcore, NULL), 0);
	lcore_fixture_work(port, 0, percent);
	return port;
}

static json_t *
rebalance(bool dry_run, bool across_nodes)
{
	json_t *params = json_pack("{s:b, s:b}", "dry_run", dry_run, "across_nodes", across_nodes);
	struct err err = {0};
	json_t *result = method_lcore_rebalance(&d, NULL, params, &err);

	if (!result)
		fail_msg("%s", err.message);
	json_decref(params);
	return result;
}

/* In tenths of a per cent. */
static int
busy(const json_t *result, const char *when, unsigned int lcore)
{
	const json_t *entry = json_array_get(json_object_get(result, when), lcore - 1);

	assert_int_equal(json_integer_value(json_object_get(entry, "lcore")), lcore);
	return json_real_value(json_object_get(entry, "busy_percent")) * 10 + 0.5;
}

static unsigned int
n_moves(const json_t *result)
{
	return json_array_size(json_object_get(result, "moves"));
}

/* ---- when asked ---------------------------------------------------------------------------- */

static void
a_rebalance_moves_and_tells(void **state)
{
	struct model_port *a = guest("a", 1, 40), *b = guest("b", 1, 30);
	json_t *result, *move;

	(void)state;
	lcore_fixture_seconds(SHARE_SAMPLES);
	for (int dry_run = 1; dry_run >= 0; dry_run--) {
		result = rebalance(dry_run, false);
		assert_int_equal(json_is_true(json_object_get(result, "dry_run")), dry_run);
		assert_int_equal(n_moves(result), 1);
		move = json_array_get(json_object_get(result, "moves"), 0);
		assert_string_equal(json_string_value(json_object_get(move, "port")), "a");
		assert_int_equal(json_integer_value(json_object_get(move, "queue")), 0);
		assert_int_equal(json_integer_value(json_object_get(move, "from")), 1);
		assert_int_equal(json_integer_value(json_object_get(move, "to")), 2);
		assert_int_equal(busy(result, "before", 1), 700);
		assert_int_equal(busy(result, "before", 2), 0);
		assert_int_equal(busy(result, "after", 1), 300);
		assert_int_equal(busy(result, "after", 2), 400);
		/* (70 - 35)^2 and (40 - 35)^2 */
		assert_true(json_real_value(json_object_get(result, "variance_before")) == 1225);
		assert_true(json_real_value(json_object_get(result, "variance_after")) == 25);
		json_decref(result);
		assert_int_equal(a->lcore[0], dry_run ? 1 : 2);
		assert_int_equal(fake_dp.port[a->id].lcore[0], dry_run ? 1 : 2);
		assert_int_equal(b->lcore[0], 1);
		move = lcore_fixture_event("queue.moved");
		assert_int_equal(move == NULL, dry_run);
	}
	assert_string_equal(json_string_value(json_object_get(move, "reason")), "rebalance");
	/* The load moves with it. */
	lcore_fixture_seconds(SHARE_SAMPLES);
	result = rebalance(false, false);
	assert_int_equal(n_moves(result), 0);
	assert_int_equal(busy(result, "before", 1), 300);
	assert_int_equal(busy(result, "before", 2), 400);
	json_decref(result);
}

static void
a_rebalance_that_fails_changes_nothing(void **state)
{
	struct model_port *port[4];
	json_t *params = json_object();
	struct err err = {0};

	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		port[i] = guest((const char *[]){"a", "b", "c", "d"}[i], 1, 20);
	lcore_fixture_seconds(SHARE_SAMPLES);
	fake_dp.moves = 0;
	fake_dp.move_refused = 2;
	assert_null(method_lcore_rebalance(&d, NULL, params, &err));
	assert_string_equal(err.code, "fake");
	assert_int_equal(fake_dp.moves, 3); /* one there, one refused, one back */
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(port[i]->lcore[0], 1);
		assert_int_equal(fake_dp.port[port[i]->id].lcore[0], 1);
	}
	assert_null(lcore_fixture_event("queue.moved"));
	json_decref(params);
}

static void
pinned_and_drained_queues_stay(void **state)
{
	struct model_port *pinned = lcore_fixture_port("p", 1, "1");
	struct model_port *drained = guest("d", 1, 30), *free_to_go = guest("f", 1, 30);

	(void)state;
	lcore_fixture_work(pinned, 0, 35);
	fake_dp.port[drained->id].info.drain = DP_DRAINED;
	lcore_fixture_seconds(SHARE_SAMPLES);
	json_decref(rebalance(false, false));
	assert_int_equal(pinned->lcore[0], 1);
	assert_int_equal(drained->lcore[0], 1);
	assert_int_equal(free_to_go->lcore[0], 2);
}

static void
a_node_is_left_only_when_told(void **state)
{
	struct model_port *a, *b;
	json_t *result;

	(void)state;
	lcore_fixture_lcores((const int[]){0, 1}, 2);
	a = guest("a", 1, 30);
	b = guest("b", 1, 30);
	lcore_fixture_seconds(SHARE_SAMPLES);
	result = rebalance(false, false);
	assert_int_equal(n_moves(result), 0);
	json_decref(result);
	json_decref(rebalance(false, true));
	assert_int_equal(a->lcore[0] + b->lcore[0], 3);
}

/* What an lcore does for queues of other lcores is for those of its own on which it goes out. */
static void
delivery_is_on_the_account_of_who_is_delivered_to(void **state)
{
	struct model_port *gets = guest("gets", 1, 0), *half = guest("half", 1, 0);
	json_t *result;

	(void)state;
	fake_dp.port[half->id].out_packets[0] = 1000000; /* what was before does not count */
	lcore_fixture_seconds(1);
	for (unsigned int i = 0; i < SHARE_SAMPLES; i++) {
		fake_dp.port[gets->id].out_packets[0] += 3000;
		fake_dp.port[half->id].out_packets[0] += 1000;
		fake_dp.lcore[0].busy_cycles += 800000;
		fake_dp.lcore[1].busy_cycles += 100000; /* for nobody that there is now */
		lcore_fixture_seconds(1);
	}
	result = rebalance(false, false);
	assert_int_equal(n_moves(result), 1);
	assert_int_equal(half->lcore[0], 2);
	assert_int_equal(busy(result, "before", 1), 800);
	assert_int_equal(busy(result, "before", 2), 100);
	assert_int_equal(busy(result, "after", 1), 600);
	assert_int_equal(busy(result, "after", 2), 300);
	json_decref(result);
}

/* ---- by itself ----------------------------------------------------------------------------- */

/* How many of so many seconds go by until the queue is polled by another lcore. */
static unsigned int
seconds_until_moved(const struct model_port *port, unsigned int at_most)
{
	unsigned int lcore = port->lcore[0], n = 0;

	while (n < at_most && port->lcore[0] == lcore) {
		lcore_fixture_seconds(1);
		n++;
	}
	return port->lcore[0] == lcore ? at_most + 1 : n;
}

static void
a_busy_lcore_is_relieved_after_a_while(void **state)
{
	struct model_port *a = guest("a", 1, 60);

	(void)state;
	guest("b", 1, 40);
	assert_int_equal(seconds_until_moved(a, 20), SHARE_SAMPLES);
	assert_string_equal(json_string_value(json_object_get(lcore_fixture_event("queue.moved"),
							      "reason")),
			    "overload");
}

static void
nothing_moves_below_the_threshold(void **state)
{
	struct model_port *a = guest("a", 1, 60);
	struct model_port *b = guest("b", 1, REBALANCE_BUSY_PERCENT - 61);

	(void)state;
	assert_int_equal(seconds_until_moved(a, 60), 61);
	/* Nor for a moment above it, again and again. */
	for (unsigned int i = 0; i < 20; i++) {
		lcore_fixture_work(b, 0, 40);
		lcore_fixture_seconds(SHARE_SAMPLES - 1);
		lcore_fixture_work(b, 0, 10);
		lcore_fixture_seconds(1);
	}
	assert_int_equal(a->lcore[0], 1);
	lcore_fixture_work(b, 0, 40);
	assert_int_equal(seconds_until_moved(a, 20), SHARE_SAMPLES);
}

static void
nothing_moves_where_it_does_not_help(void **state)
{
	struct model_port *a = guest("a", 1, 100);
	struct model_port *b = guest("b", 1, 3);

	(void)state;
	guest("c", 2, 60);
	lcore_fixture_seconds(100);
	assert_int_equal(a->lcore[0], 1);
	assert_int_equal(b->lcore[0], 1);
	/* Both lcores have more than they can do. */
	lcore_fixture_work(b, 0, 90);
	guest("e", 2, 130);
	lcore_fixture_seconds(100);
	assert_null(lcore_fixture_event("queue.moved"));
	assert_int_equal(d.rebalance.node[0].wait_s, REBALANCE_WAIT_FIRST_S);
}

/* What is too much cannot be helped, and the rest is no reason to move anything. */
static void
nothing_moves_by_itself_for_a_little(void **state)
{
	(void)state;
	lcore_fixture_lcores(one_node, 3);
	guest("a", 1, 98);
	guest("b", 2, 6);
	guest("c", 2, 6);
	lcore_fixture_seconds(60);
	assert_null(lcore_fixture_event("queue.moved"));
	json_decref(rebalance(false, false));
	assert_non_null(lcore_fixture_event("queue.moved"));
}

static void
nothing_moves_by_itself_if_it_is_off(void **state)
{
	struct model_port *a = guest("a", 1, 60);

	(void)state;
	guest("b", 1, 40);
	d.options.rebalance_off = true;
	assert_int_equal(seconds_until_moved(a, 60), 61);
	json_decref(rebalance(false, false));
	assert_int_equal(a->lcore[0], 2);
}

static void
only_the_busy_node_is_touched(void **state)
{
	struct model_port *a, *c, *e;

	(void)state;
	lcore_fixture_lcores(two_nodes, 4);
	a = guest("a", 1, 60);
	guest("b", 1, 40);
	c = guest("c", 3, 40);
	e = guest("e", 3, 45);
	assert_int_equal(seconds_until_moved(a, 20), SHARE_SAMPLES);
	assert_int_equal(a->lcore[0], 2);
	lcore_fixture_seconds(20);
	assert_int_equal(c->lcore[0], 3);
	assert_int_equal(e->lcore[0], 3);
}

/* What another node has, or had, is no reason to leave this one as it is. */
static void
each_node_is_judged_alone(void **state)
{
	struct model_port *e, *f;

	(void)state;
	lcore_fixture_lcores(two_nodes, 4);
	guest("a", 1, 47);
	guest("b", 1, 24);
	guest("c", 1, 24);
	guest("x", 2, 45);
	e = guest("e", 3, 88); /* alone: as uneven as can be */
	lcore_fixture_seconds(SHARE_SAMPLES);
	assert_non_null(lcore_fixture_event("queue.moved"));
	assert_int_equal(e->lcore[0], 3);
	/* That was node 0's: node 1 has nothing to wait for. */
	lcore_fixture_work(e, 0, 60);
	f = guest("f", 3, 38);
	lcore_fixture_seconds(SHARE_SAMPLES);
	assert_true(e->lcore[0] == 4 || f->lcore[0] == 4);
}

/*
 * Three guests on two lcores, of which two work by turns, always those that share one: each turn asks
 * for another move. The moves get rarer, and quick again once there was peace.
 */
static void
a_load_that_goes_to_and_fro_is_not_followed_for_ever(void **state)
{
	struct model_port *port[3];
	unsigned int moves;

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		port[i] = guest((const char *[]){"a", "b", "c"}[i], 1, 0);
	fake_dp.moves = 0;
	for (unsigned int second = 0; second < 600; second++) {
		for (unsigned int i = 0; i < 3 && second % 5 == 0; i++) {
			unsigned int next = (i + 1) % 3;

			lcore_fixture_work(port[i], 0, 0);
			if (port[i]->lcore[0] != port[next]->lcore[0])
				continue;
			lcore_fixture_work(port[(i + 2) % 3], 0, 0);
			lcore_fixture_work(port[i], 0, 60);
			lcore_fixture_work(port[next], 0, 60);
			break;
		}
		lcore_fixture_seconds(1);
	}
	moves = fake_dp.moves;
	/* 0, 10, 30, 70, 150, 310 s */
	assert_true(moves >= 3 && moves <= 6);
	for (unsigned int i = 0; i < 3; i++) {
		lcore_fixture_work(port[i], 0, 0);
		model_queue_move(port[i], 0, 1, NULL);
	}
	lcore_fixture_seconds(REBALANCE_WAIT_LAST_S);
	lcore_fixture_work(port[0], 0, 60);
	lcore_fixture_work(port[1], 0, 60);
	assert_int_equal(seconds_until_moved(port[0], 20), SHARE_SAMPLES);
	/* And after the first wait once more. */
	model_queue_move(port[0], 0, 1, NULL);
	assert_int_equal(seconds_until_moved(port[0], 30), REBALANCE_WAIT_FIRST_S);
}

static void
a_failure_is_tried_again(void **state)
{
	struct model_port *a = guest("a", 1, 60);

	(void)state;
	guest("b", 1, 40);
	fake_dp.moves = 0;
	fake_dp.move_refused = 1;
	assert_int_equal(seconds_until_moved(a, 40), SHARE_SAMPLES + REBALANCE_WAIT_FIRST_S);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, lcore_fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_rebalance_moves_and_tells),
		TEST(a_rebalance_that_fails_changes_nothing),
		TEST(pinned_and_drained_queues_stay),
		TEST(a_node_is_left_only_when_told),
		TEST(delivery_is_on_the_account_of_who_is_delivered_to),
		TEST(a_busy_lcore_is_relieved_after_a_while),
		TEST(nothing_moves_below_the_threshold),
		TEST(nothing_moves_where_it_does_not_help),
		TEST(nothing_moves_by_itself_for_a_little),
		TEST(nothing_moves_by_itself_if_it_is_off),
		TEST(only_the_busy_node_is_touched),
		TEST(each_node_is_judged_alone),
		TEST(a_load_that_goes_to_and_fro_is_not_followed_for_ever),
		TEST(a_failure_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
