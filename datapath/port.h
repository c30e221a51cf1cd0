/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_PORT_H
#define DATAPATH_PORT_H

#include <stdatomic.h>

#include <rte_mbuf.h>

#include "datapath/burst.h"
#include "datapath/dp.h"
#include "datapath/park.h"

/*
 * A port of the switch: a guest's vhost-user port or an uplink. Both look the same from outside:
 * queues with an rx and a tx operation.
 *
 * Each queue pair belongs to one lcore, which alone polls it, sends on it and writes its counters;
 * so there is no lock. A frame for a queue of another lcore goes through that lcore's inbox
 * (inbox.h).
 *
 * Life: the control thread makes a port, publishes a snapshot that has it, publishes one that
 * has not, waits, frees it. An lcore reaches ports only through its snapshot.
 */
struct port;

struct port_queue {
	struct port *port;
	struct virtq *from_guest, *to_guest; /* of port_vhost.c, or NULL */
	uint16_t index; /* of the pair */
	_Atomic bool attention; /* a ring wants something besides frames: see vring_direct.c */
	uint8_t lcore_ctl; /* owner as last published, or about to be; control thread only */
	bool moves_ctl; /* to it */
	/* Who may touch what follows; writer: the lcore that owns it, and gives it away. See table_move(). */
	_Atomic uint8_t lcore;
	uint64_t left_tsc; /* when nobody looked at it any more; writer: as of lcore */
	_Atomic uint64_t pause_cycles; /* from then until it was looked at again; 0: not yet */
	/* The owning lcore's. */
	bool parks; /* frames for the guest go to the park, or nowhere */
	uint32_t hold_word; /* the port's as last seen, */
	uint8_t hold; /* and the enum park_hold in it */
	uint32_t drain_left; /* frames that may still be taken from the guest */
	_Atomic uint32_t drained_word; /* the hold_word for which no more are; readers: control */
	struct dp_stats stats; /* writer: the owning lcore */
	struct park park;
} __rte_cache_aligned;

struct port_ops {
	/* Brings up to BURST_MAX frames that came in into view, in the empty burst; counts what it had
	 * to drop itself. Thread: the owning lcore, as for all that follows without a word. */
	void (*rx)(struct port_queue *q, struct burst *b);

	/* The first `taken` frames of the burst are done with: gives their buffers back to who sent
	 * them, and keeps the rest for the next round. NULL: nothing to give back, and then all are
	 * always taken. */
	void (*rx_done)(struct port_queue *q, struct burst *b, uint16_t taken);

	/* Has the next frame that comes in wake the lcore `lcore`, this one (doze.h); the queue must be looked at
	 * once more after a full barrier. Returns false where it can't, or something else is to be done soon:
	 * then it is to be polled. NULL: it never can. */
	bool (*rx_arm)(struct port_queue *q, unsigned int lcore);

	/* The queue is polled again. May be NULL. */
	void (*rx_disarm)(struct port_queue *q);

	/* Delivers frames of the burst, from where they lie; with their VLAN tags, but for those of the
	 * VLAN `untagged`, which may be 0; `as_is`: all of them are in one piece, without tag, and are
	 * to go out so, ask for nothing, and are not longer than the output's MTU. Counts every one of
	 * them, delivered or not. NULL: the output wants mbufs. */
	void (*tx_frames)(struct port_queue *q, struct burst *b, struct frame **f, uint16_t n,
			  bool as_is, uint16_t untagged);

	/* Delivers n mbufs that the caller keeps and frees: the output copies. Counts every frame
	 * of them, delivered or not. An mbuf's ol_flags and lengths say what offloads it asks for
	 * (TX flags, as for an ethdev). It may modify an mbuf whose reference count is 1. NULL where
	 * the output keeps mbufs (then tx_own). */
	void (*tx_copy)(struct port_queue *q, struct rte_mbuf **m, uint16_t n);

