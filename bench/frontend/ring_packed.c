/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/ring.h"

#define DESC_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define DESC_USED (1u << VRING_PACKED_DESC_F_USED)

/* Length, id and flags: what the sides of a ring tell each other, in one access. */
typedef uint64_t desc_tail __attribute__((may_alias));
#define TAIL_ID_SHIFT 32
#define TAIL_FLAGS_SHIFT 48
#define TAIL_STATE ((uint64_t)(DESC_AVAIL | DESC_USED) << TAIL_FLAGS_SHIFT)

static desc_tail *
tail_of(struct vring_packed_desc *desc)
{
	return (desc_tail *)(void *)&desc->len;
}

void
packed_write(struct ring *ring, uint16_t slot, uint16_t i, struct ring_segment seg)
{
	uint16_t n = ring->cfg.segments;
	uint16_t flags = ring->cfg.device_writes ? VRING_DESC_F_WRITE : 0;
	struct vring_packed_desc *desc = &ring->packed_descs[slot], *table;

	if (ring->cfg.indirect) {
		/* A table has the same 16 bytes an entry as a split one, in another order. */
		table = (struct vring_packed_desc *)&ring->tables[(uint32_t)slot * n];
		table[i] = (struct vring_packed_desc){seg.gpa, seg.bytes, 0, flags};
		seg.gpa = arena_gpa(ring->arena, table);
		seg.bytes = n * (uint32_t)sizeof(*table);
		flags = VRING_DESC_F_INDIRECT;
	} else {
		desc = &ring->packed_descs[(uint32_t)slot * n + i];
		flags |= i + 1 < n ? VRING_DESC_F_NEXT : 0;
	}
	*desc = (struct vring_packed_desc){seg.gpa, seg.bytes, slot, flags};
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

static bool
is_nearly_full(const struct ring *ring)
{
	uint16_t idx = ring->used_idx;
	bool wrap = ring->used_wrap;

	advance(ring, &idx, &wrap, (uint16_t)(ring->cfg.size / 4 * 3));
	return is_used(ring, idx, wrap);
}

/* Compiled twice: once for slots of one descriptor, which most runs have. */
static inline __attribute__((always_inline)) unsigned int
reap(struct ring *ring, struct ring_used *out, unsigned int max, uint32_t descs, bool in_order)
{
	struct vring_packed_desc *packed = ring->packed;
	uint16_t *order = ring->order;
	uint32_t size = ring->cfg.size, slots = ring->slots;
	uint32_t idx = ring->used_idx, pos = ring->reap_pos;
	uint64_t used = ring->used_wrap ? TAIL_STATE : 0;
	int32_t batch_last = in_order ? ring->batch_last : -1;
	unsigned int i;

	ring->was_full = is_nearly_full(ring);
	if (max > ring->posted - ring->reaped)
		max = (unsigned int)(ring->posted - ring->reaped);
	for (i = 0; i < max; i++) {
		uint16_t slot = order[pos];
		uint64_t tail = 0;

		/* In order, one used descriptor may stand for a batch that ends with its buffer. */
		if (batch_last < 0) {
			tail = __atomic_load_n(tail_of(&packed[idx]), __ATOMIC_ACQUIRE);
			if ((tail & TAIL_STATE) != used)
				break;
			batch_last = (uint16_t)(tail >> TAIL_ID_SHIFT);
			if ((uint32_t)batch_last >= slots) {
				ring->bad_used++;
				batch_last = -1;
				break;
			}
			if (!in_order)
				slot = (uint16_t)batch_last;
		}
		if (batch_last == slot)
			batch_last = -1;
		order[pos] = slot;
		if (out != NULL)
			out[i] = (struct ring_used){slot, (uint32_t)tail};
		pos = pos + 1 == slots ? 0 : pos + 1;
		idx += descs;
		if (idx >= size) {
			idx -= size;
			used ^= TAIL_STATE;
		}
	}
	ring->batch_last = batch_last;
	ring->used_idx = (uint16_t)idx;
	ring->used_wrap = used != 0;
	ring->reap_pos = (uint16_t)pos;
	ring->reaped += i;
	return i;
}

unsigned int
packed_reap(struct ring *ring, struct ring_used *out, unsigned int max)
{
	if (ring->descs_per_slot == 1 && !ring->cfg.in_order)
		return reap(ring, out, max, 1, false);
	return reap(ring, out, max, ring->descs_per_slot, ring->cfg.in_order);
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

/* Writes the next `count` slots' descriptors, backwards: the switch looks no further before the very
 * first, nor into a chain before its head. */
static inline __attribute__((always_inline)) void
write_descs(struct ring *ring, unsigned int count, uint32_t descs)
{
	uint32_t mask = ring->cfg.size - 1u;
	uint64_t here = (uint64_t)(ring->avail_wrap ? DESC_AVAIL : DESC_USED) << TAIL_FLAGS_SHIFT;
	struct vring_packed_desc *packed = ring->packed, *all = ring->packed_descs, *from;
	uint32_t slots = ring->slots, pos = ring_pos_after(slots, ring->post_pos, count);
	uint32_t i, at = ring->avail_idx + count * descs;
	const uint16_t *order = ring->order;

	for (; count > 0; count--) {
		pos = (pos == 0 ? slots : pos) - 1;
		from = &all[order[pos] * descs];
		for (i = descs; i-- > 0;) {
			struct vring_packed_desc *to = &packed[--at & mask];
			uint64_t avail = at <= mask ? here : here ^ TAIL_STATE;

			to->addr = from[i].addr;
			__atomic_store_n(tail_of(to), *tail_of(&from[i]) | avail, __ATOMIC_RELEASE);
		}
	}
}

void
packed_post(struct ring *ring, unsigned int count)
{
	uint16_t descs = (uint16_t)(count * ring->descs_per_slot);

	if (count == 0)
		return;
	if (ring->descs_per_slot == 1)
		write_descs(ring, count, 1);
	else
		write_descs(ring, count, ring->descs_per_slot);
	advance(ring, &ring->avail_idx, &ring->avail_wrap, descs);
	ring->post_pos = ring_pos_after(ring->slots, ring->post_pos, count);
	ring->posted += count;
	kick_if_wanted(ring, descs);
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
		pos = ring_pos_after(ring->slots, pos, 1);
		advance(ring, &idx, &wrap, ring->descs_per_slot);
	}
	return idx | (uint32_t)wrap << 15;
}
