/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/follow.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/events.h"
#include "control/log.h"
#include "numa/cpulist.h"

#define WORDS_SIZE 1024
#define LOCATE_EVERY_S 5 /* each port, and not all of them in one second */
#define BUSY_STEP_PERCENT 10 /* a smaller difference is none */

/* ---- in words ------------------------------------------------------------------------------ */

enum far {
	FAR_NOT, /* or not known */
	FAR_NO_LCORE, /* its node has none */
	FAR_AWAY, /* its lcore is not on its CPU */
	FAR_PINNED,
	FAR_MOVED, /* somebody wanted it so */
	N_FAR,
};

static enum far
far_why(const struct daemon *d, const struct model_port *port, unsigned int queue, int node)
{
	const struct lcore_watch *watch = &d->lcore_watch;
	const struct model *m = &d->model;
	unsigned int lcore = port->lcore[queue];
	bool has_lcore = false;

	if (m->lcore[lcore - 1].node == node)
		return watch->spot[lcore - 1].away != LCORE_HOME &&
				       lcore_watch_node(watch, lcore) != node ?
			       FAR_AWAY :
			       FAR_NOT;
	for (unsigned int i = 0; i < m->n_lcores; i++)
		has_lcore |= m->lcore[i].node == node;
	if (!has_lcore)
		return FAR_NO_LCORE;
	return model_queue_is_pinned(m, port, queue) ? FAR_PINNED : FAR_MOVED;
}

