/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>

#include "control/methods.h"
#include "numa/cpulist.h"
#include "numa/hugepages.h"

/*
 * Which memory lies where, and who works with it from afar.
 *
 * A queue is on the node of its guest's rings, or of its device; the lcore that polls it should be
 * there, too. Where it is not, somebody wants to know why, and what can be done.
 */

#define LCORES_SIZE 192 /* of a list of lcores, which has 32 pieces at most */

static json_t *
list_json(const cpu_set_t *set)
{
	char text[CPULIST_SIZE];

	cpulist_format(set, text, sizeof(text));
	return json_string(text);
}

/* ---- CPUs ---------------------------------------------------------------------------------- */

/* The hyperthreads of each core of the node that has more than one, as lists. */
static json_t *
siblings_json(const struct topology *t, const cpu_set_t *here)
{
	json_t *cores = json_array();

	for (unsigned int core = 0; core < t->n_cpus; core++) {
		cpu_set_t threads;

		CPU_ZERO(&threads);
		for (unsigned int cpu = core; cpu < t->n_cpus; cpu++)
			if (CPU_ISSET(cpu, here) && t->core_of_cpu[cpu] == core)
				CPU_SET(cpu, &threads);
		if (CPU_COUNT(&threads) > 1)
			json_array_append_new(cores, list_json(&threads));
	}
	return cores;
}

static void
add_cpus(json_t *o, const struct topology *t, int node)
{
	cpu_set_t here, some;

	CPU_ZERO(&here);
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++)
		if (t->node_of_cpu[cpu] == node)
			CPU_SET(cpu, &here);
	json_object_set_new(o, "cpus", list_json(&here));
	CPU_AND(&some, &here, &t->isolated);
	json_object_set_new(o, "cpus_isolated", list_json(&some));
	CPU_AND(&some, &here, &t->nohz_full);
	json_object_set_new(o, "cpus_nohz_full", list_json(&some));
	CPU_AND(&some, &here, &t->online);
	CPU_XOR(&some, &some, &here);
	json_object_set_new(o, "cpus_offline", list_json(&some));
	CPU_AND(&some, &here, &t->allowed);
	json_object_set_new(o, "cpus_allowed", list_json(&some));
	json_object_set_new(o, "siblings", siblings_json(t, &here));
}

static void
add_lcores(json_t *o, const struct daemon *d, int node)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < d->model.n_lcores; i++)
		if (d->model.lcore[i].node == node)
			json_array_append_new(list, method_lcore_json(d, i));
	json_object_set_new(o, "lcores", list);
}

static json_t *
distances_json(const struct topology *t, int node)
{
	json_t *list = json_array();

	for (unsigned int to = 0; to < t->n_nodes; to++)
		if (t->node[to].present)
			json_array_append_new(list,
					      json_pack("{s:i, s:i}", "node", (int)to, "distance",
							(int)t->node[node].distance[to]));
	return list;
}

/* ---- memory -------------------------------------------------------------------------------- */

static json_t *
hugepages_json(const struct hugepages *pages, int node)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < pages->n; i++)
		if (pages->entry[i].node == node)
			json_array_append_new(list, json_pack("{s:i, s:i, s:i}", "size_kib",
							      (int)pages->entry[i].size_kib,
							      "total", (int)pages->entry[i].total,
							      "free", (int)pages->entry[i].free));
	return list;
}

static json_t *
pools_json(int node)
{
	json_t *list = json_array();
	struct dp_pool_info pool;

	for (unsigned int i = 0; dp_pool_info(i, &pool) == 0; i++)
		if (pool.node == node)
			json_array_append_new(list,
					      json_pack("{s:i, s:i, s:i, s:I}", "mbufs",
							(int)pool.size, "in_use", (int)pool.in_use,
							"mbuf_bytes", (int)pool.mbuf_bytes, "bytes",
							(json_int_t)pool.size * pool.mbuf_bytes));
	return list;
}

/* What sluiced has taken of the node's hugepages. */
static json_t *
taken_json(int node)
{
	struct dp_memory_info info;

	if (dp_memory_info(node, &info) < 0)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I}", "total_bytes", (json_int_t)info.total_bytes,
			 "used_bytes", (json_int_t)info.used_bytes, "pool_bytes",
			 (json_int_t)info.pool_bytes, "port_bytes", (json_int_t)info.port_bytes);
}

/* ---- queues -------------------------------------------------------------------------------- */

