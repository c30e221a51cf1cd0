/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/guestmem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <rte_vhost.h>

static int
guestmem_by_size(const void *a, const void *b)
{
	const struct guestmem_region *x = a, *y = b;

	return x->bytes == y->bytes ? 0 : x->bytes < y->bytes ? 1 : -1;
}

int
guestmem_read(struct guestmem *mem, int vid)
{
	struct rte_vhost_memory *table = NULL;
	uint32_t i;
	int ret = 0;

	mem->n = 0;
	mem->region[0].bytes = 0; /* guestmem_at() looks at it in any case */
	if (rte_vhost_get_mem_table(vid, &table) != 0 || table == NULL)
		return -ENODEV;
	if (table->nregions > GUESTMEM_REGIONS_MAX) {
		ret = -E2BIG;
		goto out;
	}
	for (i = 0; i < table->nregions; i++) {
		mem->region[i].addr = table->regions[i].guest_phys_addr;
		mem->region[i].bytes = table->regions[i].size;
		mem->region[i].host = (uint8_t *)(uintptr_t)table->regions[i].host_user_addr;
	}
	mem->n = table->nregions;
	qsort(mem->region, mem->n, sizeof(mem->region[0]), guestmem_by_size);
out:
	free(table);
	return ret;
}

bool
guestmem_addr(const struct guestmem *mem, const void *at, size_t bytes, uint64_t *addr)
{
	unsigned int i;

	for (i = 0; i < mem->n; i++) {
		const struct guestmem_region *r = &mem->region[i];
		uint64_t offset = (uint64_t)((uintptr_t)at - (uintptr_t)r->host);

		if (offset >= r->bytes || bytes > r->bytes - offset)
			continue;
		*addr = r->addr + offset;
		return true;
	}
	return false;
}
