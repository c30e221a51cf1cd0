/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_PLACEMENT_H
#define NUMA_PLACEMENT_H

#include "numa/topology.h"

/*
 * Which CPUs forward, and which of them polls a queue. Pure functions: the same input gives the
 * same output, and nothing is touched. Thread: any. May wait: no.
 */

struct placement_lcore {
	unsigned int cpu;
	int node;
	unsigned int distance[TOPOLOGY_NODES_MAX]; /* to each node's memory */
};

/*
 * Chooses the forwarding CPUs. `spec` is
 *  - a CPU list,
 *  - "auto": on every node with memory the isolated CPUs, else those without a timer tick
 *    (nohz_full), else one CPU; but one CPU is left to the rest of the machine where there are two,
 *  - "auto:N", N CPUs on every node with memory, or "auto:N,N,...", so many on node 0, 1, ...
 *
 * Only allowed CPUs are taken. Where the list does not name them a core gives one hyperthread;
 * isolated CPUs come first, then nohz_full ones, then the others, the highest first; and a node's
 * last CPU that is neither is taken only where the node has no other CPU at all.
 *
 * Fills lcore[0 .. count - 1] ordered by node, then CPU, and *control_cpus with those on which
 * everything else should float: the allowed CPUs that do not forward, better neither isolated nor
 * nohz_full; all that are allowed where every one forwards. Returns the count, 1 to `max`, or
 * -EINVAL (code "bad-lcores", param "lcores").
 */
int placement_lcores(const struct topology *t, const char *spec, struct placement_lcore *lcore,
		     unsigned int max, cpu_set_t *control_cpus, struct err *err);

/* Is it one of these, whatever the machine has? Returns 0 or -EINVAL, as above. */
int placement_check_spec(const char *spec, struct err *err);

/*
 * The index of the lcore that should poll one more queue, whose memory is on `node` (-1: any).
 * queues_on[i] says how many lcore[i] polls already; n is at least 1. The lcores of the nearest
 * node that has any are asked, the one with the fewest queues wins, ties go to the lowest index.
 */
unsigned int placement_queue(const struct placement_lcore *lcore, unsigned int n,
			     const unsigned int *queues_on, int node);

#endif
