/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/mempool.h"

#include <errno.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "datapath/burst.h"
#include "datapath/inbox.h"

#define MEMPOOL_CACHE 256
#define MEMPOOL_SEGS_MAX (65550 / MEMPOOL_DATA_BYTES + 1) /* mbufs of the longest frame */
#define MEMPOOL_UPLINKS 8192 /* descriptors of all uplinks of a node, both ways */

/* Written by the control thread before the lcores start. */
static struct rte_mempool *pool_of_node[DP_NODES_MAX];

static unsigned int
mempool_size(const struct dp_config *config, unsigned int node)
{
	/* A burst of the longest frames and a copy of each, the cache, and an inbox of jumbo
	 * frames (longer ones share it). */
	unsigned int per_lcore = 2 * BURST_MAX * MEMPOOL_SEGS_MAX + 2 * MEMPOOL_CACHE;
	unsigned int n = MEMPOOL_UPLINKS, i;

	if (config->n_lcores > 1)
		per_lcore += INBOX_SIZE * 5;
	for (i = 0; i < config->n_lcores; i++) {
		if (config->lcore[i].node == (int)node)
			n += per_lcore;
	}
	return n;
}

int
mempool_create(const struct dp_config *config, struct err *err)
{
	unsigned int node;
	char name[RTE_MEMPOOL_NAMESIZE];

	for (node = 0; node < config->n_nodes && node < DP_NODES_MAX; node++) {
		unsigned int size = mempool_size(config, node);

		if (config->memory_mib[node] == 0)
			continue;
		snprintf(name, sizeof(name), "mbuf_node%u", node);
		pool_of_node[node] =
			rte_pktmbuf_pool_create(name, size, MEMPOOL_CACHE, 0,
						MEMPOOL_DATA_BYTES + RTE_PKTMBUF_HEADROOM,
						(int)node);
		if (pool_of_node[node] == NULL) {
			mempool_destroy();
			return err_set_param(err, ENOMEM, "no-hugepages", "memory",
					     "%u MiB of hugepages on node %u do not hold its %u "
					     "packet buffers; give more with --memory",
					     config->memory_mib[node], node, size);
		}
	}
	return 0;
}

void
mempool_destroy(void)
{
	unsigned int node;

	for (node = 0; node < DP_NODES_MAX; node++) {
		rte_mempool_free(pool_of_node[node]);
		pool_of_node[node] = NULL;
	}
}

struct rte_mempool *
mempool_of_node(int node)
{
	unsigned int i;

	if (node >= 0 && node < DP_NODES_MAX && pool_of_node[node] != NULL)
		return pool_of_node[node];
	for (i = 0; i < DP_NODES_MAX; i++) {
		if (pool_of_node[i] != NULL)
			return pool_of_node[i];
	}
	return NULL;
}

int
mempool_info(unsigned int index, struct dp_pool_info *info)
{
	unsigned int node;

	for (node = 0; node < DP_NODES_MAX; node++) {
		struct rte_mempool *pool = pool_of_node[node];

		if (pool == NULL || index-- > 0)
			continue;
		*info = (struct dp_pool_info){
			.node = (int)node,
			.size = pool->size,
			.in_use = rte_mempool_in_use_count(pool),
			.mbuf_bytes = pool->header_size + pool->elt_size + pool->trailer_size,
		};
		return 0;
	}
	return -ENOENT;
}
