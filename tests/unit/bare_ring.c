/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/bare_ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "datapath/event.h"

#define BLOCKS_MAX 16

struct port_vhost port;
struct port_queue queue;
struct virtq *ring;
struct burst burst;
uint8_t payload[4096];
struct frame frame[BURST_MAX], *frames[BURST_MAX];

static struct virtq rings[2]; /* vhost-user's numbers: to the guest, from the guest */
static struct guestmem mem;

/* What the guest's memory is made of. */
static struct {
	void *at;
	size_t mapped_bytes; /* 0: from the heap */
} block[BLOCKS_MAX];
static unsigned int n_blocks;

void __wrap_event_post(enum dp_event_type type, uint16_t id, uint64_t value);

void
__wrap_event_post(enum dp_event_type type, uint16_t id, uint64_t value)
{
	assert_int_equal(type, DP_EVENT_RING_STOPPED);
	assert_int_equal(id, ring->port);
	assert_int_equal(value, ring->number);
}

/* ---- a guest ----------------------------------------------------------------------------- */

static void *
keep(void *at, size_t mapped_bytes)
{
	assert_true(at != NULL && at != MAP_FAILED && n_blocks < BLOCKS_MAX);
	block[n_blocks].at = at;
	block[n_blocks++].mapped_bytes = mapped_bytes;
	return at;
}

void *
from_heap(size_t bytes)
{
	return keep(calloc(1, bytes), 0);
}

uint8_t *
fenced(size_t bytes, size_t open_bytes)
{
	size_t open_pages = RTE_ALIGN_CEIL(open_bytes, PAGE_BYTES);
	size_t all = RTE_ALIGN_CEIL(open_pages - open_bytes + bytes, PAGE_BYTES) + PAGE_BYTES;
	uint8_t *at = keep(mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), all);

	assert_int_equal(mprotect(at, open_pages, PROT_READ | PROT_WRITE), 0);
	return at + open_pages - open_bytes;
}

void *
share(uint64_t addr, void *host, uint64_t bytes)
{
	mem.region[mem.n++] = (struct guestmem_region){addr, bytes, host};
	return host;
}

uint8_t *
guest_byte(uint64_t addr)
{
	uint64_t bytes = 1;
	uint8_t *at = guestmem_piece(&mem, addr, &bytes);

	assert_non_null(at);
	return at;
}

int
close_ring(void **state)
{
	(void)state;
	while (n_blocks > 0) {
		n_blocks--;
		if (block[n_blocks].mapped_bytes > 0)
			munmap(block[n_blocks].at, block[n_blocks].mapped_bytes);
		else
			free(block[n_blocks].at);
	}
	return 0;
}

void
open_ring(unsigned int form, uint16_t size, void *desc)
{
	unsigned int number = form & FORM_FROM_GUEST ? 1 : 0;

	memset(&port, 0, sizeof(port));
	memset(&queue, 0, sizeof(queue));
	memset(rings, 0, sizeof(rings));
	memset(&mem, 0, sizeof(mem));
	port.base.mtu = 1500;
	queue.port = &port.base;
	queue.to_guest = &rings[0];
	queue.from_guest = &rings[1];
	rings[0].attention = rings[1].attention = &queue.attention;
	ring = &rings[number];
	ring->number = (uint16_t)number;
	ring->packed = form & FORM_PACKED;
	ring->size = size;
	ring->hdr_bytes = HDR_BYTES;
	ring->mergeable = true;
	ring->mem = &mem;
	ring->call_fd = -1;
	if (desc == NULL)
		desc = from_heap(size * ENTRY_BYTES);
	if (ring->packed) {
		ring->next_wrap = ring->used_wrap = true;
		ring->packed_ring.desc = desc;
		ring->packed_ring.driver = from_heap(sizeof(*ring->packed_ring.driver));
		ring->packed_ring.device = from_heap(sizeof(*ring->packed_ring.device));
	} else {
		ring->split.desc = desc;
		ring->split.avail = from_heap(sizeof(*ring->split.avail) + size * sizeof(uint16_t));
		ring->split.used = from_heap(sizeof(*ring->split.used) +
					     size * sizeof(struct vring_used_elem));
	}
	ring->live = true;
}

static void
write_descriptor(void *table, unsigned int i, uint64_t addr, uint32_t bytes, uint16_t flags)
{
	uint16_t direction = ring == &rings[0] ? VRING_DESC_F_WRITE : 0;
	struct vring_packed_desc packed = {addr, bytes, (uint16_t)i, flags | direction};
	struct vring_desc split = {addr, bytes, flags | direction, (uint16_t)(i + 1)};

	memcpy((uint8_t *)table + i * ENTRY_BYTES, ring->packed ? (void *)&packed : (void *)&split,
	       ENTRY_BYTES);
}

void
set_entry(void *table, unsigned int i, unsigned int n, uint64_t addr, uint32_t bytes)
{
	/* Those of a packed table all belong together. */
	write_descriptor(table, i, addr, bytes, !ring->packed && i + 1 < n ? VRING_DESC_F_NEXT : 0);
}

void
set_slot(unsigned int i, uint64_t addr, uint32_t bytes, uint16_t flags)
{
	if (ring->packed)
		write_descriptor(ring->packed_ring.desc, i, addr, bytes, flags | PACKED_AVAIL);
	else
		write_descriptor((void *)(uintptr_t)ring->split.desc, i, addr, bytes, flags);
}

void
offer(unsigned int head)
{
	struct vring_avail *avail = (struct vring_avail *)(uintptr_t)ring->split.avail;

	if (ring->packed)
		return;
	avail->ring[avail->idx & (ring->size - 1)] = (uint16_t)head;
	avail->idx++;
}

void
set_lap(bool wrap)
{
	unsigned int i;

	for (i = 0; i < ring->size; i++) {
		uint16_t *flags = &ring->packed_ring.desc[i].flags;

		*flags = (uint16_t)((*flags & ~(PACKED_AVAIL | PACKED_USED)) |
				    (wrap ? PACKED_AVAIL : PACKED_USED));
	}
}

/* ---- an lcore ---------------------------------------------------------------------------- */

void
receive(void)
{
	burst_clear(&burst);
	if (ring->packed)
		vring_packed_rx(ring, &burst);
	else
		vring_split_rx(ring, &burst);
}

void
make_frames(uint32_t bytes)
{
	unsigned int i;

	for (i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(7 * i + 1);
	memset(frame, 0, sizeof(frame));
	for (i = 0; i < BURST_MAX; i++) {
		frames[i] = &frame[i];
		frame[i].bytes = bytes;
		frame[i].first = (struct burst_seg){payload, bytes};
		memcpy(frame[i].head, payload, RTE_MIN(bytes, (uint32_t)FRAME_HEAD_BYTES));
	}
}

uint16_t
transmit(uint16_t n, struct vring_sent *sent)
{
	memset(sent, 0, sizeof(*sent));
	return ring->packed ? vring_packed_tx(ring, frames, n, false, 0, sent) :
			      vring_split_tx(ring, frames, n, false, 0, sent);
}

bool
publish(void)
{
	return ring->packed ? vring_packed_publish(ring) : vring_split_publish(ring);
}

void
look(void)
{
	struct vring_sent sent;

	if (ring == &rings[0])
		transmit(1, &sent);
	else
		receive();
}

void
assert_stopped(enum vring_fault fault)
{
	assert_false(ring->live);
	assert_int_equal(ring->fault, fault);
}
