/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_BURST_H
#define DATAPATH_BURST_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_net.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

/*
 * Up to BURST_MAX frames that came in together on one queue.
 *
 * A frame lies where its input left it: in the guest's own buffers, or in an mbuf. Outputs read its
 * pieces from there, once. What was checked of a frame is a private copy of its first bytes (`head`),
 * and that copy is what outputs send in their place: a guest that changes a buffer under our eyes
 * changes its payload alone.
 *
 * An output that needs an mbuf borrows one with burst_mbuf(), or takes one with burst_take() where
 * it keeps it (a device, another lcore). For a frame in a guest's buffers it is made then, which is
 * that frame's one copy. The burst owns its mbufs from rx to burst_release().
 *
 * A frame carries its VLAN tag or not (`tagged`), and an output wants it or not: both functions
 * give the frame in the form that is asked for. One frame may go to outputs of both forms; then a
 * copy in the other form is made, once.
 *
 * Thread: the lcore that polls the input.
 */
#define BURST_MAX 64
#define BURST_SEGS_MAX 2048 /* further pieces of all frames of a burst */
#define FRAME_SEGS_MAX 1024 /* of one frame */
#define FRAME_HEAD_BYTES 32
#define FRAME_BYTES_MAX (UINT16_MAX + 18U) /* an IP packet behind an Ethernet header and tag */

/* A piece of a frame. */
struct burst_seg {
	const uint8_t *at;
	uint32_t bytes;
};

struct frame {
	uint8_t head[FRAME_HEAD_BYTES]; /* first bytes, as far as there are any; the rest is 0 */
	struct burst_seg first; /* for most frames all of it */
	uint32_t bytes;
	uint16_t vlan; /* VLAN inside the bridge, 0: none */
	uint16_t uses; /* outputs that may still want an mbuf of it */
	union {
		struct {
			bool tagged; /* the tag is in the frame */
			bool segmented; /* asks to be cut into segments */
			bool bad_request; /* asks for what does not fit the frame */
			bool in_mbuf : 1; /* came in one */
			bool is_short : 1; /* may be cut in the header: under FRAME_TAGGED_BYTES */
			uint8_t needs; /* enum vnet_can: offloads that it asks for */
			bool mbuf_tagged; /* the tag is in `mbuf` */
			uint16_t n_more;
		};
		uint64_t marks; /* 0: in one piece in a guest's buffer, untagged, without requests */
	};

	/* Second line: for few frames. */
	const struct burst_seg *more; /* [n_more] */
	uint32_t segment_l3_bytes; /* of each segment, where `segmented` */
	struct virtio_net_hdr vnet; /* the guest's request, checked; where `needs`, and not in_mbuf */
	struct rte_mbuf *mbuf; /* where the burst's has_mbuf says so; with the request in TX flags */
	struct rte_mbuf *other; /* the same in the other tag form, where has_other says so */
} __rte_cache_aligned;

struct burst {
	uint16_t n;
	uint16_t n_segs; /* of seg[] in use */
	uint16_t n_chains; /* of a guest's ring that the frames came in, each in one; or 0 */
	uint8_t lcore; /* whose mbuf pool is used */
	uint64_t has_mbuf, has_other; /* a bit for each frame */
	struct frame frame[BURST_MAX];
	struct burst_seg seg[BURST_SEGS_MAX];
	struct burst_seg second[BURST_MAX]; /* further piece of frames that have one, by frame */
	/* What the input must remember to give the chains back, by frame. */
	struct {
		uint16_t id;
		uint16_t offset; /* packed: slots of the chains before; one more behind the last */
	} token[BURST_MAX + 1];
};

/* Makes the burst empty, for an input to fill. */
static inline void
burst_clear(struct burst *b)
{
	b->n = b->n_segs = b->n_chains = 0;
	b->has_mbuf = b->has_other = 0;
}

static inline const struct rte_ether_hdr *
frame_eth(const struct frame *f)
{
	return (const struct rte_ether_hdr *)f->head;
}

static inline const struct rte_vlan_hdr *
frame_tag(const struct frame *f)
{
	return (const struct rte_vlan_hdr *)(f->head + sizeof(struct rte_ether_hdr));
}

