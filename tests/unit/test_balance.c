/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "numa/balance.h"

#define PERCENT (BALANCE_FULL / 100)
#define MARGIN (5 * PERCENT)
#define LCORES_MAX 256
#define QUEUES_MAX 1024

/* A problem and its solution. */
static struct {
	struct placement_lcore lcore[LCORES_MAX];
	struct balance_queue queue[QUEUES_MAX];
	unsigned int n_lcores, n_queues;
	struct balance_options options;
} in;
static struct balance_move moves[QUEUES_MAX];
static uint64_t before[LCORES_MAX], after[LCORES_MAX];
static struct balance_plan plan;

static void
solve(void)
{
	plan = (struct balance_plan){.move = moves, .before = before, .after = after};
	assert_int_equal(balance_plan(in.lcore, in.n_lcores, in.queue, in.n_queues, &in.options,
				      &plan),
			 0);
}

/* `n` lcores, dealt out to nodes one by one; the nodes lie in a row. */
static void
set_lcores(unsigned int n, unsigned int nodes)
{
	memset(&in, 0, sizeof(in));
	in.n_lcores = n;
	in.options.margin = MARGIN;
	for (unsigned int i = 0; i < n; i++) {
		int node = i % nodes;

		in.lcore[i] = (struct placement_lcore){.cpu = i, .node = node};
		for (int to = 0; to < TOPOLOGY_NODES_MAX; to++)
			in.lcore[i].distance[to] = 10 + 10 * (to > node ? to - node : node - to);
	}
}

static void
add_queue(unsigned int lcore, unsigned int percent)
{
	in.queue[in.n_queues++] = (struct balance_queue){.node = in.lcore[lcore].node,
							 .lcore = lcore,
							 .load = percent * PERCENT};
}

static uint64_t
highest(const uint64_t *load)
{
	uint64_t high = 0;

	for (unsigned int i = 0; i < in.n_lcores; i++)
		high = load[i] > high ? load[i] : high;
	return high;
}

/* ---- cases that one can check by eye ------------------------------------------------------- */

/* Each list is what the queues of an lcore take, in per cent, up to a 0. All lcores of one node. */
static const struct known {
	unsigned int percent[3][12];
	unsigned int n_lcores, n_moves;
	unsigned int highest; /* at most, in per cent */
} known[] = {
	/* Nothing to do, or nothing that would help. */
	{{{50}, {50}}, 2, 0, 50},
	{{{52}, {48}}, 2, 0, 52},
	{{{99}, {0}}, 2, 0, 99},
	{{{90, 1, 1}, {0}}, 2, 0, 92},
	{{{60, 40}}, 1, 0, 100},
	/* One queue is enough. */
	{{{50, 50}, {0}}, 2, 1, 50},
	{{{50, 20, 20, 10}, {0}}, 2, 1, 50},
	{{{40, 30, 30}, {0}, {0}}, 3, 2, 40},
	{{{30, 30, 40}, {20}}, 2, 1, 60},
	/* Many small ones: as many as it takes, not one more. */
	{{{10, 10, 10, 10, 10, 10, 10, 10, 10, 10}, {0}}, 2, 5, 50},
	{{{10, 10, 10, 10, 10, 10, 10, 10, 10, 10}, {10, 10}}, 2, 4, 60},
	/* Only an exchange helps. */
	{{{70, 50}, {40, 40}}, 2, 2, 110},
	/* The same, and LPT would move the 2 and the 1, too. */
	{{{54, 35}, {46, 5, 2}}, 2, 2, 83},
	{{{16, 1}, {9}, {43, 47}}, 3, 2, 47},
	/* The busiest cannot be helped, the next one can. */
	{{{95}, {40, 40}, {0}}, 3, 1, 95},
	/* What small queues there are stays where it is. */
	{{{45, 45, 1, 1, 1}, {1, 1}}, 2, 1, 49},
};

static void
known_cases(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
		set_lcores(known[k].n_lcores, 1);
		for (unsigned int i = 0; i < known[k].n_lcores; i++)
			for (const unsigned int *p = known[k].percent[i]; *p; p++)
				add_queue(i, *p);
		solve();
		if (plan.n_moves != known[k].n_moves || highest(after) > known[k].highest * PERCENT)
			fail_msg("case %zu: %u moves, %llu", k, plan.n_moves,
				 (unsigned long long)highest(after));
	}
}

