/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "datapath/doze.h"
#include "datapath/rcu.h"

struct snapshot *_Atomic snapshot_current;

static uint64_t snapshot_generations; /* built so far; control thread */

/* How much of each array there is, in one allocation behind the snapshot. */
struct snapshot_size {
	size_t ports, polls;
};

static struct snapshot_size
snapshot_count(const struct snapshot_source *source)
{
	struct snapshot_size size = {0};
	unsigned int id;

	for (id = 0; id < DP_PORTS_MAX; id++) {
		if (source->port[id] == NULL)
			continue;
		size.ports++;
		size.polls += source->port[id]->n_queues;
	}
	return size;
}

/* A storm may begin with what comes in a tenth of a second. */
static void
snapshot_fill_limits(struct snap_port *sp, const struct dp_limits *limits)
{
	uint64_t hz = rte_get_tsc_hz();
	unsigned int i;

	limit_set(&sp->rate, limits->rate_bps / 8, limits->burst_bits / 8, FRAME_BYTES_MAX, hz);
	sp->limited = limit_is_set(&sp->rate);
	for (i = 0; i < DP_STORMS; i++)
		limit_set(&sp->storm[i], limits->storm_pps[i],
			  RTE_MAX(limits->storm_pps[i] / 10, 1u), 1, hz);
}

static void
snapshot_fill_vlans(struct snap_port *sp, const struct dp_vlans *vlans)
{
	sp->access = vlans->mode == DP_VLANS_ACCESS;
	sp->pvid = vlans->vlan;
	sp->untagged = vlans->mode == DP_VLANS_NATIVE_TAGGED ? 0 : vlans->vlan;
	sp->trunk_all = vlans->all && sp->pvid == 0;
	if (sp->access || sp->trunk_all)
		return;
	memcpy(sp->trunks, vlans->trunks, sizeof(sp->trunks));
	if (sp->pvid == 0)
		return;
	if (vlans->all)
		memset(sp->trunks, 0xff, sizeof(sp->trunks));
	sp->trunks[sp->pvid / 64] |= RTE_BIT64(sp->pvid % 64);
	/* What leaves without a tag would be in the native VLAN for who gets it. */
	sp->trunks[0] &= ~RTE_BIT64(0);
}

static void
snapshot_fill_port(struct snap_port *sp, struct port *p, const struct fdb *fdb)
{
	const struct dp_rules *rules = &p->rules_ctl;
	uint16_t q;

	sp->port = p;
	sp->fdb = fdb;
	sp->id = p->id;
	sp->bridge = p->bridge_ctl;
	snapshot_fill_vlans(sp, &rules->vlans);
	sp->mtu = rules->mtu;
	sp->n_macs = (uint16_t)rules->n_macs;
	memcpy(sp->mac, rules->mac, sizeof(sp->mac));
	sp->learn = rules->learn;
	sp->vepa = rules->vepa;
	sp->incoming = p->incoming_ctl;
	sp->is_uplink = p->is_uplink;
	sp->capture = p->capture_ctl;
	snapshot_fill_limits(sp, &rules->limits);
	for (q = 0; q < RTE_MIN(p->n_queues, (uint16_t)DP_QUEUES_MAX); q++) {
		sp->owner[q] = p->queue[q].lcore_ctl;
		if (p->queue[q].moves_ctl)
			sp->owner[q] |= SNAP_MOVES;
	}
}

/* By the rules, not by the fdb: MACs come and go there without a snapshot, with guests that move. */
static void
snapshot_fill_any(struct snap_port *sp, size_t n)
{
	bool has[DP_BRIDGES_MAX] = {false};
	size_t i;

	for (i = 0; i < n; i++)
		has[sp[i].bridge] |= sp[i].n_macs != 0 && !sp[i].access;
	for (i = 0; i < n; i++)
		sp[i].has_any_macs = has[sp[i].bridge];
}

/* Gives each port of the bridge the lists of those that a flooded frame goes to. */
static const struct snap_port **
snapshot_fill_flood(struct snap_port *sp, size_t n, uint16_t bridge, const struct snap_port **list)
{
	const struct snap_port **all = list, **unknown, **end;
	size_t i;

	for (i = 0; i < n; i++) {
		if (sp[i].bridge == bridge && !sp[i].incoming)
			*list++ = &sp[i];
	}
	unknown = list;
	for (i = 0; i < n; i++) {
		if (sp[i].bridge == bridge && !sp[i].incoming && (sp[i].is_uplink || sp[i].learn))
			*list++ = &sp[i];
	}
	end = list;
	for (i = 0; i < n; i++) {
		if (sp[i].bridge != bridge)
			continue;
		sp[i].flood_all = all;
		sp[i].n_flood_all = (uint16_t)(unknown - all);
		sp[i].flood_unknown = unknown;
		sp[i].n_flood_unknown = (uint16_t)(end - unknown);
	}
	return end;
}

static void
snapshot_fill_polls(struct snapshot *s, const struct snap_port *sp, size_t n_ports,
		    struct snap_poll *poll)
{
	unsigned int lcore;
	size_t i;
	uint16_t q;

	for (lcore = 1; lcore <= DP_LCORES_MAX; lcore++) {
		s->lcore[lcore].poll = poll;
		for (i = 0; i < n_ports; i++) {
			for (q = 0; q < sp[i].port->n_queues; q++) {
				if ((sp[i].owner[q] & ~SNAP_MOVES) != lcore)
					continue;
				poll->rx = sp[i].port->ops->rx;
				poll->sp = &sp[i];
				poll->queue = &sp[i].port->queue[q];
				poll++;
			}
		}
		s->lcore[lcore].n = (unsigned int)(poll - s->lcore[lcore].poll);
	}
}

struct snapshot *
snapshot_build(const struct snapshot_source *source)
{
	struct snapshot_size size = snapshot_count(source);
	size_t head = RTE_ALIGN_CEIL(sizeof(struct snapshot), RTE_CACHE_LINE_SIZE);
	size_t bytes = head + size.ports * sizeof(struct snap_port) +
		       size.polls * sizeof(struct snap_poll) +
		       2 * size.ports * sizeof(struct snap_port *);
	const struct snap_port **list;
	struct snap_poll *poll;
	struct snap_port *sp;
	struct snapshot *s;
	size_t n = 0;
	unsigned int id;
	uint16_t bridge;

	bytes = RTE_ALIGN_CEIL(bytes, RTE_CACHE_LINE_SIZE);
	s = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);
	if (s == NULL)
		return NULL;
	memset(s, 0, bytes);
	s->generation = ++snapshot_generations;
	sp = RTE_PTR_ADD(s, head);
	poll = (struct snap_poll *)(sp + size.ports);
	list = (const struct snap_port **)(poll + size.polls);

	for (id = 0; id < DP_PORTS_MAX; id++) {
		struct port *p = source->port[id];

		if (p == NULL)
			continue;
		snapshot_fill_port(&sp[n], p, source->fdb[p->bridge_ctl]);
		s->port[id] = &sp[n++];
	}
	snapshot_fill_any(sp, n);
	for (bridge = 0; bridge < DP_BRIDGES_MAX; bridge++)
		list = snapshot_fill_flood(sp, n, bridge, list);
	snapshot_fill_polls(s, sp, n, poll);
	return s;
}

void
snapshot_publish(struct snapshot *next)
{
	struct snapshot *old = atomic_exchange(&snapshot_current, next);

	doze_wake_all();
	rcu_synchronize();
	free(old);
}
