/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_ARRIVAL_H
#define CONTROL_ARRIVAL_H

#include <sys/queue.h>

#include "control/model.h"

/*
 * Tells the network where a guest is that has just come from another host: a reverse ARP request for
 * each of its MACs, several times and at growing intervals, as QEMU does. It helps the guests that
 * cannot announce themselves, and where the first request is lost. Thread: control.
 */

#define ARRIVAL_ROUNDS 6

struct daemon;
struct arrival;
LIST_HEAD(arrivals, arrival); /* of struct daemon */

/* The guest of the port runs: announces it now, and again later. Nothing happens where no MAC was
 * given for the port. */
void arrival_begin(struct daemon *d, const struct model_port *port);

/* The guest, or the port that had this id, is gone: no more. Nothing happens if nothing was begun. */
void arrival_end(struct daemon *d, int port);

/* Ends them all. */
void arrival_clear(struct daemon *d);

#endif