static void
the_plan_says_what_it_does(void **state)
{
	(void)state;
	set_lcores(2, 1);
	add_queue(0, 50);
	add_queue(0, 30);
	add_queue(1, 10);
	solve();
	assert_int_equal(plan.n_moves, 1);
	assert_int_equal(moves[0].queue, 1);
	assert_int_equal(moves[0].from, 0);
	assert_int_equal(moves[0].to, 1);
	assert_int_equal(before[0], 80 * PERCENT);
	assert_int_equal(before[1], 10 * PERCENT);
	assert_int_equal(after[0], 50 * PERCENT);
	assert_int_equal(after[1], 40 * PERCENT);
	/* (80 - 45)^2 and (50 - 45)^2 */
	assert_true(plan.variance_before == 1225.0 * PERCENT * PERCENT);
	assert_true(plan.variance_after == 25.0 * PERCENT * PERCENT);
}

static void
a_node_is_left_only_when_told(void **state)
{
	(void)state;
	set_lcores(4, 2); /* 0 and 2 on node 0, 1 and 3 on node 1 */
	for (unsigned int i = 0; i < 4; i++)
		add_queue(0, 25);
	solve();
	assert_int_equal(plan.n_moves, 2);
	for (unsigned int i = 0; i < plan.n_moves; i++)
		assert_int_equal(moves[i].to, 2);
	in.options.across_nodes = true;
	solve();
	assert_int_equal(plan.n_moves, 3);
	assert_int_equal(highest(after), 25 * PERCENT);
}

static void
each_node_is_asked(void **state)
{
	(void)state;
	set_lcores(4, 2);
	for (unsigned int i = 0; i < 4; i++)
		add_queue(i % 2, 40);
	solve();
	assert_int_equal(plan.n_moves, 2);
	assert_int_equal(highest(after), 40 * PERCENT);
}

/* Nodes 0, 1, 2 in a row; node 0 has too much, the others have room. */
static void
across_nodes_the_nearest_with_room_is_taken(void **state)
{
	(void)state;
	set_lcores(3, 3);
	add_queue(0, 40);
	add_queue(0, 40);
	in.options.across_nodes = true;
	solve();
	assert_int_equal(plan.n_moves, 1);
	assert_int_equal(moves[0].to, 1);
	/* A queue whose memory is elsewhere goes there. */
	in.queue[0].node = in.queue[1].node = 2;
	solve();
	assert_int_equal(plan.n_moves, 1);
	assert_int_equal(moves[0].to, 2);
	/* There is no room on node 1. */
	in.queue[0].node = in.queue[1].node = 0;
	add_queue(1, 40);
	solve();
	assert_int_equal(plan.n_moves, 1);
	assert_int_equal(moves[0].to, 2);
}

static void
pinned_queues_stay(void **state)
{
	(void)state;
	set_lcores(2, 1);
	add_queue(0, 50);
	add_queue(0, 50);
	in.queue[0].pinned = true;
	solve();
	assert_int_equal(plan.n_moves, 1);
	assert_int_equal(moves[0].queue, 1);
	in.queue[1].pinned = true;
	solve();
	assert_int_equal(plan.n_moves, 0);
}

/* ---- by property: random problems from a seed ---------------------------------------------- */

static uint64_t seed;

static unsigned int
random_below(unsigned int n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (seed >> 33) % n;
}

/* Loads as guests have them: many idle, some alike, some large. */
static uint32_t
random_load(void)
{
	switch (random_below(5)) {
	case 0:
		return 0;
	case 1:
		return random_below(PERCENT);
	case 2:
		return 10 * PERCENT;
	case 3:
		return random_below(90 * PERCENT);
	default:
		return random_below(30 * PERCENT);
	}
}

static void
random_problem(unsigned int n_lcores, unsigned int nodes, unsigned int n_queues,
	       unsigned int pinned)
{
	unsigned int used = 1 + random_below(n_lcores); /* often a few lcores have it all */

	set_lcores(n_lcores, nodes);
	in.n_queues = n_queues;
	in.options.across_nodes = random_below(3) == 0;
	for (unsigned int i = 0; i < n_queues; i++)
		in.queue[i] = (struct balance_queue){
			.node = (int)random_below(TOPOLOGY_NODES_MAX + 1) - 1,
			.lcore = random_below(used),
			.load = random_load(),
			.pinned = random_below(100) < pinned,
		};
}

static bool
together(unsigned int a, unsigned int b)
{
	return in.options.across_nodes || in.lcore[a].node == in.lcore[b].node;
}

/* What holds for each plan, whatever the problem. */
static void
check_plan(void)
{
	static uint64_t sum[LCORES_MAX];

	memcpy(sum, before, sizeof(sum));
	for (unsigned int i = 0; i < plan.n_moves; i++) {
		const struct balance_queue *q = &in.queue[moves[i].queue];

		assert_int_equal(moves[i].from, q->lcore);
		assert_int_not_equal(moves[i].from, moves[i].to);
		assert_false(q->pinned);
		assert_int_not_equal(q->load, 0);
		assert_true(together(moves[i].from, moves[i].to));
		assert_true(i == 0 || moves[i].queue > moves[i - 1].queue);
		sum[moves[i].from] -= q->load;
		sum[moves[i].to] += q->load;
		/* Taken back, it would make the busier of its two lcores busier. */
		assert_true(after[moves[i].from] + q->load > after[moves[i].to]);
	}
	assert_memory_equal(sum, after, in.n_lcores * sizeof(sum[0]));
	if (plan.n_moves == 0)
		assert_true(plan.variance_before == plan.variance_after);
}

