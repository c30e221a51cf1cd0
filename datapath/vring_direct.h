/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VRING_DIRECT_H
#define DATAPATH_VRING_DIRECT_H

#include "datapath/port.h"

/*
 * A guest's rings by ourselves: from its buffers to another guest's with one copy, and with one to
 * or from an mbuf. The operations of struct port_ops for a port of which q->from_guest and
 * q->to_guest are set. Thread: the lcore that owns q.
 */
void vring_direct_rx(struct port_queue *q, struct burst *b);
bool vring_direct_rx_arm(struct port_queue *q, unsigned int lcore);
void vring_direct_rx_disarm(struct port_queue *q);
void vring_direct_rx_done(struct port_queue *q, struct burst *b, uint16_t taken);
void vring_direct_tx_frames(struct port_queue *q, struct burst *b, struct frame **f, uint16_t n,
			    bool as_is, uint16_t untagged);
void vring_direct_tx_copy(struct port_queue *q, struct rte_mbuf **m, uint16_t n);

uint16_t vring_direct_tx_parked(struct port_queue *q, struct burst *b);

#endif
