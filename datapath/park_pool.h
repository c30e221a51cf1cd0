/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_PARK_POOL_H
#define DATAPATH_PARK_POOL_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * The memory that parked frames lie in: pages of one mapping with a bound, which costs nothing before it
 * is used. One pool a process.
 */
#define PARK_PAGE_BYTES 16384U
#define PARK_DATA_BYTES (PARK_PAGE_BYTES - 2 * sizeof(uint64_t))

struct park_page {
	struct park_page *next; /* whose has it: the next one */
	_Atomic uint32_t below; /* while it is free: the free page below it, from 1; 0: none */
	uint32_t used; /* bytes of data */
	uint8_t data[PARK_DATA_BYTES];
};

/* Errors: -ENOMEM. Thread: control. */
int park_pool_create(unsigned int mib);
void park_pool_destroy(void);

/* `has`: how many pages the one who asks has already. Returns NULL where it has as many as are free: so one
 * alone gets half of them, and there is always something for the next. Thread: any. Never waits. */
struct park_page *park_pool_take(uint32_t has);
void park_pool_free(struct park_page *page);

#endif
