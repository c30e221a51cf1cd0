/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VNET_GUEST_H
#define DATAPATH_VNET_GUEST_H

#include "datapath/burst.h"

/*
 * Offload requests of frames that lie in a guest's buffers: taken from its virtio-net header, and
 * handed to another guest as they are (virtio 1.1, 5.1.6). What the other does not take is finished by
 * vnet_hdr.c, on an mbuf. Thread: lcore.
 */

/*
 * Checks f->vnet, which is what the guest wrote, and turns it into f->needs, f->segmented and
 * f->segment_l3_bytes. A guest that has not negotiated an offload has no request. What does not fit the
 * frame sets f->bad_request.
 */
void vnet_guest_take(struct frame *f, uint64_t features);

/* Writes the request, for the frame with or without its VLAN tag, into the first 10 bytes of `hdr`. */
void vnet_guest_give(const struct frame *f, bool tag, uint8_t *hdr);

/* Turns f->vnet into an mbuf's request, as vnet_request_from_rx() does; `m` is a copy of the frame.
 * Returns 0 or -EINVAL. */
int vnet_guest_to_mbuf(const struct frame *f, bool tag, struct rte_mbuf *m);

/*
 * The other way: gives a frame that came in an mbuf the request of the mbuf's TX flags. The sum of
 * the pseudo header is written to where a guest expects it, so the mbuf must be ours alone.
 */
void vnet_guest_from_mbuf(struct frame *f, struct rte_mbuf *m);

#endif
