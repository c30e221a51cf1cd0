/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_TOPOLOGY_H
#define NUMA_TOPOLOGY_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "numa/err.h"

/*
 * The machine's CPUs and memory nodes, and which of them this process may use.
 *
 * A plain value: read it once, early, and hand it on as const. `allowed` is the view of the thread
 * that reads it, so read it before that thread is pinned.
 */

#define TOPOLOGY_NODES_MAX 8
#define TOPOLOGY_CPUS_MAX CPU_SETSIZE

struct topology_node {
	bool present;
	uint64_t mem_kib; /* memory that this process may use; 0: none here, or none for us */
	unsigned int distance[TOPOLOGY_NODES_MAX]; /* to each node, as firmware says; 10: itself */
};

struct topology {
	unsigned int n_nodes; /* highest node id below + 1 */
	unsigned int n_cpus; /* highest CPU id + 1 */
	int node_of_cpu[TOPOLOGY_CPUS_MAX]; /* -1: absent or offline */
	unsigned int core_of_cpu[TOPOLOGY_CPUS_MAX]; /* the same for hyperthreads of one core */
	cpu_set_t present, online;
	cpu_set_t allowed; /* online, and open to this process by affinity and cgroup */
	cpu_set_t isolated; /* kept free of other work by the kernel's command line */
	cpu_set_t nohz_full; /* no timer tick while one thread runs; the command line again */
	struct topology_node node[TOPOLOGY_NODES_MAX];
};

/*
 * Looks at the machine and at this process's limits. A node id of TOPOLOGY_NODES_MAX or above is
 * kept in node_of_cpu[] only. Returns 0 or -errno (code "bad-topology"). Thread: control.
 */
int topology_read(struct topology *t, struct err *err);

/*
 * The machine alone, as the sysfs tree at `root` shows it: every online CPU is allowed.
 * topology_read() is this and the process's limits.
 */
int topology_read_machine(struct topology *t, const char *root, struct err *err);

/*
 * A machine from text, for tests: "0,0,1,1" has four CPUs, CPU i on node i of the list. All are
 * online, allowed, not isolated and cores of their own; each node named has memory. Up to
 * TOPOLOGY_NODES_MAX nodes and 256 CPUs. Returns 0, or -EINVAL (code "bad-topology").
 */
int topology_parse(const char *text, struct topology *t, struct err *err);

/*
 * The CPUs once more, by a process whose threads were pinned since it read *first. Allowed are those
 * that its cgroup lets a thread have now; one that went offline keeps its node and core. Errors: as
 * topology_read(). Thread: control.
 */
int topology_read_again(struct topology *t, const struct topology *first, const char *root,
			struct err *err);

/* CPUs that are online now, as the sysfs tree at `root` shows it: they come and go while we run.
 * Errors: as topology_read(). */
int topology_read_online(cpu_set_t *online, const char *root, struct err *err);

/*
 * The memory node beside which the sysfs tree at `root` has a PCI device. `address` may be followed
 * by a comma and more, as in devargs, and may lack the domain, which is 0 then. -1: there is no such
 * device, it has no node, or the text is no PCI address.
 */
int topology_pci_node(const char *address, const char *root);

#endif
