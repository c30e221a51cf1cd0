/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_DELIVER_H
#define DATAPATH_DELIVER_H

#include "datapath/forward.h"

/*
 * Frames of a burst leave by an output: on a queue pair of this lcore, or through the inbox of the lcore
 * that owns the pair. All: thread: the lcore of `f`.
 */

/* All of them, once: what finds no room is dropped and counted. `in` is where they came in. */
void deliver(struct forward *f, struct forward_out *o, struct port_queue *in, struct burst *b);

/* As many of n as there is room for, on the pair `wanted`, or as it has. Returns how many, from the first
 * on, are done with, and counted. */
uint16_t deliver_some(const struct forward *f, const struct snap_port *to, uint16_t wanted,
		      struct burst *b, struct frame **frame, uint16_t n);

/* A queue pair of the output that takes frames: `wanted`, or else one of this lcore's own, or else any. -1:
 * none does. */
int deliver_ready(const struct forward *f, const struct snap_port *sp, uint16_t wanted);

/* What was parked for a guest, and is in the burst, on a pair that takes frames. Returns as above. */
uint16_t deliver_parked(const struct forward *f, const struct snap_port *sp, uint16_t pair,
			struct burst *b);

#endif
