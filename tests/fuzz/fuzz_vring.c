/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/virtio_net.h>

#include "datapath/event.h"
#include "datapath/vring.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

/*
 * Two guests whose memory is whatever the input says: descriptors, indices, tables, headers, where
 * regions lie. What the first one "sends" is taken from its ring and copied into the second one's, as
 * an lcore does it, a few rounds long.
 *
 * Each region, and each part of a ring, is a heap block of exactly its size, so that the address
 * sanitizer sees any access beside it. What is checked here: every piece of a frame can be read and
 * agrees with the private head; nothing is written into the sender's memory but its ring; whatever is
 * written into the receiver's is in its dirty log; a ring that lives on stands where it says.
 */
#define ROUNDS_MAX 4
#define RING_MAX 256
#define DATA_REGIONS_MAX 4
#define DATA_BYTES_MAX 70000
#define ADDR_MAX (1 << 20) /* what the dirty log covers */
#define TABLES (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define HUGE_ADDR (UINT64_C(1) << 40)
#define HUGE_BYTES (UINT64_C(5) << 30) /* so that 32 bits of length can be right */

#define CHECK(condition)                                                                    \
	do {                                                                                \
		if (!(condition)) {                                                         \
			fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                            \
		}                                                                           \
	} while (0)

bool fuzz_race;

/* What a broken ring tells goes nowhere: there is no EAL here. Linked in with --wrap. */
void __wrap_event_post(enum dp_event_type type, uint16_t port, uint64_t value);

void
__wrap_event_post(enum dp_event_type type, uint16_t port, uint64_t value)
{
	CHECK(type == DP_EVENT_RING_STOPPED && port == 0 && value == 0);
}

/* ---- a guest ----------------------------------------------------------------------------- */

/* Regions of a ring, then data. */
enum {
	DESC,
	DRIVER, /* avail, or the driver's event */
	DEVICE, /* used, or the device's event */
	DATA,
};

struct guest {
	struct virtq ring;
	struct guestmem mem;
	struct dirty_log log;
	uint64_t log_word[ADDR_MAX / 4096 / 64];
	uint8_t *before[GUESTMEM_REGIONS_MAX]; /* a copy of each region but the huge one */
	bool sends;
	uint32_t lies_in; /* one lie in so many choices; 0: none */
};

static uint8_t *huge; /* read-only zeroes, shared by all */

static bool
is_huge(const struct guestmem_region *region)
{
	return region->addr == HUGE_ADDR;
}

static uint64_t
add_region(struct guest *g, uint64_t addr, size_t bytes)
{
	struct guestmem_region *region = &g->mem.region[g->mem.n++];

	region->addr = addr;
	region->bytes = bytes;
	region->host = malloc(bytes);
	g->before[region - g->mem.region] = malloc(bytes);
	CHECK(region->host != NULL && g->before[region - g->mem.region] != NULL);
	memset(region->host, 0, bytes);
	return addr + bytes;
}

/* Whether the guest lies in what it writes next. */
static bool
lies(struct input *in, const struct guest *g)
{
	return g->lies_in > 0 && one_in(in, g->lies_in);
}

static uint64_t
take_lie(struct input *in, const struct guest *g)
{
	const struct guestmem_region *region = &g->mem.region[take_below(in, g->mem.n)];
	uint64_t addr = 0;
	unsigned int i;

	switch (take_below(in, 4)) {
	case 0:
		for (i = 0; i < 8; i++)
			addr = addr << 8 | take(in);
		return addr;
	case 1:
		return region->addr - take_below(in, 8);
	case 2:
		return region->addr + take_below(in, (uint32_t)RTE_MIN(region->bytes, 1ULL << 23));
	default:
		return region->addr + region->bytes - take_below(in, 64);
	}
}

/* An address of `*bytes` bytes, or as many as there are. */
static uint64_t
take_addr(struct input *in, const struct guest *g, uint32_t *bytes)
{
	unsigned int i = DATA + take_below(in, g->mem.n - DATA);
	const struct guestmem_region *region = &g->mem.region[i];

	if (lies(in, g))
		return take_lie(in, g);
	if (*bytes >= region->bytes) {
		*bytes = (uint32_t)region->bytes;
		return region->addr;
	}
	/* To the last byte, and into the region behind if there is one. */
	if (one_in(in, 6))
		return region->addr + region->bytes - *bytes;
	if (one_in(in, 6) && i + 1 < g->mem.n &&
	    g->mem.region[i + 1].addr == region->addr + region->bytes &&
	    g->mem.region[i + 1].bytes >= *bytes)
		return region->addr + region->bytes - take_below(in, *bytes + 1);
	return region->addr +
	       take_below(in, (uint32_t)RTE_MIN(region->bytes - *bytes + 1, 1ULL << 23));
}

