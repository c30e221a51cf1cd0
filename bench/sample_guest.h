/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SAMPLE_GUEST_H
#define BENCH_SAMPLE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A guest in the same process, for sluice-instructions: one receive and one transmit ring in plain
 * memory, by the generator's code. Guest n has the MAC 02:00:00:00:00:n and sends frames of 64 bytes to
 * the other of two. One thread. None of these functions waits.
 */
#define SAMPLE_FRAME_BYTES 64

struct sample_guest;

/* Where a ring is, by vhost-user's numbers: 0 receives, 1 sends. */
struct sample_ring {
	void *desc, *avail, *used; /* packed: the descriptors and the event suppression areas */
	uint16_t size;
	uint16_t base; /* in SET_VRING_BASE's form */
};

struct sample_memory {
	uint64_t addr; /* guest physical */
	uint64_t bytes;
	uint8_t *host;
};

/* `segments` and `indirect`: what the frames that it sends look like. Exits where it can't be. */
struct sample_guest *sample_guest_open(uint8_t number, bool packed, uint16_t segments,
				       bool indirect);
struct sample_ring sample_guest_ring(const struct sample_guest *g, unsigned int number);
struct sample_memory sample_guest_memory(const struct sample_guest *g);

/* Hands over `count` frames to be sent. They must be free: see sample_guest_settle(). */
void sample_guest_send(struct sample_guest *g, unsigned int count);

/* Takes all buffers back. Returns how many frames were received. */
unsigned int sample_guest_settle(struct sample_guest *g);

#endif
