/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VNET_HDR_H
#define DATAPATH_VNET_HDR_H

#include <rte_mbuf.h>

/*
 * Offloads that a frame asks for: handed on to an output that can, finished in software for one
 * that can't (virtio 1.1, 5.1.6 "Device Operation": VIRTIO_NET_HDR_F_NEEDS_CSUM, gso_type).
 *
 * Inside sluice a request travels in the mbuf as an ethdev's Tx offload: RTE_MBUF_F_TX_*_CKSUM,
 * RTE_MBUF_F_TX_TCP_SEG, l2_len, l3_len, l4_len, tso_segsz.
 */
enum vnet_can { /* what an output does itself; bits */
	VNET_CAN_CSUM = 1, /* TCP and UDP checksum */
	VNET_CAN_TSO4 = 2,
	VNET_CAN_TSO6 = 4,
	VNET_CAN_TSO_ECN = 8,
};

/* What a guest that negotiated `features` (VIRTIO_NET_F_GUEST_*) accepts. */
unsigned int vnet_can_of_guest(uint64_t features);

/*
 * Turns what rte_vhost_dequeue_burst() noted (RX flags: RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS)
 * into a request for the output. A frame that asks for nothing is not touched.
 * Returns 0, or -EINVAL where the request does not fit the frame (then the frame is to be dropped:
 * "bad_frame"). Thread: lcore.
 */
int vnet_request_from_rx(struct rte_mbuf *m);

/* What an output must do itself for the frame to be handed on as it is, 0: it asks for nothing. */
unsigned int vnet_needs(const struct rte_mbuf *m);

/* True if the frame asks for something that `can` does not cover. */
bool vnet_must_finish(const struct rte_mbuf *m, unsigned int can);

/*
 * Makes of one frame those that ask for no more than `can`: fills out[] with 1..max new or
 * referenced mbufs that the caller owns (the frame itself stays the caller's, too, and is not
 * written unless its reference count is 1). Segments and checksums are as the guest would have
 * made them. Returns how many, or -ENOMEM, -ENOTSUP (no software for this request), -E2BIG.
 * Thread: lcore.
 */
/* No honest stack asks for smaller segments: Linux' TCP_MIN_SND_MSS less 40 bytes of options. */
#define VNET_SEGMENT_BYTES_MIN 8

/* Carries out the plain request of virtio, whatever the protocol: puts the sum of all from `start` on
 * at `start` + `offset`. Returns 0, or -EINVAL where `start` is not in the first mbuf, or the sum's
 * place is not. Thread: lcore. */
int vnet_sum_up(struct rte_mbuf *m, uint32_t start, uint32_t offset);

/* Writes the sum of the pseudo header to where a guest that gets the request expects it: with the
 * length, also for what is to be segmented. m is ours alone. Thread: lcore. */
void vnet_write_pseudo_sum(struct rte_mbuf *m);

#define VNET_SEGS_MAX 256 /* 64 KiB in segments of 256 bytes: paths down to an MTU of 308 */
int vnet_finish(struct rte_mbuf *m, unsigned int can, struct rte_mempool *pool,
		struct rte_mbuf **out, uint16_t max);

#endif
