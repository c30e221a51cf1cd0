/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/capture.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>

#include "datapath/stats.h"

/* Bytes of a ring: a power of two. All of a capture's share the budget, as far as that goes. */
#define CAPTURE_RING_MAX (4u << 20)
#define CAPTURE_RING_MIN (512u << 10) /* still several times the longest frame */
#define CAPTURE_BUDGET (32u << 20)

#define CAPTURE_ALIGN 32
#define CAPTURE_ADDRESSES (2 * RTE_ETHER_ADDR_LEN) /* in front of a tag */

/* In front of a frame's bytes. Never wraps around: what is left at a ring's end is skipped. */
struct capture_record {
	uint64_t tsc;
	uint32_t frame_bytes;
	uint32_t bytes; /* that follow; CAPTURE_SKIP: none, go on at the ring's beginning */
	bool to_guest;
} __rte_aligned(CAPTURE_ALIGN);
#define CAPTURE_SKIP UINT32_MAX

/* Positions count on and on; modulo the ring's size they say where. */
struct capture_ring {
	_Atomic uint64_t head; /* writer: the lcore */
	uint64_t lost; /* relaxed atomic; writer: the lcore */
	uint8_t *data; /* constant */
	_Atomic uint64_t tail __rte_cache_aligned; /* writer: control */
	uint64_t next_ctl; /* behind the record that capture_read() has given out */
} __rte_cache_aligned;

struct capture {
	unsigned int snaplen;
	unsigned int n_rings;
	uint32_t ring_bytes;
	uint8_t *memory;

	/* The control thread's: one moment on both clocks, of late. */
	uint64_t tsc_ctl;
	int64_t time_ns_ctl;

	struct capture_ring ring[]; /* [lcore - 1] */
};

struct capture *
capture_create(unsigned int snaplen, unsigned int n_lcores)
{
	size_t bytes = sizeof(struct capture) + n_lcores * sizeof(struct capture_ring);
	struct capture *c = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(bytes));
	unsigned int i;

	if (c == NULL)
		return NULL;
	memset(c, 0, bytes);
	c->snaplen = snaplen;
	c->n_rings = n_lcores;
	c->ring_bytes = CAPTURE_RING_MAX;
	while (c->ring_bytes > CAPTURE_RING_MIN && c->ring_bytes * n_lcores > CAPTURE_BUDGET)
		c->ring_bytes /= 2;
	bytes = (size_t)c->ring_bytes * n_lcores;
	c->memory = aligned_alloc(CAPTURE_ALIGN, bytes);
	if (c->memory == NULL) {
		free(c);
		return NULL;
	}
	/* Or the lcores would take the page faults. */
	memset(c->memory, 0, bytes);
	for (i = 0; i < n_lcores; i++)
		c->ring[i].data = c->memory + (size_t)i * c->ring_bytes;
	return c;
}

void
capture_destroy(struct capture *c)
{
	if (c == NULL)
		return;
	free(c->memory);
	free(c);
}

static struct capture_record *
capture_at(const struct capture *c, const struct capture_ring *r, uint64_t position)
{
	return (struct capture_record *)(r->data + (position & (c->ring_bytes - 1)));
}

static uint32_t
capture_record_bytes(uint32_t bytes)
{
	return sizeof(struct capture_record) + RTE_ALIGN_CEIL(bytes, CAPTURE_ALIGN);
}

/* Room for a record with so many bytes behind it; *head is where the ring's will be. NULL: lost. */
static struct capture_record *
capture_reserve(const struct capture *c, struct capture_ring *r, uint32_t bytes, uint64_t *head)
{
	uint64_t at = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	uint32_t need = capture_record_bytes(bytes);
	uint32_t to_end = c->ring_bytes - (uint32_t)(at & (c->ring_bytes - 1));
	uint32_t skip = need > to_end ? to_end : 0;

	if (at + skip + need - tail > c->ring_bytes) {
		stats_add(&r->lost, 1);
		return NULL;
	}
	if (skip != 0)
		capture_at(c, r, at)->bytes = CAPTURE_SKIP;
	*head = at + skip + need;
	return capture_at(c, r, at + skip);
}

