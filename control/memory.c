/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/memory.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_PAGE_KIB 2048 /* to advise where the kernel has no pages of any size */

static int
plan_auto(const struct topology *t, const struct placement_lcore *lcore, unsigned int n_lcores,
	  unsigned int mib[DP_NODES_MAX])
{
	unsigned int n = 1;

	memset(mib, 0, DP_NODES_MAX * sizeof(*mib));
	for (unsigned int i = 0; i < n_lcores; i++) {
		int node = lcore[i].node;

		if (node < 0 || node >= DP_NODES_MAX || !t->node[node].mem_kib)
			continue;
		mib[node] = MEMORY_AUTO_MIB;
		if ((unsigned int)node >= n)
			n = node + 1;
	}
	/* Lcores on nodes without memory alone: any node that has some. */
	for (unsigned int node = 0; node < t->n_nodes; node++) {
		if (mib[n - 1])
			break;
		if (t->node[node].mem_kib) {
			mib[node] = MEMORY_AUTO_MIB;
			n = node + 1;
		}
	}
	return n;
}

int
memory_plan(const struct options *o, const struct topology *t, const struct placement_lcore *lcore,
	    unsigned int n_lcores, unsigned int mib[DP_NODES_MAX], struct err *err)
{
	unsigned int sum = 0;

	if (!o->n_memory)
		return plan_auto(t, lcore, n_lcores, mib);
	if (o->n_memory > t->n_nodes)
		return err_set_param(err, EINVAL, "bad-option", "memory",
				     "memory names %u nodes, this machine has %u", o->n_memory,
				     t->n_nodes);
	memset(mib, 0, DP_NODES_MAX * sizeof(*mib));
	for (unsigned int i = 0; i < o->n_memory; i++) {
		mib[i] = o->memory_mib[i];
		sum += mib[i];
	}
	if (!sum)
		return err_set_param(err, EINVAL, "bad-option", "memory",
				     "memory must not be 0 on every node");
	return o->n_memory;
}

static int
check_node(unsigned int node, unsigned int mib, const struct hugepages *pages, struct err *err)
{
	unsigned long long need_kib = mib * 1024ULL, free_kib = 0, missing;
	unsigned int page_kib = 0, total = 0;

	for (unsigned int i = 0; i < pages->n; i++) {
		const struct hugepages_entry *e = &pages->entry[i];

		if (e->node != (int)node)
			continue;
		free_kib += (unsigned long long)e->free * e->size_kib;
		/* Advice is for the size in use, or else for the smallest. */
		if (!page_kib || (e->total && !total)) {
			page_kib = e->size_kib;
			total = e->total;
		}
	}
	if (free_kib >= need_kib)
		return 0;
	if (!page_kib)
		page_kib = DEFAULT_PAGE_KIB;
	missing = (need_kib - free_kib + page_kib - 1) / page_kib;
	return err_set_param(err, ENOMEM, "no-hugepages", "memory",
			     "memory node %u has %llu MiB of free hugepages, %u MiB are needed:"
			     " %llu pages of %u kB are missing; reserve them with: echo %llu >"
			     " /sys/devices/system/node/node%u/hugepages/hugepages-%ukB/nr_hugepages",
			     node, free_kib / 1024, mib, missing, page_kib, total + missing, node,
			     page_kib);
}

int
memory_check(const unsigned int mib[DP_NODES_MAX], unsigned int n_nodes,
	     const struct hugepages *pages, struct err *err)
{
	for (unsigned int node = 0; node < n_nodes; node++)
		if (mib[node] && check_node(node, mib[node], pages, err) < 0)
			return -ENOMEM;
	return 0;
}