/* On each node, or on all of them, the busiest lcore gets no busier, and gains if anything moves. */
static void
check_gain(void)
{
	for (unsigned int i = 0; i < in.n_lcores; i++) {
		uint64_t high_before = 0, high_after = 0;
		bool gains = false, moved = false;

		for (unsigned int k = 0; k < in.n_lcores; k++) {
			if (!together(i, k))
				continue;
			high_before = before[k] > high_before ? before[k] : high_before;
			high_after = after[k] > high_after ? after[k] : high_after;
			moved |= before[k] != after[k];
			gains |= after[k] + MARGIN / 2 < before[k];
		}
		assert_true(high_after <= high_before);
		assert_true(moved == gains);
	}
}

static void
check_again_moves_nothing(void)
{
	for (unsigned int i = 0; i < plan.n_moves; i++)
		in.queue[moves[i].queue].lcore = moves[i].to;
	solve();
	assert_int_equal(plan.n_moves, 0);
}

static void
solve_and_check(void)
{
	static struct balance_move first[QUEUES_MAX];
	unsigned int n;

	solve();
	n = plan.n_moves;
	memcpy(first, moves, sizeof(first));
	memset(moves, 0xff, sizeof(moves));
	solve();
	assert_int_equal(plan.n_moves, n);
	assert_memory_equal(moves, first, n * sizeof(first[0]));
	check_plan();
	check_gain();
	check_again_moves_nothing();
}

static void
plans_keep_their_promises(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4000; i++) {
		seed = i;
		random_problem(1 + random_below(12), 1 + random_below(4), random_below(60),
			       i % 2 * 20);
		solve_and_check();
	}
}

/* Of two lcores the busier one is all that counts. */
static void
no_move_can_be_spared(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		seed = i;
		random_problem(2, 1, random_below(40), i % 2 * 20);
		solve();
		for (unsigned int k = 0; k < plan.n_moves; k++)
			assert_true(after[moves[k].from] + in.queue[moves[k].queue].load >
				    highest(after));
	}
}

static void
plans_for_the_largest_machines(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		seed = 1000 + i;
		random_problem(LCORES_MAX, 8, QUEUES_MAX - 100 * i % 500, i % 2 * 10);
		solve_and_check();
	}
}

/* The least that the busiest lcore can have: every way to place queues from the `at`-th on is tried. */
static uint64_t
best_possible(unsigned int at, uint64_t *load, uint64_t best)
{
	const struct balance_queue *q = &in.queue[at];
	uint64_t high = highest(load);

	if (high >= best)
		return best;
	if (at == in.n_queues)
		return high;
	for (unsigned int i = 0; i < in.n_lcores; i++) {
		if (q->pinned ? i != q->lcore : !together(i, q->lcore))
			continue;
		load[i] += q->load;
		best = best_possible(at + 1, load, best);
		load[i] -= q->load;
	}
	return best;
}

static void
no_lcore_is_far_above_the_best_possible(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t load[LCORES_MAX] = {0}, best;
		unsigned int m, pinned = i % 2 * 30;

		seed = i;
		m = 1 + random_below(4);
		random_problem(m, 1, random_below(9), pinned);
		in.options.margin = i % 3 * MARGIN;
		solve();
		best = best_possible(0, load, UINT64_MAX);
		/* 3/2 - 1/(2m) where some are pinned, else 4/3 - 1/(3m) */
		if (pinned)
			assert_true(2 * m * highest(after) <=
				    (3 * m - 1) * best + 2 * m * in.options.margin);
		else
			assert_true(3 * m * highest(after) <=
				    (4 * m - 1) * best + 3 * m * in.options.margin);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_cases),
		cmocka_unit_test(the_plan_says_what_it_does),
		cmocka_unit_test(a_node_is_left_only_when_told),
		cmocka_unit_test(each_node_is_asked),
		cmocka_unit_test(across_nodes_the_nearest_with_room_is_taken),
		cmocka_unit_test(pinned_queues_stay),
		cmocka_unit_test(plans_keep_their_promises),
		cmocka_unit_test(no_move_can_be_spared),
		cmocka_unit_test(plans_for_the_largest_machines),
		cmocka_unit_test(no_lcore_is_far_above_the_best_possible),
	};

	return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
