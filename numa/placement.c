/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/placement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/cpulist.h"

#define AUTO "auto"

/* What somebody asks for. */
struct spec {
	cpu_set_t list; /* of CPUs; else none, and: */
	unsigned int n_counts; /* 0: "auto" */
	bool every_node; /* count[0] is for each node with memory */
	unsigned int count[TOPOLOGY_NODES_MAX];
};

/* Reads what follows "auto:". */
static int
counts_parse(const char *text, struct spec *spec, struct err *err)
{
	const char *at = text;
	unsigned long sum = 0;

	for (;;) {
		size_t digits = strspn(at, "0123456789");

		if (digits == 0 || digits > 4 || spec->n_counts == TOPOLOGY_NODES_MAX ||
		    (at[digits] != ',' && at[digits] != '\0'))
			return err_set_param(err, EINVAL, "bad-lcores", "lcores",
					     "lcores is \"auto:%.60s\", but behind the colon must be "
					     "a number of CPUs, or one for each memory node (at most "
					     "%d) as in \"auto:2,0,1\"",
					     text, TOPOLOGY_NODES_MAX);
		spec->count[spec->n_counts] = strtoul(at, NULL, 10);
		sum += spec->count[spec->n_counts++];
		if (at[digits] == '\0')
			break;
		at += digits + 1;
	}
	spec->every_node = strchr(text, ',') == NULL;
	if (sum == 0)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores is \"auto:%.60s\", which is no CPU at all: sluiced "
				     "needs one that forwards",
				     text);
	return 0;
}

static int
spec_parse(const char *text, struct spec *spec, struct err *err)
{
	struct err list_err;

	*spec = (struct spec){0};
	if (strcmp(text, AUTO) == 0)
		return 0;
	if (strncmp(text, AUTO ":", strlen(AUTO ":")) == 0)
		return counts_parse(text + strlen(AUTO ":"), spec, err);
	if (cpulist_parse(text, &spec->list, &list_err) < 0)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores must be \"auto\", a number of CPUs for each memory node such "
				     "as \"auto:2\" or \"auto:2,0,1\", or a CPU list such as "
				     "\"2-5,8\": %s",
				     list_err.message);
	return 0;
}

int
placement_check_spec(const char *spec, struct err *err)
{
	struct spec unused;

	return spec_parse(spec, &unused, err);
}

/* ---- a list that a person wrote ------------------------------------------------------------ */

static int
cpu_check(const struct topology *t, unsigned int cpu, struct err *err)
{
	char list[128];

	if (!CPU_ISSET(cpu, &t->present)) {
		cpulist_format(&t->present, list, sizeof(list));
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores names CPU %u, but this machine has only the CPUs %s: "
				     "take it out of the list",
				     cpu, list);
	}
	if (!CPU_ISSET(cpu, &t->online))
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores names CPU %u, which is offline: bring it up (echo 1 > "
				     "/sys/devices/system/cpu/cpu%u/online) or take it out of the "
				     "list",
				     cpu, cpu);
	if (!CPU_ISSET(cpu, &t->allowed)) {
		cpulist_format(&t->allowed, list, sizeof(list));
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores names CPU %u, but this process may run on the CPUs %s "
				     "only: widen its cgroup's cpuset (systemd: AllowedCPUs=) or "
				     "its affinity (taskset, systemd: CPUAffinity=), or take the "
				     "CPU out of the list",
				     cpu, list);
	}
	if (t->node_of_cpu[cpu] >= TOPOLOGY_NODES_MAX)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores names CPU %u of memory node %d, but only the nodes 0 "
				     "to %d can be used: choose CPUs of those",
				     cpu, t->node_of_cpu[cpu], TOPOLOGY_NODES_MAX - 1);
	return 0;
}

static int
list_check(const struct topology *t, const cpu_set_t *list, unsigned int max, struct err *err)
{
	int ret;

	for (unsigned int cpu = 0; cpu < TOPOLOGY_CPUS_MAX; cpu++) {
		if (!CPU_ISSET(cpu, list))
			continue;
		ret = cpu_check(t, cpu, err);
		if (ret < 0)
			return ret;
	}
	if ((unsigned int)CPU_COUNT(list) > max)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores names %d CPUs, but at most %u can forward: shorten the "
				     "list",
				     CPU_COUNT(list), max);
	return 0;
}

/* ---- "auto" -------------------------------------------------------------------------------- */

static bool
is_set_apart(const struct topology *t, unsigned int cpu)
{
	return CPU_ISSET(cpu, &t->isolated) || CPU_ISSET(cpu, &t->nohz_full);
}

