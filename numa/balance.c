/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/balance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * How far LPT's busiest lcore can be above the best possible, OPT.
 *
 * Let p be the queue that was put last on LPT's busiest lcore, and l what that lcore had before: no
 * lcore had less, so m l + p <= the sum of all load <= m OPT, and l + p <= OPT + (1 - 1/m) p.
 *
 * Nothing is pinned: for p <= OPT/3 that is (4/3 - 1/(3m)) OPT. For p > OPT/3 each lcore of the best
 * plan has at most two of the queues given out so far, and for such LPT is the best (Graham, 1969).
 *
 * Queues are pinned, and lcore i begins with b_i: for p <= OPT/2 it is (3/2 - 1/(2m)) OPT. For
 * p > OPT/2 the best plan has the k + 1 queues given out so far on k + 1 different lcores, each with
 * b_i <= OPT - p. Were l + p > OPT, these would have b_i < l. But LPT has given one of only k queues
 * to each lcore with b_i < l, or it would have least; so they are at most k: a contradiction.
 *
 * An lcore that only has what is pinned is as busy in the best plan, too.
 */

#define NOWHERE UINT32_MAX
#define PASSES_MAX 8 /* two or three are enough, as tests show */

struct work {
	const struct placement_lcore *lcore;
	const struct balance_queue *queue;
	unsigned int n_lcores, n_queues;
	unsigned int n_order;
	unsigned int *order; /* queues that may move, the largest first */
	bool *open; /* lcores that are being asked about */
	uint64_t *fixed; /* of each lcore: what cannot move */
	/* Which lcore each queue is on, and what that gives: in the plan, in a try, in the best try. */
	unsigned int *at, *try_at, *best_at;
	uint64_t *load, *try_load, *best_load;
};

/* ---- lcores by load ------------------------------------------------------------------------ */

static unsigned int
busiest(const struct work *w, const uint64_t *load)
{
	unsigned int best = NOWHERE;

	for (unsigned int i = 0; i < w->n_lcores; i++)
		if (w->open[i] && (best == NOWHERE || load[i] > load[best]))
			best = i;
	return best;
}

static unsigned int
idlest(const struct work *w, const uint64_t *load)
{
	unsigned int best = NOWHERE;

	for (unsigned int i = 0; i < w->n_lcores; i++)
		if (w->open[i] && (best == NOWHERE || load[i] < load[best]))
			best = i;
	return best;
}

static unsigned int
distance_of(const struct work *w, unsigned int lcore, int node)
{
	return node >= 0 && node < TOPOLOGY_NODES_MAX ? w->lcore[lcore].distance[node] : 0;
}

/* Should the queue rather be on lcore `a` of the try than on `b`? */
static bool
is_better(const struct work *w, unsigned int q, uint64_t aim, unsigned int a, unsigned int b)
{
	uint64_t load_a = w->try_load[a], load_b = w->try_load[b];
	bool fits_a = load_a + w->queue[q].load <= aim, fits_b = load_b + w->queue[q].load <= aim;
	unsigned int far_a = distance_of(w, a, w->queue[q].node);
	unsigned int far_b = distance_of(w, b, w->queue[q].node);

	if (fits_a != fits_b)
		return fits_a;
	if (fits_a && far_a != far_b)
		return far_a < far_b;
	if (load_a != load_b)
		return load_a < load_b;
	return a == w->at[q] && b != w->at[q];
}

/* ---- tries --------------------------------------------------------------------------------- */

/*
 * Fills the try: queues stay as long as their lcore does not get above `aim`, the small or the large
 * ones first; those that may not are given out again, the largest first. With an aim of 0 that is
 * LPT. Returns the load of the busiest lcore.
 */
