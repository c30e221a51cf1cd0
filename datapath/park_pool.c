/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/park_pool.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

static struct {
	struct park_page *page;
	size_t bytes;
	uint32_t n; /* pages */
	_Atomic uint32_t n_used; /* pages from the first on that were ever taken */
	_Atomic uint32_t n_taken; /* now */
	/* The free ones of them, the last used first, so that few ever are: number of the topmost, from
	 * 1, and above it a count of changes, so that none is taken for another. */
	_Atomic uint64_t free;
} pool;

int
park_pool_create(unsigned int mib)
{
	void *memory;

	pool.bytes = (size_t)mib << 20;
	if (mib == 0)
		return 0;
	memory = mmap(NULL, pool.bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	/* A fault on an lcore shall not clear more than it needs. */
	madvise(memory, pool.bytes, MADV_NOHUGEPAGE);
	pool.page = memory;
	pool.n = (uint32_t)(pool.bytes / PARK_PAGE_BYTES);
	return 0;
}

void
park_pool_destroy(void)
{
	if (pool.page != NULL)
		munmap(pool.page, pool.bytes);
	pool.page = NULL;
	pool.n = 0;
	atomic_store(&pool.n_used, 0);
	atomic_store(&pool.n_taken, 0);
	atomic_store(&pool.free, 0);
}

struct park_page *
park_pool_take(uint32_t has)
{
	uint64_t top = atomic_load(&pool.free);
	uint32_t used;

	if (has >= pool.n - atomic_fetch_add(&pool.n_taken, 1))
		goto none;
	while ((uint32_t)top != 0) {
		struct park_page *page = &pool.page[(uint32_t)top - 1];
		uint64_t next = ((top >> 32) + 1) << 32 | atomic_load(&page->below);

		if (atomic_compare_exchange_weak(&pool.free, &top, next))
			return page;
	}
	used = atomic_load(&pool.n_used);
	while (used < pool.n)
		if (atomic_compare_exchange_weak(&pool.n_used, &used, used + 1))
			return &pool.page[used];
none:
	atomic_fetch_sub(&pool.n_taken, 1);
	return NULL;
}

void
park_pool_free(struct park_page *page)
{
	uint32_t number = (uint32_t)(page - pool.page) + 1;
	uint64_t top = atomic_load(&pool.free), next;

	do {
		atomic_store(&page->below, (uint32_t)top);
		next = ((top >> 32) + 1) << 32 | number;
	} while (!atomic_compare_exchange_weak(&pool.free, &top, next));
	atomic_fetch_sub(&pool.n_taken, 1);
}
