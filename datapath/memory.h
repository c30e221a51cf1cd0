/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_MEMORY_H
#define DATAPATH_MEMORY_H

#include "datapath/dp.h"

/*
 * The hugepage memory that EAL has taken: where it really is, how far it may grow, and who uses it.
 *
 * EAL by itself takes more hugepages whenever its heap is full. Here it does so with
 * dp_config.memory_grows only: who gives each node its memory has said what sluice may have at most.
 */

/*
 * What librte_vhost 22.11 takes for a connection, for each ring of it, and for each entry of that; what
 * EAL takes to remember one piece of memory. In bytes; measured.
 */
#define MEMORY_LIBRARY_PORT 7040
#define MEMORY_LIBRARY_VRING 768
#define MEMORY_LIBRARY_ENTRY 40
#define MEMORY_PIECE 128

/* What to do where the kernel has free pages, and does not give them. */
#define MEMORY_REFUSED \
	"its cgroup may have no more (hugetlb.2MB.max, hugetlb.1GB.max), or not of that node (cpuset.mems)"

/* Once EAL runs, before anybody takes memory of it. Errors: -EXDEV (code "wrong-node"), -ENOMEM.
 * Thread: control. */
int memory_start(const struct dp_config *config, struct err *err);

/* All is taken but what ports and uplinks will need. Thread: control. */
void memory_settled(void);

/* Where what belongs to `node` is kept; -1 (any) for -1. Constant after memory_start(). Thread: any. */
int memory_node(int node);

/*
 * Why something failed: memory_watch() before it. After it memory_lacks() says whether hugepages
 * were missing meanwhile, and if so how many pages: code "no-hugepages", in *err; `what` and `name`
 * say for whom. Thread: control.
 */
void memory_watch(void);
bool memory_lacks(const char *what, const char *name, struct err *err);

/* As dp_memory_info(). */
int memory_info(int node, struct dp_memory_info *info);

/* As dp_memory_where(). */
int memory_where(int node, uint64_t bytes[DP_NODES_MAX]);

#endif
