/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_RING_H
#define FRONTEND_RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/frontend/mem.h"
#include "numa/err.h"

/*
 * The driver's side of a virtqueue, split or packed (virtio 1.1, 2.6 and 2.7), built for speed.
 *
 * A ring has a fixed number of *slots*. Each slot owns a buffer and the descriptors that name it,
 * written once; sending a frame from a slot is then a matter of publishing its head again.
 * `order` is the queue of slots that may be published: entry (n % slots) is the slot of the n-th
 * publication. It never changes while the switch returns buffers in the order it got them, so the
 * avail ring of a split ring stays as it is, too, and only its index moves.
 *
 * What is published together comes into view at once: the switch's lines are left alone until then.
 *
 * Thread: whoever polls the ring (the stream thread); the control thread only while the guest is
 * paused (guest.h). None of these functions waits.
 */
enum ring_kind {
	RING_SPLIT,
	RING_PACKED
};

#define RING_BAD_SLOT UINT16_MAX

struct ring_config {
	enum ring_kind kind;
	uint16_t size; /* descriptors, a power of two */
	uint16_t segments; /* 1: header and frame in one; n: header, then n - 1 pieces */
	bool indirect; /* the segments are in a table of their own */
	bool device_writes; /* receive ring */
	bool in_order; /* VIRTIO_F_IN_ORDER */
	bool event_idx; /* VIRTIO_F_RING_EVENT_IDX */
};

/* A buffer that the switch gave back. */
struct ring_used {
	uint16_t slot;
	uint32_t bytes; /* written by the switch, with the virtio-net header */
};

struct ring_segment {
	uint64_t gpa;
	uint32_t bytes;
};

struct ring {
	struct ring_config cfg;
	const struct arena *arena;
	uint16_t slots;
	uint16_t descs_per_slot;

	uint16_t *slot_of; /* split: by head; RING_BAD_SLOT where no slot begins */
	uint16_t *order;
	uint16_t post_pos; /* in order[]: next to publish */
	uint16_t reap_pos; /* in order[]: next to come back */
	uint64_t posted; /* slots published since the start */
	uint64_t reaped; /* slots come back since the start */
	uint64_t unsettled; /* publications before this one may differ from those a lap before */
	bool was_full; /* at the last look three quarters and more of the slots had come back */

	/* Next descriptor (packed, with wrap counters) or free-running index (split). */
	uint16_t avail_idx;
	uint16_t used_idx;
	bool avail_wrap;
	bool used_wrap;
	int32_t batch_last; /* packed, in order: last slot of a batch half handed out, or -1 */

	/* Shared with the switch. */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc *packed;
	struct vring_packed_desc_event *driver_event;
	struct vring_packed_desc_event *device_event;
	struct vring_desc *tables; /* indirect: `segments` entries a slot */

	struct vring_packed_desc *packed_descs; /* packed: what a publication writes, by slot */
	int kick_fd;
	int call_fd;
	uint64_t kicks;
	uint64_t bad_used; /* used entries that no driver could make sense of */
};

/* Bytes of arena that ring_open() takes. */
uint64_t ring_bytes(const struct ring_config *cfg);

/* Lays out an empty ring with eventfds. Returns 0 or -errno with *err. */
int ring_open(struct ring *ring, const struct ring_config *cfg, struct arena *arena,
	      struct err *err);
void ring_close(struct ring *ring);

/* Where its parts are, for SET_VRING_ADDR. */
void ring_address(const struct ring *ring, uint32_t index, struct vhost_vring_addr *addr);

/*
 * Where a back-end is to go on, in SET_VRING_BASE's form: behind the last buffer that came back.
 * Packed: index and wrap counter, for avail and used alike.
 */
uint32_t ring_base(const struct ring *ring);

/* The driver's own position in GET_VRING_BASE's form (packed: without the upper half). */
uint32_t ring_avail_position(const struct ring *ring);

/* Where the used index in shared memory stands now, in the same form. */
uint32_t ring_used_position(const struct ring *ring);

/* Names the buffer of a slot: 12 bytes of header at `header`, `frame_bytes` behind them. */
void ring_set_buffer(struct ring *ring, uint16_t slot, const void *header, uint32_t frame_bytes);

/* Takes up to `max` buffers back; `out` may be NULL. Returns how many. */
unsigned int ring_reap(struct ring *ring, struct ring_used *out, unsigned int max);

/* Publishes the next `count` slots of order[], and kicks where the switch asked for it. */
void ring_post(struct ring *ring, unsigned int count);

/* Asks for a call at the next used buffer, or for none. */
void ring_want_calls(struct ring *ring, bool wanted);

static inline unsigned int
ring_free_slots(const struct ring *ring)
{
	return ring->slots - (unsigned int)(ring->posted - ring->reaped);
}

/* The place in order[] that lies `n` behind another, at most a whole lap. */
static inline uint16_t
ring_pos_after(unsigned int slots, uint16_t pos, unsigned int n)
{
	unsigned int next = pos + n;

	return (uint16_t)(next < slots ? next : next - slots);
}

/* The two kinds; ring.c chooses. */
void split_write(struct ring *ring, uint16_t slot, uint16_t i, struct ring_segment seg);
unsigned int split_reap(struct ring *ring, struct ring_used *out, unsigned int max);
void split_post(struct ring *ring, unsigned int count);
void split_want_calls(struct ring *ring, bool wanted);
void packed_write(struct ring *ring, uint16_t slot, uint16_t i, struct ring_segment seg);
unsigned int packed_reap(struct ring *ring, struct ring_used *out, unsigned int max);
void packed_post(struct ring *ring, unsigned int count);
void packed_want_calls(struct ring *ring, bool wanted);
uint32_t packed_used_position(const struct ring *ring);

/* True if an index moving from `before` to `now` passed `event` (virtio 1.1, 2.6.7.1). */
static inline bool
ring_event_passed(uint16_t event, uint16_t now, uint16_t before)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

void ring_kick(struct ring *ring);

#endif
