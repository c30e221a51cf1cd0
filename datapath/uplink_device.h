/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_UPLINK_DEVICE_H
#define DATAPATH_UPLINK_DEVICE_H

#include "datapath/dp.h"

/*
 * DPDK's device of an uplink, from its devargs ("0000:3b:00.0", "net_af_packet0,iface=eth0") to an
 * ethdev. The device lives as long as the uplink, or its connection (uplink_socket.h): EAL knows of none when it
 * starts.
 */

/*
 * Has DPDK make the table that all its devices share, while there is memory: it would end the process
 * where there is none when the first device comes. Thread: control, once EAL runs.
 */
void uplink_device_start(void);

/* What net_virtio_user is to be told, whatever the devargs say of who listens: to be the client of the path.
 * Errors: -EINVAL (code "bad-devargs": there is no room). */
int uplink_device_args(const char *devargs, const char *path, char args[DP_DEVARGS_SIZE],
		       struct err *err);

/*
 * Brings the device to life, unconfigured. `connection`: what a net_virtio_user is to take for its back-end, -1:
 * nothing. Returns DPDK's port id. Errors: -EINVAL (code "bad-devargs"), -EBUSY ("device-in-use"), -ENODEV
 * ("no-such-device"), -EIO ("device-refused"). Thread: control. May wait: for the driver.
 */
int uplink_device_open(const char *devargs, int connection, struct err *err);

/* Stops and removes the device; its mbufs are back in their pools then. Thread: control. May wait: for
 * EAL's interrupt thread. */
void uplink_device_close(uint16_t dev);

#endif
