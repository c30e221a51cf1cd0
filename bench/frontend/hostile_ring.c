/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/virtio_net.h>

#include "bench/frontend/hostile.h"

/* A descriptor as the guest would like it; `next` only counts in split rings. */
struct bad_desc {
	uint64_t gpa;
	uint32_t bytes;
	uint16_t flags;
	uint16_t next;
};

#define OUTSIDE (ARENA_GPA / 2)
#define HUGE_CHAINS 16
#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE
#define I VRING_DESC_F_INDIRECT

static struct ring *
tx_of(struct harm *harm)
{
	return &harm->guest->queues[0].tx;
}

/* Where a good frame lies, header first. */
static uint64_t
good_gpa(struct harm *harm)
{
	return arena_gpa(&harm->guest->arena, harm->guest->queues[0].tx_header[0]);
}

static uint32_t
good_bytes(struct harm *harm)
{
	return FRAME_VNET_BYTES + harm->guest->queues[0].tx_bytes[0];
}

static struct vring_desc *
table_of(struct harm *harm)
{
	return tx_of(harm)->tables;
}

static uint64_t
table_gpa(struct harm *harm)
{
	return arena_gpa(&harm->guest->arena, table_of(harm));
}

static void
post_split(struct ring *ring, const struct bad_desc *bad, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		ring->desc[i].addr = bad[i].gpa;
		ring->desc[i].len = bad[i].bytes;
		ring->desc[i].flags = bad[i].flags;
		ring->desc[i].next = bad[i].next;
	}
	ring->avail->ring[ring->avail_idx & (ring->cfg.size - 1)] = 0;
	ring->avail_idx++;
	__atomic_store_n(&ring->avail->idx, ring->avail_idx, __ATOMIC_RELEASE);
}

static void
post_packed(struct ring *ring, const struct bad_desc *bad, unsigned int count)
{
	unsigned int i;
	uint16_t head = ring->avail_idx, head_flags = 0;

	for (i = 0; i < count; i++) {
		struct vring_packed_desc *d = &ring->packed[ring->avail_idx];
		uint16_t flags = bad[i].flags |
				 (uint16_t)(1u << (ring->avail_wrap ? VRING_PACKED_DESC_F_AVAIL :
								      VRING_PACKED_DESC_F_USED));

		d->addr = bad[i].gpa;
		d->len = bad[i].bytes;
		d->id = 0;
		if (i == 0)
			head_flags = flags;
		else
			d->flags = flags;
		if (++ring->avail_idx == ring->cfg.size) {
			ring->avail_idx = 0;
			ring->avail_wrap = !ring->avail_wrap;
		}
	}
	__atomic_store_n(&ring->packed[head].flags, head_flags, __ATOMIC_RELEASE);
}

static void
post(struct harm *harm, const struct bad_desc *bad, unsigned int count)
{
	struct ring *tx = tx_of(harm);

	if (tx->cfg.kind == RING_SPLIT)
		post_split(tx, bad, count);
	else
		post_packed(tx, bad, count);
	tx->posted++;
	ring_kick(tx);
	harm->done++;
}

/* Writes entry `i` of the first indirect table. */
static void
table_entry(struct harm *harm, unsigned int i, struct bad_desc bad)
{
	struct vring_desc *split = &table_of(harm)[i];
	struct vring_packed_desc *packed = (struct vring_packed_desc *)split;

	if (tx_of(harm)->cfg.kind == RING_SPLIT) {
		split->addr = bad.gpa;
		split->len = bad.bytes;
		split->flags = bad.flags;
		split->next = bad.next;
	} else {
		packed->addr = bad.gpa;
		packed->len = bad.bytes;
		packed->id = 0;
		packed->flags = bad.flags;
	}
}

static int
split_only(struct harm *harm, struct err *err)
{
	if (tx_of(harm)->cfg.kind == RING_SPLIT)
		return 0;
	return err_set(err, ENOTSUP, "kind", "A packed ring has no such index: use --ring split.");
}

