/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_MEMPOOL_H
#define DATAPATH_MEMPOOL_H

#include <rte_mempool.h>

#include "datapath/dp.h"

/*
 * One mbuf pool for each memory node that has memory.
 *
 * Nothing keeps mbufs for long: an lcore has one burst in its hands, an inbox and a device's rings
 * are bounded. So the pool is sized for the worst that all of them can hold together, and does
 * not run dry.
 */
#define MEMPOOL_DATA_BYTES 2048 /* room for frame bytes in one mbuf */

/* Errors: -ENOMEM (code "no-hugepages"). Thread: control. */
int mempool_create(const struct dp_config *config, struct err *err);
void mempool_destroy(void);

/* The pool of `node`, or of the nearest node that has one where it has none. Thread: any. */
struct rte_mempool *mempool_of_node(int node);

/* As dp_pool_info(). */
int mempool_info(unsigned int index, struct dp_pool_info *info);

#endif
