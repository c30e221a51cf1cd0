/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_SHARE_H
#define CONTROL_SHARE_H

#include "control/load.h"
#include "datapath/dp.h"

/*
 * For whom an lcore works: how much of its time each queue takes, as a mean of the last seconds.
 *
 * The datapath counts the cycles that went by for what came in on a queue. What an lcore did beyond
 * that, which is mostly delivery of frames that other lcores took in, is put to the account of its
 * queues by the frames that went out on them. Thread: control.
 */

#define SHARE_SAMPLES 5 /* of LOAD_INTERVAL_S each */

/* Of a queue pair. */
struct share {
	uint64_t busy_cycles, out_packets; /* at the last sample */
	uint64_t busy_new, out_new; /* since the one before */
	float sample[SHARE_SAMPLES]; /* 0..1 of its lcore */
};

/* Of the lcores. */
struct shares {
	unsigned int at; /* which sample is next */
	uint64_t total_cycles[DP_LCORES_MAX]; /* at the last sample */
	float other[DP_LCORES_MAX][SHARE_SAMPLES]; /* what no queue stands for */
};

struct model;

/* Takes a sample of all queues; to be called after load_sample(). */
void share_sample(struct shares *shares, struct model *m, const struct load *load);

/* The mean, in millionths of an lcore's time. */
uint32_t share_mean(const float sample[SHARE_SAMPLES]);

#endif