static int
desc_loop(struct harm *harm, struct err *err)
{
	const struct bad_desc bad[] = {{good_gpa(harm), good_bytes(harm), N, 1},
				       {good_gpa(harm), good_bytes(harm), N, 0}};

	if (split_only(harm, err) < 0)
		return -ENOTSUP;
	post(harm, bad, 2);
	return 0;
}

static int
next_out_of_range(struct harm *harm, struct err *err)
{
	const struct bad_desc bad = {good_gpa(harm), FRAME_VNET_BYTES, N,
				     (uint16_t)(tx_of(harm)->cfg.size + 7)};

	if (split_only(harm, err) < 0)
		return -ENOTSUP;
	post(harm, &bad, 1);
	return 0;
}

static int
head_out_of_range(struct harm *harm, struct err *err)
{
	struct ring *tx = tx_of(harm);

	if (split_only(harm, err) < 0)
		return -ENOTSUP;
	tx->avail->ring[tx->avail_idx & (tx->cfg.size - 1)] = 0xfff0;
	__atomic_store_n(&tx->avail->idx, ++tx->avail_idx, __ATOMIC_RELEASE);
	ring_kick(tx);
	harm->done++;
	return 0;
}

static int
avail_jump(struct harm *harm, struct err *err)
{
	struct ring *tx = tx_of(harm);

	if (split_only(harm, err) < 0)
		return -ENOTSUP;
	tx->avail_idx = (uint16_t)(tx->avail_idx + tx->cfg.size + 1000);
	__atomic_store_n(&tx->avail->idx, tx->avail_idx, __ATOMIC_RELEASE);
	ring_kick(tx);
	harm->done++;
	return 0;
}

/* A chain that never ends, or a table with more entries than the ring has descriptors. */
static int
chain_too_long(struct harm *harm, struct err *err)
{
	struct ring *tx = tx_of(harm);
	unsigned int i,
		count = 2u * tx->cfg.size; /* as many as all tables together have room for */
	struct bad_desc bad = {table_gpa(harm), count * 16, I, 0};

	(void)err;
	for (i = 0; i < count; i++)
		table_entry(harm, i,
			    (struct bad_desc){good_gpa(harm), 16, i + 1 < count ? N : 0,
					      (uint16_t)(i + 1)});
	post(harm, &bad, 1);
	bad = (struct bad_desc){good_gpa(harm), 16, N, 0};
	for (i = 0; tx->cfg.kind == RING_PACKED && i + 1 < tx->cfg.size; i++)
		post(harm, &bad, 1);
	return 0;
}

/* Chains each of whose segments is all of the memory: a gigabyte or more each. */
static int
huge_chain(struct harm *harm, struct err *err)
{
	struct ring *tx = tx_of(harm);
	unsigned int i, count = tx->cfg.size;
	const struct arena *arena = &harm->guest->arena;
	const struct bad_desc bad = {table_gpa(harm), count * 16, I, 0};

	(void)err;
	for (i = 0; i < count; i++)
		table_entry(harm, i,
			    (struct bad_desc){ARENA_GPA, (uint32_t)(arena->bytes / arena->regions),
					      i + 1 < count ? N : 0, (uint16_t)(i + 1)});
	for (i = 0; i < HUGE_CHAINS; i++)
		post(harm, &bad, 1);
	return 0;
}

/* One descriptor that is wrong in itself. */
#define ONE_DESC(name, address, length, flag)                           \
	static int name(struct harm *harm, struct err *err)             \
	{                                                               \
		const struct bad_desc bad = {address, length, flag, 0}; \
                                                                        \
		(void)err;                                              \
		post(harm, &bad, 1);                                    \
		return 0;                                               \
	}

