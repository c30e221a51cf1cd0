/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_BALANCE_H
#define NUMA_BALANCE_H

#include <stdint.h>

#include "numa/placement.h"

/*
 * Which queues should change lcores, so that no lcore is busier than it must be. A pure function:
 * the same input gives the same output, and nothing is touched. Thread: any. May wait: no.
 *
 * What it is measured against is Graham's list, largest first (LPT): the queues that may move are
 * taken away, and given out again from the largest to the smallest, each to the lcore that has least.
 * On m lcores its busiest has at most 4/3 - 1/(3m) times the load that the busiest of the best
 * possible plan has, or 3/2 - 1/(2m) times where queues stay that are pinned: balance.c has the
 * proofs. It moves nearly everything, though, and so is the yardstick and the last resort only:
 *
 * - Nothing moves while the busiest lcore is at most `margin` above LPT's busiest.
 * - Else it ends at most half of `margin` above that; so whatever moves, it gains half of `margin`.
 * - Few moves: queues stay where they are as far as that allows, and no single move can be taken back
 *   without making the busier one of its two lcores busier.
 * - When nothing can be done for the busiest lcore any more, the same is asked about all the others.
 *
 * Each memory node is a problem of its own: a queue stays with the lcores of the node on which it is
 * polled. Across nodes, all lcores are one problem, and what must move goes to the lcore nearest to
 * its memory that has room, which costs more there than the estimate says.
 */

#define BALANCE_FULL 1000000 /* all of an lcore's time */

struct balance_queue {
	int node; /* of its memory; -1: not known */
	unsigned int lcore; /* index of the one that polls it */
	uint32_t load; /* of an lcore's time, in millionths */
	bool pinned; /* stays */
};

struct balance_options {
	bool across_nodes;
	uint32_t margin; /* of an lcore's time, in millionths */
};

struct balance_move {
	unsigned int queue, from, to; /* indices */
};

struct balance_plan {
	/* The caller's arrays: room for all queues, and for all lcores. */
	struct balance_move *move;
	uint64_t *before, *after; /* load of each lcore, in millionths of its time */

	unsigned int n_moves; /* in the order of the queues */
	/* Of the lcores' load, in millionths squared, about the mean of those that share a problem. */
	double variance_before, variance_after;
};

/*
 * Takes at most lcores x queues x lcores steps for each of three tries, where queues without load or
 * pinned ones do not count. Returns 0 or -ENOMEM.
 */
int balance_plan(const struct placement_lcore *lcore, unsigned int n_lcores,
		 const struct balance_queue *queue, unsigned int n_queues,
		 const struct balance_options *options, struct balance_plan *plan);

#endif