/* The CPUs of a node that may forward, the best first. */
struct candidates {
	unsigned int n, n_isolated, n_nohz_full; /* the former is the sum of all three kinds */
	unsigned int cpu[TOPOLOGY_CPUS_MAX];
	cpu_set_t cores; /* that they are of */
};

/* Adds one, if nothing of its core is among them. */
static unsigned int
candidate_add(const struct topology *t, struct candidates *c, unsigned int cpu)
{
	if (CPU_ISSET(t->core_of_cpu[cpu], &c->cores))
		return 0;
	CPU_SET(t->core_of_cpu[cpu], &c->cores);
	c->cpu[c->n++] = cpu;
	return 1;
}

static void
node_candidates(const struct topology *t, int node, struct candidates *c)
{
	unsigned int n_shared = 0;
	cpu_set_t here;

	memset(c, 0, sizeof(*c));
	CPU_ZERO(&here);
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++) {
		if (!CPU_ISSET(cpu, &t->allowed) || t->node_of_cpu[cpu] != node)
			continue;
		CPU_SET(cpu, &here);
		n_shared += !is_set_apart(t, cpu);
		if (CPU_ISSET(cpu, &t->isolated))
			c->n_isolated += candidate_add(t, c, cpu);
	}
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++)
		if (CPU_ISSET(cpu, &here) && is_set_apart(t, cpu))
			c->n_nohz_full += candidate_add(t, c, cpu);
	for (unsigned int cpu = t->n_cpus; cpu-- > 0;) {
		if (!CPU_ISSET(cpu, &here) || is_set_apart(t, cpu))
			continue;
		if (n_shared > 1 || CPU_COUNT(&here) == 1)
			n_shared -= candidate_add(t, c, cpu);
	}
}

/* Chooses up to `max` CPUs of one node: those that are set apart, or else one. */
static void
node_choose(const struct topology *t, int node, unsigned int max, cpu_set_t *chosen)
{
	struct candidates c;
	unsigned int n;

	node_candidates(t, node, &c);
	n = c.n_isolated > 0 ? c.n_isolated : c.n_nohz_full;
	if (n == 0)
		n = c.n > 0;
	for (unsigned int i = 0; i < n && i < max; i++)
		CPU_SET(c.cpu[i], chosen);
}

static void
auto_choose(const struct topology *t, unsigned int max, cpu_set_t *chosen)
{
	unsigned int n_with_mem = 0;

	CPU_ZERO(chosen);
	for (unsigned int node = 0; node < t->n_nodes; node++)
		n_with_mem += t->node[node].mem_kib > 0;
	for (unsigned int node = 0; node < t->n_nodes; node++)
		if (t->node[node].mem_kib > 0)
			node_choose(t, node, max / n_with_mem, chosen);

	/* All CPUs that we may use are far from all memory: better so than not at all. */
	for (unsigned int node = 0; node < t->n_nodes && CPU_COUNT(chosen) == 0; node++)
		node_choose(t, node, max, chosen);

	/* Somebody must be left to run everything else, if only the lowest CPU. */
	if (CPU_COUNT(chosen) > 1 && CPU_EQUAL(chosen, &t->allowed)) {
		for (unsigned int cpu = 0;; cpu++) {
			if (CPU_ISSET(cpu, chosen)) {
				CPU_CLR(cpu, chosen);
				break;
			}
		}
	}
}

/* ---- a count for each node ----------------------------------------------------------------- */

static int
too_few(const struct topology *t, int node, unsigned int wanted, const struct candidates *c,
	struct err *err)
{
	bool has_cpu = false;
	char list[128];
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned int i = 0; i < c->n; i++)
		CPU_SET(c->cpu[i], &set);
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++)
		has_cpu |= t->node_of_cpu[cpu] == node;
	cpulist_format(&set, list, sizeof(list));
	if (!has_cpu)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores asks for %u CPU%s of memory node %d, which has no CPU "
				     "that is online: ask node by node, with 0 for it, as in "
				     "\"auto:2,0,1\"",
				     wanted, wanted == 1 ? "" : "s", node);
	return err_set_param(err, EINVAL, "bad-lcores", "lcores",
			     "lcores asks for %u CPU%s of memory node %d, which has %u that may "
			     "forward (%s%s%sone hyperthread of a core, and a CPU is left to "
			     "everything else): ask for fewer, node by node as in \"auto:2,1\", "
			     "widen the cgroup's cpuset or the affinity of sluiced if they hide "
			     "some, or name the CPUs in a list",
			     wanted, wanted == 1 ? "" : "s", node, c->n, c->n > 0 ? "CPU " : "",
			     list, c->n > 0 ? "; " : "");
}

