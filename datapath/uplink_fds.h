/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_UPLINK_FDS_H
#define DATAPATH_UPLINK_FDS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The descriptors of DPDK's drivers, of net_virtio_user above all, while a device is made or closed. The
 * linker sends connect(), eventfd() and close() here (--wrap, in meson.build); on any other thread, and at any
 * other time, these do what they always do.
 */

/* From here on a device is made; the next connect() gets `connection` (-1: connects). Thread: control. */
void uplink_fds_open_begin(int connection);

/* It is made, or not. A net_virtio_user that fails leaves its descriptors open. */
void uplink_fds_open_end(bool made);

/*
 * From here on the device is closed. DPDK 22.11 closes the descriptors of net_virtio_user's interrupts twice, and in
 * between another thread may get their numbers: for a guest's connection, say. So what is closed the first time
 * stays open.
 */
void uplink_fds_close_begin(uint16_t dev);
void uplink_fds_close_end(void);

#endif