/* The first `bytes` of the frame with a tag put in, or taken out, behind its addresses. */
static void
capture_other_form(const struct frame *f, bool tag, uint8_t *to, uint32_t bytes)
{
	const struct rte_vlan_hdr vlan = {.vlan_tci = rte_cpu_to_be_16(f->vlan)};
	uint8_t head[CAPTURE_ADDRESSES + sizeof(vlan)];
	uint32_t head_bytes = CAPTURE_ADDRESSES, from = CAPTURE_ADDRESSES + sizeof(vlan);

	frame_read(f, 0, CAPTURE_ADDRESSES, head);
	if (tag) {
		const uint16_t type = RTE_BE16(RTE_ETHER_TYPE_VLAN);

		memcpy(&head[CAPTURE_ADDRESSES], &type, sizeof(type));
		memcpy(&head[CAPTURE_ADDRESSES + sizeof(type)], &vlan.vlan_tci,
		       sizeof(vlan.vlan_tci));
		head_bytes += sizeof(vlan);
		from = CAPTURE_ADDRESSES;
	}
	head_bytes = RTE_MIN(head_bytes, bytes);
	memcpy(to, head, head_bytes);
	frame_read(f, from, bytes - head_bytes, to + head_bytes);
}

void
capture_frame(struct capture *c, unsigned int lcore, bool to_guest, const struct frame *f, bool tag)
{
	struct capture_ring *r = &c->ring[lcore - 1];
	const uint32_t tag_bytes = sizeof(struct rte_vlan_hdr);
	uint32_t frame_bytes = f->bytes + (tag ? tag_bytes : 0) - (f->tagged ? tag_bytes : 0);
	uint32_t bytes = RTE_MIN(frame_bytes, c->snaplen);
	struct capture_record *record;
	uint64_t head;

	record = capture_reserve(c, r, bytes, &head);
	if (record == NULL)
		return;
	record->tsc = rte_rdtsc();
	record->frame_bytes = frame_bytes;
	record->bytes = bytes;
	record->to_guest = to_guest;
	if (tag == f->tagged)
		frame_read(f, 0, bytes, record + 1);
	else
		capture_other_form(f, tag, (uint8_t *)(record + 1), bytes);
	atomic_store_explicit(&r->head, head, memory_order_release);
}

/* The oldest record of a ring, or NULL. */
static const struct capture_record *
capture_peek(const struct capture *c, struct capture_ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	const struct capture_record *record;

	if (r->next_ctl == head)
		return NULL;
	record = capture_at(c, r, r->next_ctl);
	if (record->bytes != CAPTURE_SKIP)
		return record;
	r->next_ctl += c->ring_bytes - (r->next_ctl & (c->ring_bytes - 1));
	return capture_at(c, r, r->next_ctl);
}

/* CLOCK_REALTIME of a TSC value of the last moments. The two clocks are compared once a
 * millisecond: frames close to each other get times that are as far from each other as they were. */
static int64_t
capture_time_ns(struct capture *c, uint64_t tsc)
{
	uint64_t hz = rte_get_tsc_hz(), now = rte_rdtsc();
	struct timespec ts;

	if (now - c->tsc_ctl > hz / 1000) {
		clock_gettime(CLOCK_REALTIME, &ts);
		c->tsc_ctl = now;
		c->time_ns_ctl = ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
	}
	return c->time_ns_ctl + (int64_t)((double)(int64_t)(tsc - c->tsc_ctl) * 1e9 / (double)hz);
}

bool
capture_read(struct capture *c, struct dp_captured *frame)
{
	const struct capture_record *first = NULL;
	struct capture_ring *of = NULL;
	unsigned int i;

	for (i = 0; i < c->n_rings; i++) {
		struct capture_ring *r = &c->ring[i];
		const struct capture_record *record;

		/* What was given out is the lcore's again. */
		if (r->next_ctl != atomic_load_explicit(&r->tail, memory_order_relaxed))
			atomic_store_explicit(&r->tail, r->next_ctl, memory_order_release);
		record = capture_peek(c, r);
		if (record != NULL && (first == NULL || record->tsc < first->tsc)) {
			first = record;
			of = r;
		}
	}
	if (first == NULL)
		return false;
	of->next_ctl += capture_record_bytes(first->bytes);
	*frame = (struct dp_captured){
		.to_guest = first->to_guest,
		.time_ns = capture_time_ns(c, first->tsc),
		.frame_bytes = first->frame_bytes,
		.bytes = first->bytes,
		.data = (const uint8_t *)(first + 1),
	};
	return true;
}

uint64_t
capture_lost(const struct capture *c)
{
	uint64_t lost = 0;
	unsigned int i;

	for (i = 0; i < c->n_rings; i++)
		lost += __atomic_load_n(&c->ring[i].lost, __ATOMIC_RELAXED);
	return lost;
}
