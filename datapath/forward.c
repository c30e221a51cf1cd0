/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/forward.h"

#include "datapath/event.h"
#include "datapath/inbox.h"
#include "datapath/stats.h"

static bool
forward_is_reserved(const struct rte_ether_addr *dst)
{
	static const uint8_t prefix[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};

	return memcmp(dst->addr_bytes, prefix, sizeof(prefix)) == 0 && dst->addr_bytes[5] < 0x10;
}

static bool
forward_owns_mac(const struct snap_port *sp, const struct rte_ether_addr *mac)
{
	uint16_t i;

	for (i = 0; i < sp->n_macs; i++) {
		if (memcmp(sp->mac[i].byte, mac->addr_bytes, RTE_ETHER_ADDR_LEN) == 0)
			return true;
	}
	return false;
}

/* Puts the frame into its VLAN. Returns false where the port does not carry it. */
static bool
forward_ingress_vlan(const struct snap_port *in, struct burst *b, uint16_t i)
{
	uint16_t vlan = burst_tag_vlan(b, i);

	/* A tag for the priority alone is taken off on the way to an untagged output. Another tag
	 * behind it would come to light there, and name a VLAN that was never checked. */
	if (unlikely(vlan == 0 && b->tagged[i] && burst_is_tagged_twice(b, i)))
		return false;
	if (in->access == 0) {
		b->vlan[i] = vlan;
		return vlan <= DP_VLAN_MAX && snap_port_has_vlan(in, vlan);
	}
	if (vlan != 0)
		return false;
	burst_set_vlan(b, i, in->access);
	return true;
}

/* A request to segment is carried out for each output that does not do it itself. To all ports of a
 * bridge that is work without bounds, and TCP has no group addresses. */
static bool
forward_is_bad_request(const struct burst *b, uint16_t i)
{
	return b->segmented[i] && rte_is_multicast_ether_addr(&b->eth[i]->dst_addr);
}

/* The reasons that need the input alone. Returns DP_IN_DROPS for none. */
static enum dp_in_drop
forward_check(const struct snap_port *in, struct burst *b, uint16_t i)
{
	if (unlikely(b->mbuf[i]->data_len < sizeof(struct rte_ether_hdr) ||
		     burst_is_cut_in_tag(b->mbuf[i]) ||
		     rte_is_multicast_ether_addr(&b->eth[i]->src_addr) ||
		     forward_is_bad_request(b, i)))
		return DP_IN_BAD_FRAME;
	if (unlikely(!forward_ingress_vlan(in, b, i)))
		return DP_IN_VLAN;
	if (unlikely(burst_exceeds_mtu(b->l3_bytes[i], in->mtu)))
		return DP_IN_MTU;
	if (in->n_macs != 0 && unlikely(!forward_owns_mac(in, &b->eth[i]->src_addr)))
		return DP_IN_SPOOF;
	return DP_IN_DROPS;
}

/* Where the fdb knows the MAC, in the VLAN or as a static one of a trunk; NULL: nowhere. */
static const struct snap_port *
forward_lookup(const struct snapshot *snap, const struct snap_port *in, const uint8_t *mac,
	       uint16_t vlan, struct fdb_value **value)
{
	uint16_t id;

	*value = fdb_find(in->fdb, fdb_key(mac, vlan), &id);
	if (*value == NULL && in->has_any_macs)
		*value = fdb_find(in->fdb, fdb_key(mac, DP_VLAN_ANY), &id);
	return *value == NULL ? NULL : snap->port[id];
}

/*
 * Notes the sender. *from is the port that it is known at (the input itself, mostly), or NULL.
 * Returns false where a guest uses the address of another port.
 */
static bool
forward_learn(const struct snapshot *snap, const struct snap_port *in, const struct burst *b,
	      uint16_t i, const struct snap_port **from)
{
	const uint8_t *mac = b->eth[i]->src_addr.addr_bytes;
	uint32_t now_s = atomic_load_explicit(&fdb_now_s, memory_order_relaxed);
	struct fdb_value *value;

	*from = forward_lookup(snap, in, mac, b->vlan[i], &value);
	if (likely(*from == in)) {
		/* A shared cache line: written once a second, not once a frame. */
		if (atomic_load_explicit(&value->seen_s, memory_order_relaxed) != now_s)
			atomic_store_explicit(&value->seen_s, now_s, memory_order_relaxed);
		return true;
	}
	if (value != NULL && atomic_load_explicit(&value->is_static, memory_order_relaxed))
		return in->is_uplink;
	/* What the adjacent bridge reflects to a VEPA port's side comes in at the uplink. */
	if (*from != NULL && (*from)->vepa && in->is_uplink)
		return true;
	if (value != NULL || !atomic_load_explicit(&in->fdb->full, memory_order_relaxed))
		event_post_mac(in->bridge, fdb_key(mac, b->vlan[i]), in->id);
	return true;
}

