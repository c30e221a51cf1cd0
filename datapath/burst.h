/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_BURST_H
#define DATAPATH_BURST_H

#include <rte_ether.h>
#include <rte_mbuf.h>

/*
 * Up to BURST_MAX frames that came in together on one queue.
 *
 * What forward.c needs is in view: the Ethernet header, the length, the VLAN. Where the payload
 * lies is the input's business: in `mbuf` today; a path that leaves it in the guest's ring adds
 * its own arrays here, and the outputs' tx operations read from those.
 *
 * The burst owns its mbufs from rx to burst_release(). An output that only copies borrows one with
 * burst_mbuf(); an output that keeps one (a device, another lcore) takes it with burst_take().
 *
 * A frame carries its VLAN tag or not (`tagged`), and an output wants it or not: both functions
 * give the frame in the form that is asked for. One frame may go to outputs of both forms; then a
 * copy in the other form is made, once.
 *
 * Thread: the lcore that polls the input.
 */
#define BURST_MAX 32 /* what one call of rte_vhost_dequeue_burst() gives at most */

struct burst {
	uint16_t n;
	uint64_t has_other; /* bit i: other[i] is set */
	struct rte_mbuf *mbuf[BURST_MAX]; /* NULL: taken */
	struct rte_mbuf *other[BURST_MAX]; /* the frame in the other tag form */
	const struct rte_ether_hdr *eth[BURST_MAX];
	uint32_t l3_bytes[BURST_MAX]; /* burst_l3_bytes() */
	uint16_t vlan[BURST_MAX]; /* VLAN inside the bridge, 0: none */
	bool segmented[BURST_MAX]; /* asks to be cut into TCP segments */
	bool tagged[BURST_MAX]; /* the tag is in the frame */
	uint16_t uses[BURST_MAX]; /* outputs that have not had it yet */
};

static inline bool
burst_is_tagged(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	return m->data_len >= sizeof(*eth) + sizeof(struct rte_vlan_hdr) &&
	       eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_VLAN);
}

/* What an MTU is held against: the bytes behind the Ethernet header and tag; of a frame that is to
 * be segmented, those of one segment. */
static inline uint32_t
burst_l3_bytes(const struct rte_mbuf *m)
{
	uint32_t head = sizeof(struct rte_ether_hdr);

	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
		return m->l3_len + m->l4_len + m->tso_segsz;
	if (burst_is_tagged(m))
		head += sizeof(struct rte_vlan_hdr);
	return m->pkt_len > head ? m->pkt_len - head : 0;
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
burst_is_cut_in_tag(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	return m->data_len < sizeof(*eth) + sizeof(struct rte_vlan_hdr) &&
	       eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_VLAN);
}

/* Brings the headers of b->mbuf[0..n-1] into view. Sets everything but vlan and uses. */
void burst_look(struct burst *b);

/* The VLAN id that frame i came with, 0: none, or a tag for the priority alone. */
uint16_t burst_tag_vlan(const struct burst *b, uint16_t i);

/* Whether frame i, which is tagged, has another tag (802.1Q or 802.1ad) behind the first. */
bool burst_is_tagged_twice(const struct burst *b, uint16_t i);

/* Puts frame i into a VLAN; a tag that it came with keeps its priority bits. Before any use. */
void burst_set_vlan(struct burst *b, uint16_t i, uint16_t vlan);

/*
 * Frame i with (`tag`) or without its VLAN tag; stays the burst's, valid until burst_release().
 * NULL: no memory for the copy. Counts as one use.
 */
struct rte_mbuf *burst_mbuf(struct burst *b, uint16_t i, bool tag);

/* As burst_mbuf(), but the caller owns one reference of what it gets. Nobody may write into an
 * mbuf whose reference count is above 1. */
struct rte_mbuf *burst_take(struct burst *b, uint16_t i, bool tag);

/* Frees what was not taken. */
void burst_release(struct burst *b);

#endif