static uint32_t
take_bytes(struct input *in, const struct guest *g)
{
	if (lies(in, g))
		return UINT32_MAX - take_below(in, 256);
	switch (take_below(in, 8)) {
	case 0:
		return take_below(in, 16);
	case 1:
		return g->ring.hdr_bytes;
	case 2:
		return g->ring.hdr_bytes + 14 + take_below(in, 64);
	case 3:
		return take_below(in, DATA_BYTES_MAX);
	default:
		return 40 + take_below(in, 1600);
	}
}

/* Now and then a header with a request, and a VLAN tag, where a frame may begin. */
static void
fill_frame(struct input *in, const struct guest *g, uint64_t addr)
{
	uint8_t *at = guestmem_at(&g->mem, addr, 64);
	struct virtio_net_hdr hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};

	if (at == NULL || addr >= HUGE_ADDR)
		return;
	if (one_in(in, 3))
		memcpy(at + g->ring.hdr_bytes + 12, "\x81\0\0", 3);
	memset(at, 0, sizeof(hdr));
	if (!one_in(in, 3))
		return;
	hdr.gso_type = one_in(in, 2) ? VIRTIO_NET_HDR_GSO_TCPV4 : 0;
	hdr.hdr_len = take(in);
	hdr.gso_size = take(in);
	hdr.csum_start = 14 + take_below(in, 40);
	hdr.csum_offset = take_below(in, 20);
	memcpy(at, &hdr, sizeof(hdr));
	at[g->ring.hdr_bytes + RTE_MIN(hdr.csum_start + 12U, 51U)] = 0x50; /* TCP's length */
}

static void
fill_entry(struct input *in, const struct guest *g, uint8_t *at, uint32_t i, uint32_t n,
	   bool in_table)
{
	bool is_table = !in_table && (g->ring.features & TABLES) && one_in(in, 3);
	uint32_t bytes = is_table ? 16 * (1 + take_below(in, 40)) : take_bytes(in, g);
	uint64_t addr = take_addr(in, g, &bytes);
	uint16_t flags = is_table ? VRING_DESC_F_INDIRECT : g->sends ? 0 : VRING_DESC_F_WRITE;
	uint16_t next = (uint16_t)(i + 1), word[2];

	if (is_table)
		bytes -= bytes % 16;
	else if (i + 1 < n && one_in(in, 3))
		flags |= VRING_DESC_F_NEXT;
	if (!is_table && g->sends && one_in(in, 2))
		fill_frame(in, g, addr);
	if (lies(in, g))
		flags ^= (uint16_t)(1U << take_below(in, 16));
	if (lies(in, g))
		next = one_in(in, 2) ? take16(in) : (uint16_t)take_below(in, n);
	word[0] = g->ring.packed ? next : flags;
	word[1] = g->ring.packed ? flags : next;
	memcpy(at, &addr, 8);
	memcpy(at + 8, &bytes, 4);
	memcpy(at + 12, word, 4);
}

/* Writes a table where the guest says it is, if that is somewhere. */
static void
fill_table(struct input *in, const struct guest *g, uint64_t addr, uint32_t bytes)
{
	uint32_t n = RTE_MIN(bytes / 16, 48U), i;

	for (i = 0; i < n; i++) {
		uint8_t *at = guestmem_at(&g->mem, addr + 16ULL * i, 16);

		if (at == NULL || addr >= HUGE_ADDR)
			return;
		fill_entry(in, g, at, i, n, true);
	}
}

