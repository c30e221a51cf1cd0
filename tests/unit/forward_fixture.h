/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_FORWARD_FIXTURE_H
#define TESTS_UNIT_FORWARD_FIXTURE_H

#include "datapath/forward.h"
#include "datapath/table.h"

/*
 * forward + snapshot + table + burst together, with ports that only remember what they were sent.
 * One thread plays the lcore; there is no other, so a grace period is over at once.
 *
 * Guests are of one of two kinds. What direct ones send lies in buffers of their own, in one piece
 * or several, and they take frames from where these lie; all others send and take mbufs.
 */
enum {
	PORTS = 8,
	PAIRS = 3, /* room for queue pairs of a port */
	KEPT = 64,
	UPLINK = 5,
	ANY = DP_VLAN_ANY
};

#define LCORE 1 /* the one that is played; 2 is another */

struct fake_port {
	struct port base;
	struct port_queue queue[PAIRS];
	bool off[PAIRS]; /* takes no frames on this pair */
	unsigned int n_got, got_on[PAIRS];
	uint8_t got[KEPT][64]; /* the beginning of each frame that was sent on it */
	uint32_t got_len[KEPT];
};

struct frame_spec {
	uint8_t dst, src; /* last byte of 02:00:00:00:00:xx; 0xff as dst: broadcast */
	int vlan; /* -1: no tag */
	uint16_t len; /* without the tag; 0: 60 */
};

extern struct fake_port fakes[PORTS];
extern struct forward fwd;
extern struct rte_mempool *pool; /* of LCORE */

/* Port n has the MAC 02:00:00:00:00:n where it has one. `id` from UPLINK on is an uplink. */
void add_port(uint16_t id, uint16_t access, bool has_mac, const struct dp_rules *more);

/* Adds a frame to the next burst. Returns its bytes, which may be changed until that is sent. */
uint8_t *add_frame(const struct frame_spec *f);
uint16_t frame_bytes(void); /* of the last one */

/* The last one asks to be cut into segments; or (a direct guest's) for what does not fit it. */
void ask_for_segments(void);
void ask_for_nonsense(void);

/* What an lcore does with a burst that came in on a port. Returns how many it is done with. */
uint16_t forward(uint16_t from);

/* Sends frames in one burst from a port, and takes in what was learned by it. */
uint16_t send_burst(uint16_t from, const struct frame_spec *f, uint16_t n);
void send_one(uint16_t from, uint8_t dst, uint8_t src, int vlan);

/* The ports that got the last burst, as a bit set. */
unsigned int receivers(void);
#define P(n) (1U << (n))

/* The tag that port `id` got its one frame with, -1 for none. */
int tag_of(uint16_t id);

uint64_t dropped(uint16_t id, enum dp_in_drop reason);

/* EAL and what it takes; 0 or -1. */
int forward_fixture_start(void);

/* Around each test. */
int setup_mbufs(void **state);
int setup_direct(void **state);
int teardown(void **state);
#define ON_MBUFS(fn)                                 \
	{                                            \
#fn, fn, setup_mbufs, teardown, NULL \
	}
#define ON_DIRECT(fn)                                           \
	{                                                       \
#fn "/direct", fn, setup_direct, teardown, NULL \
	}
#define ON_BOTH(fn) ON_MBUFS(fn), ON_DIRECT(fn)

#endif
