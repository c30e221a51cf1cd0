/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_MEM_H
#define FRONTEND_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/frontend/proto.h"
#include "numa/err.h"

/*
 * A fake guest's memory: one memfd, mapped once here, and shown to the switch as 1..8 regions that
 * follow each other in guest-physical addresses but not in user addresses (as QEMU's may), so that
 * a buffer can lie across a border.
 */
struct arena {
	int fd;
	uint8_t *base;
	uint64_t bytes;
	uint64_t used_bytes;
	unsigned int regions;
	bool huge; /* 2 MiB pages */
};

enum arena_pages {
	ARENA_PAGES_AUTO,
	ARENA_PAGES_HUGE,
	ARENA_PAGES_PLAIN
};

/* Guest-physical address of the first byte: anything below lies outside the guest's memory. */
#define ARENA_GPA UINT64_C(0x40000000)

/*
 * Creates an arena of at least `bytes`. ARENA_PAGES_AUTO takes huge pages if there are any free.
 * Returns 0 or -errno with *err. Thread: control. May wait: no.
 */
int arena_open(struct arena *arena, uint64_t bytes, unsigned int regions, enum arena_pages pages,
	       struct err *err);
void arena_close(struct arena *arena);

/* Takes zeroed memory out of the arena; aborts where arena_open() was asked for too little. */
void *arena_take(struct arena *arena, uint64_t bytes, uint64_t align);

/* The address by which descriptors name a byte of the arena. */
static inline uint64_t
arena_gpa(const struct arena *arena, const void *p)
{
	return ARENA_GPA + (uint64_t)((const uint8_t *)p - arena->base);
}

/* The address by which SET_VRING_ADDR names a byte of the arena. */
uint64_t arena_user_addr(const struct arena *arena, const void *p);

/* What SET_MEM_TABLE says; fds[] gets one descriptor a region (all the same). */
void arena_table(const struct arena *arena, struct vhost_mem_table *table, int *fds);

#endif
