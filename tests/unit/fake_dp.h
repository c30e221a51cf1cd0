/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_FAKE_DP_H
#define TESTS_UNIT_FAKE_DP_H

#include "datapath/dp.h"

/* Its lcores 1 and 2 have threads with these ids, which are nobody's: FAKE_TID, FAKE_TID + 1. */
#define FAKE_TID (1 << 30)

/*
 * The datapath as control/ sees it, for tests of control/ alone: it remembers what it was told and
 * refuses what it is told to refuse. The test resets it with `fake_dp = (struct fake_dp){0}`.
 */
struct fake_dp {
	bool refuse; /* whatever can fail, with -ENOMEM and code "fake" */
	unsigned int changes; /* calls that succeeded in changing something */
	uint64_t features; /* that the build has */

	struct dp_uplink_socket uplink; /* what dp_uplink_parse() reads out of any devargs */

	bool bridge[DP_BRIDGES_MAX];
	struct fake_port {
		bool open, is_uplink;
		struct dp_port_config config; /* of an uplink: bridge and rules */
		unsigned int queues;
		uint8_t lcore[DP_QUEUES_MAX];
		bool captured;
		unsigned int snaplen;
		struct dp_port_info info; /* what dp_port_info() says beyond what is above */
		bool has_nodes; /* its guest's memory is known: */
		int node[DP_QUEUES_MAX]; /* of each queue; the first is the guest's */
		bool moved; /* its memory, to these, which dp_port_locate() finds out: */
		int moved_to[DP_QUEUES_MAX];
		unsigned int located;
		bool parks; /* as its drain was told */
		unsigned int announced;
		uint64_t busy_cycles[DP_QUEUES_MAX], out_packets[DP_QUEUES_MAX];
	} port[8];

	/* What dp_poll() hands up. */
	struct dp_event event[16];
	unsigned int n_events, events_read;

	/* What passes captured ports: so many frames, each with its number in all of its bytes. */
	unsigned int frames, frames_read;
	uint32_t frame_bytes;
	int64_t frame_time_ns;
	uint64_t frames_lost;

	unsigned int n_lcores; /* that dp_lcore_stats() knows; 0: two */
	struct dp_lcore_stats lcore[4];
	int memory_elsewhere[DP_NODES_MAX]; /* 1 + node of what belongs to a node; 0: there */
	const char *lacks; /* what dp_memory_lacks() says; NULL: nothing */
	unsigned int moves; /* of queues */
	unsigned int move_refused; /* which of these is refused, counted from 1; 0: none */
	int connect_result; /* of dp_port_connect() */
	unsigned int connects;
	uint64_t memory_where[DP_NODES_MAX][DP_NODES_MAX]; /* bytes of a node's, by where they lie */
};
extern struct fake_dp fake_dp;

#endif