	/* As tx_copy, for an output that keeps the mbufs: it owns them all from here on. */
	void (*tx_own)(struct port_queue *q, struct rte_mbuf **m, uint16_t n);

	/* As tx_own, but stops where there is no room: returns how many frames are done with, and counted.
	 * The others are freed, too: the caller has them somewhere else. */
	uint16_t (*tx_try)(struct port_queue *q, struct rte_mbuf **m, uint16_t n);

	/* Delivers what is parked, which the burst holds, as far as the guest has room. Returns how many
	 * frames of it are done with, and counted. NULL where nothing is parked. */
	uint16_t (*tx_parked)(struct port_queue *q, struct burst *b);

	/* Whether the queue pair takes frames now. NULL: always. Thread: any lcore. */
	bool (*tx_ready)(const struct port *p, uint16_t pair);

	void (*info)(struct port *p, struct dp_port_info *info);

	/* See dp_port_locate(). NULL: it never moves. Thread: control. */
	void (*locate)(struct port *p);

	/* Adds what the outside itself counted. May be NULL. Thread: control. */
	void (*add_stats)(struct port *p, struct dp_stats *sum);

	/* Sets what of the rules the device must know: its MTU. May be NULL. Thread: control. */
	int (*set_rules)(struct port *p, const struct dp_rules *rules, struct err *err);

	/* As dp_port_connect(). */
	int (*connect)(struct port *p);

	/* Closes the outside resource and frees the port. No lcore knows it any more.
	 * Thread: control. */
	void (*close)(struct port *p);
};

struct port {
	const struct port_ops *ops;
	uint16_t id;
	uint16_t n_queues;
	bool is_uplink;
	bool link_ctl; /* an uplink's link, as told by the last event */
	uint16_t mtu; /* relaxed atomic; writer: control thread; held against by the tx operations */
	uint8_t tx_retries; /* as mtu */
	uint16_t bridge_ctl;
	bool incoming_ctl; /* its guest has not run yet */
	/* Where its guest has gone, once that is known; and as what it was seen there. */
	int moved_to_ctl; /* port id, -1: nowhere */
	uint64_t moved_key_ctl;
	unsigned int announce_next_ctl; /* see announce_all() */
	uint64_t drain_from_ctl; /* frames that the guest had sent when it was to be drained */
	struct dp_rules rules_ctl; /* the snapshots carry what the lcores use */
	struct capture *capture_ctl;
	_Atomic uint32_t
		hold_word; /* enum park_hold, and how often it was set above; writer: control */
	struct park_port park;
	_Atomic uint64_t rate, storm[DP_STORMS]; /* limit.h; writers: the lcores of its queues */
	char name[DP_NAME_SIZE];
	struct port_queue *queue; /* [n_queues] */
};

/* Whose it is; before any lcore knows of it. Thread: control. */
static inline void
port_queue_give(struct port_queue *q, uint8_t lcore)
{
	q->lcore_ctl = lcore;
	atomic_store(&q->lcore, lcore);
}

/* Whether nothing more is taken from the guest, or given to it, on the queue pair. Thread: any. */
static inline bool
port_queue_is_drained(const struct port_queue *q)
{
	return atomic_load(&q->drained_word) == atomic_load(&q->port->hold_word);
}

static inline enum park_hold
port_hold(const struct port *p)
{
	return (enum park_hold)(atomic_load_explicit(&p->hold_word, memory_order_relaxed) & 0xff);
}

/* port_vhost.c. The port is not in a snapshot yet. Errors as dp_port_add(). Thread: control. */
int port_vhost_open(const struct dp_port_config *config, uint16_t id, struct port **port,
		    struct err *err);

/* port_uplink.c. Errors as dp_uplink_add(). Thread: control. */
int port_uplink_open(const struct dp_uplink_config *config, uint16_t id, unsigned int n_lcores,
		     struct port **port, struct err *err);

/* Sees to the sockets of all uplinks. To be called when event_fd() is readable. Thread: control. */
void port_uplink_poll(void);

#endif
