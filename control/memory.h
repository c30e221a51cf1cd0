/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_MEMORY_H
#define CONTROL_MEMORY_H

#include "control/model.h"
#include "control/options.h"
#include "numa/hugepages.h"
#include "numa/placement.h"
#include "numa/topology.h"

/* How much hugepage memory to take from each node. Pure. */

/* With "auto", room for so many more ports of one queue pair than are known at the start; what goes beyond
 * that is taken when it is needed. */
#define MEMORY_SPARE_PORTS 64

/* The vhost-user ports that there will be, by the node that they ask for; last those that ask for none. */
struct memory_ports {
	struct {
		unsigned int ports, queues; /* queue pairs */
	} on[DP_NODES_MAX + 1];
};

struct memory_plan {
	unsigned int n_nodes;
	unsigned int mib[DP_NODES_MAX];
	int node[DP_NODES_MAX]; /* where what belongs to a node is kept: there, or nearest by */
	bool grows; /* mib[] is a beginning, not a limit */
};

struct memory_ports memory_ports_of(const struct model *m);

/*
 * What the options say; or else what the node's lcores, the uplinks and the ports need: mbufs are of one
 * size, so the MTU of ports makes no difference. Errors: -EINVAL (code "bad-option", param "memory": more
 * nodes than the machine has, a node without memory, or nothing at all).
 */
int memory_plan(const struct options *o, const struct topology *t,
		const struct placement_lcore *lcore, unsigned int n_lcores,
		const struct memory_ports *ports, struct memory_plan *plan, struct err *err);

/* Are the pages there? Errors: -ENOMEM (code "no-hugepages") with the command that reserves what is
 * missing. */
int memory_check(const struct memory_plan *plan, const struct hugepages *pages, struct err *err);

#endif
