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

/* The first lines of a buffer: those of a short frame, and what is looked at of all others. */
static inline void
vring_prefetch(const uint8_t *at, uint32_t bytes)
{
	rte_prefetch0(at);
	if (bytes > RTE_CACHE_LINE_SIZE)
		rte_prefetch0(at + RTE_CACHE_LINE_SIZE);
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

/*
 * What a burst needs of a ring, in variables of the function's own: after a store to guest memory the
 * compiler must take it that the ring itself has changed, and read it again.
 */
struct vring_view {
	const struct guestmem *mem;
	/* The region that most buffers are in: `bytes` is as far as a frame of any length fits in. */
	uint64_t addr, bytes;
	uint8_t *host;
	uint32_t hdr_bytes;
};

#define VRING_FRAME_ROOM (VRING_HDR_BYTES_MAX + FRAME_BYTES_MAX + sizeof(struct rte_vlan_hdr))

static inline struct vring_view
vring_view(const struct virtq *r)
{
	const struct guestmem_region *most = &r->mem->region[0];

	return (struct vring_view){
		.mem = r->mem,
		.addr = most->addr,
		.bytes = most->bytes > VRING_FRAME_ROOM ? most->bytes - VRING_FRAME_ROOM : 0,
		.host = most->host,
		.hdr_bytes = r->hdr_bytes,
	};
}

/* guestmem_at(), quick for most buffers that there are. */
static inline uint8_t *
vring_at(const struct vring_view *v, uint64_t addr, uint32_t bytes)
{
	uint64_t offset = addr - v->addr;

	if (likely(offset < v->bytes && bytes <= VRING_FRAME_ROOM))
		return v->host + offset;
	return guestmem_at(v->mem, addr, bytes);
}

/* Adds a buffer, in as many pieces as it has regions. */
enum vring_fault vring_add_piece(const struct virtq *r, struct vring_pieces *p, uint64_t addr,
				 uint32_t bytes);

/* Adds a buffer that is in one piece, of which at most `bytes_max` bytes will be used. Returns false where it
 * is not, or has no place. */
static inline bool
vring_add_buffer(const struct vring_view *v, struct vring_pieces *p, uint64_t addr, uint32_t bytes,
		 uint32_t bytes_max)
{
	uint8_t *at = vring_at(v, addr, bytes);

	if (unlikely(at == NULL || bytes == 0 || p->descs == VRING_PIECES_MAX ||
		     p->n == VRING_PIECES_MAX))
		return false;
	bytes = RTE_MIN(bytes, bytes_max);
	p->piece[p->n].at = at;
	p->piece[p->n].bytes = bytes;
	p->piece[p->n++].addr = addr;
	p->descs++;
	p->bytes += bytes;
	return true;
}

/* Copies an entry of an indirect table, of either kind of ring, which may lie anywhere, also across two
 * regions. Returns false where not all of it is there. */
bool vring_read(const struct virtq *r, uint64_t addr, struct vring_desc *copy);

/* Whether descriptors there can be read in words. NULL is not. */
static inline bool
vring_is_aligned(const void *table)
{
	return likely(table != NULL && (uintptr_t)table % sizeof(uint64_t) == 0);
}

/*
 * Frames of a chain of one or two pieces are made in two steps: vring_one() and vring_two() say where
 * they are and ask the memory for it, and a burst later vring_look() looks at them. All others are made
 * by vring_frame_of_pieces(), at once.
 */

/* Makes a frame of the burst of what a chain consists of, whatever that is; what is no frame has no bytes,
 * and is dropped as such. */
void vring_frame_of_pieces(const struct virtq *r, struct burst *b, struct frame *f,
			   const struct vring_pieces *p);

/* Whether one more may be taken apart. */
static inline bool
vring_has_room(const struct burst *b)
{
	return b->n_segs + FRAME_SEGS_MAX <= BURST_SEGS_MAX;
}

/* Bytes of frames that a burst ends with, so that a guest has its long frames copied, and its buffers back,
 * a few at a time. */
#define VRING_BURST_BYTES (128U << 10)

/* A frame was not delivered; `full` as before. Whether it is to wait, and then it is not counted. */
static inline bool
vring_waits(struct vring_sent *sent, uint64_t full)
{
	if (!sent->patient || sent->full == full)
		return false;
	sent->full--;
	return true;
}

/* Copies a frame, with its virtio header, into pieces that are long enough. */
void vring_scatter(const struct virtq *r, const struct vring_pieces *p, const struct frame *f,
		   bool tag, uint16_t n_buffers);

/* Bytes that the frame has in a buffer, without the virtio header. */
static inline uint32_t
vring_out_bytes(const struct frame *f, bool tag)
{
	return f->bytes + 4 * (uint32_t)tag - 4 * (uint32_t)f->tagged;
}

/* memcpy() for what is short mostly, and then never worth a call. */
static inline void
vring_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint32_t i;

	if (unlikely(n > 256)) {
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

/* The virtio header for the output. `as_is`: the frame asks for nothing. */
static __rte_always_inline void
vring_put_hdr(uint32_t hdr_bytes, uint8_t *to, const struct frame *f, bool as_is, bool tag,
	      uint16_t n_buffers)
{
	uint8_t request[sizeof(struct virtio_net_hdr)];

	memset(to, 0, 8);
	if (likely(hdr_bytes == VRING_HDR_BYTES_MAX)) {
		uint32_t last = rte_cpu_to_le_32((uint32_t)n_buffers << 16);

		memcpy(to + 8, &last, sizeof(last));
	} else {
		memset(to + 8, 0, 2);
	}
	if (!as_is && unlikely(f->needs != 0)) {
		vnet_guest_give(f, tag, request);
		memcpy(to, request, sizeof(request));
	}
}

/* Copies a frame that lies in one piece into one buffer, which has room for it and for 36 bytes. */
static __rte_always_inline void
vring_put(const struct vring_view *v, uint8_t *to, const struct frame *f, bool as_is, bool tag)
{
	uint32_t n = FRAME_HEAD_BYTES;

	vring_put_hdr(v->hdr_bytes, to, f, as_is, tag, 1);
	to += v->hdr_bytes;
	if (as_is || likely(f->tagged == tag))
		memcpy(to, f->head, FRAME_HEAD_BYTES);
	else
		n = vring_put_head(to, f, tag);
	vring_copy(to + n, f->first.at + FRAME_HEAD_BYTES, f->bytes - FRAME_HEAD_BYTES);
}

/* A buffer for a frame by itself. */
struct vring_slot {
	uint8_t *at;
	uint64_t addr; /* the guest's */
	uint32_t bytes; /* that are written to it */
	uint16_t id; /* packed: of its descriptor */
	bool tag; /* the frame goes with its VLAN tag */
};

/* One more than are used, for vring_put_all(). */
#define VRING_SLOTS (BURST_MAX + 1)

/* Whether one descriptor is such a buffer for the frame. */
static __rte_always_inline bool
vring_slot(const struct vring_view *v, const struct frame *f, bool as_is, uint16_t untagged,
	   uint64_t addr, uint32_t bytes, uint16_t flags, struct vring_slot *slot)
{
	slot->tag = !as_is && f->vlan != untagged;
	slot->bytes = v->hdr_bytes + (as_is ? f->bytes : vring_out_bytes(f, slot->tag));
	slot->addr = addr;
	if (unlikely((flags & VRING_DESC_KIND) != VRING_DESC_F_WRITE || bytes < slot->bytes ||
		     f->bytes < FRAME_HEAD_BYTES + 4 || (!as_is && f->n_more != 0)))
		return false;
	slot->at = vring_at(v, addr, bytes);
	return likely(slot->at != NULL);
}

/*
 * Of a long frame's buffer the lines behind the first few are asked for while the frame before is
 * copied: the hardware would find out with each frame anew that it goes on. Not the first ones: the
 * guest's core has them, too, looked at or only prefetched, and to ask for such lines early costs more
 * than it gains, as asking for the source's does (doc/performance.md).
 */
#define VRING_AHEAD_MIN 768U
#define VRING_AHEAD_FROM (6 * RTE_CACHE_LINE_SIZE)
#define VRING_AHEAD_TO 1536U

static inline void
vring_prefetch_slot(const struct vring_slot *slot)
{
	uint32_t i = VRING_AHEAD_FROM;

	do {
		__builtin_prefetch(slot->at + i, 1);
		i += RTE_CACHE_LINE_SIZE;
	} while (i < slot->bytes && i < VRING_AHEAD_TO);
}

/* Copies n frames into their slots, and notes what was written. */
static __rte_always_inline void
vring_put_all(const struct virtq *r, const struct vring_view *v, struct vring_slot *slot,
	      struct frame *const *f, uint16_t n, bool as_is, struct vring_sent *sent)
{
	const struct dirty_log *log = atomic_load_explicit(&r->log, memory_order_relaxed);
	uint64_t bytes = 0;
	uint16_t i;

	slot[n].bytes = 0;
	for (i = 0; i < n; i++) {
		if (slot[i + 1].bytes >= VRING_AHEAD_MIN)
			vring_prefetch_slot(&slot[i + 1]);
		bytes += slot[i].bytes;
		vring_put(v, slot[i].at, f[i], as_is, slot[i].tag);
	}
	sent->packets += n;
	sent->bytes += bytes - n * v->hdr_bytes;
	if (likely(log == NULL))
		return;
	rte_mb();
	for (i = 0; i < n; i++)
		dirty_log_mark(log, slot[i].addr, slot[i].bytes);
}

/* Whether a first piece has the head, and is not longer than a frame may be. */
static inline bool
vring_has_head(uint32_t bytes)
{
	return likely(bytes - FRAME_HEAD_BYTES <= FRAME_BYTES_MAX - FRAME_HEAD_BYTES);
}

/* A frame of one piece, behind `skip` bytes of header. Returns where the piece is; NULL: the frame is shorter
 * than a head, or not in the guest's memory. */
static inline const uint8_t *
vring_one(const struct vring_view *v, struct frame *f, uint64_t addr, uint32_t bytes, uint32_t skip)
{
	uint32_t frame_bytes = bytes - skip;
	const uint8_t *at;

	if (unlikely(!vring_has_head(frame_bytes)))
		return NULL;
	at = vring_at(v, addr, bytes);
	if (unlikely(at == NULL))
		return NULL;
	vring_prefetch(at, bytes);
	f->marks = 0;
	f->first = (struct burst_seg){at + skip, frame_bytes};
	f->bytes = frame_bytes;
	return at;
}

/* The same of two pieces, the virtio header and perhaps more in the first; `second` stays with the frame.
 * Returns where the header is, or NULL. */
static inline const uint8_t *
vring_two(const struct vring_view *v, struct frame *f, struct burst_seg *second, uint64_t addr,
	  uint32_t bytes, uint64_t second_addr, uint32_t second_bytes)
{
	const uint8_t *at;

	if (likely(bytes == v->hdr_bytes)) {
		at = vring_at(v, addr, bytes);
		rte_prefetch0(at);
		return vring_one(v, f, second_addr, second_bytes, 0) != NULL ? at : NULL;
	}
	at = vring_one(v, f, addr, bytes, v->hdr_bytes);
	second->at = vring_at(v, second_addr, second_bytes);
	second->bytes = second_bytes;
	if (unlikely(at == NULL || second->at == NULL || second_bytes > FRAME_BYTES_MAX - f->bytes))
		return NULL;
	vring_prefetch(second->at, second_bytes);
	f->more = second;
	f->n_more = 1;
	f->bytes += second_bytes;
	return at;
}

/* Chains in view, before anybody looks at their frames. */
struct vring_brief {
	uint64_t others; /* a bit for each that is not one descriptor of a usual length */
	const uint8_t
		*hdr[BURST_MAX]; /* of the others: where its header is, if vring_one() or _two() */
};

static inline const uint8_t *
vring_hdr(const struct vring_view *v, const struct vring_brief *brief, uint16_t i,
	  const struct frame *f)
{
	if (unlikely(brief->others & RTE_BIT64(i)))
		return brief->hdr[i];
	return f->first.at - v->hdr_bytes;
}

/* Head and request of a frame, which are read here and never again. */
static inline void
vring_look(const struct virtq *r, struct frame *f, const uint8_t *hdr)
{
	uint64_t request;

	memcpy(f->head, f->first.at, FRAME_HEAD_BYTES);
	memcpy(&request, hdr, sizeof(request));
	rte_compiler_barrier();
	frame_look(f);
	if (unlikely((request & 0xffff) != 0)) {
		memcpy(&f->vnet, &request, sizeof(request));
		memcpy(&f->vnet.csum_offset, hdr + sizeof(request), sizeof(f->vnet.csum_offset));
		rte_compiler_barrier();
		vnet_guest_take(f, r->features);
	}
}

#endif
