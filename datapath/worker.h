/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_WORKER_H
#define DATAPATH_WORKER_H

#include "datapath/port.h"

/*
 * The forwarding lcores: one endless loop each, over what the current snapshot has it poll.
 *
 * A round: take the snapshot, poll each queue of ours and forward what came, send what other
 * lcores put into our inbox, report quiescent. Nothing of the snapshot is held from one round to
 * the next. After some time without a frame an lcore that may sleep does so until it is woken (doze.h).
 */

/* Starts lcores 1..n on config's CPUs (EAL has made and pinned them). 0 or -ENOMEM, -EIO. */
int worker_start(const struct dp_config *config);

/* Ends the loops and waits for them. */
void worker_stop(void);

/* Has the lcore give a queue to another one, as soon as it has the snapshot that says so; one at a time.
 * Thread: control. */
void worker_leave(unsigned int lcore, struct port_queue *q, uint64_t generation, uint8_t to);

/* As dp_lcore_stats(). */
int worker_stats(unsigned int lcore, struct dp_lcore_stats *stats);

/* Frames for a port that got lost between lcores; and their end, for an id that is given again.
 * Thread: control; reset only while no lcore knows the port. */
uint64_t worker_undelivered(uint16_t port);
void worker_reset_undelivered(uint16_t port);

#endif
