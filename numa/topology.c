/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/topology.h"

#include <errno.h>
#include <numa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "numa/cpulist.h"
#include "numa/sysfs.h"

#define DISTANCE_LOCAL 10 /* ACPI's SLIT: a node to itself */
#define DISTANCE_REMOTE 20
#define PARSE_CPUS_MAX 256
#define PARSE_MEM_KIB (1024 * 1024)

static void
topology_init(struct topology *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned int cpu = 0; cpu < TOPOLOGY_CPUS_MAX; cpu++) {
		t->node_of_cpu[cpu] = -1;
		t->core_of_cpu[cpu] = cpu;
	}
	for (unsigned int a = 0; a < TOPOLOGY_NODES_MAX; a++)
		for (unsigned int b = 0; b < TOPOLOGY_NODES_MAX; b++)
			t->node[a].distance[b] = a == b ? DISTANCE_LOCAL : DISTANCE_REMOTE;
}

static void
node_add(struct topology *t, unsigned int node, uint64_t mem_kib)
{
	t->node[node].present = true;
	t->node[node].mem_kib = mem_kib;
	if (node >= t->n_nodes)
		t->n_nodes = node + 1;
}

/* Reads a file with a list of numbers; an empty one is the empty set. */
static int
list_read(const char *root, const char *name, cpu_set_t *set, struct err *err)
{
	char text[CPULIST_SIZE];
	int ret;

	CPU_ZERO(set);
	ret = sysfs_read(root, text, sizeof(text), "%s", name);
	if (ret < 0)
		return err_set(err, ret, "bad-topology",
			       "cannot read %s/%s: %s: is sysfs mounted and readable?", root, name,
			       strerror(-ret));
	return ret == 0 ? 0 : cpulist_parse(text, set, err);
}

int
topology_read_online(cpu_set_t *online, const char *root, struct err *err)
{
	return list_read(root, "devices/system/cpu/online", online, err);
}

static int
cpus_read(struct topology *t, const char *root, struct err *err)
{
	int ret;

	ret = list_read(root, "devices/system/cpu/present", &t->present, err);
	if (ret < 0)
		return ret;
	ret = topology_read_online(&t->online, root, err);
	if (ret < 0)
		return ret;
	/* A kernel that cannot do this has no such file, or has "(null)" in it. */
	if (list_read(root, "devices/system/cpu/isolated", &t->isolated, NULL) < 0)
		CPU_ZERO(&t->isolated);
	if (list_read(root, "devices/system/cpu/nohz_full", &t->nohz_full, NULL) < 0)
		CPU_ZERO(&t->nohz_full);

	for (unsigned int cpu = 0; cpu < TOPOLOGY_CPUS_MAX; cpu++) {
		char text[CPULIST_SIZE];

		if (CPU_ISSET(cpu, &t->present))
			t->n_cpus = cpu + 1;
		if (!CPU_ISSET(cpu, &t->online))
			continue;
		/* Where no node claims it: a kernel without NUMA has just the one. */
		t->node_of_cpu[cpu] = 0;
		/* The list begins with the lowest sibling: it stands for the core. */
		if (sysfs_read(root, text, sizeof(text),
			       "devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu) > 0)
			t->core_of_cpu[cpu] = strtoul(text, NULL, 10);
	}
	t->allowed = t->online;
	return 0;
}

static uint64_t
node_mem_kib(const char *root, int node)
{
	char text[4096];
	unsigned long kib = 0;

	if (sysfs_read(root, text, sizeof(text), "devices/system/node/node%d/meminfo", node) > 0)
		sscanf(text, "Node %*d MemTotal: %lu kB", &kib);
	return kib;
}

/* The file has one number for each online node, in their order. */
static void
node_read_distances(struct topology *t, const char *root, int node, const cpu_set_t *online)
{
	char text[4096], *next = text;

	if (sysfs_read(root, text, sizeof(text), "devices/system/node/node%d/distance", node) < 0)
		return;
	for (int to = 0; to < TOPOLOGY_NODES_MAX; to++)
		if (CPU_ISSET(to, online))
			t->node[node].distance[to] = strtoul(next, &next, 10);
}

static int
nodes_read(struct topology *t, const char *root, struct err *err)
{
	cpu_set_t online, cpus;

	if (list_read(root, "devices/system/node/online", &online, NULL) < 0) {
		uint64_t page_bytes = sysconf(_SC_PAGESIZE);

		node_add(t, 0, sysconf(_SC_PHYS_PAGES) * page_bytes / 1024);
		return 0;
	}
	for (int node = 0; node < CPU_SETSIZE; node++) {
		char name[64];
		int ret;

		if (!CPU_ISSET(node, &online))
			continue;
		snprintf(name, sizeof(name), "devices/system/node/node%d/cpulist", node);
		ret = list_read(root, name, &cpus, err);
		if (ret < 0)
			return ret;
		for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++)
			if (CPU_ISSET(cpu, &cpus) && CPU_ISSET(cpu, &t->online))
				t->node_of_cpu[cpu] = node;
		if (node < TOPOLOGY_NODES_MAX) {
			node_add(t, node, node_mem_kib(root, node));
			node_read_distances(t, root, node, &online);
		}
	}
	return 0;
}

int
topology_read_machine(struct topology *t, const char *root, struct err *err)
{
	int ret;

	topology_init(t);
	ret = cpus_read(t, root, err);
	if (ret < 0)
		return ret;
	return nodes_read(t, root, err);
}

/*
 * Which of `wanted` the kernel lets this thread run on. The one exact way to know, whatever the
 * kind and depth of the cgroups, is to try; the mask is put back.
 */
static void
cpus_try(const cpu_set_t *wanted, const cpu_set_t *mask_now, cpu_set_t *granted)
{
	CPU_ZERO(granted);
	if (sched_setaffinity(0, sizeof(*wanted), wanted) == 0) {
		sched_getaffinity(0, sizeof(*granted), granted);
		sched_setaffinity(0, sizeof(*mask_now), mask_now);
	}
}

/*
 * isolcpus= takes CPUs out of everybody's inherited mask and yet lets anybody ask for them, so an
 * isolated CPU is allowed unless the cgroup says no; any other must be in the mask.
 */
static int
cpus_limit(struct topology *t, struct err *err)
{
	cpu_set_t mask, granted, shut_out;

	if (sched_getaffinity(0, sizeof(mask), &mask) < 0)
		return err_set(err, errno, "bad-topology", "cannot read the CPU affinity: %s",
			       strerror(errno));
	CPU_AND(&shut_out, &t->isolated, &t->online);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &mask))
			CPU_CLR(cpu, &shut_out);
	if (CPU_COUNT(&shut_out) > 0) {
		cpus_try(&shut_out, &mask, &granted);
		CPU_OR(&mask, &mask, &granted);
	}
	CPU_AND(&t->allowed, &t->online, &mask);
	return 0;
}