ONE_DESC(outside_memory, OUTSIDE, good_bytes(harm), 0)
ONE_DESC(address_wrap, UINT64_MAX - 31, 128, 0)
ONE_DESC(memory_edge, ARENA_GPA + harm->guest->arena.bytes - 32, 128, 0)
ONE_DESC(zero_length, good_gpa(harm), 0, 0)
ONE_DESC(huge_length, good_gpa(harm), UINT32_MAX, 0)
ONE_DESC(header_only, good_gpa(harm), FRAME_VNET_BYTES, 0)
ONE_DESC(short_header, good_gpa(harm), 5, 0)
ONE_DESC(short_frame, good_gpa(harm), FRAME_VNET_BYTES + 6, 0)
ONE_DESC(write_only_tx, good_gpa(harm), good_bytes(harm), W)
ONE_DESC(indirect_bad_length, table_gpa(harm), 17, I)
ONE_DESC(indirect_empty, table_gpa(harm), 0, I)
ONE_DESC(indirect_huge, table_gpa(harm), UINT32_MAX - 15, I)
ONE_DESC(indirect_outside, OUTSIDE, 32, I)

/* One descriptor that names a table of one entry. */
#define ONE_ENTRY(name, ring_flags, address, length, flag)                         \
	static int name(struct harm *harm, struct err *err)                        \
	{                                                                          \
		const struct bad_desc bad = {table_gpa(harm), 16, ring_flags, 0};  \
                                                                                   \
		(void)err;                                                         \
		table_entry(harm, 0, (struct bad_desc){address, length, flag, 0}); \
		post(harm, &bad, 1);                                               \
		return 0;                                                          \
	}

ONE_ENTRY(indirect_one, I, good_gpa(harm), good_bytes(harm), 0)
ONE_ENTRY(indirect_nested, I, table_gpa(harm), 16, I)
ONE_ENTRY(indirect_loop, I, good_gpa(harm), good_bytes(harm), N)
ONE_ENTRY(indirect_next, I | N, good_gpa(harm), good_bytes(harm), 0)
ONE_ENTRY(indirect_bad_address, I, OUTSIDE, 64, 0)

static int
post_with_header(struct harm *harm, struct virtio_net_hdr_v1 header)
{
	const struct bad_desc bad = {good_gpa(harm), good_bytes(harm), 0, 0};

	memcpy(harm->guest->queues[0].tx_header[0], &header, sizeof(header));
	post(harm, &bad, 1);
	return 0;
}

static int
csum_beyond(struct harm *harm, struct err *err)
{
	(void)err;
	return post_with_header(harm, (struct virtio_net_hdr_v1){
					      .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					      .csum_start = 65000,
					      .csum_offset = 65000,
				      });
}

static int
gso_zero(struct harm *harm, struct err *err)
{
	(void)err;
	return post_with_header(harm, (struct virtio_net_hdr_v1){
					      .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					      .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					      .hdr_len = 65535,
					      .gso_size = 0,
					      .csum_start = 34,
					      .csum_offset = 16,
				      });
}

/* Spoils all receive descriptors that guest_open() has published. */
static int
spoil_rx(struct harm *harm, uint64_t gpa, uint32_t bytes, bool read_only)
{
	struct ring *rx = &harm->guest->queues[0].rx;
	unsigned int i;

	for (i = 0; i < rx->cfg.size; i++) {
		uint64_t *address = rx->cfg.kind == RING_SPLIT ? (uint64_t *)&rx->desc[i].addr :
								 (uint64_t *)&rx->packed[i].addr;
		uint32_t *len = rx->cfg.kind == RING_SPLIT ? &rx->desc[i].len : &rx->packed[i].len;
		uint16_t *flags =
			rx->cfg.kind == RING_SPLIT ? &rx->desc[i].flags : &rx->packed[i].flags;

		if (gpa != 0)
			*address = gpa;
		if (bytes != UINT32_MAX)
			*len = bytes;
		if (read_only)
			*flags &= (uint16_t)~W;
		harm->done++;
	}
	return 0;
}

static int
rx_read_only(struct harm *harm, struct err *err)
{
	(void)err;
	return spoil_rx(harm, 0, UINT32_MAX, true);
}

static int
rx_outside(struct harm *harm, struct err *err)
{
	(void)err;
	return spoil_rx(harm, OUTSIDE, UINT32_MAX, false);
}

