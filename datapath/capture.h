/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_CAPTURE_H
#define DATAPATH_CAPTURE_H

#include "datapath/burst.h"
#include "datapath/dp.h"

/*
 * Copies of what passes a port, on their way from the lcores to the control thread.
 *
 * Each lcore has a ring of its own, which it alone fills and the control thread alone empties; it
 * never waits: where there is no room the copy is lost, and counted. The control thread takes the
 * copies out in the order of their times.
 *
 * Life: as a port's. Lcores reach a capture through what the control thread publishes, and it is
 * destroyed a grace period after it was taken out of there.
 */
struct capture;

/* For frames of up to `snaplen` bytes each; what is longer is cut. NULL: no memory.
 * Thread: control. */
struct capture *capture_create(unsigned int snaplen, unsigned int n_lcores);
void capture_destroy(struct capture *c);

/*
 * Notes a frame on its way to the port's guest, in the form with (`tag`) or without its VLAN tag
 * (uplinks: out to the wire); or one that came from there, as it came: then before
 * frame_set_vlan(), and `tag` is f->tagged. Thread: lcore. May wait: no.
 */
void capture_frame(struct capture *c, unsigned int lcore, bool to_guest, const struct frame *f,
		   bool tag);

/* Takes out one frame, all but its port, valid until the next call; false: there is none.
 * Thread: control. */
bool capture_read(struct capture *c, struct dp_captured *frame);

/* Frames that found no room. Thread: control. */
uint64_t capture_lost(const struct capture *c);

#endif
