/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/ring.h"

#define DESC_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define DESC_USED (1u << VRING_PACKED_DESC_F_USED)

void
packed_write(struct ring *ring, uint16_t slot, uint16_t i, struct ring_segment seg)
{
	uint16_t n = ring->cfg.segments;
	struct vring_packed_desc *table;

	if (!ring->cfg.indirect) {
		ring->packed_segments[(uint32_t)slot * n + i] = seg;
		return;
	}
	/* A packed table has the same 16 bytes an entry as a split one, in another order. */
	table = (struct vring_packed_desc *)&ring->tables[(uint32_t)slot * n];
	table[i].addr = seg.gpa;
	table[i].len = seg.bytes;
	table[i].id = 0;
	table[i].flags = ring->cfg.device_writes ? VRING_DESC_F_WRITE : 0;
	ring->packed_segments[slot].gpa = arena_gpa(ring->arena, table);
	ring->packed_segments[slot].bytes = n * (uint32_t)sizeof(*table);
}

static bool
is_used(const struct ring *ring, uint16_t idx, bool wrap)
{
	uint16_t flags = __atomic_load_n(&ring->packed[idx].flags, __ATOMIC_ACQUIRE);
	bool avail = flags & DESC_AVAIL;
	bool used = flags & DESC_USED;

	return avail == used && used == wrap;
}

/* Moves a position by `count` descriptors. */
static void
advance(const struct ring *ring, uint16_t *idx, bool *wrap, uint16_t count)
{
	uint32_t next = *idx + (uint32_t)count;

	if (next >= ring->cfg.size) {
		next -= ring->cfg.size;
		*wrap = !*wrap;
	}
	*idx = (uint16_t)next;
}

/*
 * The next slot that came back, or RING_BAD_SLOT for none. In order, one used descriptor may stand
 * for a batch that ends with the buffer it names.
 */
static uint16_t
next_used(struct ring *ring, uint32_t *bytes)
{
	const struct vring_packed_desc *d = &ring->packed[ring->used_idx];
	uint16_t slot;

	*bytes = 0;
	if (ring->batch_last >= 0) {
		slot = ring->order[ring->reap_pos];
	} else {
		if (!is_used(ring, ring->used_idx, ring->used_wrap))
			return RING_BAD_SLOT;
		if (d->id >= ring->slots) {
			ring->bad_used++;
			return RING_BAD_SLOT;
		}
		slot = d->id;
		*bytes = d->len;
		if (ring->cfg.in_order) {
			ring->batch_last = slot;
			slot = ring->order[ring->reap_pos];
		}
	}
	if (ring->batch_last == slot)
		ring->batch_last = -1;
	return slot;
}

static bool
is_nearly_full(const struct ring *ring)
{
	uint16_t idx = ring->used_idx;
	bool wrap = ring->used_wrap;

	advance(ring, &idx, &wrap, (uint16_t)(ring->cfg.size / 4 * 3));
	return is_used(ring, idx, wrap);
}

unsigned int
packed_reap(struct ring *ring, struct ring_used *out, unsigned int max)
{
	uint64_t in_flight = ring->posted - ring->reaped;
	unsigned int i;

	ring->was_full = is_nearly_full(ring);
	if (max > in_flight)
		max = (unsigned int)in_flight;
	for (i = 0; i < max; i++) {
		uint32_t bytes;
		uint16_t slot = next_used(ring, &bytes);

		if (slot == RING_BAD_SLOT)
			break;
		if (out != NULL) {
			out[i].slot = slot;
			out[i].bytes = bytes;
		}
		ring->order[ring->reap_pos] = slot;
		ring->reap_pos = ring_pos_after(ring, ring->reap_pos);
		advance(ring, &ring->used_idx, &ring->used_wrap, ring->descs_per_slot);
	}
	ring->reaped += i;
	return i;
}

