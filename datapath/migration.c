/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/migration.h"

#include <errno.h>

#include "datapath/announce.h"
#include "datapath/inbox.h"
#include "datapath/rcu.h"
#include "datapath/table.h"

/*
 * A guest leaves one port and comes up at another, of this host or behind an uplink. The order, so that no
 * frame is lost and none overtakes another:
 *
 *  1. Its rings stop, or the port is drained: what is for it is parked (park_begin, park_hold).
 *  2. It is heard of elsewhere (migration_seen, or an incoming port that begins to run): what is parked
 *     is redirected there, and so is what still comes for the old port, behind it.
 *  3. When nothing is left, its MAC is known at the new place.
 *
 * Or its rings run again: then what is parked is given to it, and the MACs that it was given are known
 * here again.
 */

void
migration_init(struct port *p, const struct dp_rules *rules, bool incoming)
{
	p->park.ms = rules->park_ms;
	p->park.frames_max = rules->park_frames;
	p->park.redirect = p->moved_to_ctl = -1;
	p->incoming_ctl = incoming;
	if (incoming)
		park_hold(p, PARK_HOLD_INCOMING);
}

static bool
migration_is_drained(const struct port *p)
{
	enum park_hold hold = port_hold(p);

	return hold == PARK_HOLD || hold == PARK_HOLD_DROP;
}

static bool
migration_is_away(const struct port *p)
{
	return !p->is_uplink && (port_hold(p) != PARK_NO_HOLD || !p->ops->tx_ready(p, 0));
}

/* From here on nobody puts anything behind what was parked where the MACs were before. */
static void
migration_settle(void)
{
	rcu_synchronize();
	inbox_settle();
	rcu_synchronize();
}

static void
migration_moved(struct port *p)
{
	event_post(DP_EVENT_PORT_MOVED, p->id, (uint64_t)p->moved_to_ctl);
	p->moved_to_ctl = -1;
	park_finish(p);
}

/* What was parked goes there from now on. Returns true if there is nothing. */
static bool
migration_redirect(struct port *p, uint16_t to, uint64_t key)
{
	p->moved_to_ctl = to;
	p->moved_key_ctl = key;
	atomic_store(&p->park.redirect, to);
	return atomic_load(&p->park.n) == 0;
}

/* The other port of this host that has the MAC; NULL: none, or a port that it may leave at once: an uplink,
 * or that of a guest which is there and uses an address that was not given to it. */
static struct port *
migration_holder(const struct port *p, unsigned int i)
{
	uint16_t at = table_port_of_mac(p, i);
	struct port *holder = at != FDB_NO_PORT ? table.port[at] : NULL;

	if (holder == p || holder == NULL || holder->is_uplink)
		return NULL;
	return migration_is_away(holder) || table_mac_is_given(p, i) ? holder : NULL;
}

/*
 * Its rings run: it is here, whether it was awaited or comes back. Where another port of this host has
 * its MACs, their guest has to be away, and what is parked there comes first: then this is called again.
 */
static void
migration_arrived(struct port *p)
{
	bool waits = false;
	struct port *from;
	unsigned int i;
	int id, moved;

	atomic_store(&p->park.redirect, -1);
	p->moved_to_ctl = -1;
	for (i = 0; i < p->rules_ctl.n_macs; i++) {
		from = migration_holder(p, i);
		if (from == NULL)
			continue;
		if (!migration_is_away(from))
			return;
		/* What comes from there may be more than its rings hold. */
		if (port_hold(p) == PARK_HOLD_INCOMING)
			park_catch_up(p);
		waits |= !migration_redirect(from, p->id, 0);
	}
	if (waits)
		return;
	park_back(p);
	moved = table_claim_macs(p);
	if (moved < 0) {
		/* No memory for a snapshot: again, when there is time. */
		event_post(DP_EVENT_PORT_UP, p->id, 0);
		return;
	}
	if (port_hold(p) == PARK_HOLD_INCOMING) {
		park_catch_up(p);
		park_hold(p, PARK_NO_HOLD);
		moved++;
	}
	if (moved > 0)
		event_post(DP_EVENT_PORT_ARRIVED, p->id, 0);
	for (id = 0; id < DP_PORTS_MAX; id++) {
		if (table.port[id] == NULL || table.port[id]->moved_to_ctl != p->id)
			continue;
		migration_settle();
		migration_moved(table.port[id]);
	}
}

void
migration_retry(void)
{
	int id;

	for (id = 0; id < DP_PORTS_MAX; id++)
		if (table.port[id] != NULL && !table.port[id]->is_uplink &&
		    table.port[id]->moved_to_ctl < 0 && !migration_is_drained(table.port[id]) &&
		    table.port[id]->ops->tx_ready(table.port[id], 0))
			migration_arrived(table.port[id]);
}

