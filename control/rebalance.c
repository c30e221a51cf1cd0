/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rebalance.h"

#include <errno.h>
#include <stdlib.h>

#include "control/events.h"
#include "control/log.h"
#include "control/methods.h"
#include "numa/balance.h"

#define MILLIONTHS_OF_PERCENT (BALANCE_FULL / 100)
#define ALL_NODES -1

/* A queue of the problem. */
struct item {
	struct model_port *port; /* NULL: what no queue of an lcore stands for */
	unsigned int queue;
};

struct problem {
	unsigned int n;
	struct item *item;
	struct balance_queue *queue;
	struct balance_plan plan;
	uint64_t before[DP_LCORES_MAX], after[DP_LCORES_MAX];
};

static void
problem_free(struct problem *p)
{
	free(p->item);
	free(p->queue);
	free(p->plan.move);
}

static int
problem_alloc(struct problem *p, const struct model *m)
{
	const struct model_port *port;
	unsigned int n = m->n_lcores;

	TAILQ_FOREACH(port, &m->ports, link)
		n += port->n_lcores;
	*p = (struct problem){
		.item = calloc(n, sizeof(*p->item)),
		.queue = calloc(n, sizeof(*p->queue)),
		.plan.move = calloc(n, sizeof(*p->plan.move)),
	};
	p->plan.before = p->before;
	p->plan.after = p->after;
	return p->item && p->queue && p->plan.move ? 0 : -ENOMEM;
}

/* One that is being drained is left in peace. */
static void
add_port(struct problem *p, const struct model *m, struct model_port *port)
{
	struct dp_port_info info;

	dp_port_info(port->id, &info);
	for (unsigned int i = 0; i < port->n_lcores; i++) {
		p->item[p->n] = (struct item){port, i};
		p->queue[p->n++] = (struct balance_queue){
			.node = info.queue[i].node,
			.lcore = port->lcore[i] - 1,
			.load = share_mean(port->share[i].sample),
			.pinned = model_queue_is_pinned(m, port, i) || info.drain != DP_DRAIN_NONE,
		};
	}
}

/* Plans for all nodes, or (not ALL_NODES) for the lcores of one. The caller frees *p in either case. */
static int
make_plan(struct problem *p, struct daemon *d, bool across_nodes, int node, struct err *err)
{
	const struct balance_options options = {
		.across_nodes = across_nodes,
		.margin = REBALANCE_MARGIN_PERCENT * MILLIONTHS_OF_PERCENT,
	};
	struct model *m = &d->model;
	struct model_port *port;

	if (problem_alloc(p, m) < 0)
		return err_set(err, ENOMEM, "no-memory", "no memory to plan");
	TAILQ_FOREACH(port, &m->ports, link)
		if (port->id >= 0)
			add_port(p, m, port);
	for (unsigned int i = 0; i < p->n && node != ALL_NODES; i++)
		p->queue[i].pinned |= m->lcore[p->queue[i].lcore].node != node;
	for (unsigned int i = 0; i < m->n_lcores; i++)
		p->queue[p->n++] = (struct balance_queue){
			.node = -1,
			.lcore = i,
			.load = share_mean(d->rebalance.shares.other[i]),
			.pinned = true,
		};
	if (balance_plan(m->lcore, m->n_lcores, p->queue, p->n, &options, &p->plan) < 0)
		return err_set(err, ENOMEM, "no-memory", "no memory to plan");
	return 0;
}

/* Carries the plan out, or nothing of it. */
static int
carry_out(const struct problem *p, struct daemon *d, const char *why, struct err *err)
{
	const struct balance_move *move = p->plan.move;
	unsigned int done;
	int rc = 0;

	for (done = 0; rc == 0 && done < p->plan.n_moves; done++) {
		const struct item *item = &p->item[move[done].queue];

		rc = model_queue_move(item->port, item->queue, move[done].to + 1, err);
	}
	if (rc < 0) {
		while (done-- > 0) {
			const struct item *item = &p->item[move[done].queue];

			if (model_queue_move(item->port, item->queue, move[done].from + 1, NULL))
				log_error("%s: queue %u stays on lcore %u", item->port->set.name,
					  item->queue, move[done].to + 1);
		}
		return rc;
	}
	for (unsigned int i = 0; i < done; i++) {
		const struct item *item = &p->item[move[i].queue];

		events_queue_moved(d, item->port, item->queue, move[i].from + 1, why);
	}
	return 0;
}

/* ---- when asked ---------------------------------------------------------------------------- */