static void
kick_if_wanted(struct ring *ring, unsigned int descs)
{
	uint32_t raw;
	uint16_t flags, off_wrap, event;

	/* The descriptors must be visible before we look whether the switch sleeps. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	raw = __atomic_load_n((const uint32_t *)(const void *)ring->device_event, __ATOMIC_RELAXED);
	off_wrap = (uint16_t)raw;
	flags = (uint16_t)(raw >> 16) & 3;
	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return;
	if (flags == VRING_PACKED_EVENT_FLAG_DESC && ring->cfg.event_idx) {
		event = off_wrap & 0x7fff;
		/* One lap back where the event lies in the lap before ours. */
		if ((off_wrap >> 15) != ring->avail_wrap)
			event = (uint16_t)(event - ring->cfg.size);
		if (!ring_event_passed(event, ring->avail_idx, (uint16_t)(ring->avail_idx - descs)))
			return;
	}
	ring_kick(ring);
}

/* Writes a slot's descriptors. Returns the flags of the head, which hand the chain over. */
static uint16_t
write_slot(struct ring *ring, uint16_t slot)
{
	uint16_t k = ring->descs_per_slot;
	const struct ring_segment *seg = &ring->packed_segments[(uint32_t)slot * k];
	uint16_t head_flags = 0;
	uint16_t i;

	for (i = 0; i < k; i++) {
		struct vring_packed_desc *d = &ring->packed[ring->avail_idx];
		uint16_t flags = ring->avail_wrap ? DESC_AVAIL : DESC_USED;

		if (i + 1 < k)
			flags |= VRING_DESC_F_NEXT;
		if (ring->cfg.indirect)
			flags |= VRING_DESC_F_INDIRECT;
		else if (ring->cfg.device_writes)
			flags |= VRING_DESC_F_WRITE;
		d->addr = seg[i].gpa;
		d->len = seg[i].bytes;
		d->id = slot;
		if (i == 0)
			head_flags = flags;
		else
			d->flags = flags;
		advance(ring, &ring->avail_idx, &ring->avail_wrap, 1);
	}
	return head_flags;
}

/* The flags of the very first head come last: the switch looks no further before. */
void
packed_post(struct ring *ring, unsigned int count)
{
	struct vring_packed_desc *first = &ring->packed[ring->avail_idx];
	uint16_t first_flags = 0, flags;
	unsigned int i;

	if (count == 0)
		return;
	for (i = 0; i < count; i++) {
		struct vring_packed_desc *head = &ring->packed[ring->avail_idx];

		flags = write_slot(ring, ring->order[ring->post_pos]);
		if (i == 0)
			first_flags = flags;
		else
			head->flags = flags;
		ring->post_pos = ring_pos_after(ring, ring->post_pos);
	}
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
	ring->posted += count;
	kick_if_wanted(ring, count * ring->descs_per_slot);
}

void
packed_want_calls(struct ring *ring, bool wanted)
{
	struct vring_packed_desc_event *event = ring->driver_event;
	uint16_t flags = VRING_PACKED_EVENT_FLAG_DISABLE;

	if (wanted)
		flags = ring->cfg.event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
					      VRING_PACKED_EVENT_FLAG_ENABLE;
	event->off_wrap = (uint16_t)(ring->used_idx | (uint16_t)ring->used_wrap << 15);
	__atomic_store_n(&event->flags, flags, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

uint32_t
packed_used_position(const struct ring *ring)
{
	uint64_t left = ring->posted - ring->reaped;
	uint16_t idx = ring->used_idx;
	uint16_t pos = ring->reap_pos;
	bool wrap = ring->used_wrap;
	int32_t batch_last = ring->batch_last;

	for (; left > 0; left--) {
		if (batch_last < 0) {
			if (!is_used(ring, idx, wrap))
				break;
			if (ring->cfg.in_order)
				batch_last = ring->packed[idx].id;
		}
		if (ring->order[pos] == batch_last)
			batch_last = -1;
		pos = ring_pos_after(ring, pos);
		advance(ring, &idx, &wrap, ring->descs_per_slot);
	}
	return idx | (uint32_t)wrap << 15;
}