static void words_add(char words[WORDS_SIZE], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
words_add(char words[WORDS_SIZE], const char *fmt, ...)
{
	size_t len = strlen(words);
	va_list args;

	va_start(args, fmt);
	vsnprintf(words + len, WORDS_SIZE - len, fmt, args);
	va_end(args);
}

/* A sentence for the queues that have the same to be said. */
static void
say_group(char words[WORDS_SIZE], const struct model_port *port, const cpu_set_t *queues,
	  const cpu_set_t *lcores, int node, enum far why)
{
	bool one_queue = CPU_COUNT(queues) == 1, one_lcore = CPU_COUNT(lcores) == 1;
	char queue_list[64], lcore_list[256];

	cpulist_format(queues, queue_list, sizeof(queue_list));
	cpulist_format(lcores, lcore_list, sizeof(lcore_list));
	words_add(words, "%squeue%s %s %s %s on node %d, ", *words ? "; " : "",
		  one_queue ? "" : "s", queue_list, one_queue ? "has its" : "have their",
		  port->is_uplink ? "device" : "memory", node);
	if (why == FAR_NO_LCORE)
		words_add(words,
			  "which has no lcore, so lcore%s %s of another node %s %s, which is"
			  " slower: give sluiced an lcore of node %d",
			  one_lcore ? "" : "s", lcore_list, one_lcore ? "polls" : "poll",
			  one_queue ? "it" : "them", node);
	else if (why == FAR_AWAY)
		words_add(words,
			  "where lcore%s %s %s, but not now: %s on another node until the CPU is"
			  " back, which is slower",
			  one_lcore ? "" : "s", lcore_list, one_lcore ? "belongs" : "belong",
			  one_lcore ? "it runs" : "they run");
	else
		words_add(words, "but %s %s lcore%s %s of another node, which is slower",
			  one_queue ? "is" : "are", why == FAR_PINNED ? "pinned to" : "polled by",
			  one_lcore ? "" : "s", lcore_list);
	if ((why == FAR_PINNED || why == FAR_MOVED) && !port->is_uplink)
		words_add(words, ": `sluicectl port set %s --lcore auto` brings %s home",
			  port->set.name, one_queue ? "it" : "them");
}

static void
say_node(char words[WORDS_SIZE], const struct daemon *d, const struct model_port *port,
	 const struct dp_port_info *info, int node)
{
	for (enum far why = FAR_NO_LCORE; why < N_FAR; why++) {
		cpu_set_t queues, lcores;

		CPU_ZERO(&queues);
		CPU_ZERO(&lcores);
		for (unsigned int i = 0; i < port->n_lcores; i++) {
			if (info->queue[i].node != node || far_why(d, port, i, node) != why)
				continue;
			CPU_SET(i, &queues);
			CPU_SET(port->lcore[i], &lcores);
		}
		if (CPU_COUNT(&queues) > 0)
			say_group(words, port, &queues, &lcores, node, why);
	}
}

static void
say_far(char words[WORDS_SIZE], const struct daemon *d, const struct model_port *port,
	const struct dp_port_info *info)
{
	for (int node = 0; node < TOPOLOGY_NODES_MAX; node++)
		say_node(words, d, port, info, node);
}

json_t *
follow_placement(const struct daemon *d, const struct model_port *port,
		 const struct dp_port_info *info)
{
	char words[WORDS_SIZE] = "";

	if (port->id >= 0)
		say_far(words, d, port, info);
	for (unsigned int i = 0; i < (port->set.queues ? port->set.queues : port->n_lcores); i++)
		if (port->set.pin[i] > d->model.n_lcores)
			words_add(words,
				  "%squeue %u is pinned to lcore %u, which sluiced does not"
				  " have now",
				  *words ? "; " : "", i, port->set.pin[i]);
	return *words ? json_string(words) : json_null();
}

/* ---- moves ---------------------------------------------------------------------------------- */

static unsigned int
distance(const struct model *m, unsigned int lcore, int node)
{
	return m->lcore[lcore - 1].distance[node];
}

/* A load for placement_queue(): how busy the lcores are, roughly, then how many queues they have. */
static void
weigh(const struct daemon *d, unsigned int weight[DP_LCORES_MAX])
{
	model_count_queues(&d->model, weight);
	for (unsigned int i = 0; i < d->model.n_lcores; i++)
		weight[i] += (unsigned int)(d->load.lcore[i].busy_percent / BUSY_STEP_PERCENT) *
			     DP_PORTS_MAX * DP_QUEUES_MAX;
}

static void
follow_queue(struct daemon *d, struct model_port *port, unsigned int queue, int node)
{
	const struct model *m = &d->model;
	unsigned int weight[DP_LCORES_MAX], from = port->lcore[queue], to;
	struct err err;

	weigh(d, weight);
	to = placement_queue(m->lcore, m->n_lcores, weight, node) + 1;
	if (distance(m, to, node) >= distance(m, from, node))
		return;
	if (model_queue_move(port, queue, to, &err) < 0)
		log_error("%s: queue %u stays on lcore %u, far from its memory on node %d: %s",
			  port->set.name, queue, from, node, err.message);
	else
		events_queue_moved(d, port, queue, from, "memory");
}

/* Moves the queues of the set. */
static void
follow_queues(struct daemon *d, struct model_port *port, const struct dp_port_info *info,
	      uint32_t queues)
{
	char words[WORDS_SIZE] = "";

	for (unsigned int i = 0; i < port->n_lcores; i++) {
		int node = info->queue[i].node;

		if (info->drain == DP_DRAIN_NONE)
			port->node_seen[i] = node + 1;
		if (queues >> i & 1 && node >= 0 && node < TOPOLOGY_NODES_MAX &&
		    info->drain == DP_DRAIN_NONE && !model_queue_is_pinned(&d->model, port, i))
			follow_queue(d, port, i, node);
	}
	say_far(words, d, port, info);
	if (*words)
		events_port_remote(d, port, words);
}

void
follow_port(struct daemon *d, struct model_port *port)
{
	struct dp_port_info info;

	dp_port_info(port->id, &info);
	follow_queues(d, port, &info, UINT32_MAX);
}

void
follow_second(struct daemon *d)
{
	unsigned int turn = d->follow_turn++ % LOCATE_EVERY_S;
	struct model_port *port;

	TAILQ_FOREACH(port, &d->model.ports, link) {
		struct dp_port_info info;
		uint32_t queues = 0;

		if (port->id < 0)
			continue;
		if ((unsigned int)port->id % LOCATE_EVERY_S == turn)
			dp_port_locate(port->id);
		dp_port_info(port->id, &info);
		for (unsigned int i = 0; i < port->n_lcores; i++)
			if (info.queue[i].node >= 0 && info.queue[i].node + 1 != port->node_seen[i])
				queues |= UINT32_C(1) << i;
		if (queues)
			follow_queues(d, port, &info, queues);
	}
}
