/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_ALIGN 4096 /* more than any part of a ring needs; keeps rings off each other's lines */
#define VNET_HEADER_BYTES 12

static uint64_t
descriptor_bytes(const struct ring_config *cfg)
{
	return (uint64_t)cfg->size * sizeof(struct vring_desc);
}

static uint64_t
table_bytes(const struct ring_config *cfg)
{
	return cfg->indirect ? descriptor_bytes(cfg) * cfg->segments : 0;
}

static uint64_t
avail_bytes(const struct ring_config *cfg)
{
	return sizeof(struct vring_avail) + ((uint64_t)cfg->size + 1) * sizeof(uint16_t);
}

static uint64_t
used_bytes(const struct ring_config *cfg)
{
	return sizeof(struct vring_used) + (uint64_t)cfg->size * sizeof(struct vring_used_elem) +
	       sizeof(uint16_t);
}

uint64_t
ring_bytes(const struct ring_config *cfg)
{
	return descriptor_bytes(cfg) + table_bytes(cfg) + avail_bytes(cfg) + used_bytes(cfg) +
	       UINT64_C(4) * RING_ALIGN;
}

static void
ring_place(struct ring *ring, struct arena *arena)
{
	const struct ring_config *cfg = &ring->cfg;

	if (cfg->kind == RING_SPLIT) {
		ring->desc = arena_take(arena, descriptor_bytes(cfg), RING_ALIGN);
		ring->avail = arena_take(arena, avail_bytes(cfg), RING_ALIGN);
		ring->used = arena_take(arena, used_bytes(cfg), RING_ALIGN);
	} else {
		ring->packed = arena_take(arena, descriptor_bytes(cfg), RING_ALIGN);
		ring->driver_event = arena_take(arena, sizeof(*ring->driver_event), 64);
		ring->device_event = arena_take(arena, sizeof(*ring->device_event), 64);
		ring->avail_wrap = true;
		ring->used_wrap = true;
	}
	if (cfg->indirect)
		ring->tables = arena_take(arena, table_bytes(cfg), RING_ALIGN);
}

int
ring_open(struct ring *ring, const struct ring_config *cfg, struct arena *arena, struct err *err)
{
	uint16_t i;

	memset(ring, 0, sizeof(*ring));
	ring->cfg = *cfg;
	ring->arena = arena;
	ring->batch_last = -1;
	ring->descs_per_slot = cfg->indirect ? 1 : cfg->segments;
	ring->slots = cfg->size / ring->descs_per_slot;
	ring->unsettled = ring->slots;
	ring->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ring->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ring->order = calloc(ring->slots, sizeof(*ring->order));
	ring->slot_of = calloc(cfg->size, sizeof(*ring->slot_of));
	ring->packed_descs =
		calloc((size_t)ring->slots * ring->descs_per_slot, sizeof(*ring->packed_descs));
	if (ring->kick_fd < 0 || ring->call_fd < 0 || !ring->order || !ring->slot_of ||
	    !ring->packed_descs) {
		int err_no = errno;

		ring_close(ring);
		return err_set(err, err_no, "no-memory", "Cannot create a ring: %s.",
			       strerror(err_no));
	}
	for (i = 0; i < ring->slots; i++)
		ring->order[i] = i;
	for (i = 0; i < cfg->size; i++)
		ring->slot_of[i] = RING_BAD_SLOT;
	for (i = 0; i < ring->slots; i++)
		ring->slot_of[i * ring->descs_per_slot] = i;
	ring_place(ring, arena);
	ring_want_calls(ring, false);
	return 0;
}

void
ring_close(struct ring *ring)
{
	if (ring->kick_fd > 0)
		close(ring->kick_fd);
	if (ring->call_fd > 0)
		close(ring->call_fd);
	free(ring->order);
	free(ring->slot_of);
	free(ring->packed_descs);
	memset(ring, 0, sizeof(*ring));
}

void
ring_address(const struct ring *ring, uint32_t index, struct vhost_vring_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->index = index;
	if (ring->cfg.kind == RING_SPLIT) {
		addr->desc = arena_user_addr(ring->arena, ring->desc);
		addr->avail = arena_user_addr(ring->arena, ring->avail);
		addr->used = arena_user_addr(ring->arena, ring->used);
		addr->log = arena_gpa(ring->arena, ring->used);
	} else {
		addr->desc = arena_user_addr(ring->arena, ring->packed);
		addr->avail = arena_user_addr(ring->arena, ring->driver_event);
		addr->used = arena_user_addr(ring->arena, ring->device_event);
		addr->log = arena_gpa(ring->arena, ring->packed);
	}
}

uint32_t
ring_base(const struct ring *ring)
{
	uint32_t position = ring->used_idx;

	if (ring->cfg.kind == RING_SPLIT)
		return position;
	position |= (uint32_t)ring->used_wrap << 15;
	return position | position << 16;
}

uint32_t
ring_avail_position(const struct ring *ring)
{
	if (ring->cfg.kind == RING_SPLIT)
		return ring->avail_idx;
	return ring->avail_idx | (uint32_t)ring->avail_wrap << 15;
}

uint32_t
ring_used_position(const struct ring *ring)
{
	if (ring->cfg.kind == RING_SPLIT)
		return __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
	return packed_used_position(ring);
}

void
ring_set_buffer(struct ring *ring, uint16_t slot, const void *header, uint32_t frame_bytes)
{
	uint16_t i, n = ring->cfg.segments;
	struct ring_segment seg = {.gpa = arena_gpa(ring->arena, header)};
	uint32_t piece = n > 1 ? frame_bytes / (n - 1u) : 0;

	for (i = 0; i < n; i++) {
		if (n == 1)
			seg.bytes = VNET_HEADER_BYTES + frame_bytes;
		else if (i == 0)
			seg.bytes = VNET_HEADER_BYTES;
		else
			seg.bytes = i < n - 1 ? piece : frame_bytes - piece * (n - 2u);
		if (ring->cfg.kind == RING_SPLIT)
			split_write(ring, slot, i, seg);
		else
			packed_write(ring, slot, i, seg);
		seg.gpa += seg.bytes;
	}
}

unsigned int
ring_reap(struct ring *ring, struct ring_used *out, unsigned int max)
{
	return ring->cfg.kind == RING_SPLIT ? split_reap(ring, out, max) :
					      packed_reap(ring, out, max);
}

void
ring_post(struct ring *ring, unsigned int count)
{
	if (ring->cfg.kind == RING_SPLIT)
		split_post(ring, count);
	else
		packed_post(ring, count);
}

void
ring_want_calls(struct ring *ring, bool wanted)
{
	if (ring->cfg.kind == RING_SPLIT)
		split_want_calls(ring, wanted);
	else
		packed_want_calls(ring, wanted);
}

void
ring_kick(struct ring *ring)
{
	ring->kicks++;
	eventfd_write(ring->kick_fd, 1);
}
