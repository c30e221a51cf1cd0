/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_UPLINK_DEVICE_H
#define DATAPATH_UPLINK_DEVICE_H

#include <stdint.h>

#include "numa/err.h"

/*
 * DPDK's device of an uplink, from its devargs ("0000:3b:00.0", "net_af_packet0,iface=eth0") to an
 * ethdev. The device lives as long as the uplink: EAL knows of none when it starts.
 */

/*
 * Has DPDK make the table that all its devices share, while there is memory: it would end the process
 * where there is none when the first device comes. Thread: control, once EAL runs.
 */
void uplink_device_start(void);

/*
 * Brings the device to life, unconfigured. Returns DPDK's port id. Errors: -EINVAL (code
 * "bad-devargs"), -EBUSY ("device-in-use"), -ENODEV ("no-such-device"), -EIO ("device-refused").
 * Thread: control. May wait: for the driver (net_virtio_user: up to 2 s for the other end of its socket).
 */
int uplink_device_open(const char *devargs, struct err *err);

/* Stops and removes the device; its mbufs are back in their pools then. Thread: control. */
void uplink_device_close(uint16_t dev);

#endif
