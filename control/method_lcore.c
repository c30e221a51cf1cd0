/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/methods.h"
#include "numa/cpulist.h"
#include "numa/hugepages.h"

/* Which CPUs poll what, and which memory lies where. */

static json_t *
queue_json(const struct model_port *port, unsigned int queue)
{
	return json_pack("{s:s, s:i}", "port", port->set.name, "queue", (int)queue);
}

static json_t *
queues_of_lcore(const struct model *m, unsigned int lcore)
{
	json_t *queues = json_array();
	const struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link)
		for (unsigned int i = 0; port->id >= 0 && i < port->n_lcores; i++)
			if (port->lcore[i] == lcore)
				json_array_append_new(queues, queue_json(port, i));
	return queues;
}

/* With one digit behind the point, as more would be noise. */
static double
tenths(double value)
{
	return (long long)(value * 10 + 0.5) / 10.0;
}

/* The shares are of the last second; the counters, for who wants another time, count from the start. */
static json_t *
lcore_json(const struct daemon *d, unsigned int i)
{
	const struct load_lcore *load = &d->load.lcore[i];
	struct dp_lcore_stats now = {0};
	double cycles = load->cycles_per_packet;

	dp_lcore_stats(i + 1, &now);
	return json_pack("{s:i, s:i, s:i, s:o, s:f, s:o, s:s, s:I, s:I, s:I}", "lcore", (int)i + 1,
			 "cpu", (int)d->model.lcore[i].cpu, "node", d->model.lcore[i].node,
			 "queues", queues_of_lcore(&d->model, i + 1), "busy_percent",
			 tenths(load->busy_percent), "cycles_per_packet",
			 cycles > 0 ? json_real(tenths(cycles)) : json_null(), "idle",
			 d->options.idle_sleep ? "sleep" : "poll", "busy_cycles",
			 (json_int_t)now.busy_cycles, "total_cycles", (json_int_t)now.total_cycles,
			 "packets", (json_int_t)now.packets);
}

METHOD(method_lcore_list)
{
	json_t *list = json_array();

	(void)connection;
	(void)params;
	(void)err;
	for (unsigned int i = 0; i < d->model.n_lcores; i++)
		json_array_append_new(list, lcore_json(d, i));
	return list;
}

static json_t *
cpus_json(const struct topology *t, int node)
{
	char text[CPULIST_SIZE];
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++)
		if (t->node_of_cpu[cpu] == node)
			CPU_SET(cpu, &set);
	cpulist_format(&set, text, sizeof(text));
	return json_string(text);
}

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
					      json_pack("{s:i, s:i, s:i}", "mbufs", (int)pool.size,
							"in_use", (int)pool.in_use, "mbuf_bytes",
							(int)pool.mbuf_bytes));
	return list;
}

/* The ports whose guest has its memory on the node, and those of their queues that an lcore of
 * another node polls. */
static void
add_ports(json_t *o, const struct model *m, int node)
{
	json_t *ports = json_array(), *remote = json_array();
	const struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link) {
		struct dp_port_info info;

		if (port->id < 0)
			continue;
		dp_port_info(port->id, &info);
		if (info.node != node)
			continue;
		json_array_append_new(ports, json_string(port->set.name));
		for (unsigned int i = 0; i < port->n_lcores; i++)
			if (m->lcore[port->lcore[i] - 1].node != node)
				json_array_append_new(remote, queue_json(port, i));
	}
	json_object_set_new(o, "ports", ports);
	json_object_set_new(o, "queues_polled_from_another_node", remote);
}

METHOD(method_numa_show)
{
	struct hugepages pages;
	json_t *nodes;

	(void)connection;
	(void)params;
	if (hugepages_read(&pages, err) < 0)
		return NULL;
	nodes = json_array();
	for (unsigned int node = 0; node < d->topology.n_nodes; node++) {
		json_t *o;

		if (!d->topology.node[node].present)
			continue;
		o = json_pack("{s:i, s:o, s:o, s:o}", "node", (int)node, "cpus",
			      cpus_json(&d->topology, node), "hugepages",
			      hugepages_json(&pages, node), "mempools", pools_json(node));
		add_ports(o, &d->model, node);
		json_array_append_new(nodes, o);
	}
	return json_pack("{s:o}", "nodes", nodes);
}
