/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/placement.h"

#include <errno.h>
#include <string.h>

#include "numa/cpulist.h"

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
list_choose(const struct topology *t, const char *spec, unsigned int max, cpu_set_t *chosen,
	    struct err *err)
{
	struct err list_err;
	int ret;

	ret = cpulist_parse(spec, chosen, &list_err);
	if (ret < 0)
		return err_set_param(err, ret, "bad-lcores", "lcores",
				     "lcores must be \"auto\" or a CPU list such as \"2-5,8\": %s",
				     list_err.message);
	for (unsigned int cpu = 0; cpu < TOPOLOGY_CPUS_MAX; cpu++) {
		if (!CPU_ISSET(cpu, chosen))
			continue;
		ret = cpu_check(t, cpu, err);
		if (ret < 0)
			return ret;
	}
	if ((unsigned int)CPU_COUNT(chosen) > max)
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcores names %d CPUs, but at most %u can forward: shorten the "
				     "list",
				     CPU_COUNT(chosen), max);
	return 0;
}

/* ---- "auto" -------------------------------------------------------------------------------- */

static bool
core_is_chosen(const struct topology *t, unsigned int cpu, const cpu_set_t *chosen)
{
	for (unsigned int other = 0; other < t->n_cpus; other++)
		if (CPU_ISSET(other, chosen) && t->core_of_cpu[other] == t->core_of_cpu[cpu])
			return true;
	return false;
}

/* Chooses up to `max` CPUs of one node. */
static void
node_choose(const struct topology *t, int node, unsigned int max, cpu_set_t *chosen)
{
	unsigned int n = 0, highest = 0;
	bool any = false;

	for (unsigned int cpu = 0; cpu < t->n_cpus && n < max; cpu++) {
		if (!CPU_ISSET(cpu, &t->allowed) || t->node_of_cpu[cpu] != node)
			continue;
		any = true;
		highest = cpu;
		if (CPU_ISSET(cpu, &t->isolated) && !core_is_chosen(t, cpu, chosen)) {
			CPU_SET(cpu, chosen);
			n++;
		}
	}
	if (any && n == 0)
		CPU_SET(highest, chosen);
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

/* ---- both ---------------------------------------------------------------------------------- */

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
		if (!CPU_ISSET(cpu, &t->isolated))
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
	cpu_set_t chosen;
	int ret;

	if (strcmp(spec, "auto") == 0) {
		auto_choose(t, max, &chosen);
		if (CPU_COUNT(&chosen) == 0)
			return err_set_param(err, EINVAL, "bad-lcores", "lcores",
					     "lcores is \"auto\", but no CPU of the memory nodes 0 "
					     "to %d is open to this process: widen its cgroup's "
					     "cpuset or its affinity",
					     TOPOLOGY_NODES_MAX - 1);
	} else {
		ret = list_choose(t, spec, max, &chosen, err);
		if (ret < 0)
			return ret;
	}
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
