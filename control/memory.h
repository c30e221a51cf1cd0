/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_MEMORY_H
#define CONTROL_MEMORY_H

#include "control/options.h"
#include "numa/hugepages.h"
#include "numa/placement.h"
#include "numa/topology.h"

/* How much hugepage memory to take from each node. Pure. */

/*
 * What "auto" means, for each node that has lcores: an mbuf pool, the copies of guests' memory
 * tables and rings' states, and what EAL keeps for itself.
 */
#define MEMORY_AUTO_MIB 128

/* MiB for each of the returned number of nodes. Errors: -EINVAL (code "bad-option", param
 * "memory": more nodes than the machine has, or nothing at all). */
int memory_plan(const struct options *o, const struct topology *t,
		const struct placement_lcore *lcore, unsigned int n_lcores,
		unsigned int mib[DP_NODES_MAX], struct err *err);

/* Are the pages there? Errors: -ENOMEM (code "no-hugepages") with the command that reserves what is
 * missing. */
int memory_check(const unsigned int mib[DP_NODES_MAX], unsigned int n_nodes,
		 const struct hugepages *pages, struct err *err);

#endif