static int
counts_choose(const struct topology *t, const struct spec *spec, unsigned int max,
	      cpu_set_t *chosen, struct err *err)
{
	struct candidates c;

	CPU_ZERO(chosen);
	for (unsigned int node = 0; node < TOPOLOGY_NODES_MAX; node++) {
		unsigned int wanted = spec->count[node];

		if (spec->every_node)
			wanted = t->node[node].mem_kib > 0 ? spec->count[0] : 0;
		if (wanted > 0 && !t->node[node].present)
			return err_set_param(err, EINVAL, "bad-lcores", "lcores",
					     "lcores asks for %u CPU%s of memory node %u, which this "
					     "machine does not have: the counts begin with node 0, "
					     "write 0 or nothing for nodes that are not there",
					     wanted, wanted == 1 ? "" : "s", node);
		node_candidates(t, node, &c);
		if (wanted > c.n)
			return too_few(t, node, wanted, &c, err);
		for (unsigned int i = 0; i < wanted; i++)
			CPU_SET(c.cpu[i], chosen);
	}
	if ((unsigned int)CPU_COUNT(chosen) > max)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores asks for %d CPUs, but at most %u can forward: ask for "
				     "fewer",
				     CPU_COUNT(chosen), max);
	if (CPU_COUNT(chosen) == 0)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores asks for %u CPUs of each memory node, but no node has "
				     "memory for this process: widen its cgroup's cpuset.mems",
				     spec->count[0]);
	if (CPU_EQUAL(chosen, &t->allowed))
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores asks for all CPUs that sluiced may use and leaves none "
				     "to everything else: ask for fewer, widen the cgroup's cpuset "
				     "or the affinity of sluiced, or name the CPUs in a list if "
				     "that is what you want");
	return 0;
}

/* ---- all of them --------------------------------------------------------------------------- */

static int
spec_choose(const struct topology *t, const struct spec *spec, unsigned int max, cpu_set_t *chosen,
	    struct err *err)
{
	if (CPU_COUNT(&spec->list) > 0) {
		*chosen = spec->list;
		return list_check(t, chosen, max, err);
	}
	if (spec->n_counts > 0)
		return counts_choose(t, spec, max, chosen, err);
	auto_choose(t, max, chosen);
	if (CPU_COUNT(chosen) == 0)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores is \"auto\", but no CPU of the memory nodes 0 to %d is "
				     "open to this process: widen its cgroup's cpuset or its affinity",
				     TOPOLOGY_NODES_MAX - 1);
	return 0;
}

static void
control_choose(const struct topology *t, const cpu_set_t *chosen, cpu_set_t *control_cpus)
{
	cpu_set_t shared;

	CPU_ZERO(control_cpus);
	CPU_ZERO(&shared);
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++) {
		if (!CPU_ISSET(cpu, &t->allowed) || CPU_ISSET(cpu, chosen))
			continue;
		CPU_SET(cpu, control_cpus);
		if (!is_set_apart(t, cpu))
			CPU_SET(cpu, &shared);
	}
	if (CPU_COUNT(&shared) > 0)
		*control_cpus = shared;
	else if (CPU_COUNT(control_cpus) == 0)
		*control_cpus = t->allowed;
}

/* Appends the CPUs of one node. */
static unsigned int
lcores_fill(const struct topology *t, const cpu_set_t *chosen, int node,
	    struct placement_lcore *lcore)
{
	unsigned int n = 0;

	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++) {
		if (!CPU_ISSET(cpu, chosen) || t->node_of_cpu[cpu] != node)
			continue;
		lcore[n].cpu = cpu;
		lcore[n].node = node;
		memcpy(lcore[n].distance, t->node[node].distance, sizeof(lcore[n].distance));
		n++;
	}
	return n;
}

int
placement_lcores(const struct topology *t, const char *spec, struct placement_lcore *lcore,
		 unsigned int max, cpu_set_t *control_cpus, struct err *err)
{
	unsigned int n = 0;
	struct spec asked;
	cpu_set_t chosen;
	int ret;

	ret = spec_parse(spec, &asked, err);
	if (ret < 0)
		return ret;
	ret = spec_choose(t, &asked, max, &chosen, err);
	if (ret < 0)
		return ret;
	for (unsigned int node = 0; node < t->n_nodes; node++)
		n += lcores_fill(t, &chosen, node, lcore + n);
	control_choose(t, &chosen, control_cpus);
	return n;
}

unsigned int
placement_queue(const struct placement_lcore *lcore, unsigned int n, const unsigned int *queues_on,
		int node)
{
	bool known = node >= 0 && node < TOPOLOGY_NODES_MAX;
	unsigned int best = 0, best_distance = 0;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int distance = known ? lcore[i].distance[node] : 0;

		if (i > 0 && (distance > best_distance ||
			      (distance == best_distance && queues_on[i] >= queues_on[best])))
			continue;
		best = i;
		best_distance = distance;
	}
	return best;
}
