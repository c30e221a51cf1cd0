/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_MEMPOOL_H
#define DATAPATH_MEMPOOL_H

#include <rte_mempool.h>

#include "datapath/dp.h"

/*
 * The mbuf pools: one for each lcore, for what guests send, and one for each memory node, for what
 * uplinks receive. All are on the node of who uses them. (One for all of a node would take less where there
 * are many lcores, but let the guests of one lcore take the buffers of the others, and of the uplinks.)
 *
 * An lcore has one burst in its hands, and an inbox is bounded, so an lcore's pool is sized for what
 * these can hold. What waits in the transmit rings of uplinks comes out of it, too: several large
 * rings on one lcore can hold most of it. A guest that hands over more than a frame can be runs its
 * lcore's pool dry for a moment, and no other's. A node's pool has room for a number of descriptors
 * that the uplinks share (mempool_claim).
 */
#define MEMPOOL_DATA_BYTES 2048 /* room for frame bytes in one mbuf */

/* Errors: -ENOMEM (code "no-hugepages"). Thread: control. */
int mempool_create(const struct dp_config *config, struct err *err);
void mempool_destroy(void);

/* The pool for what the guests of an lcore send. Thread: any. */
struct rte_mempool *mempool_of_lcore(unsigned int lcore);

/* The pool of `node`, or of the nearest node that has one where it has none. Thread: any. */
struct rte_mempool *mempool_of_node(int node);

/* Takes n descriptors of the node's pool for a device's rings, and gives them back.
 * Errors: -ENOSPC. Thread: control. */
int mempool_claim(int node, unsigned int n);
void mempool_unclaim(int node, unsigned int n);

/* As dp_pool_info(). */
int mempool_info(unsigned int index, struct dp_pool_info *info);

/* What the buffers of all pools on a node take. Thread: control. */
uint64_t mempool_bytes(int node);

#endif
