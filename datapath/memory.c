/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_memory.h>

#include "datapath/mempool.h"
#include "numa/hugepages.h"
#include "numa/residence.h"

/* Written by the control thread before the lcores start, but for the last two: those are of whoever
 * makes the heap grow, librte_vhost's thread too. */
static struct {
	int node[DP_NODES_MAX];
	bool grows;
	uint64_t settled_bytes[DP_NODES_MAX]; /* in use when memory_settled() was called */
	_Atomic int wanted_node;
	_Atomic uint64_t wanted_bytes; /* what a heap was to grow to, and has not; 0: nothing */
} memory;

int
memory_node(int node)
{
	return node >= 0 && node < DP_NODES_MAX ? memory.node[node] : node;
}

/* EAL is about to have a heap grow, by pages of one size. */
static int
memory_wanted(int node, size_t limit, size_t bytes)
{
	uint64_t before = atomic_load(&memory.wanted_bytes);

	(void)limit;
	/* It tries again with larger pages; the advice is for the least that would do. */
	if (before == 0 || bytes < before) {
		atomic_store(&memory.wanted_node, node);
		atomic_store(&memory.wanted_bytes, bytes);
	}
	return memory.grows ? 0 : -1;
}

static void
memory_event(enum rte_mem_event event, const void *at, size_t bytes, void *arg)
{
	(void)at;
	(void)bytes;
	(void)arg;
	if (event == RTE_MEM_EVENT_ALLOC)
		atomic_store(&memory.wanted_bytes, 0);
}

static int
memory_check_page(const struct rte_memseg_list *list, const struct rte_memseg *page, void *arg)
{
	int node = page->socket_id;

	return list->external ? 0 : residence_check(page->addr, node, arg);
}

int
memory_start(const struct dp_config *config, struct err *err)
{
	int ret, node;

	for (node = 0; node < DP_NODES_MAX; node++)
		memory.node[node] = config->memory_node[node];
	memory.grows = config->memory_grows;
	ret = rte_memseg_walk(memory_check_page, err);
	if (ret < 0)
		return ret;
	ret = rte_mem_event_callback_register("sluice", memory_event, NULL);
	for (node = 0; node < DP_NODES_MAX && ret == 0; node++) {
		struct rte_malloc_socket_stats stats = {0};

		rte_malloc_get_socket_stats(node, &stats);
		ret = rte_mem_alloc_validator_register("sluice", memory_wanted, node,
						       stats.heap_totalsz_bytes);
	}
	return ret < 0 ?
		       err_set(err, ENOMEM, "no-memory", "no memory to watch over the hugepages") :
		       0;
}

void
memory_settled(void)
{
	struct rte_malloc_socket_stats stats;
	int node;

	for (node = 0; node < DP_NODES_MAX; node++) {
		if (rte_malloc_get_socket_stats(node, &stats) == 0)
			memory.settled_bytes[node] = stats.heap_allocsz_bytes;
	}
}

int
memory_info(int node, struct dp_memory_info *info)
{
	struct rte_malloc_socket_stats stats;

	if (node < 0 || node >= DP_NODES_MAX || rte_malloc_get_socket_stats(node, &stats) < 0 ||
	    stats.heap_totalsz_bytes == 0)
		return -ENOENT;
	*info = (struct dp_memory_info){
		.total_bytes = stats.heap_totalsz_bytes,
		.used_bytes = stats.heap_allocsz_bytes,
		.pool_bytes = mempool_bytes(node),
	};
	if (info->used_bytes > memory.settled_bytes[node])
		info->port_bytes = info->used_bytes - memory.settled_bytes[node];
	return 0;
}

/* Adds up for one node where its pages are. */
struct memory_whereabouts {
	int node;
	bool any;
	uint64_t *bytes;
};

static int
memory_find_page(const struct rte_memseg_list *list, const struct rte_memseg *page, void *arg)
{
	struct memory_whereabouts *w = arg;
	int node;

	if (list->external || page->socket_id != w->node)
		return 0;
	w->any = true;
	node = residence_of(page->addr);
	if (node >= 0 && node < DP_NODES_MAX)
		w->bytes[node] += page->len;
	return 0;
}

int
memory_where(int node, uint64_t bytes[DP_NODES_MAX])
{
	struct memory_whereabouts w = {.node = node, .bytes = bytes};

	memset(bytes, 0, DP_NODES_MAX * sizeof(bytes[0]));
	rte_memseg_walk(memory_find_page, &w);
	return w.any ? 0 : -ENOENT;
}

void
memory_watch(void)
{
	atomic_store(&memory.wanted_bytes, 0);
}

/* The smallest pages that the node has; and how much of all is free there for us. */
static struct hugepages_entry
memory_pages_of(int node, uint64_t *usable_kib)
{
	struct hugepages_entry best = {.node = node, .size_kib = 2048};
	struct hugepages pages;
	unsigned int i;

	*usable_kib = 0;
	if (hugepages_read(&pages, NULL) < 0)
		return best;
	*usable_kib = hugepages_usable_kib(&pages, node);
	for (i = pages.n; i > 0; i--) {
		if (pages.entry[i - 1].node == node && pages.entry[i - 1].total > 0)
			best = pages.entry[i - 1];
	}
	return best;
}

bool
memory_lacks(const char *what, const char *name, struct err *err)
{
	uint64_t wanted = atomic_load(&memory.wanted_bytes);
	int node = atomic_load(&memory.wanted_node);
	struct rte_malloc_socket_stats stats = {0};
	struct hugepages_entry pages;
	uint64_t missing, page_bytes, usable_kib;

	if (wanted == 0)
		return false;
	rte_malloc_get_socket_stats(node, &stats);
	pages = memory_pages_of(node, &usable_kib);
	page_bytes = (uint64_t)pages.size_kib * 1024;
	missing = 1;
	if (wanted > stats.heap_totalsz_bytes)
		missing = (wanted - stats.heap_totalsz_bytes + page_bytes - 1) / page_bytes;
	if (memory.grows && usable_kib >= missing * pages.size_kib)
		err_set(err, ENOMEM, "no-hugepages",
			"for %s \"%s\" the kernel refuses hugepages of node %d, though %lu MiB are free: %s",
			what, name, node, usable_kib >> 10, MEMORY_REFUSED);
	else if (memory.grows)
		err_set(err, ENOMEM, "no-hugepages",
			"for %s \"%s\" hugepages of node %d are missing: %lu of %u kB; reserve them "
			"with: echo %lu > /sys/devices/system/node/node%d/hugepages/hugepages-%ukB/"
			"nr_hugepages",
			what, name, node, missing, pages.size_kib, pages.total + missing, node,
			pages.size_kib);
	else
		err_set(err, ENOMEM, "no-hugepages",
			"for %s \"%s\" hugepages of node %d are missing: %lu of %u kB; the %lu MiB "
			"that sluiced may have there are in use, give it more with --memory",
			what, name, node, missing, pages.size_kib, stats.heap_totalsz_bytes >> 20);
	return true;
}
