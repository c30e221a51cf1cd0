/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_FOLLOW_H
#define CONTROL_FOLLOW_H

#include <jansson.h>

#include "control/daemon.h"

/*
 * Placement follows the guest: when its rings run it is known on which memory node each of them is,
 * and an lcore of that node polls it from then on. Thread: control.
 */

/*
 * Moves each queue of a port or an uplink whose memory is nearer to other lcores to the least busy of
 * those, pinned ones excepted. Tells of what is moved, and of what stays far. May wait: as
 * dp_port_move().
 */
void follow_port(struct daemon *d, struct model_port *port);

/* The same for queues whose node has become known, or another, since: a guest may set up a ring
 * later, and its memory may be moved. To be called once a second; memory that was moved is noticed
 * within 5 seconds. */
void follow_second(struct daemon *d);

/* What is to be said of a port's placement, in words: which queues are polled from another node, why,
 * and what helps. A new reference; null: each queue is polled from its memory's node, or it is not
 * known yet. */
json_t *follow_placement(const struct daemon *d, const struct model_port *port,
			 const struct dp_port_info *info);

#endif
