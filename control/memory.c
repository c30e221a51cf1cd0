/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/memory.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_PAGE_KIB 2048 /* to advise where the kernel has no pages of any size */
#define MIB (UINT64_C(1) << 20)

struct memory_ports
memory_ports_of(const struct model *m)
{
	struct memory_ports ports = {0};
	struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link) {
		int node = port->set.node;

		if (port->is_uplink)
			continue;
		if (node < 0 || node >= DP_NODES_MAX)
			node = DP_NODES_MAX;
		ports.on[node].ports++;
		ports.on[node].queues += port->set.queues;
	}
	return ports;
}

/* The nearest node to `from` that may serve, by distance, then by number; -1: there is none. */
static int
nearest(const struct topology *t, unsigned int from, const bool serves[DP_NODES_MAX])
{
	int best = -1;

	for (unsigned int node = 0; node < t->n_nodes && node < DP_NODES_MAX; node++) {
		if (!serves[node])
			continue;
		if (best < 0 || node == from ||
		    (best != (int)from &&
		     t->node[from].distance[node] < t->node[from].distance[best]))
			best = node;
	}
	return best;
}

/* Where everything is kept, once it is known which nodes give memory. */
static void
plan_nodes(struct memory_plan *plan, const struct topology *t, const bool serves[DP_NODES_MAX])
{
	plan->n_nodes = 0;
	for (unsigned int node = 0; node < DP_NODES_MAX; node++) {
		plan->node[node] = nearest(t, node < t->n_nodes ? node : 0, serves);
		if (serves[node])
			plan->n_nodes = node + 1;
	}
}

/* DPDK knows the nodes of CPUs alone. */
static bool
has_cpus(const struct topology *t, unsigned int node)
{
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++)
		if (t->node_of_cpu[cpu] == (int)node)
			return true;
	return false;
}

/* The lcores' own nodes, but for those without memory: the nearest that has some. */
static void
choose_nodes(const struct topology *t, const struct placement_lcore *lcore, unsigned int n_lcores,
	     bool serves[DP_NODES_MAX])
{
	bool has_memory[DP_NODES_MAX] = {false};

	for (unsigned int node = 0; node < t->n_nodes && node < DP_NODES_MAX; node++)
		has_memory[node] = t->node[node].mem_kib > 0 && has_cpus(t, node);
	for (unsigned int i = 0; i < n_lcores; i++) {
		int from = lcore[i].node, node;

		node = nearest(t, from >= 0 && from < (int)t->n_nodes ? from : 0, has_memory);
		if (node >= 0)
			serves[node] = true;
	}
}

static void
plan_auto(struct memory_plan *plan, const struct topology *t, const struct placement_lcore *lcore,
	  unsigned int n_lcores, const struct memory_ports *ports)
{
	bool serves[DP_NODES_MAX] = {false};

	choose_nodes(t, lcore, n_lcores, serves);
	plan_nodes(plan, t, serves);
	plan->grows = true;
	for (unsigned int node = 0; node < plan->n_nodes; node++) {
		struct dp_memory_need need = {.n_lcores = n_lcores};

		if (!serves[node])
			continue;
		for (unsigned int i = 0; i < n_lcores; i++)
			need.n_lcores_here += lcore[i].node >= 0 && lcore[i].node < DP_NODES_MAX &&
					      plan->node[lcore[i].node] == (int)node;
		/* Who asks for no node is spread as the lcores are. */
		need.n_ports = MEMORY_SPARE_PORTS +
			       (ports->on[DP_NODES_MAX].ports * need.n_lcores_here + n_lcores - 1) /
				       n_lcores;
		need.n_queues = MEMORY_SPARE_PORTS +
				(ports->on[DP_NODES_MAX].queues * need.n_lcores_here + n_lcores -
				 1) / n_lcores;
		for (unsigned int from = 0; from < DP_NODES_MAX; from++) {
			if (plan->node[from] != (int)node)
				continue;
			need.n_ports += ports->on[from].ports;
			need.n_queues += ports->on[from].queues;
		}
		plan->mib[node] = (dp_memory_need(&need) + MIB - 1) / MIB;
	}
}

int
memory_plan(const struct options *o, const struct topology *t, const struct placement_lcore *lcore,
	    unsigned int n_lcores, const struct memory_ports *ports, struct memory_plan *plan,
	    struct err *err)
{
	bool serves[DP_NODES_MAX] = {false};
	unsigned int sum = 0;

	*plan = (struct memory_plan){0};
	if (!o->n_memory) {
		plan_auto(plan, t, lcore, n_lcores, ports);
		return 0;
	}
	if (o->n_memory > t->n_nodes)
		return err_set_param(err, EINVAL, "bad-option", "memory",
				     "memory names %u nodes, this machine has %u", o->n_memory,
				     t->n_nodes);
	for (unsigned int i = 0; i < o->n_memory; i++) {
		if (o->memory_mib[i] && !t->node[i].mem_kib)
			return err_set_param(err, EINVAL, "bad-option", "memory",
					     "memory asks for %u MiB of node %u, which has no memory"
					     " that sluiced may use; write 0 for it",
					     o->memory_mib[i], i);
		if (o->memory_mib[i] && !has_cpus(t, i))
			return err_set_param(err, EINVAL, "bad-option", "memory",
					     "memory asks for %u MiB of node %u, which has no CPU that"
					     " is online: DPDK cannot use its memory; write 0 for it",
					     o->memory_mib[i], i);
		plan->mib[i] = o->memory_mib[i];
		serves[i] = plan->mib[i] > 0;
		sum += plan->mib[i];
	}
	if (!sum)
		return err_set_param(err, EINVAL, "bad-option", "memory",
				     "memory must not be 0 on every node");
	plan_nodes(plan, t, serves);
	return 0;
}

static int
check_node(unsigned int node, unsigned int mib, const struct hugepages *pages, struct err *err)
{
	unsigned long long need_kib = mib * 1024ULL, missing;
	unsigned long long free_kib = hugepages_usable_kib(pages, node);
	unsigned int page_kib = 0, total = 0;

	for (unsigned int i = 0; i < pages->n; i++) {
		const struct hugepages_entry *e = &pages->entry[i];

		if (e->node != (int)node)
			continue;
		/* Advice is for the smallest pages, which the kernel can make when it runs. */
		if (!page_kib) {
			page_kib = e->size_kib;
			total = e->total;
		}
	}
	if (free_kib >= need_kib)
		return 0;
	if (!page_kib)
		page_kib = DEFAULT_PAGE_KIB;
	missing = (need_kib - free_kib + page_kib - 1) / page_kib;
	return err_set_param(err, ENOMEM, "no-hugepages", "memory",
			     "memory node %u has %llu MiB of free hugepages, %u MiB are needed:"
			     " %llu pages of %u kB are missing; reserve them with: echo %llu >"
			     " /sys/devices/system/node/node%u/hugepages/hugepages-%ukB/nr_hugepages"
			     " or let sluiced do it, with --reserve-hugepages yes",
			     node, free_kib / 1024, mib, missing, page_kib, total + missing, node,
			     page_kib);
}

int
memory_check(const struct memory_plan *plan, const struct hugepages *pages, struct err *err)
{
	struct hugepages left = *pages;

	for (unsigned int node = 0; node < plan->n_nodes; node++) {
		if (plan->mib[node] && check_node(node, plan->mib[node], &left, err) < 0)
			return -ENOMEM;
		hugepages_use(&left, node, plan->mib[node] * 1024ULL);
	}
	return 0;
}