/* Makes descriptors first .. first + n - 1 of the ring new. */
static void
fill_descriptors(struct input *in, const struct guest *g, uint32_t first, uint32_t n)
{
	uint32_t i;

	for (i = first; i < first + n; i++) {
		uint8_t *at = g->mem.region[DESC].host + 16 * (i % g->ring.size);
		struct vring_packed_desc packed;
		struct vring_desc split;
		bool wrap = g->ring.next_wrap ^ (i >= g->ring.size);

		fill_entry(in, g, at, i % g->ring.size, g->ring.size, false);
		memcpy(&split, at, sizeof(split));
		memcpy(&packed, at, sizeof(packed));
		if ((g->ring.packed ? packed.flags : split.flags) & VRING_DESC_F_INDIRECT)
			fill_table(in, g, split.addr, split.len);
		if (g->ring.packed && !lies(in, g)) {
			packed.flags |= (uint16_t)(1U << (wrap ? VRING_PACKED_DESC_F_AVAIL :
								 VRING_PACKED_DESC_F_USED));
			memcpy(at, &packed, sizeof(packed));
		}
	}
}

static void
fill_data(struct input *in, struct guest *g)
{
	uint64_t state = in->state ^ take16(in);
	unsigned int i;
	size_t at;

	for (i = DATA; i < g->mem.n; i++) {
		if (is_huge(&g->mem.region[i]))
			continue;
		for (at = 0; at + 8 <= g->mem.region[i].bytes; at += 8) {
			uint64_t word = next_random(&state);

			/* Mostly zeroes, as headers are, and now and then a tag. */
			if (word % 8 > 1)
				word = 0;
			else if (word % 64 == 1)
				word = UINT64_C(0x0081000000000000) | (word & 0xffff) << 16;
			memcpy(g->mem.region[i].host + at, &word, 8);
		}
	}
}

/* Makes `n` more entries available. */
static void
make_available(struct input *in, struct guest *g, uint32_t n)
{
	static const uint16_t event_flags[] = {VRING_PACKED_EVENT_FLAG_ENABLE,
					       VRING_PACKED_EVENT_FLAG_DISABLE,
					       VRING_PACKED_EVENT_FLAG_DESC, 0xffff};
	struct vring_packed_desc_event *event = (void *)g->mem.region[DRIVER].host;
	struct vring_avail *avail = (struct vring_avail *)g->mem.region[DRIVER].host;
	uint32_t i;

	if (g->ring.packed) {
		event->off_wrap = take16(in);
		event->flags = event_flags[take_below(in, 4)];
		fill_descriptors(in, g, g->ring.next, n);
		return;
	}
	fill_descriptors(in, g, take_below(in, g->ring.size), n);
	for (i = 0; i < n; i++)
		avail->ring[(g->ring.next + i) & (g->ring.size - 1)] =
			lies(in, g) ? take16(in) : (uint16_t)take_below(in, g->ring.size);
	avail->idx = (uint16_t)(lies(in, g) ? take16(in) : g->ring.next + n);
}

/* Where the ring's parts are, and how far it has come. */
static void
place_ring(struct input *in, struct guest *g)
{
	struct virtq *r = &g->ring;

	r->mem = &g->mem;
	r->used_addr = g->mem.region[r->packed ? DESC : DEVICE].addr;
	r->next = take16(in);
	if (r->packed)
		r->next %= r->size;
	r->used = r->old_used = r->next;
	r->next_wrap = r->used_wrap = one_in(in, 2);
	r->signalled_valid = one_in(in, 2);
	r->signalled = (uint16_t)(r->next - (r->packed ? 0 : take_below(in, 300)));
	if (r->packed) {
		r->packed_ring.desc = (void *)g->mem.region[DESC].host;
		r->packed_ring.driver = (void *)g->mem.region[DRIVER].host;
		r->packed_ring.device = (void *)g->mem.region[DEVICE].host;
	} else {
		r->split.desc = (void *)g->mem.region[DESC].host;
		r->split.avail = (void *)g->mem.region[DRIVER].host;
		r->split.used = (void *)g->mem.region[DEVICE].host;
	}
}