static json_t *
moves_json(const struct problem *p)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < p->plan.n_moves; i++) {
		const struct balance_move *move = &p->plan.move[i];
		const struct item *item = &p->item[move->queue];

		json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i}", "port",
						      item->port->set.name, "queue",
						      (int)item->queue, "from", (int)move->from + 1,
						      "to", (int)move->to + 1));
	}
	return list;
}

/* With one digit behind the point, as more would be noise. */
static double
tenths(double value)
{
	return (long long)(value * 10 + 0.5) / 10.0;
}

static json_t *
busy_json(const struct model *m, const uint64_t *load)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < m->n_lcores; i++)
		json_array_append_new(list,
				      json_pack("{s:i, s:f}", "lcore", (int)i + 1, "busy_percent",
						tenths((double)load[i] / MILLIONTHS_OF_PERCENT)));
	return list;
}

/* In per cent squared. */
static double
variance_percent(double variance)
{
	return tenths(variance / MILLIONTHS_OF_PERCENT / MILLIONTHS_OF_PERCENT);
}

METHOD(method_lcore_rebalance)
{
	bool across_nodes = json_is_true(json_object_get(params, "across_nodes"));
	bool dry_run = json_is_true(json_object_get(params, "dry_run"));
	json_t *result = NULL;
	struct problem p;

	(void)connection;
	if (make_plan(&p, d, across_nodes, ALL_NODES, err) == 0 &&
	    (dry_run || carry_out(&p, d, "rebalance", err) == 0))
		result = json_pack("{s:b, s:o, s:o, s:o, s:f, s:f}", "dry_run", dry_run, "moves",
				   moves_json(&p), "before", busy_json(&d->model, p.before),
				   "after", busy_json(&d->model, p.after), "variance_before",
				   variance_percent(p.plan.variance_before), "variance_after",
				   variance_percent(p.plan.variance_after));
	problem_free(&p);
	return result;
}

/* ---- by itself ----------------------------------------------------------------------------- */

/* Times the number of the node's lcores. */
static double
variance_on(const struct model *m, int node, const uint64_t *load)
{
	double sum = 0, squares = 0;
	unsigned int n = 0;

	for (unsigned int i = 0; i < m->n_lcores; i++) {
		if (m->lcore[i].node != node)
			continue;
		sum += (double)load[i];
		squares += (double)load[i] * (double)load[i];
		n++;
	}
	return n > 0 ? squares - sum * sum / n : 0;
}

static bool
is_worth_it(const struct problem *p, const struct model *m, int node)
{
	return p->plan.n_moves > 0 &&
	       variance_on(m, node, p->after) <=
		       variance_on(m, node, p->before) * (100 - REBALANCE_GAIN_PERCENT) / 100;
}

static void
relieve(struct daemon *d, int node)
{
	struct rebalance_node *r = &d->rebalance.node[node];
	struct problem p;
	struct err err;

	r->left_s = REBALANCE_WAIT_FIRST_S; /* to ask again, if it comes to nothing now */
	if (make_plan(&p, d, false, node, &err) < 0) {
		log_error("queues of a busy lcore stay there: %s", err.message);
	} else if (is_worth_it(&p, &d->model, node)) {
		r->left_s = r->wait_s;
		r->wait_s = r->wait_s < REBALANCE_WAIT_LAST_S ? 2 * r->wait_s : r->wait_s;
		if (carry_out(&p, d, "overload", &err) < 0)
			log_error("queues of a busy lcore stay there: %s", err.message);
	}
	problem_free(&p);
}

static void
node_second(struct daemon *d, int node)
{
	struct rebalance_node *r = &d->rebalance.node[node];
	bool any_busy = false, any_long = false;

	for (unsigned int i = 0; i < d->model.n_lcores; i++) {
		if (d->model.lcore[i].node != node)
			continue;
		any_busy |= d->rebalance.busy_s[i] > 0;
		any_long |= d->rebalance.busy_s[i] >= SHARE_SAMPLES;
	}
	r->calm_s = any_busy ? 0 : r->calm_s + 1;
	if (r->wait_s == 0 || r->calm_s >= r->wait_s)
		r->wait_s = REBALANCE_WAIT_FIRST_S;
	if (r->left_s > 0)
		r->left_s--;
	if (any_long && r->left_s == 0 && !d->options.rebalance_off)
		relieve(d, node);
}

void
rebalance_second(struct daemon *d)
{
	struct rebalance *r = &d->rebalance;

	share_sample(&r->shares, &d->model, &d->load);
	for (unsigned int i = 0; i < d->load.n; i++)
		r->busy_s[i] = d->load.lcore[i].busy_percent >= REBALANCE_BUSY_PERCENT ?
				       r->busy_s[i] + 1 :
				       0;
	for (int node = 0; node < DP_NODES_MAX; node++)
		node_second(d, node);
}
