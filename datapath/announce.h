/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_ANNOUNCE_H
#define DATAPATH_ANNOUNCE_H

#include "datapath/port.h"

/*
 * Tells the network where a guest is, in its name: reverse ARP requests (RFC 903), as front-ends want
 * them after a migration (vhost-user, VHOST_USER_SEND_RARP), and as we send them ourselves. They come
 * in as if the guest had sent them, once its rings run.
 */

/* `vlan`: 0: without a tag. Thread: librte_vhost's for slot 0, which is the front-end's; control for the
 * others, below ANNOUNCE_SLOTS. */
void announce_put(struct port *p, unsigned int slot, const uint8_t mac[6], uint16_t vlan);

/* All MACs that the guest was given, in all VLANs of its port (of one that carries every VLAN: without a
 * tag). Where that is more than there are slots: the next ones with the next call. Thread: control. */
void announce_all(struct port *p);

void announce_clear(struct port *p);

/* Where the queue has `attention`: fills the empty burst with what is to be announced. What the guest
 * does not run for (`runs`), or no mbuf is there for, stays for later. Thread: the owning lcore. */
void announce_take(struct port_queue *q, struct burst *b, bool runs);

#endif