static void
forward_add(struct forward *f, const struct snap_port *out, struct burst *b, uint16_t i)
{
	uint16_t slot = f->slot_of[out->id];

	if (slot >= f->n_outs || f->out[slot].sp != out) {
		slot = (uint16_t)f->n_outs++;
		f->slot_of[out->id] = slot;
		f->out[slot].sp = out;
		f->out[slot].n = 0;
	}
	f->out[slot].frame[f->out[slot].n++] = (uint8_t)i;
	b->uses[i]++;
}

/* `from`: the local port that the sender is known at, where the frame came from an uplink. */
static void
forward_flood(struct forward *f, const struct snap_port *in, const struct snap_port *from,
	      const struct snap_port *const *list, uint16_t n, struct burst *b, uint16_t i)
{
	uint16_t k;

	for (k = 0; k < n; k++) {
		const struct snap_port *out = list[k];

		if (out == in || !snap_port_has_vlan(out, b->vlan[i]))
			continue;
		if ((in->vepa && !out->is_uplink) || (out->vepa && !in->is_uplink))
			continue;
		if (out->vepa && out == from)
			continue;
		forward_add(f, out, b, i);
	}
}

/* Finds the outputs. Returns why there are none, or DP_IN_DROPS. */
static enum dp_in_drop
forward_frame(struct forward *f, const struct snapshot *snap, const struct snap_port *in,
	      struct burst *b, uint16_t i)
{
	const struct rte_ether_addr *dst = &b->eth[i]->dst_addr;
	const struct snap_port *from = NULL, *out;
	struct fdb_value *value;

	b->uses[i] = 0;
	if (in->learn && unlikely(!forward_learn(snap, in, b, i, &from)))
		return DP_IN_SPOOF;
	if (unlikely(rte_is_multicast_ether_addr(dst))) {
		if (!forward_is_reserved(dst))
			forward_flood(f, in, from, in->flood_all, in->n_flood_all, b, i);
	} else {
		out = in->vepa ? NULL :
				 forward_lookup(snap, in, dst->addr_bytes, b->vlan[i], &value);
		if (unlikely(out == NULL || (out->vepa && !in->is_uplink)))
			forward_flood(f, in, from, in->flood_unknown, in->n_flood_unknown, b, i);
		else if (likely(out != in && snap_port_has_vlan(out, b->vlan[i])))
			forward_add(f, out, b, i);
	}
	return likely(b->uses[i] != 0) ? DP_IN_DROPS : DP_IN_NO_OUTPUT;
}

/* Hands one output its frames: itself, or through the inbox of the lcore that owns its queue. */
static void
forward_deliver(struct forward *f, const struct forward_out *o, struct port_queue *in,
		struct burst *b)
{
	struct port *p = o->sp->port;
	uint16_t pair = p->ops->tx_queue(p, in->index);
	struct port_queue *q = &p->queue[pair];
	bool is_mine = o->sp->owner[pair] == f->lcore;
	bool keeps = !is_mine || p->ops->tx_own != NULL;
	struct rte_mbuf *m[BURST_MAX];
	uint16_t i, n = 0, put;

	for (i = 0; i < o->n; i++) {
		uint16_t k = o->frame[i];
		bool tag = o->sp->access == 0 && b->vlan[k] != 0;

		m[n] = keeps ? burst_take(b, k, tag) : burst_mbuf(b, k, tag);
		if (likely(m[n] != NULL))
			n++;
		else
			stats_add(&f->undelivered[o->sp->id], 1);
	}
	if (is_mine && keeps) {
		p->ops->tx_own(q, m, n);
	} else if (is_mine) {
		p->ops->tx_copy(q, m, n);
	} else {
		put = inbox_put(o->sp->owner[pair], q, m, n);
		stats_add(&f->undelivered[o->sp->id], n - put);
		rte_pktmbuf_free_bulk(&m[put], n - put);
	}
}

void
forward_burst(struct forward *f, const struct snapshot *snap, const struct snap_port *in,
	      struct port_queue *q, struct burst *b)
{
	uint64_t bytes = 0, packets = 0;
	unsigned int slot;
	uint16_t i;

	f->n_outs = 0;
	for (i = 0; i < b->n; i++) {
		enum dp_in_drop drop = forward_check(in, b, i);

		if (likely(drop == DP_IN_DROPS))
			drop = forward_frame(f, snap, in, b, i);
		if (unlikely(drop != DP_IN_DROPS)) {
			stats_add(&q->stats.in_drop[drop], 1);
		} else {
			packets++;
			bytes += b->mbuf[i]->pkt_len;
		}
	}
	stats_add(&q->stats.in_packets, packets);
	stats_add(&q->stats.in_bytes, bytes);
	for (slot = 0; slot < f->n_outs; slot++)
		forward_deliver(f, &f->out[slot], q, b);
}
