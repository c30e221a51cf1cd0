/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_OPTIONS_H
#define FRONTEND_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/frontend/mem.h"
#include "bench/frontend/ring.h"

#define OPTIONS_MAX_GUESTS 1024
#define OPTIONS_MAX_MACS 65536
#define OPTIONS_MAX_VLANS 256
#define OPTIONS_MAX_SIZES 4093 /* prime: a random list never falls into step with a ring */

struct endpoint {
	const char *path;
	bool server; /* we listen, the switch connects */
};

/* What the command line asked for, checked. Written once by options_parse(). */
struct options {
	struct endpoint endpoints[OPTIONS_MAX_GUESTS];
	unsigned int guests;

	/* guests and rings */
	unsigned int queues; /* pairs */
	struct ring_config tx_ring;
	uint16_t rx_ring_size; /* descriptors; set to that of tx_ring where it was not named */
	uint16_t segments; /* --segments; 0: as the layout says, and so in tx_ring */
	bool mergeable;
	bool accept_csum; /* GUEST_CSUM */
	bool accept_tso; /* GUEST_TSO4 */
	bool calls; /* sleep on the call descriptor instead of polling */
	uint32_t rx_buffer_bytes; /* with header */
	unsigned int regions;
	enum arena_pages pages;
	bool shuffled;

	/* traffic */
	uint32_t sizes[OPTIONS_MAX_SIZES];
	unsigned int size_count;
	uint32_t min_bytes;
	uint32_t max_bytes;
	const char *size_text;
	unsigned int flows;
	uint16_t vlans[OPTIONS_MAX_VLANS];
	unsigned int vlan_count;
	unsigned int tags; /* frames are tagged 1..tags in turn; 0: as `vlans` says */
	uint8_t mac[6]; /* of guest 0, its first */
	unsigned int macs; /* of each guest; frames go from and to them in turn */
	uint8_t to[6];
	bool has_to;
	unsigned int senders; /* with `to`: guests that send, the first ones */
	unsigned int stream_base;
	bool both_ways;
	bool csum_offload;
	uint16_t gso_bytes; /* 0: no segmentation offload */
	double rate_pps; /* of each sending guest; 0: as fast as possible */
	double duration_s; /* 0: until count or signal */
	uint64_t count; /* of each sending guest; 0: until duration or signal */
	unsigned int burst;

	/* what to do and how to judge it */
	bool verify;
	bool latency;
	bool idle;
	bool log;
	uint64_t stop_after; /* 0: never */
	struct endpoint migrate; /* where the last guest goes then; path NULL: nowhere */
	const char *hostile;
	bool expect_no_loss;
	bool json;
	double wait_s;
	int cpu; /* -1: any */
};

/*
 * Reads the command line. Returns 0, 1 where help or a list was printed and nothing is left to do,
 * or -EINVAL with *err naming the option. Thread: control.
 */
int options_parse(struct options *options, int argc, char **argv, struct err *err);

#endif
