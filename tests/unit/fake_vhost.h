/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_FAKE_VHOST_H
#define TESTS_UNIT_FAKE_VHOST_H

#include <rte_vhost.h>

#include "datapath/port_vhost.h"

/*
 * librte_vhost without EAL: sockets are real, vids are what the test says, callbacks run when the
 * test has them run. Also stands in for the event queue and for a grace period, and writes down
 * the order of what happened. Linked in with --wrap.
 */
#define FAKE_RINGS 4
#define FAKE_RING_SIZE 16
#define FAKE_MEMORY_ADDR 0x100000 /* the guest's */
#define FAKE_MEMORY_BYTES 0x8000

struct fake_vhost {
	char log[1024]; /* "grace up:3 " ... since the last fake_log() */
	int vid_at_grace; /* what the watched port's vid was when a grace period was waited for */
	unsigned int live_at_grace; /* and which of its rings were live, a bit each */
	int vid_at_node; /* ... and when the node of a ring was asked for */
	int node[FAKE_RINGS]; /* where the descriptors of each ring lie; negative: not mapped now */
	const struct port_vhost *watched;
	uint64_t library_features, disabled, protocol_features, negotiated;
	int registered; /* sockets that librte_vhost has */
	unsigned int rings;
	struct rte_vhost_vring ring[FAKE_RINGS]; /* split ones in `memory` */
	uint16_t base[FAKE_RINGS];
	uint8_t *memory; /* NULL: there is none */
	bool start_fails;
	const char *made_during_start; /* a file that somebody else makes at that time */
	int client_vid; /* of the next connection of a client port */
};
extern struct fake_vhost fake;

void fake_reset(void);

/* The guest's memory, and its rings, are mapped at one of two places. */
void fake_map(unsigned int which);

/* The rings of the watched port that lcores may use, a bit each. */
unsigned int fake_live(void);

/* What happened since, separated by blanks; forgets it. */
const char *fake_log(void);

/*
 * Connects to `path` as a front-end and has librte_vhost take it as `vid`. Returns our end, or -1
 * where the port refused it.
 */
int fake_arrive(const char *path, int vid);

/* The library's end of the connection. */
int fake_fd(int vid);

/* The library notices that the peer of `vid` is gone. */
void fake_leave(int vid);

/* The callbacks of the last socket that was started. */
const struct rte_vhost_device_ops *fake_ops(void);
const struct rte_vhost_user_extern_ops *fake_message_ops(void);

#endif