/* Of a port or an uplink that is open. The kernel knows best where a PCI device is. -1: unknown, as no
 * guest has set the queue up, or its device is on none. */
static int
node_of_queue(const struct daemon *d, const struct model_port *port,
	      const struct dp_port_info *info, unsigned int queue)
{
	int node = -1;

	if (port->is_uplink)
		node = topology_pci_node(port->set.devargs, d->lcore_watch.sysfs);
	return node < 0 ? info->queue[queue].node : node;
}

/* "lcore 3", "lcores 3-4": those of a node. False: it has none. */
static bool
lcores_in_words(const struct model *m, int node, char *buf, size_t size)
{
	char list[LCORES_SIZE];
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned int i = 0; i < m->n_lcores; i++)
		if (m->lcore[i].node == node)
			CPU_SET(i + 1, &set);
	cpulist_format(&set, list, sizeof(list));
	snprintf(buf, size, "lcore%s %s", CPU_COUNT(&set) > 1 ? "s" : "", list);
	return CPU_COUNT(&set) > 0;
}

/* A queue that is polled from another node: by whom, and why. */
static json_t *
far_json(const struct daemon *d, const struct model_port *port, unsigned int queue, int node,
	 unsigned int lcore)
{
	int home = d->model.lcore[lcore - 1].node, from = lcore_watch_node(&d->lcore_watch, lcore);
	int distance = node < TOPOLOGY_NODES_MAX && from < TOPOLOGY_NODES_MAX ?
			       (int)d->topology.node[from].distance[node] :
			       -1;
	const char *what = port->is_uplink ? "its device" : "its guest's memory";
	char near[256];
	json_t *why;

	if (home == node)
		why = json_sprintf("%s is on node %d, where lcore %u belongs, but that runs on node %d"
				   " now, at distance %d",
				   what, node, lcore, from, distance);
	else if (!lcores_in_words(&d->model, node, near, sizeof(near)))
		why = json_sprintf("%s is on node %d, which has no lcore; lcore %u of node %d polls"
				   " it, at distance %d",
				   what, node, lcore, from, distance);
	else if (model_queue_is_pinned(&d->model, port, queue))
		why = json_sprintf("%s is on node %d, which has %s, but it is pinned to lcore %u of"
				   " node %d, at distance %d: `sluicectl port set %s --lcore auto`"
				   " brings it home",
				   what, node, near, lcore, from, distance, port->set.name);
	else
		why = json_sprintf("%s is on node %d, which has %s, but lcore %u of node %d polls"
				   " it, at distance %d",
				   what, node, near, lcore, from, distance);
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:o}", "port", port->set.name, "queue",
			 (int)queue, "lcore", (int)lcore, "lcore_node", from, "distance", distance,
			 "why", why);
}

/* What one port or uplink has on the node. */
static void
add_port(json_t *o, const struct daemon *d, const struct model_port *port, int node)
{
	struct dp_port_info info;
	bool is_here = false;

	dp_port_info(port->id, &info);
	for (unsigned int i = 0; i < info.n_queues; i++) {
		unsigned int lcore = info.queue[i].lcore;

		if (node_of_queue(d, port, &info, i) != node)
			continue;
		is_here = true;
		json_array_append_new(json_object_get(o, "queues"),
				      json_pack("{s:s, s:i, s:i}", "port", port->set.name, "queue",
						(int)i, "lcore", (int)lcore));
		if (lcore_watch_node(&d->lcore_watch, lcore) != node)
			json_array_append_new(json_object_get(o, "queues_polled_from_another_node"),
					      far_json(d, port, i, node, lcore));
	}
	if (!is_here)
		return;
	if (port->is_uplink)
		json_array_append_new(json_object_get(o, "uplinks"),
				      json_pack("{s:s, s:s}", "name", port->set.name, "devargs",
						port->set.devargs));
	else
		json_array_append_new(json_object_get(o, "ports"), json_string(port->set.name));
}

static void
add_ports(json_t *o, const struct daemon *d, int node)
{
	static const char *const lists[] = {"ports", "uplinks", "queues",
					    "queues_polled_from_another_node"};
	const struct model_port *port;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		json_object_set_new(o, lists[i], json_array());
	TAILQ_FOREACH(port, &d->model.ports, link)
		if (port->id >= 0)
			add_port(o, d, port, node);
}

