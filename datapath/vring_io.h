/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VRING_IO_H
#define DATAPATH_VRING_IO_H

#include <string.h>

#include <rte_memcpy.h>
#include <rte_prefetch.h>

#include "datapath/vnet_guest.h"
#include "datapath/vring.h"

/*
 * What split and packed rings share on the fast path: from a chain's pieces to a frame, and from a
 * frame into a buffer. For vring*.c alone.
 */

#define VRING_DESC_KIND (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)

/* The first lines of a buffer, for reading or for writing: those of short frames, and what the
 * hardware needs to see where it goes on. */
static inline void
vring_prefetch(const uint8_t *at, uint32_t bytes)
{
	rte_prefetch0(at);
	if (bytes > RTE_CACHE_LINE_SIZE)
		rte_prefetch0(at + RTE_CACHE_LINE_SIZE);
}

static inline void
vring_prefetch_write(uint8_t *at, uint32_t bytes)
{
	__builtin_prefetch(at, 1);
	if (bytes > RTE_CACHE_LINE_SIZE)
		__builtin_prefetch(at + RTE_CACHE_LINE_SIZE, 1);
}

/* Pieces of one or more chains, in host memory, checked. */
#define VRING_PIECES_MAX (FRAME_SEGS_MAX + 1) /* one for the header */
struct vring_pieces {
	uint32_t n;
	uint32_t descs; /* descriptors that were looked at; not all have bytes */
	uint32_t bytes; /* sum; saturates far above any frame */
	struct {
		uint8_t *at;
		uint32_t bytes;
		uint64_t addr; /* the guest's */
	} piece[VRING_PIECES_MAX];
};

/* All that has to be set of so large a thing. */
static inline void
vring_no_pieces(struct vring_pieces *p)
{
	p->n = p->descs = p->bytes = 0;
}

/* Chains that one frame may be spread over, and frames that are tried in vain in one burst: a guest
 * with buffers of a few bytes gets no more of our time. */
#define VRING_CHAINS_MAX VRING_PIECES_MAX
#define VRING_SKIPS_MAX 4

/* A chain that a frame, or a part of it, was written to. */
struct vring_chain {
	uint16_t id;
	uint16_t slots; /* packed: that it takes in the ring */
	uint32_t bytes;
};

/* A buffer that lies in one region. */
static inline bool
vring_piece(const struct virtq *r, uint64_t addr, uint32_t bytes, struct burst_seg *piece)
{
	piece->at = guestmem_at(r->mem, addr, bytes);
	piece->bytes = bytes;
	return likely(piece->at != NULL);
}

/* Adds a buffer, in as many pieces as it has regions. */
enum vring_fault vring_add_piece(const struct virtq *r, struct vring_pieces *p, uint64_t addr,
				 uint32_t bytes);

/* Copies an entry of an indirect table, of either kind of ring, which may lie anywhere, also across two
 * regions. Returns false where not all of it is there. */
bool vring_read(const struct virtq *r, uint64_t addr, struct vring_desc *copy);

/* Whether descriptors there can be read in words. NULL is not. */
static inline bool
vring_is_aligned(const void *table)
{
	return likely(table != NULL && (uintptr_t)table % sizeof(uint64_t) == 0);
}

/* Makes a frame of many pieces. Returns false for what is none. */
bool vring_frame_of_pieces(const struct virtq *r, struct burst *b, const struct vring_pieces *p);

/* Copies a frame, with its virtio header, into pieces that are long enough. */
void vring_scatter(const struct virtq *r, const struct vring_pieces *p, const struct frame *f,
		   bool tag, uint16_t n_buffers);

/* Bytes that the frame has in a buffer, without the virtio header. */
static inline uint32_t
vring_out_bytes(const struct frame *f, bool tag)
{
	return f->bytes + 4 * (uint32_t)tag - 4 * (uint32_t)f->tagged;
}

static inline bool
vring_out_tag(const struct frame *f, bool trunk)
{
	return trunk && f->vlan != 0;
}

/* memcpy() for what is short mostly, and then never worth a call. */
static inline void
vring_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint32_t i;

	if (n > 256) {
		memcpy(to, from, n);
	} else if (likely(n >= 16)) {
		/* The last 16 bytes overlap those before. */
		for (i = 16; unlikely(i + 16 < n); i += 16)
			rte_mov16(to + i, from + i);
		rte_mov16(to, from);
		rte_mov16(to + n - 16, from + n - 16);
	} else {
		for (i = 0; i < n; i++)
			to[i] = from[i];
	}
}

/* The frame's private first bytes, with or without tag. Returns how many: for a frame of at least
 * FRAME_HEAD_BYTES they stand for that many of it. Writes up to 36 bytes. */
