/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/mem.h"

#include <errno.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES UINT64_C(0x200000)
/* Between two regions' user addresses, so that nobody can take them for one. */
#define USER_GAP_BYTES UINT64_C(0x10000000)

static uint64_t
round_up(uint64_t value, uint64_t step)
{
	return (value + step - 1) / step * step;
}

static int
arena_map(struct arena *arena, unsigned int memfd_flags)
{
	int ret;

	arena->fd = memfd_create("guest", MFD_CLOEXEC | memfd_flags);
	if (arena->fd < 0)
		return -errno;
	if (ftruncate(arena->fd, (off_t)arena->bytes) < 0)
		goto fail;
	/* Huge pages are reserved here: without enough of them mmap() fails, not a later access. */
	arena->base = mmap(NULL, arena->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			   arena->fd, 0);
	if (arena->base != MAP_FAILED)
		return 0;
fail:
	ret = -errno;
	close(arena->fd);
	arena->fd = -1;
	arena->base = NULL;
	return ret;
}

int
arena_open(struct arena *arena, uint64_t bytes, unsigned int regions, enum arena_pages pages,
	   struct err *err)
{
	int ret = -ENOMEM;

	memset(arena, 0, sizeof(*arena));
	arena->regions = regions;
	arena->bytes = round_up(bytes, HUGE_PAGE_BYTES * regions);
	if (pages != ARENA_PAGES_PLAIN) {
		ret = arena_map(arena, MFD_HUGETLB | MFD_HUGE_2MB);
		arena->huge = ret == 0;
	}
	if (ret < 0 && pages != ARENA_PAGES_HUGE)
		ret = arena_map(arena, 0);
	if (ret < 0)
		return err_set(err, ret, "no-memory",
			       "No %s memory of %llu MiB for a guest: %s. Reserve hugepages, or use "
			       "--memory plain and a smaller --queue-size.",
			       pages == ARENA_PAGES_HUGE ? "hugepage" : "shared",
			       (unsigned long long)(arena->bytes >> 20), strerror(-ret));
	return 0;
}

void
arena_close(struct arena *arena)
{
	if (arena->base == NULL)
		return;
	munmap(arena->base, arena->bytes);
	close(arena->fd);
	arena->base = NULL;
	arena->fd = -1;
}

void *
arena_take(struct arena *arena, uint64_t bytes, uint64_t align)
{
	uint64_t start = round_up(arena->used_bytes, align);

	if (start + bytes > arena->bytes)
		abort();
	arena->used_bytes = start + bytes;
	return arena->base + start;
}

static uint64_t
region_bytes(const struct arena *arena)
{
	return arena->bytes / arena->regions;
}

static uint64_t
region_user_addr(const struct arena *arena, unsigned int region)
{
	return (uint64_t)(uintptr_t)arena->base + region * (region_bytes(arena) + USER_GAP_BYTES);
}

uint64_t
arena_user_addr(const struct arena *arena, const void *p)
{
	uint64_t offset = (uint64_t)((const uint8_t *)p - arena->base);
	unsigned int region = (unsigned int)(offset / region_bytes(arena));

	return region_user_addr(arena, region) + offset % region_bytes(arena);
}

void
arena_table(const struct arena *arena, struct vhost_mem_table *table, int *fds)
{
	unsigned int i;

	memset(table, 0, sizeof(*table));
	table->regions = arena->regions;
	for (i = 0; i < arena->regions; i++) {
		table->region[i].gpa = ARENA_GPA + i * region_bytes(arena);
		table->region[i].bytes = region_bytes(arena);
		table->region[i].user_addr = region_user_addr(arena, i);
		table->region[i].mmap_offset = i * region_bytes(arena);
		fds[i] = arena->fd;
	}
}
