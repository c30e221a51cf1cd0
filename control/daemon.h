/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_DAEMON_H
#define CONTROL_DAEMON_H

#include <event2/event.h>
#include <stdint.h>

#include "control/arrival.h"
#include "control/drain.h"
#include "control/lcore_watch.h"
#include "control/load.h"
#include "control/model.h"
#include "control/options.h"
#include "control/ovsdb.h"
#include "control/rebalance.h"
#include "control/recorder.h"
#include "control/rpc.h"
#include "control/takeback.h"
#include "numa/topology.h"

/* All that main() has built, for the methods to work on. Thread: control. */
struct daemon {
	struct options options;
	struct topology topology;
	struct event_base *base;
	struct model model;
	struct load load;
	struct rebalance rebalance;
	struct lcore_watch lcore_watch;
	unsigned int follow_turn; /* of follow_second() */
	struct recorder recorder;
	struct drain_waits drain_waits;
	struct takebacks takebacks;
	struct arrivals arrivals;
	struct ovsdb *ovsdb; /* NULL: none is served */
	struct rpc *rpc;
	uint64_t event_seq; /* of the last event sent */
	unsigned int event_lines[DP_PORTS_MAX]; /* each port has caused in the log in this second */
	int64_t started_ns; /* CLOCK_MONOTONIC */
};

/* CLOCK_MONOTONIC. */
int64_t daemon_now_ns(void);

/* Ends the event loop, once what is under way is done. */
void daemon_quit(struct daemon *d);

#endif
