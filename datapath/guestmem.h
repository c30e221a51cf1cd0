/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_GUESTMEM_H
#define DATAPATH_GUESTMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A guest's memory as its front-end shared it: a private copy of librte_vhost's table, in which every
 * address that the guest names is looked up with its length.
 *
 * Written while no lcore can see it, published with the rings that use it, constant from then on.
 */
#define GUESTMEM_REGIONS_MAX 8

struct guestmem {
	unsigned int n;
	struct guestmem_region {
		uint64_t addr; /* guest physical */
		uint64_t bytes;
		uint8_t *host;
	} region[GUESTMEM_REGIONS_MAX]; /* the largest first: most addresses are there */
};

/* Reads the table of a connection. Errors: -ENODEV, -ENOMEM, -E2BIG.
 * Thread: librte_vhost's. */
int guestmem_read(struct guestmem *mem, int vid);

/* The way back: the guest's address of `bytes` bytes of ours. Returns false where they do not all lie
 * in one region. Thread: as above. */
bool guestmem_addr(const struct guestmem *mem, const void *at, size_t bytes, uint64_t *addr);

/* Where `bytes` bytes from the guest's address on are, or NULL where not all of them lie in one
 * region. Thread: lcore. */
static inline uint8_t *
guestmem_at(const struct guestmem *mem, uint64_t addr, uint64_t bytes)
{
	const struct guestmem_region *region = mem->region, *end = region + mem->n;

	do {
		uint64_t offset = addr - region->addr;

		if (__builtin_expect(offset < region->bytes, 1))
			return bytes <= region->bytes - offset ? region->host + offset : NULL;
	} while (++region < end);
	return NULL;
}

/* As much as there is in one piece from the guest's address on: lowers *bytes to it. NULL: nothing
 * is there. A buffer may cross from one region into the next. Thread: lcore. */
static inline uint8_t *
guestmem_piece(const struct guestmem *mem, uint64_t addr, uint64_t *bytes)
{
	unsigned int i;

	for (i = 0; i < mem->n; i++) {
		uint64_t offset = addr - mem->region[i].addr;

		if (offset >= mem->region[i].bytes)
			continue;
		if (*bytes > mem->region[i].bytes - offset)
			*bytes = mem->region[i].bytes - offset;
		return mem->region[i].host + offset;
	}
	return NULL;
}

#endif
