/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_SNAPSHOT_H
#define DATAPATH_SNAPSHOT_H

#include <stdatomic.h>

#include "datapath/capture.h"
#include "datapath/fdb.h"
#include "datapath/limit.h"
#include "datapath/port.h"

/*
 * Who polls what, and what forwarding must know: one immutable picture for all lcores.
 *
 * The control thread builds a new one for each change (which may fail, and then nothing has
 * happened) and publishes it (which can't). An lcore takes the current one at the beginning of a
 * round and holds nothing of it beyond the round's end.
 */
/* The queue pair comes to the lcore, which does not have it yet: what is for it goes to the lcore's inbox. */
#define SNAP_MOVES 0x80

struct snap_port {
	struct port *port;
	const struct snap_port *const *flood_unknown; /* of its bridge: uplinks, and who learns */
	const struct snap_port *const *flood_all;
	const struct fdb *fdb;
	uint16_t n_flood_unknown, n_flood_all;
	uint16_t id, bridge;
	uint16_t pvid; /* VLAN of frames that come in without one; 0: none */
	uint16_t untagged; /* VLAN whose frames leave without tag; 0 where that is none but VLAN 0 */
	uint16_t mtu;
	uint16_t n_macs;
	bool access; /* in VLAN pvid alone, and tagged frames don't come in */
	bool trunk_all, learn, vepa, is_uplink;
	bool incoming; /* its guest has not run yet */
	bool has_any_macs; /* on its bridge MACs were given that are valid in every VLAN */
	bool limited; /* its rate is */
	struct limit rate, storm[DP_STORMS]; /* of port->rate, port->storm */
	struct capture *capture; /* NULL: none */
	uint8_t owner[DP_QUEUES_MAX]; /* lcore of each queue pair, and SNAP_MOVES */
	struct dp_mac mac[DP_MACS_MAX];
	uint64_t trunks[64];
} __rte_cache_aligned;

struct snap_poll {
	void (*rx)(struct port_queue *q, struct burst *b);
	struct port_queue *queue;
	const struct snap_port *sp;
};

struct snapshot {
	uint64_t generation; /* counts from 1: tells one from the next, also at the same address */
	const struct snap_port *port[DP_PORTS_MAX]; /* by id; NULL: none */
	struct {
		const struct snap_poll *poll;
		unsigned int n;
	} lcore[DP_LCORES_MAX + 1];
};

/* What a snapshot is built from: the control thread's own tables. */
struct snapshot_source {
	struct port *port[DP_PORTS_MAX];
	struct fdb *fdb[DP_BRIDGES_MAX];
};

/* Written by the control thread alone; lcores load it once a round. */
extern struct snapshot *_Atomic snapshot_current;

/* Returns NULL for no memory. Thread: control. */
struct snapshot *snapshot_build(const struct snapshot_source *source);

/* Makes `next` (may be NULL, at the end) the current one and frees the old one.
 * Thread: control. May wait: one grace period. */
void snapshot_publish(struct snapshot *next);

/* True if frames of the VLAN (0: untagged) may pass the port. Thread: any. */
static inline bool
snap_port_has_vlan(const struct snap_port *sp, uint16_t vlan)
{
	if (sp->access)
		return sp->pvid == vlan;
	return sp->trunk_all || (sp->trunks[vlan / 64] & RTE_BIT64(vlan % 64)) != 0;
}

/* True if the frame may leave by the port. Not where its tag would be taken off between two switches,
 * and another one behind it come to light: that names a VLAN that was never checked. Thread: any. */
static inline bool
snap_port_takes(const struct snap_port *sp, const struct frame *fr)
{
	return snap_port_has_vlan(sp, fr->vlan) &&
	       (likely(!fr->tagged) || sp->access || fr->vlan != sp->untagged ||
		!frame_is_tagged_twice(fr));
}

/* Whether the MAC is one of those that its guest was given. */
static inline bool
snap_port_has_mac(const struct snap_port *sp, const struct rte_ether_addr *mac)
{
	uint16_t i;

	for (i = 0; i < sp->n_macs; i++) {
		if (memcmp(sp->mac[i].byte, mac->addr_bytes, RTE_ETHER_ADDR_LEN) == 0)
			return true;
	}
	return false;
}

#endif