static inline uint32_t
vring_put_head(uint8_t *to, const struct frame *f, bool tag)
{
	rte_be16_t word[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(f->vlan)};
	uint32_t n = RTE_MIN(f->bytes, (uint32_t)FRAME_HEAD_BYTES);

	if (likely(f->tagged == tag)) {
		memcpy(to, f->head, FRAME_HEAD_BYTES);
		return n;
	}
	memcpy(to, f->head, 12);
	if (tag) {
		memcpy(to + 12, word, 4);
		memcpy(to + 16, f->head + 12, FRAME_HEAD_BYTES - 12);
		return n + 4;
	}
	memcpy(to + 12, f->head + 16, FRAME_HEAD_BYTES - 16);
	return n - 4;
}

/* The virtio header for the output. */
static inline void
vring_put_hdr(const struct virtq *r, uint8_t *to, const struct frame *f, bool tag,
	      uint16_t n_buffers)
{
	uint8_t request[sizeof(struct virtio_net_hdr)];

	memset(to, 0, 8);
	if (likely(r->hdr_bytes == VRING_HDR_BYTES_MAX)) {
		uint32_t last = rte_cpu_to_le_32((uint32_t)n_buffers << 16);

		memcpy(to + 8, &last, sizeof(last));
	} else {
		memset(to + 8, 0, 2);
	}
	if (unlikely(f->needs != 0)) {
		vnet_guest_give(f, tag, request);
		memcpy(to, request, sizeof(request));
	}
}

/* Copies a frame that lies in one piece into one buffer, which has room for it and for 36 bytes. */
static inline void
vring_put(const struct virtq *r, uint8_t *to, const struct frame *f, bool tag)
{
	uint32_t n = FRAME_HEAD_BYTES;

	vring_put_hdr(r, to, f, tag, 1);
	to += r->hdr_bytes;
	if (likely(f->tagged == tag))
		memcpy(to, f->head, FRAME_HEAD_BYTES);
	else
		n = vring_put_head(to, f, tag);
	vring_copy(to + n, f->first.at + FRAME_HEAD_BYTES, f->bytes - FRAME_HEAD_BYTES);
}

/* What vring_put() is for. */
static inline bool
vring_is_plain(const struct frame *f)
{
	return f->n_more == 0 && f->bytes >= FRAME_HEAD_BYTES + 4;
}

/* The rest of vring_frame(): head and request of f, whose pieces are known. */
static inline void
vring_look(const struct virtq *r, struct frame *f, const uint8_t *hdr)
{
	uint64_t request;

	memcpy(&request, hdr, sizeof(request));
	/* Neither head nor request may be read from the guest again. */
	rte_compiler_barrier();
	frame_look(f);
	if (unlikely((request & 0xffff) != 0)) {
		memcpy(&f->vnet, &request, sizeof(request));
		memcpy(&f->vnet.csum_offset, hdr + sizeof(request), sizeof(f->vnet.csum_offset));
		rte_compiler_barrier();
		vnet_guest_take(f, r->features);
	}
}

/* Makes the next frame of b of one piece. Returns false for what is no frame. */
static inline bool
vring_frame(const struct virtq *r, struct burst *b, const struct burst_seg *p)
{
	struct frame *f = &b->frame[b->n];
	uint32_t bytes = p->bytes - r->hdr_bytes;

	f->marks = 0;
	f->first = (struct burst_seg){p->at + r->hdr_bytes, bytes};
	f->bytes = bytes;
	/* One comparison for "at least the head" and "not too long". */
	if (likely(bytes - FRAME_HEAD_BYTES <= FRAME_BYTES_MAX - FRAME_HEAD_BYTES))
		memcpy(f->head, f->first.at, FRAME_HEAD_BYTES);
	else if (p->bytes >= r->hdr_bytes && bytes < FRAME_HEAD_BYTES)
		frame_fill_head(f);
	else
		return false;
	vring_look(r, f, p->at);
	return true;
}

/* The same of two pieces, the virtio header in the first. */
static inline bool
vring_frame_of_two(const struct virtq *r, struct burst *b, const struct burst_seg *p)
{
	struct frame *f = &b->frame[b->n];

	if (unlikely(p[0].bytes > FRAME_BYTES_MAX || p[1].bytes > FRAME_BYTES_MAX))
		return false;
	f->marks = 0;
	f->first = p[1];
	f->bytes = p[0].bytes + p[1].bytes - r->hdr_bytes;
	if (p[0].bytes != r->hdr_bytes) {
		f->first = (struct burst_seg){p[0].at + r->hdr_bytes, p[0].bytes - r->hdr_bytes};
		f->more = &b->seg[b->n_segs];
		f->n_more = 1;
		b->seg[b->n_segs++] = p[1];
	}
	if (unlikely(f->bytes > FRAME_BYTES_MAX))
		return false;
	if (likely(f->first.bytes >= FRAME_HEAD_BYTES))
		memcpy(f->head, f->first.at, FRAME_HEAD_BYTES);
	else
		frame_fill_head(f);
	vring_look(r, f, p[0].at);
	return true;
}

#endif