static void
nodes_limit(struct topology *t)
{
	struct bitmask *allowed;

	if (numa_available() < 0)
		return;
	allowed = numa_get_mems_allowed();
	for (unsigned int node = 0; node < t->n_nodes; node++)
		if (!numa_bitmask_isbitset(allowed, node))
			t->node[node].mem_kib = 0;
	numa_bitmask_free(allowed);
}

int
topology_read(struct topology *t, struct err *err)
{
	int ret;

	ret = topology_read_machine(t, SYSFS_ROOT, err);
	if (ret < 0)
		return ret;
	ret = cpus_limit(t, err);
	if (ret < 0)
		return ret;
	nodes_limit(t);
	return 0;
}

int
topology_read_again(struct topology *t, const struct topology *first, const char *root,
		    struct err *err)
{
	cpu_set_t mask;
	int ret;

	ret = topology_read_machine(t, root, err);
	if (ret < 0)
		return ret;
	for (unsigned int cpu = 0; cpu < t->n_cpus; cpu++) {
		if (CPU_ISSET(cpu, &t->online))
			continue;
		t->node_of_cpu[cpu] = first->node_of_cpu[cpu];
		t->core_of_cpu[cpu] = first->core_of_cpu[cpu];
	}
	if (sched_getaffinity(0, sizeof(mask), &mask) < 0)
		return err_set(err, errno, "bad-topology", "cannot read the CPU affinity: %s",
			       strerror(errno));
	cpus_try(&t->online, &mask, &t->allowed);
	return 0;
}

int
topology_parse(const char *text, struct topology *t, struct err *err)
{
	const char *next = text;

	topology_init(t);
	for (;;) {
		unsigned int node = *next - '0';

		if (t->n_cpus == PARSE_CPUS_MAX)
			return err_set(err, EINVAL, "bad-topology",
				       "the topology has more than %d CPUs", PARSE_CPUS_MAX);
		if (node >= TOPOLOGY_NODES_MAX || (next[1] != ',' && next[1] != '\0'))
			return err_set(err, EINVAL, "bad-topology",
				       "\"%.*s\" in the topology is no memory node from 0 to %d: "
				       "write one for each CPU, as in \"0,0,1,1\"",
				       (int)strcspn(next, ","), next, TOPOLOGY_NODES_MAX - 1);
		t->node_of_cpu[t->n_cpus] = node;
		CPU_SET(t->n_cpus, &t->present);
		t->n_cpus++;
		node_add(t, node, PARSE_MEM_KIB);
		if (next[1] == '\0')
			break;
		next += 2;
	}
	t->online = t->allowed = t->present;
	return 0;
}

int
topology_pci_node(const char *address, const char *root)
{
	unsigned int domain = 0, bus, device, function;
	int len = 0, node;
	char text[32];

	if (sscanf(address, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &len) != 4) {
		domain = 0;
		len = 0;
		if (sscanf(address, "%2x:%2x.%1x%n", &bus, &device, &function, &len) != 3)
			return -1;
	}
	if (address[len] != '\0' && address[len] != ',')
		return -1;
	if (sysfs_read(root, text, sizeof(text), "bus/pci/devices/%04x:%02x:%02x.%x/numa_node",
		       domain, bus, device, function) <= 0)
		return -1;
	node = atoi(text);
	return node < 0 ? -1 : node;
}
