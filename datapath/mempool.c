/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/mempool.h"

#include <errno.h>

#include <rte_mbuf.h>

#include "datapath/burst.h"
#include "datapath/inbox.h"

#define MEMPOOL_CACHE 256
#define MEMPOOL_CACHE_MAX (MEMPOOL_CACHE * 3 / 2) /* what one may hold at most */
#define MEMPOOL_SEGS_MAX (65550 / MEMPOOL_DATA_BYTES + 1) /* mbufs of the longest frame */
#define MEMPOOL_UPLINKS 8192 /* descriptors of all uplinks of a node, both ways */

/* Control thread; the pools themselves are made before the lcores start. */
static struct {
	struct rte_mempool *of_lcore[DP_LCORES_MAX + 1];
	struct rte_mempool *of_node[DP_NODES_MAX];
	unsigned int claimed[DP_NODES_MAX];
} mempool;

static struct rte_mempool *
mempool_new(const char *what, unsigned int number, unsigned int size, int node)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "mbuf_%s%u", what, number);
	return rte_pktmbuf_pool_create(name, size, MEMPOOL_CACHE, 0,
				       MEMPOOL_DATA_BYTES + RTE_PKTMBUF_HEADROOM, node);
}

static unsigned int
mempool_size_of_lcore(unsigned int n_lcores)
{
	/* A burst of the longest frames and a copy of each, what the caches of all lcores may
	 * hold, and an inbox of jumbo frames (longer ones share it). */
	unsigned int n = 2 * BURST_MAX * MEMPOOL_SEGS_MAX + n_lcores * MEMPOOL_CACHE_MAX;

	return n_lcores > 1 ? n + 5 * INBOX_SIZE : n;
}

int
mempool_create(const struct dp_config *config, struct err *err)
{
	unsigned int i;
	int node;

	for (node = 0; node < (int)config->n_nodes; node++) {
		if (config->memory_mib[node] == 0)
			continue;
		mempool.of_node[node] =
			mempool_new("node", (unsigned int)node,
				    MEMPOOL_UPLINKS + config->n_lcores * MEMPOOL_CACHE_MAX, node);
		if (mempool.of_node[node] == NULL)
			goto no_memory;
	}
	for (i = 1; i <= config->n_lcores; i++) {
		node = config->lcore[i - 1].node;
		mempool.of_lcore[i] =
			mempool_new("lcore", i, mempool_size_of_lcore(config->n_lcores), node);
		if (mempool.of_lcore[i] == NULL)
			goto no_memory;
	}
	return 0;

no_memory:
	mempool_destroy();
	return err_set_param(err, ENOMEM, "no-hugepages", "memory",
			     "%u MiB of hugepages on node %d do not hold the packet buffers of its "
			     "lcores and uplinks; give more with --memory",
			     config->memory_mib[node], node);
}

void
mempool_destroy(void)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(mempool.of_lcore); i++) {
		rte_mempool_free(mempool.of_lcore[i]);
		mempool.of_lcore[i] = NULL;
	}
	for (i = 0; i < RTE_DIM(mempool.of_node); i++) {
		rte_mempool_free(mempool.of_node[i]);
		mempool.of_node[i] = NULL;
	}
}

struct rte_mempool *
mempool_of_lcore(unsigned int lcore)
{
	return mempool.of_lcore[lcore];
}

/* The node's own number, or that of one that has a pool. */
static unsigned int
mempool_node(int node)
{
	unsigned int i;

	if (node >= 0 && node < DP_NODES_MAX && mempool.of_node[node] != NULL)
		return (unsigned int)node;
	for (i = 0; i < DP_NODES_MAX - 1 && mempool.of_node[i] == NULL; i++)
		;
	return i;
}

struct rte_mempool *
mempool_of_node(int node)
{
	return mempool.of_node[mempool_node(node)];
}

int
mempool_claim(int node, unsigned int n)
{
	unsigned int *claimed = &mempool.claimed[mempool_node(node)];

	if (*claimed + n > MEMPOOL_UPLINKS)
		return -ENOSPC;
	*claimed += n;
	return 0;
}

void
mempool_unclaim(int node, unsigned int n)
{
	mempool.claimed[mempool_node(node)] -= n;
}

static void
mempool_add_info(const struct rte_mempool *pool, struct dp_pool_info *info)
{
	info->size += pool->size;
	info->in_use += rte_mempool_in_use_count(pool);
	info->mbuf_bytes = pool->header_size + pool->elt_size + pool->trailer_size;
}

int
mempool_info(unsigned int index, struct dp_pool_info *info)
{
	unsigned int i;
	int node;

	for (node = 0; node < DP_NODES_MAX; node++) {
		if (mempool.of_node[node] == NULL || index-- > 0)
			continue;
		*info = (struct dp_pool_info){.node = node};
		mempool_add_info(mempool.of_node[node], info);
		for (i = 0; i < RTE_DIM(mempool.of_lcore); i++) {
			if (mempool.of_lcore[i] != NULL && mempool.of_lcore[i]->socket_id == node)
				mempool_add_info(mempool.of_lcore[i], info);
		}
		return 0;
	}
	return -ENOENT;
}
