/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VRING_LIBRARY_H
#define DATAPATH_VRING_LIBRARY_H

#include "datapath/port.h"

/*
 * A guest's rings through librte_vhost's own burst functions: the reference path. Two copies a
 * frame, guest to mbuf and mbuf to guest.
 *
 * librte_vhost holds a lock of its own on a queue while it works on it; a queue has one lcore here,
 * so it is never contended between lcores.
 */

/* The operations of struct port_ops. Thread: the lcore that owns q. */
bool vring_library_rx_arm(struct port_queue *q, unsigned int lcore);
void vring_library_rx(struct port_queue *q, struct burst *b);
void vring_library_tx_copy(struct port_queue *q, struct rte_mbuf **m, uint16_t n);

uint16_t vring_library_tx_parked(struct port_queue *q, struct burst *b);

#endif
