/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_UPLINK_WAKE_H
#define DATAPATH_UPLINK_WAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/dp.h"

/*
 * What wakes an lcore when a frame comes in on an uplink's queue: the device's receive interrupt, or, as
 * net_af_packet has none, its socket. A device that has neither must be polled.
 */
struct uplink_wake {
	uint16_t dev, n_rx;
	bool interrupts;
	int fd[DP_QUEUES_MAX]; /* -1: none */
	uint8_t watched_on[DP_QUEUES_MAX]; /* the lcore that it wakes; 0: none; the owning lcore's */
	bool armed[DP_QUEUES_MAX]; /* the owning lcore's */
};

/* Of a device that has started, with receive interrupts asked for or not. Thread: control. */
void uplink_wake_open(struct uplink_wake *w, uint16_t dev, uint16_t n_rx, bool interrupts);

/* Puts n packet sockets of ours into the order in which they were opened. Thread: control. */
void uplink_wake_sort(int *fd, uint16_t n);

/* Before the device is closed. Thread: control, no lcore has the uplink any more. */
void uplink_wake_close(struct uplink_wake *w);

/* As port_ops.rx_arm and rx_disarm. Thread: the owning lcore. */
bool uplink_wake_arm(struct uplink_wake *w, uint16_t rxq, unsigned int lcore);
void uplink_wake_disarm(struct uplink_wake *w, uint16_t rxq);

#endif
