/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_UPLINK_H
#define DATAPATH_UPLINK_H

#include <stdatomic.h>
#include <sys/queue.h>

#include <rte_mempool.h>

#include "datapath/port.h"
#include "datapath/uplink_socket.h"
#include "datapath/uplink_wake.h"

/*
 * An uplink and its device: for port_uplink.c and uplink_start.c.
 *
 * The device is there as long as the uplink; or, with a socket (uplink_socket.h), as long as its
 * connection. Without it the uplink stays as it is, in the switch and with all that was learned there, and what is
 * for it is dropped.
 */
struct uplink {
	struct port port;
	_Atomic bool live; /* lcores may use the device, and what follows; writer: control */
	uint16_t dev; /* DPDK's port id */
	uint16_t n_rx, n_tx; /* queues */
	unsigned int can; /* enum vnet_can */
	bool sends_chains; /* takes frames of several mbufs */
	uint16_t mtu_min, mtu_max; /* that it takes as it is set up */
	struct rte_mempool *pool;
	int node; /* of the device */
	unsigned int claimed; /* descriptors, of the pool */
	uint16_t n_asked; /* receive queues; 0: nobody asked */
	uint16_t n_lcores; /* that there may be queues for, each way */
	struct uplink_wake wake;
	char devargs[DP_DEVARGS_SIZE]; /* of the device */
	char driver[32]; /* its name */
	uint64_t lost_in; /* what devices that are gone had lost on their own account */
	struct uplink_socket *socket; /* NULL: none */
	struct err failure; /* why there is no device though there is a connection; "": nothing */
	LIST_ENTRY(uplink) link; /* of those with a socket */
};

/*
 * Makes the device, with `connection` as its back-end (-1: it has none), and lets the lcores have it. Fills in what
 * depends on it. Errors: uplink_device_open()'s, -ENOTSUP (code "mtu-refused"), -ENOSPC, -EIO ("device-refused").
 * Thread: control.
 */
int uplink_start(struct uplink *u, int connection, struct err *err);

/* Ends the device. No lcore uses it any more. Thread: control. */
void uplink_stop(struct uplink *u);

/* Whether the device takes the MTU, as it is set up; and gives it that. Errors: -ENOTSUP (code "mtu-refused"). */
int uplink_check_mtu(const struct uplink *u, uint16_t mtu, struct err *err);
int uplink_set_mtu(const struct uplink *u, uint16_t mtu, struct err *err);

#endif