static uint64_t
pack(struct work *w, uint64_t aim, bool small_first)
{
	memcpy(w->try_load, w->fixed, w->n_lcores * sizeof(*w->try_load));
	for (unsigned int k = 0; k < w->n_order; k++) {
		unsigned int q = w->order[small_first ? w->n_order - 1 - k : k], at = w->at[q];
		uint64_t load = w->try_load[at] + w->queue[q].load;

		w->try_at[q] = NOWHERE;
		if (w->open[at] && load > aim)
			continue;
		w->try_at[q] = at;
		w->try_load[at] = load;
	}
	for (unsigned int k = 0; k < w->n_order; k++) {
		unsigned int q = w->order[k], to = NOWHERE;

		if (w->try_at[q] != NOWHERE)
			continue;
		for (unsigned int i = 0; i < w->n_lcores; i++)
			if (w->open[i] && (to == NOWHERE || is_better(w, q, aim, i, to)))
				to = i;
		w->try_at[q] = to;
		w->try_load[to] += w->queue[q].load;
	}
	return w->try_load[busiest(w, w->try_load)];
}

/* Takes back the moves of a try that are not needed, as many as go: the small ones first. */
static void
take_back(struct work *w, uint64_t aim)
{
	bool again;

	do {
		again = false;
		for (unsigned int k = w->n_order; k-- > 0;) {
			unsigned int q = w->order[k];
			unsigned int from = w->queue[q].lcore, to = w->try_at[q];
			uint64_t load = w->try_load[from] + w->queue[q].load;

			if (from == to || !w->open[from] || (load > aim && load > w->try_load[to]))
				continue;
			w->try_at[q] = from;
			w->try_load[from] = load;
			w->try_load[to] -= w->queue[q].load;
			again = true;
		}
	} while (again);
}

static unsigned int
count_moves(const struct work *w, const unsigned int *at)
{
	unsigned int n = 0;

	for (unsigned int k = 0; k < w->n_order; k++)
		n += at[w->order[k]] != w->queue[w->order[k]].lcore;
	return n;
}

static void
copy(const struct work *w, unsigned int *to_at, uint64_t *to_load, const unsigned int *at,
     const uint64_t *load)
{
	memcpy(to_at, at, w->n_queues * sizeof(*at));
	memcpy(to_load, load, w->n_lcores * sizeof(*load));
}

/* Relieves the busiest of the open lcores, if that is worth it. Returns whether it was. */
static bool
relieve(struct work *w, uint32_t margin)
{
	uint64_t lpt = pack(w, 0, false), aim = lpt + margin / 2;
	unsigned int fewest = NOWHERE;

	if (w->load[busiest(w, w->load)] <= lpt + margin)
		return false;
	for (unsigned int try = 0; try < 3; try++) {
		if (pack(w, try < 2 ? aim : 0, try == 0) > aim)
			continue;
		take_back(w, aim);
		if (count_moves(w, w->try_at) < fewest) {
			fewest = count_moves(w, w->try_at);
			copy(w, w->best_at, w->best_load, w->try_at, w->try_load);
		}
	}
	copy(w, w->at, w->load, w->best_at, w->best_load);
	return true;
}

/* ---- one problem after another ------------------------------------------------------------- */

/* Opens the lcores of a node, or all of them for `across`. Returns how many. */
static unsigned int
open_lcores(struct work *w, int node, bool across)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->n_lcores; i++) {
		w->open[i] = across || w->lcore[i].node == node;
		n += w->open[i];
	}
	return n;
}

static double
variance_add(const struct work *w, const uint64_t *load, unsigned int n_open)
{
	double mean = 0, sum = 0;

	for (unsigned int i = 0; i < w->n_lcores; i++)
		mean += w->open[i] ? (double)load[i] / n_open : 0;
	for (unsigned int i = 0; i < w->n_lcores; i++)
		sum += w->open[i] ? (load[i] - mean) * (load[i] - mean) : 0;
	return sum / w->n_lcores;
}

/* One lcore after another, the busiest first. Returns whether anything has changed. */
static bool
relieve_all(struct work *w, uint32_t margin, unsigned int n_open)
{
	bool changed = false;

	for (; n_open > 1; n_open--) {
		unsigned int high = busiest(w, w->load), low = idlest(w, w->load);

		if (w->load[high] - w->load[low] <= margin)
			break;
		changed |= relieve(w, margin);
		w->open[busiest(w, w->load)] = false;
	}
	return changed;
}

