/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/ring.h"

/* Behind the rings proper: where the switch says when to kick, and we say when to call. */
static uint16_t *
avail_event(const struct ring *ring)
{
	return (uint16_t *)&ring->used->ring[ring->cfg.size];
}

static uint16_t *
used_event(const struct ring *ring)
{
	return (uint16_t *)&ring->avail->ring[ring->cfg.size];
}

void
split_write(struct ring *ring, uint16_t slot, uint16_t i, struct ring_segment seg)
{
	uint16_t n = ring->cfg.segments;
	uint16_t first = (uint16_t)(ring->cfg.indirect ? 0 : slot * n);
	struct vring_desc *d;

	if (ring->cfg.indirect) {
		struct vring_desc *head = &ring->desc[slot];

		d = &ring->tables[(uint32_t)slot * n + i];
		head->addr = arena_gpa(ring->arena, &ring->tables[(uint32_t)slot * n]);
		head->len = n * (uint32_t)sizeof(*d);
		head->flags = VRING_DESC_F_INDIRECT;
		head->next = 0;
	} else {
		d = &ring->desc[first + i];
	}
	d->addr = seg.gpa;
	d->len = seg.bytes;
	d->flags = ring->cfg.device_writes ? VRING_DESC_F_WRITE : 0;
	d->next = 0;
	if (i + 1 < n) {
		d->flags |= VRING_DESC_F_NEXT;
		d->next = (uint16_t)(first + i + 1);
	}
}

unsigned int
split_reap(struct ring *ring, struct ring_used *out, unsigned int max)
{
	uint16_t idx = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
	const struct vring_used_elem *used = ring->used->ring;
	uint32_t mask = ring->cfg.size - 1u, slots = ring->slots, descs = ring->descs_per_slot;
	uint32_t used_idx = ring->used_idx, pos = ring->reap_pos;
	uint16_t *order = ring->order;
	bool in_order = ring->cfg.in_order;
	unsigned int i, n = (uint16_t)(idx - used_idx);

	ring->was_full = n > slots / 4 * 3;
	if (n > ring->posted - ring->reaped) {
		ring->bad_used++;
		return 0;
	}
	if (n > max)
		n = max;
	for (i = 0; i < n; i++) {
		const struct vring_used_elem *elem = &used[(used_idx + i) & mask];
		uint16_t slot = order[pos];
		uint32_t head = elem->id;

		/* In order, a back-end may leave out all entries of a batch but the last. */
		if (head != slot * descs && !in_order) {
			slot = head <= mask ? ring->slot_of[head] : RING_BAD_SLOT;
			if (slot == RING_BAD_SLOT) {
				ring->bad_used++;
				break;
			}
			order[pos] = slot;
			ring->unsettled = ring->posted + slots;
		}
		if (out != NULL)
			out[i] = (struct ring_used){slot, elem->len};
		pos = pos + 1 == slots ? 0 : pos + 1;
	}
	ring->used_idx = (uint16_t)(used_idx + i);
	ring->reap_pos = (uint16_t)pos;
	ring->reaped += i;
	return i;
}

static void
kick_if_wanted(struct ring *ring, uint16_t before)
{
	/* The index must be visible before we look whether the switch sleeps. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring->cfg.event_idx) {
		uint16_t event = __atomic_load_n(avail_event(ring), __ATOMIC_RELAXED);

		if (ring_event_passed(event, ring->avail_idx, before))
			ring_kick(ring);
	} else if (!(__atomic_load_n(&ring->used->flags, __ATOMIC_RELAXED) &
		     VRING_USED_F_NO_NOTIFY)) {
		ring_kick(ring);
	}
}

void
split_post(struct ring *ring, unsigned int count)
{
	/* In a ring of single descriptors every entry is for the same slot in each lap. */
	bool settled = ring->slots == ring->cfg.size && ring->posted >= ring->unsettled;
	uint16_t before = ring->avail_idx, pos = ring->post_pos;
	unsigned int i;

	if (count == 0)
		return;
	for (i = 0; i < count && !settled; i++) {
		uint16_t *entry = &ring->avail->ring[(before + i) & (ring->cfg.size - 1u)];
		uint16_t head = (uint16_t)(ring->order[pos] * ring->descs_per_slot);

		pos = ring_pos_after(ring->slots, pos, 1);
		/* Not written where nothing changed: the line stays shared with the switch. */
		if (*entry != head)
			*entry = head;
	}
	ring->post_pos = ring_pos_after(ring->slots, ring->post_pos, count);
	ring->posted += count;
	ring->avail_idx = (uint16_t)(before + count);
	__atomic_store_n(&ring->avail->idx, ring->avail_idx, __ATOMIC_RELEASE);
	kick_if_wanted(ring, before);
}

void
split_want_calls(struct ring *ring, bool wanted)
{
	/* With event idx "none" can only be said as "65,535 buffers from now". */
	uint16_t event = wanted ? ring->used_idx : (uint16_t)(ring->used_idx - 1);

	if (ring->cfg.event_idx)
		__atomic_store_n(used_event(ring), event, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&ring->avail->flags, wanted ? 0 : VRING_AVAIL_F_NO_INTERRUPT,
				 __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
