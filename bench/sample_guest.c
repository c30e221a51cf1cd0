/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/sample_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/frontend/mem.h"
#include "bench/frontend/ring.h"

#define HDR_BYTES 12
#define BUFFER_BYTES 2048
#define RING_SIZE 256
#define ARENA_BYTES (4 << 20)

struct sample_guest {
	struct arena arena;
	struct ring ring[2];
};

static void
write_frame(uint8_t *header, uint8_t from)
{
	const uint8_t head[14] = {2, 0, 0, 0, 0, !from, 2, 0, 0, 0, 0, from, 0x08, 0x00};

	memset(header, 0, HDR_BYTES + SAMPLE_FRAME_BYTES);
	memcpy(header + HDR_BYTES, head, sizeof(head));
}

/* The frame is aligned to a cache line, and its header lies before it, as in the generator. */
static void
fill(struct ring *ring, struct arena *arena, uint32_t bytes, uint8_t from)
{
	uint16_t slot;

	for (slot = 0; slot < ring->slots; slot++) {
		uint8_t *line = arena_take(arena, 64 + bytes, 64);
		uint8_t *header = line + 64 - HDR_BYTES;

		write_frame(header, from);
		ring_set_buffer(ring, slot, header, bytes);
	}
}

struct sample_guest *
sample_guest_open(uint8_t number, bool packed, uint16_t segments, bool indirect)
{
	struct ring_config config[2] = {
		{.segments = 1, .device_writes = true},
		{.segments = segments, .indirect = indirect},
	};
	struct sample_guest *g = calloc(1, sizeof(*g));
	struct err err = {.message = "no memory"};
	unsigned int i;

	if (g == NULL || arena_open(&g->arena, ARENA_BYTES, 1, ARENA_PAGES_PLAIN, &err) < 0)
		goto fail;
	for (i = 0; i < 2; i++) {
		config[i].kind = packed ? RING_PACKED : RING_SPLIT;
		config[i].size = RING_SIZE;
		if (ring_open(&g->ring[i], &config[i], &g->arena, &err) < 0)
			goto fail;
		fill(&g->ring[i], &g->arena, i == 0 ? BUFFER_BYTES : SAMPLE_FRAME_BYTES, number);
	}
	ring_post(&g->ring[0], g->ring[0].slots);
	return g;

fail:
	fprintf(stderr, "sluice-instructions: %s\n", err.message);
	exit(1);
}

struct sample_ring
sample_guest_ring(const struct sample_guest *g, unsigned int number)
{
	const struct ring *ring = &g->ring[number];
	struct sample_ring at = {.size = ring->cfg.size, .base = (uint16_t)ring_base(ring)};

	if (ring->cfg.kind == RING_SPLIT) {
		at.desc = ring->desc;
		at.avail = ring->avail;
		at.used = ring->used;
	} else {
		at.desc = ring->packed;
		at.avail = ring->driver_event;
		at.used = ring->device_event;
	}
	return at;
}

struct sample_memory
sample_guest_memory(const struct sample_guest *g)
{
	return (struct sample_memory){ARENA_GPA, g->arena.bytes, g->arena.base};
}

void
sample_guest_send(struct sample_guest *g, unsigned int count)
{
	ring_post(&g->ring[1], count);
}

unsigned int
sample_guest_settle(struct sample_guest *g)
{
	unsigned int received = ring_reap(&g->ring[0], NULL, g->ring[0].slots);

	ring_reap(&g->ring[1], NULL, g->ring[1].slots);
	ring_post(&g->ring[0], received);
	return received;
}