static void
solve(struct work *w, int node, const struct balance_options *options, struct balance_plan *plan)
{
	unsigned int n = open_lcores(w, node, options->across_nodes);
	unsigned int pass = 0;

	plan->variance_before += variance_add(w, w->load, n);
	/* What was closed may have become better by a later step. */
	while (pass++ < PASSES_MAX && relieve_all(w, options->margin, n)) {
		open_lcores(w, node, options->across_nodes);
		copy(w, w->try_at, w->try_load, w->at, w->load);
		take_back(w, 0);
		copy(w, w->at, w->load, w->try_at, w->try_load);
	}
	open_lcores(w, node, options->across_nodes);
	plan->variance_after += variance_add(w, w->load, n);
}

static bool
is_first_of_node(const struct work *w, unsigned int lcore)
{
	for (unsigned int i = 0; i < lcore; i++)
		if (w->lcore[i].node == w->lcore[lcore].node)
			return false;
	return true;
}

/* ---- before and behind --------------------------------------------------------------------- */

static int
largest_first(const void *a, const void *b, void *arg)
{
	const struct balance_queue *queue = arg;
	unsigned int qa = *(const unsigned int *)a, qb = *(const unsigned int *)b;

	if (queue[qa].load != queue[qb].load)
		return queue[qa].load > queue[qb].load ? -1 : 1;
	return qa < qb ? -1 : 1;
}

/* Moving a queue without load would help nobody. */
static void
work_fill(struct work *w)
{
	for (unsigned int q = 0; q < w->n_queues; q++) {
		unsigned int lcore = w->queue[q].lcore;

		w->at[q] = w->try_at[q] = lcore;
		w->load[lcore] += w->queue[q].load;
		if (w->queue[q].pinned || w->queue[q].load == 0)
			w->fixed[lcore] += w->queue[q].load;
		else
			w->order[w->n_order++] = q;
	}
	qsort_r(w->order, w->n_order, sizeof(*w->order), largest_first, (void *)w->queue);
}

static int
work_create(struct work *w)
{
	unsigned int *ints = calloc(w->n_queues + 1, 4 * sizeof(*ints));
	uint64_t *loads = calloc(w->n_lcores + 1, 4 * sizeof(*loads));

	w->open = calloc(w->n_lcores + 1, sizeof(*w->open));
	w->order = ints;
	w->fixed = loads;
	if (!ints || !loads || !w->open)
		return -ENOMEM;
	w->at = ints + w->n_queues;
	w->try_at = ints + 2 * w->n_queues;
	w->best_at = ints + 3 * w->n_queues;
	w->load = loads + w->n_lcores;
	w->try_load = loads + 2 * w->n_lcores;
	w->best_load = loads + 3 * w->n_lcores;
	return 0;
}

static void
work_destroy(struct work *w)
{
	free(w->order);
	free(w->fixed);
	free(w->open);
}

int
balance_plan(const struct placement_lcore *lcore, unsigned int n_lcores,
	     const struct balance_queue *queue, unsigned int n_queues,
	     const struct balance_options *options, struct balance_plan *plan)
{
	struct work w = {.lcore = lcore, .n_lcores = n_lcores, .queue = queue, .n_queues = n_queues};
	int rc = work_create(&w);

	if (rc < 0)
		goto out;
	work_fill(&w);
	plan->n_moves = 0;
	plan->variance_before = plan->variance_after = 0;
	memcpy(plan->before, w.load, n_lcores * sizeof(*w.load));
	for (unsigned int i = 0; i < n_lcores; i++)
		if (options->across_nodes ? i == 0 : is_first_of_node(&w, i))
			solve(&w, lcore[i].node, options, plan);
	memcpy(plan->after, w.load, n_lcores * sizeof(*w.load));
	for (unsigned int q = 0; q < n_queues; q++)
		if (w.at[q] != queue[q].lcore)
			plan->move[plan->n_moves++] =
				(struct balance_move){q, queue[q].lcore, w.at[q]};
out:
	work_destroy(&w);
	return rc;
}