/* Ports and uplinks that are on no node: no guest is there, or the device is on none. */
static json_t *
nowhere_json(const struct daemon *d)
{
	json_t *names = json_array();
	const struct model_port *port;

	TAILQ_FOREACH(port, &d->model.ports, link) {
		struct dp_port_info info;
		bool is_somewhere = false;

		if (port->id < 0)
			continue;
		dp_port_info(port->id, &info);
		for (unsigned int i = 0; i < info.n_queues; i++)
			is_somewhere |= node_of_queue(d, port, &info, i) >= 0;
		if (!is_somewhere)
			json_array_append_new(names, json_string(port->set.name));
	}
	return names;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void
note_away(json_t *notes, const struct daemon *d)
{
	for (unsigned int i = 0; i < d->model.n_lcores; i++) {
		const struct lcore_spot *spot = &d->lcore_watch.spot[i];
		char note[LCORE_WATCH_NOTE_SIZE];

		if (spot->away == LCORE_HOME)
			continue;
		lcore_watch_note(&d->lcore_watch, i + 1, spot, note, sizeof(note));
		json_array_append_new(notes, json_string(note));
	}
}

static void
note_memory(json_t *notes, const struct daemon *d, int node)
{
	int from = dp_memory_node(node);
	char lcores[256];

	if (from != node && lcores_in_words(&d->model, node, lcores, sizeof(lcores)))
		json_array_append_new(notes,
				      json_sprintf("memory of node %d serves %s of node %d, which is "
						   "slower: sluiced was given none of node %d",
						   from, lcores, node, node));
}

/* Memory of ours that is not where it belongs. */
static void
note_moved(json_t *notes, int node)
{
	uint64_t bytes[DP_NODES_MAX];

	if (dp_memory_where(node, bytes) < 0)
		return;
	for (int on = 0; on < DP_NODES_MAX; on++)
		if (on != node && bytes[on] > 0)
			json_array_append_new(notes,
					      json_sprintf("%" PRIu64
							   " MiB of sluiced's memory that "
							   "belong on node %d lie on node %d, which "
							   "is slower: somebody has moved them",
							   bytes[on] >> 20, node, on));
}

/* The kernel says nowhere on which node they would be. */
static void
note_offline(json_t *notes, const struct topology *t)
{
	cpu_set_t lost;
	char list[CPULIST_SIZE];

	CPU_ZERO(&lost);
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++)
		if (CPU_ISSET(cpu, &t->present) && t->node_of_cpu[cpu] < 0)
			CPU_SET(cpu, &lost);
	if (CPU_COUNT(&lost) == 0)
		return;
	cpulist_format(&lost, list, sizeof(list));
	json_array_append_new(notes, json_sprintf("CPU%s %s: offline since before sluiced started,"
						  " on a node that is not known",
						  CPU_COUNT(&lost) > 1 ? "s" : "", list));
}

/* What else is not as it should be, a sentence each. */
static json_t *
notes_json(const struct daemon *d, const struct topology *now)
{
	json_t *notes = json_array();

	note_away(notes, d);
	for (unsigned int node = 0; node < d->topology.n_nodes; node++) {
		if (!d->topology.node[node].present)
			continue;
		note_memory(notes, d, node);
		note_moved(notes, node);
	}
	note_offline(notes, now);
	return notes;
}

METHOD(method_numa_show)
{
	struct topology now;
	struct hugepages pages;
	json_t *nodes;

	(void)connection;
	(void)params;
	if (hugepages_read(&pages, err) < 0 ||
	    topology_read_again(&now, &d->topology, d->lcore_watch.sysfs, err) < 0)
		return NULL;
	nodes = json_array();
	for (unsigned int node = 0; node < d->topology.n_nodes; node++) {
		const struct topology_node *n = &d->topology.node[node];
		json_t *o;

		if (!n->present)
			continue;
		o = json_pack("{s:i, s:I, s:o, s:o, s:o, s:o}", "node", (int)node, "memory_kib",
			      (json_int_t)n->mem_kib, "distances",
			      distances_json(&d->topology, node), "hugepages",
			      hugepages_json(&pages, node), "mempools", pools_json(node), "taken",
			      taken_json(node));
		add_cpus(o, &now, node);
		add_lcores(o, d, node);
		add_ports(o, d, node);
		json_array_append_new(nodes, o);
	}
	return json_pack("{s:o, s:o, s:o}", "nodes", nodes, "ports_on_no_node", nowhere_json(d),
			 "notes", notes_json(d, &now));
}