static void
guest_open(struct input *in, struct guest *g, bool sends)
{
	struct virtq *r = &g->ring;
	uint64_t addr = 4096 * (uint64_t)take_below(in, 4);
	static const uint32_t lies_in[] = {0, 2000, 200, 8};
	unsigned int i, n = 1 + take_below(in, DATA_REGIONS_MAX);
	size_t event;

	memset(g, 0, sizeof(*g));
	g->sends = sends;
	g->lies_in = lies_in[take_below(in, 4)];
	r->packed = one_in(in, 2);
	r->event_idx = one_in(in, 2);
	r->mergeable = one_in(in, 2);
	r->hdr_bytes = r->packed || r->mergeable || one_in(in, 2) ? 12 : 10;
	r->size = (uint16_t)(r->packed ? 1 + take_below(in, RING_MAX) : 1U << take_below(in, 9));
	r->features = one_in(in, 2) ? UINT64_MAX : UINT64_MAX & ~TABLES;
	r->can = take(in);
	r->call_fd = -1;
	event = r->event_idx ? 2 : 0;
	addr = add_region(g, addr, 16 * (size_t)r->size);
	addr = add_region(g, addr, r->packed ? 4 : 4 + 2 * (size_t)r->size + event);
	addr = add_region(g, addr, r->packed ? 4 : 4 + 8 * (size_t)r->size + event);
	for (i = 0; i < n; i++) {
		addr += one_in(in, 2) ? 0 : take_below(in, 5000);
		addr = add_region(g, addr,
				  one_in(in, 8) ? 1 + take_below(in, 100) :
						  2000 + take_below(in, DATA_BYTES_MAX));
	}
	if (sends && one_in(in, 8))
		g->mem.region[g->mem.n++] = (struct guestmem_region){HUGE_ADDR, HUGE_BYTES, huge};
	fill_data(in, g);
	place_ring(in, g);
	g->log = (struct dirty_log){.word = g->log_word, .pages = ADDR_MAX / 4096};
	r->log = &g->log;
	r->live = true;
}

static void
guest_close(struct guest *g)
{
	unsigned int i;

	for (i = 0; i < g->mem.n; i++) {
		if (!is_huge(&g->mem.region[i]))
			free(g->mem.region[i].host);
		free(g->before[i]);
	}
}

/* Keeps the memory as it is, to be compared with. */
static void
guest_remember(struct guest *g)
{
	unsigned int i;

	memset(g->log_word, 0, sizeof(g->log_word));
	for (i = 0; i < g->mem.n; i++)
		if (!is_huge(&g->mem.region[i]))
			memcpy(g->before[i], g->mem.region[i].host, g->mem.region[i].bytes);
}

/* What was written since is in the log, and of the sender it is the ring alone. */
static void
guest_compare(const struct guest *g)
{
	unsigned int i;
	size_t at;

	for (i = 0; i < g->mem.n; i++) {
		const struct guestmem_region *region = &g->mem.region[i];

		if (is_huge(region) || memcmp(region->host, g->before[i], region->bytes) == 0)
			continue;
		CHECK(!g->sends || i == (g->ring.packed ? DESC : DEVICE));
		for (at = 0; at < region->bytes; at++) {
			uint64_t page = (region->addr + at) / 4096;

			CHECK(region->host[at] == g->before[i][at] ||
			      g->log_word[page / 64] >> (page % 64) & 1);
		}
	}
}

/* ---- an lcore's round -------------------------------------------------------------------- */

/* Every byte of a frame can be read, and its first ones are those of its head. */
static void
check_frame(const struct frame *f)
{
	uint32_t bytes = 0, i;
	unsigned int sum = 0;
	uint16_t n;

	for (n = 0; n <= f->n_more; n++) {
		const struct burst_seg *seg = n == 0 ? &f->first : &f->more[n - 1];

		for (i = 0; i < seg->bytes; i++) {
			sum += __atomic_load_n(&seg->at[i], __ATOMIC_RELAXED);
			if (bytes + i < FRAME_HEAD_BYTES && !fuzz_race)
				CHECK(seg->at[i] == f->head[bytes + i]);
		}
		bytes += seg->bytes;
		CHECK(bytes <= FRAME_BYTES_MAX);
	}
	CHECK(bytes == f->bytes);
	if (f->needs != 0)
		CHECK((uint32_t)f->vnet.csum_start + f->vnet.csum_offset + 2 <= f->bytes);
	__asm__ volatile("" : : "r"(sum));
}

static uint16_t
choose_vlan(struct input *in)
{
	return (uint16_t)(1 + take_below(in, 4094));
}

/* As forwarding does: what goes to an output that takes it as it is. */
static uint16_t
choose_frames(struct input *in, struct burst *b, const struct virtq *to, uint16_t untagged,
	      struct frame **out, bool *as_is)
{
	uint16_t i, n = 0;

	*as_is = true;

