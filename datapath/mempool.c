/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/mempool.h"

#include <errno.h>

#include <rte_mbuf.h>

#include "datapath/burst.h"
#include "datapath/inbox.h"
#include "datapath/memory.h"
#include "datapath/port_vhost.h"

#define MEMPOOL_CACHE 256
#define MEMPOOL_CACHE_MAX (MEMPOOL_CACHE * 3 / 2) /* what one may hold at most */
#define MEMPOOL_SEGS_MAX (65550 / MEMPOOL_DATA_BYTES + 1) /* mbufs of the longest frame */
#define MEMPOOL_UPLINKS 8192 /* descriptors of all uplinks of a node, both ways */

/* What is not sized here, in bytes: measured with DPDK 22.11, and rounded up. */
#define MEMPOOL_NODE_MORE (3U << 20) /* events, what EAL keeps, rings of uplinks */
#define MEMPOOL_LCORE_MORE (256U << 10) /* an lcore's burst, and its inbox */
#define MEMPOOL_RING_ENTRIES 1024

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

static unsigned int
mempool_size_of_node(unsigned int n_lcores)
{
	return MEMPOOL_UPLINKS + n_lcores * MEMPOOL_CACHE_MAX;
}

/* ---- what all that takes ------------------------------------------------------------------ */

/* A pool with the ring of what is free in it, and a cache for each lcore that DPDK could have. */
static uint64_t
mempool_bytes_of(unsigned int size)
{
	uint64_t mbuf = rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM +
							  MEMPOOL_DATA_BYTES,
						  0, NULL);

	return size * mbuf + rte_align32pow2(size + 1) * sizeof(void *) +
	       RTE_MAX_LCORE * sizeof(struct rte_mempool_cache);
}

uint64_t
dp_memory_need(const struct dp_memory_need *need)
{
	const uint64_t queue =
		sizeof(struct port_queue) + 2 * (sizeof(struct virtq) + MEMORY_LIBRARY_VRING +
						 MEMORY_LIBRARY_ENTRY * MEMPOOL_RING_ENTRIES);

	return mempool_bytes_of(mempool_size_of_node(need->n_lcores)) + MEMPOOL_NODE_MORE +
	       need->n_lcores_here * (mempool_bytes_of(mempool_size_of_lcore(need->n_lcores)) +
				      MEMPOOL_LCORE_MORE) +
	       need->n_ports *
		       (sizeof(struct port_vhost) + MEMORY_LIBRARY_PORT + 3 * MEMORY_PIECE) +
	       need->n_queues * queue;
}

static unsigned int
mempool_mib_of(const struct dp_config *config, int node)
{
	struct dp_memory_need need = {.n_lcores = config->n_lcores};
	unsigned int i;

	for (i = 0; i < config->n_lcores; i++)
		need.n_lcores_here += memory_node(config->lcore[i].node) == node;
	return (unsigned int)(dp_memory_need(&need) >> 20) + 1;
}

/* ---- the pools ---------------------------------------------------------------------------- */

int
mempool_create(const struct dp_config *config, struct err *err)
{
	unsigned int i;
	int node;

	for (node = 0; node < (int)config->n_nodes; node++) {
		if (config->memory_mib[node] == 0)
			continue;
		mempool.of_node[node] = mempool_new("node", (unsigned int)node,
						    mempool_size_of_node(config->n_lcores), node);
		if (mempool.of_node[node] == NULL)
			goto no_memory;
	}
	for (i = 1; i <= config->n_lcores; i++) {
		node = memory_node(config->lcore[i - 1].node);
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
			     "lcores and uplinks, which need %u; give more with --memory",
			     config->memory_mib[node], node, mempool_mib_of(config, node));
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

/* The node that serves this one; for a device of no node any that has a pool. */
static unsigned int
mempool_node(int node)
{
	unsigned int i;

	node = memory_node(node);
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

uint64_t
mempool_bytes(int node)
{
	struct dp_pool_info info;
	unsigned int i;

	for (i = 0; mempool_info(i, &info) == 0; i++) {
		if (info.node == node)
			return (uint64_t)info.size * info.mbuf_bytes;
	}
	return 0;
}
