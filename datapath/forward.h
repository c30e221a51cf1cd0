/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_FORWARD_H
#define DATAPATH_FORWARD_H

#include "datapath/snapshot.h"

/*
 * Where each frame of a burst goes. Needs headers only: knows neither rings nor devices.
 *
 * The rules, in order, for a frame of port P:
 *  - shorter than its header, from a group address, or a request to cut segments for a group:
 *    bad_frame
 *  - its VLAN: an access port's untagged (or priority-tagged) frames are in its VLAN, a trunk's
 *    in that of their tag, untagged ones in its native VLAN, or else in VLAN 0; a VLAN that P does
 *    not carry: vlan
 *  - longer than P's mtu: mtu
 *  - not from one of P's MACs, where it has some, or (P a guest's) from one that was given to
 *    another port: spoof
 *  - to 01:80:c2:00:00:0X (IEEE 802.1Q 8.6.3, never forwarded by a bridge): no_output
 *  - to a known MAC: there; to an unknown one: to the uplinks and to the ports that learn; to a
 *    group: to all; each time only where the VLAN is carried, and never back to P
 *  - a VEPA port (IEEE 802.1Qbg) speaks to uplinks alone: what it sends and what is sent to it
 *    goes out, and what the adjacent bridge reflects is not given back to its sender
 */

/*
 * What a port sends may be limited: above `rate` it is dropped (rate), and what would be flooded above
 * the rate of its kind, too (storm). Where a limit is shared by the queues of several lcores it holds
 * for their sum.
 */

/*
 * Copies that the frames of one burst may cause before the rest of it has to wait for the next round:
 * a guest that floods many ports takes its own time, not that of the lcore's other guests. For inputs
 * that can leave frames where they are.
 */
#define FORWARD_COPIES_MAX 256

/* One output of the burst under way. */
struct forward_out {
	const struct snap_port *sp;
	uint16_t n;
	bool as_is; /* see port.h */
	struct frame *frame[BURST_MAX];
};

/* An lcore's working space. */
struct forward {
	unsigned int lcore;
	unsigned int n_outs;
	unsigned int n_copies; /* of the burst under way */
	uint16_t slot_of[DP_PORTS_MAX]; /* of a port id; valid where out[slot] agrees */
	/* Frames lost on the way to an output, by port id: its inbox was full, or there was no mbuf
	 * for the copy. Here, since the output's own counters are its owner's to write. */
	uint64_t undelivered[DP_PORTS_MAX];
	struct forward_out out[DP_PORTS_MAX];
};

/*
 * Decides, delivers and counts a burst; the caller gives its buffers back and releases it. `in` and `q`
 * are its input. Returns how many of its frames, from the first on, it is done with.
 * Thread: the lcore that owns q.
 */
uint16_t forward_burst(struct forward *f, const struct snapshot *snap, const struct snap_port *in,
		       struct port_queue *q, struct burst *b);

#endif
