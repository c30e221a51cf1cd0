/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VHOST_GUEST_H
#define DATAPATH_VHOST_GUEST_H

#include <rte_vhost.h>

#include "datapath/port_vhost.h"

/*
 * Guests come and go: librte_vhost's callbacks for vhost-user ports, and what they know of the
 * connections.
 */
extern const struct rte_vhost_device_ops vhost_guest_ops;

/* Lets the callbacks find the port; before librte_vhost is told of it. Thread: control. */
void vhost_guest_enlist(struct port_vhost *v);

/* After librte_vhost has forgotten it. Thread: control. */
void vhost_guest_delist(struct port_vhost *v);

/* The port with this socket, or NULL. Thread: control. */
const struct port_vhost *vhost_guest_port_at(const char *path);

/* librte_vhost has closed the port's connections, of which it tells nobody. Thread: control. */
void vhost_guest_forget(struct port_vhost *v);

/* End a connection whose front-end took the guest's memory away, or made a call of the guest wait.
 * Thread: any, also in a signal handler. May wait: no. */
void vhost_guest_memory_gone(int vid);
void vhost_guest_call_blocked(int vid);

#endif