void
migration_recover(void)
{
	int id;

	migration_retry();
	for (id = 0; id < DP_PORTS_MAX; id++)
		if (table.port[id] != NULL && migration_is_drained(table.port[id]))
			event_post(DP_EVENT_QUEUE_DRAINED, (uint16_t)id, 0);
}

void
migration_forget(int port)
{
	int id;

	for (id = 0; id < DP_PORTS_MAX; id++) {
		struct port *p = table.port[id];

		if (p == NULL)
			continue;
		if (atomic_load(&p->park.redirect) == port)
			atomic_store(&p->park.redirect, -1);
		if (p->moved_to_ctl == port)
			p->moved_to_ctl = -1;
	}
	migration_retry();
}

/* All that was parked has left. */
static void
migration_finish(struct port *p)
{
	struct port *to = p->moved_to_ctl >= 0 ? table.port[p->moved_to_ctl] : NULL;

	if (to == NULL || atomic_load(&p->park.n) != 0)
		return;
	if (p->moved_key_ctl == 0) {
		migration_arrived(to);
		return;
	}
	/* With all that it was known by: the others will be heard of, or are flooded to. */
	table_forget_macs(p);
	fdb_flush_port(table.fdb[p->bridge_ctl], p->id);
	fdb_learn(table.fdb[p->bridge_ctl], p->moved_key_ctl, to->id, UINT32_MAX);
	migration_settle();
	migration_moved(p);
}

unsigned int
migration_left_ms(const struct port *p)
{
	return migration_is_away(p) ? park_left_ms(p) : 0;
}

bool
migration_seen(const struct event_mac *mac)
{
	uint16_t at = fdb_port_of(table.fdb[mac->bridge], mac->fdb_key);
	struct port *p = at != FDB_NO_PORT ? table.port[at] : NULL;

	if (p == NULL || at == mac->port || !migration_is_away(p))
		return false;
	if (p->moved_to_ctl != mac->port && migration_redirect(p, mac->port, mac->fdb_key))
		migration_finish(p);
	return true;
}

static uint64_t
migration_frames_of_guest(const struct port *p)
{
	struct dp_stats stats;

	dp_port_stats(p->id, -1, &stats);
	return stats.in_packets;
}

uint64_t
migration_forwarded(const struct port *p)
{
	return migration_frames_of_guest(p) - p->drain_from_ctl;
}

/* One queue is drained. Returns true when all are, once. */
static bool
migration_drained(struct port *p)
{
	uint32_t word = atomic_load(&p->hold_word);
	uint16_t i;

	if (!migration_is_drained(p) || p->park.drained_word == word)
		return false;
	for (i = 0; i < p->n_queues; i++)
		if (!port_queue_is_drained(&p->queue[i]))
			return false;
	p->park.drained_word = word;
	/* Also what other lcores still have of it. */
	inbox_settle();
	rcu_synchronize();
	return true;
}

bool
migration_event(struct dp_event *event)
{
	struct port *p = table.port[event->port];

	if (p == NULL)
		return true;
	switch (event->type) {
	case DP_EVENT_PORT_UP:
		migration_arrived(p);
		return true;
	case DP_EVENT_PORT_DOWN:
	case DP_EVENT_PORT_PARKING:
		migration_retry();
		return true;
	case DP_EVENT_PORT_REDIRECTED:
	case DP_EVENT_PARK_EXPIRED:
		migration_finish(p);
		return true;
	case DP_EVENT_QUEUE_DRAINED:
		if (!migration_drained(p))
			return false;
		event->type = DP_EVENT_PORT_DRAINED;
		event->value = migration_forwarded(p);
		return true;
	default:
		return true;
	}
}

int
dp_port_drain(int port, bool park)
{
	struct port *p = table.port[port];

	if (port_hold(p) != PARK_NO_HOLD)
		return -EALREADY;
	if (!p->ops->tx_ready(p, 0))
		return -ENOTCONN;
	p->drain_from_ctl = migration_frames_of_guest(p);
	if (park) {
		park_begin(p, true);
		park_tell(p);
	}
	park_hold(p, park ? PARK_HOLD : PARK_HOLD_DROP);
	return 0;
}

int
dp_port_resume(int port)
{
	struct port *p = table.port[port];

	if (!migration_is_drained(p))
		return -EALREADY;
	atomic_store(&p->park.away, false);
	park_hold(p, PARK_NO_HOLD);
	/* Somebody may have been taken for its guest meanwhile. */
	if (p->ops->tx_ready(p, 0))
		migration_arrived(p);
	return 0;
}

void
dp_port_announce(int port)
{
	announce_all(table.port[port]);
}