static inline bool
frame_has_tag_type(const struct frame *f)
{
	return frame_eth(f)->ether_type == RTE_BE16(RTE_ETHER_TYPE_VLAN);
}

#define FRAME_TAGGED_BYTES (sizeof(struct rte_ether_hdr) + sizeof(struct rte_vlan_hdr))

/* The head is there: sets what follows from it. */
static inline void
frame_look(struct frame *f)
{
	if (unlikely(frame_has_tag_type(f)))
		f->tagged = f->bytes >= FRAME_TAGGED_BYTES;
}

/* What an MTU is held against: the bytes behind the Ethernet header and tag; of a frame that is to be
 * segmented, those of its longest segment. */
static inline uint32_t
frame_l3_bytes(const struct frame *f)
{
	uint32_t l2_bytes = f->tagged ? FRAME_TAGGED_BYTES : sizeof(struct rte_ether_hdr);
	uint32_t bytes = f->bytes > l2_bytes ? f->bytes - l2_bytes : 0;

	return unlikely(f->segmented) ? RTE_MIN(bytes, f->segment_l3_bytes) : bytes;
}

/* Fills in the head of a frame whose first piece is shorter. */
void frame_fill_head(struct frame *f);

/* frame_l3_bytes(), of an mbuf. */
static inline uint32_t
burst_l3_bytes(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	uint32_t l2_bytes = sizeof(*eth), bytes;

	if (m->data_len >= l2_bytes + sizeof(struct rte_vlan_hdr) &&
	    eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_VLAN))
		l2_bytes += sizeof(struct rte_vlan_hdr);
	bytes = m->pkt_len > l2_bytes ? m->pkt_len - l2_bytes : 0;
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
		bytes = RTE_MIN(bytes, m->l3_len + m->l4_len + (uint32_t)m->tso_segsz);
	return bytes;
}

/*
 * Whether that is too long for an MTU. A frame may be longer by what a frame check sequence takes:
 * virtio frames have none, but who counts frames as 1518 bytes means one with it, and vhost-user
 * switches (OVS) have always let such frames pass.
 */
static inline bool
burst_exceeds_mtu(uint32_t l3_bytes, uint16_t mtu)
{
	return l3_bytes > (uint32_t)mtu + RTE_ETHER_CRC_LEN;
}

/* A tag's type without the tag behind it. */
static inline bool
frame_is_cut_in_tag(const struct frame *f)
{
	return frame_has_tag_type(f) && f->bytes < FRAME_TAGGED_BYTES;
}

/* Makes frames of mbufs that came in, at most BURST_MAX. Returns how many the burst took, and owns from
 * here on: fewer than n only where they are in very many pieces. */
uint16_t burst_of_mbufs(struct burst *b, struct rte_mbuf *const *m, uint16_t n);

/* The VLAN id that the frame came with, 0: none, or a tag for the priority alone. */
uint16_t frame_tag_vlan(const struct frame *f);

/* Whether the frame, which is tagged, has another tag (802.1Q or 802.1ad) behind the first. */
bool frame_is_tagged_twice(const struct frame *f);

/* Puts the frame into a VLAN; a tag that it came with keeps its priority bits. Before any use. */
void frame_set_vlan(struct frame *f, uint16_t vlan);

/* Copies `bytes` of the frame as it came in from `offset` on, head from the private copy. They must
 * be there. */
void frame_read(const struct frame *f, uint32_t offset, uint32_t bytes, void *to);

/*
 * The frame with (`tag`) or without its VLAN tag; stays the burst's, valid until burst_release().
 * NULL: no memory for the copy, or a request that does not fit the frame. Counts as one use.
 */
struct rte_mbuf *burst_mbuf(struct burst *b, struct frame *f, bool tag);

/* As burst_mbuf(), but the caller owns one reference of what it gets. Nobody may write into an
 * mbuf whose reference count is above 1. */
struct rte_mbuf *burst_take(struct burst *b, struct frame *f, bool tag);

void burst_free_mbufs(struct burst *b);

/* Frees what was not taken. */
static inline void
burst_release(struct burst *b)
{
	if (unlikely((b->has_mbuf | b->has_other) != 0))
		burst_free_mbufs(b);
}

#endif
