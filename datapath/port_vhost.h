/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_PORT_VHOST_H
#define DATAPATH_PORT_VHOST_H

#include "datapath/port.h"
#include "datapath/vhost_message.h"
#include "datapath/vhost_socket.h"
#include "datapath/vring.h"

/*
 * A vhost-user port: a socket, at most one connection on it, and the rings of a guest behind it.
 *
 * Its rings are handled by ourselves (vring_direct.c), or by librte_vhost (vring_library.c).
 *
 * Who may touch what: the name of a field's group says who writes it; readers of atomics are free.
 * A direct port's lcores go by the `live` of each ring, a library port's by `vid`: they read it once
 * a burst, and while it says yes the ring and the guest's memory stay until their round ends. See
 * vhost_guest.c and doc/vhost-life-cycle.md.
 */
struct port_vhost {
	struct port base;

	/* Written by librte_vhost's callbacks only. */
	_Atomic int vid; /* -1: no guest whose rings run */
	_Atomic uint64_t negotiated; /* virtio features, valid while vid >= 0 */
	_Atomic uint8_t enabled[2 * DP_QUEUES_MAX]; /* per vring; even: to the guest (its rx) */

	/* The connection, whether its rings run or not. Written by the callbacks. */
	_Atomic int conn_vid; /* -1: nobody is connected */
	_Atomic int64_t connected_ns;
	_Atomic pid_t peer_pid;
	_Atomic uid_t peer_uid;
	_Atomic uint32_t connections; /* since the port was opened */

	/* Of each queue pair: where its ring to the guest lies, and on which memory node that is. Written by
	 * the callbacks; `node` by the control thread, too, which asks again while vid >= 0. */
	_Atomic(const void *) desc[DP_QUEUES_MAX]; /* NULL: there is none */
	_Atomic int node[DP_QUEUES_MAX]; /* -1: not known */

	/* MAC addresses to be announced, in the order of memory; 0: none. Taken by the lcore of the first
	 * queue pair: see announce.h. */
#define ANNOUNCE_SLOTS BURST_MAX
	_Atomic uint64_t announce[ANNOUNCE_SLOTS];

	/* Direct ports: [2 * base.n_queues] rings, and what they refer to while they are live. */
	struct virtq *ring;
	struct guestmem mem;

	/* The callbacks' own; nobody else looks. */
	struct vhost_guard guard;
	struct dirty_log *log_cb; /* the front-end's; used where the features say so */
	uint32_t resume_cb; /* a bit for each ring that was detached for the message being handled */
	bool running_cb; /* between new_device and destroy_device */
	bool exchanges_fd_cb; /* the message being handled brings another kick or call descriptor */
	bool withdrawn_cb; /* vid was taken away for the message that is being handled */

	/* Set by port_vhost_open(), then constant. */
	bool client;
	bool library;
	uint64_t offered;
	struct dp_socket_access access;
	struct vhost_socket socket;

	/* Control thread only. */
	bool registered_ctl;
	int fresh_fd_ctl; /* the client's socket that librte_vhost is about to connect */
	int attempt_ctl; /* what new_connection made of it: 0 or -errno */
	struct port_vhost *next; /* list of all; the lock is in vhost_guest.c */
};

static inline struct port_vhost *
port_vhost_of(struct port *p)
{
	return (struct port_vhost *)p;
}

/*
 * Starts what all vhost-user ports share: librte_vhost's thread and the doorbell that wakes it.
 * `doorbell_path` is a name for a socket, used for a moment. Once a process, before the first port.
 * Errors: -EINVAL, -EIO (code "vhost-start-failed"). Thread: control.
 */
int vhost_start(const char *doorbell_path, struct err *err);

/* No port is open any more. Thread: control. */
void vhost_stop(void);

#endif