static int
rx_zero_length(struct harm *harm, struct err *err)
{
	(void)err;
	return spoil_rx(harm, 0, 0, false);
}

static int
rx_tiny(struct harm *harm, struct err *err)
{
	(void)err;
	return spoil_rx(harm, 0, 5, false);
}

static int
rx_never_refilled(struct harm *harm, struct err *err)
{
	(void)err;
	harm->done++;
	return 0;
}

const struct hostile_kind hostile_ring_kinds[] = {
	{"desc-loop", "a chain that bites its tail", NEED_RINGS, false, NULL, desc_loop},
	{"next-out-of-range", "a chain that leaves the ring", NEED_RINGS, false, NULL,
	 next_out_of_range},
	{"head-out-of-range", "a head beyond the ring", NEED_RINGS, false, NULL, head_out_of_range},
	{"avail-jump", "an index over a ring ahead", NEED_RINGS, false, NULL, avail_jump},
	{"chain-too-long", "more segments than the ring has", NEED_RINGS, false, NULL,
	 chain_too_long},
	{"huge-chain", "chains of a gigabyte", NEED_RINGS, false, NULL, huge_chain},
	{"outside-memory", "a frame outside the memory table", NEED_RINGS, false, NULL,
	 outside_memory},
	{"address-wrap", "address and length overflow", NEED_RINGS, false, NULL, address_wrap},
	{"memory-edge", "a frame that begins inside and ends outside", NEED_RINGS, false, NULL,
	 memory_edge},
	{"zero-length", "a frame of no bytes", NEED_RINGS, false, NULL, zero_length},
	{"huge-length", "a frame of 4 GiB", NEED_RINGS, false, NULL, huge_length},
	{"header-only", "a virtio-net header without a frame", NEED_RINGS, false, NULL,
	 header_only},
	{"short-header", "half a virtio-net header", NEED_RINGS, false, NULL, short_header},
	{"short-frame", "6 bytes of frame", NEED_RINGS, false, NULL, short_frame},
	{"write-only-tx", "a frame that only the switch may write", NEED_RINGS, false, NULL,
	 write_only_tx},
	{"indirect-bad-length", "a table of 17 bytes", NEED_RINGS, false, NULL,
	 indirect_bad_length},
	{"indirect-empty", "a table of no bytes", NEED_RINGS, false, NULL, indirect_empty},
	{"indirect-huge", "a table of 4 GiB", NEED_RINGS, false, NULL, indirect_huge},
	{"indirect-outside", "a table outside the memory table", NEED_RINGS, false, NULL,
	 indirect_outside},
	{"indirect-one", "a table of one entry: unusual, but right", NEED_RINGS, false, NULL,
	 indirect_one},
	{"indirect-nested", "a table in a table", NEED_RINGS, false, NULL, indirect_nested},
	{"indirect-loop", "a table that bites its tail", NEED_RINGS, false, NULL, indirect_loop},
	{"indirect-next", "a table and a next descriptor in one", NEED_RINGS, false, NULL,
	 indirect_next},
	{"indirect-bad-address", "a table entry outside the memory table", NEED_RINGS, false, NULL,
	 indirect_bad_address},
	{"csum-beyond", "a checksum request beyond the frame", NEED_RINGS, false, NULL,
	 csum_beyond},
	{"gso-zero", "segments of no bytes, headers of 65,535", NEED_RINGS, false, NULL, gso_zero},
	{"rx-read-only", "receive buffers that may not be written", NEED_SENDER, false,
	 rx_read_only, NULL},
	{"rx-outside-memory", "receive buffers outside the memory table", NEED_SENDER, false,
	 rx_outside, NULL},
	{"rx-zero-length", "receive buffers of no bytes", NEED_SENDER, false, rx_zero_length, NULL},
	{"rx-tiny", "receive buffers smaller than a header", NEED_SENDER, false, rx_tiny, NULL},
	{"rx-never-refilled", "receive buffers that are used once", NEED_SENDER, false, NULL,
	 rx_never_refilled},
	{NULL, NULL, NEED_RINGS, false, NULL, NULL},
};