	for (i = 0; i < b->n; i++) {
		struct frame *f = &b->frame[i];

		check_frame(f);
		if (f->bytes < sizeof(struct rte_ether_hdr) || frame_is_cut_in_tag(f) ||
		    f->bad_request || (f->needs & ~to->can))
			continue;
		frame_set_vlan(f, one_in(in, 2) ? untagged : choose_vlan(in));
		f->uses = 1;
		*as_is &= f->marks == 0 && f->vlan == untagged;
		out[n++] = f;
	}
	return n;
}

static void
round_trip(struct input *in, struct guest *from, struct guest *to)
{
	static struct burst b;
	struct frame *frame[BURST_MAX];
	struct vring_sent sent = {0};
	struct virtq *rx = &from->ring, *tx = &to->ring;
	uint16_t untagged = one_in(in, 2) ? 0 : choose_vlan(in), n, done, taken;
	bool as_is;

	b.n = b.n_segs = b.n_chains = 0;
	if (!rx->live || !tx->live)
		return;
	if (rx->packed)
		vring_packed_rx(rx, &b);
	else
		vring_split_rx(rx, &b);
	CHECK(b.n <= BURST_MAX && b.n == b.n_chains);
	n = choose_frames(in, &b, tx, untagged, frame, &as_is);
	done = tx->packed ? vring_packed_tx(tx, frame, n, as_is, untagged, &sent) :
			    vring_split_tx(tx, frame, n, as_is, untagged, &sent);
	CHECK(done <= n && sent.packets + sent.full + sent.too_long == done);
	if (tx->packed)
		vring_packed_publish(tx);
	else
		vring_split_publish(tx);
	taken = one_in(in, 3) ? (uint16_t)take_below(in, b.n + 1U) : b.n;
	if (rx->packed) {
		vring_packed_rx_done(rx, &b, taken);
		vring_packed_publish(rx);
	} else {
		vring_split_rx_done(rx, &b, taken);
		vring_split_publish(rx);
	}
	CHECK(rx->next == rx->used && tx->next == tx->used && rx->next_wrap == rx->used_wrap);
	CHECK(!rx->packed || rx->next < rx->size);
	CHECK(rx->live == (rx->fault == VRING_RUNS) && tx->live == (tx->fault == VRING_RUNS));
}

/* ---- a guest that changes its memory under our eyes --------------------------------------- */

struct meddler {
	const struct guest *guest[2];
	uint64_t state;
	_Atomic bool stop;
};

static void *
meddle(void *arg)
{
	struct meddler *m = arg;

	while (!m->stop) {
		uint64_t word = next_random(&m->state);
		const struct guestmem *mem = &m->guest[word & 1]->mem;
		const struct guestmem_region *region =
			&mem->region[word % 5 ? word % DATA : (word >> 8) % mem->n];
		uint8_t *at = &region->host[(word >> 16) % region->bytes];

		if (!is_huge(region))
			__atomic_store_n(at, word % 3 ? (uint8_t)(word >> 40) : 0,
					 __ATOMIC_RELAXED);
	}
	return NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size, UINT64_C(0xcbf29ce484222325)};
	static struct guest from, to;
	struct meddler meddler = {.guest = {&from, &to}};
	pthread_t thread;
	unsigned int rounds;
	size_t i;

	for (i = 0; i < size; i++)
		in.state = (in.state ^ data[i]) * UINT64_C(0x100000001b3);
	in.state |= 1;
	if (huge == NULL)
		huge = mmap(NULL, HUGE_BYTES, PROT_READ,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(huge != MAP_FAILED);
	guest_open(&in, &from, true);
	guest_open(&in, &to, false);
	meddler.state = in.state;
	if (fuzz_race)
		CHECK(pthread_create(&thread, NULL, meddle, &meddler) == 0);
	for (rounds = 1 + take_below(&in, ROUNDS_MAX); rounds > 0; rounds--) {
		make_available(&in, &from, take_below(&in, from.ring.size + 1U));
		make_available(&in, &to, take_below(&in, to.ring.size + 1U));
		guest_remember(&from);
		guest_remember(&to);
		round_trip(&in, &from, &to);
		if (!fuzz_race) {
			guest_compare(&from);
			guest_compare(&to);
		}
	}
	meddler.stop = true;
	if (fuzz_race)
		pthread_join(thread, NULL);
	guest_close(&from);
	guest_close(&to);
	return 0;
}
