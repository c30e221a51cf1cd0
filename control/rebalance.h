/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_REBALANCE_H
#define CONTROL_REBALANCE_H

#include <stdbool.h>

#include "control/share.h"

/*
 * Queues go from busy lcores to idle ones, as numa/balance.h plans it from what they take of their
 * lcores' time: when somebody asks, and, unless the configuration says no, by themselves.
 *
 * By themselves: an lcore was busy for REBALANCE_BUSY_PERCENT in each of the last SHARE_SAMPLES
 * seconds, and the plan for its memory node takes away REBALANCE_GAIN_PERCENT of the variance there at
 * least. Then that node has to wait, REBALANCE_WAIT_FIRST_S, and after each time
 * that it was needed again twice as long, so that a load that goes to and fro does not take the queues
 * with it; once no lcore there was that busy for as long as the wait, the first wait is back.
 * Thread: control.
 */

#define REBALANCE_MARGIN_PERCENT 5 /* of an lcore: less is not worth a move */
#define REBALANCE_BUSY_PERCENT 90
#define REBALANCE_GAIN_PERCENT 25
#define REBALANCE_WAIT_FIRST_S 10
#define REBALANCE_WAIT_LAST_S 320

struct rebalance {
	struct shares shares;
	unsigned int busy_s[DP_LCORES_MAX]; /* for how long each lcore is that busy now */
	struct rebalance_node {
		unsigned int wait_s; /* to be observed after the next time; 0 stands for the first */
		unsigned int left_s; /* of the last wait */
		unsigned int calm_s; /* for how long none of its lcores is that busy */
	} node[DP_NODES_MAX];
};

struct daemon;

/* Takes a sample, and does what is due. To be called after load_sample(). */
void rebalance_second(struct daemon *d);

#endif
