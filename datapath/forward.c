/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/forward.h"

#include <rte_cycles.h>

#include "datapath/deliver.h"
#include "datapath/event.h"
#include "datapath/stats.h"

static bool
forward_is_reserved(const struct rte_ether_addr *dst)
{
	static const uint8_t prefix[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};

	return memcmp(dst->addr_bytes, prefix, sizeof(prefix)) == 0 && dst->addr_bytes[5] < 0x10;
}

/* Puts the frame into its VLAN. Returns false where the port does not carry it. */
static bool
forward_ingress_vlan(const struct snap_port *in, struct frame *fr)
{
	uint16_t vlan = frame_tag_vlan(fr);

	/* A tag for the priority alone is taken off on the way to an untagged output. Another tag
	 * behind it would come to light there, and name a VLAN that was never checked. */
	if (unlikely(vlan == 0 && fr->tagged && frame_is_tagged_twice(fr)))
		return false;
	if (vlan == 0 && in->pvid != 0) {
		frame_set_vlan(fr, in->pvid);
		return true;
	}
	fr->vlan = vlan;
	return vlan <= DP_VLAN_MAX && !in->access && snap_port_has_vlan(in, vlan);
}

/*
 * Frames of a burst, one behind the other, with the same Ethernet header, tag and kind of request:
 * guests send in such rows, and what follows from the header is found out once for each.
 */
struct forward_run {
	uint16_t first, end; /* frames */
	uint8_t drop; /* enum dp_in_drop of all of them; DP_IN_DROPS: none */
	uint64_t src_key, dst_key, src_hash, dst_hash; /* in the fdb */
};

/* A request to segment is carried out for each output that does not do it itself. To all ports of a
 * bridge that is work without bounds, and TCP has no group addresses. */
static bool
forward_is_bad_request(const struct frame *fr)
{
	return fr->bad_request ||
	       (fr->segmented && rte_is_multicast_ether_addr(&frame_eth(fr)->dst_addr));
}

static inline bool
forward_is_too_long(const struct snap_port *in, const struct frame *fr)
{
	return burst_exceeds_mtu(frame_l3_bytes(fr), in->mtu);
}

/* The reasons that need the input alone, but for the mtu, which each frame is held against. Returns
 * DP_IN_DROPS for none. */
static enum dp_in_drop
forward_check(const struct snap_port *in, struct frame *fr)
{
	const struct rte_ether_hdr *eth = frame_eth(fr);

	if (unlikely(fr->bytes == 0))
		return DP_IN_BAD_RING;
	if (unlikely(fr->bytes < sizeof(*eth) || frame_is_cut_in_tag(fr) ||
		     rte_is_multicast_ether_addr(&eth->src_addr) || forward_is_bad_request(fr)))
		return DP_IN_BAD_FRAME;
	if (unlikely(!forward_ingress_vlan(in, fr)))
		return DP_IN_VLAN;
	if (in->n_macs != 0 && unlikely(!snap_port_has_mac(in, &eth->src_addr)))
		return DP_IN_SPOOF;
	return DP_IN_DROPS;
}

static void
forward_begin_run(struct forward_run *run, const struct snap_port *in, struct frame *fr, uint16_t i)
{
	const struct rte_ether_hdr *eth = frame_eth(fr);

	run->first = i;
	run->drop = (uint8_t)forward_check(in, fr);
	run->dst_key = fdb_key(eth->dst_addr.addr_bytes, fr->vlan);
	run->dst_hash = fdb_hash(in->fdb, run->dst_key);
	fdb_prefetch(in->fdb, run->dst_hash);
	if (!in->learn)
		return;
	run->src_key = fdb_key(eth->src_addr.addr_bytes, fr->vlan);
	run->src_hash = fdb_hash(in->fdb, run->src_key);
	fdb_prefetch(in->fdb, run->src_hash);
}

/* What frames of a run have in common. */
struct forward_same {
	uint64_t dst, src; /* with the bytes behind them up to the next field */
	uint64_t marks;
	uint32_t tag;
};

static inline struct forward_same
forward_same_as(const struct frame *fr)
{
	struct forward_same same = {.marks = fr->marks};

	memcpy(&same.dst, fr->head, sizeof(same.dst));
	memcpy(&same.src, fr->head + RTE_ETHER_ADDR_LEN, sizeof(same.src));
	memcpy(&same.tag, fr->head + sizeof(struct rte_ether_hdr), sizeof(same.tag));
	return same;
}

static inline bool
forward_is_same(const struct forward_same *same, const struct frame *fr)
{
	struct forward_same other = forward_same_as(fr);

	return likely(other.dst == same->dst && other.src == same->src &&
		      other.marks == same->marks) &&
	       (likely(same->marks == 0) ||
		(!fr->is_short && (!fr->tagged || other.tag == same->tag)));
}

/* Divides the burst. Returns how many runs there are. */
static uint16_t
forward_divide(const struct snap_port *in, struct burst *b, struct forward_run *run)
{
	uint16_t n = b->n, i = 0, n_runs = 0, vlan;

	do {
		struct forward_same same = forward_same_as(&b->frame[i]);

		forward_begin_run(&run[n_runs], in, &b->frame[i], i);
		vlan = b->frame[i].vlan;
		/* Where untagged frames have a VLAN, the head of one with a priority tag was changed. */
		while (++i < n && forward_is_same(&same, &b->frame[i]) &&
		       (same.marks == 0 || in->pvid == 0 || !b->frame[i].tagged ||
			frame_tag_vlan(&b->frame[i]) != 0))
			b->frame[i].vlan = vlan;
		run[n_runs++].end = i;
	} while (i < n);
	return n_runs;
}

/* Where the fdb knows the MAC, in the VLAN or as a static one of a trunk; NULL: nowhere. */
static inline const struct snap_port *
forward_lookup(const struct snapshot *snap, const struct snap_port *in,
	       const struct rte_ether_addr *mac, uint64_t key, uint64_t hash,
	       struct fdb_value **value)
{
	uint64_t any_key, any_hash;
	uint16_t id = FDB_NO_PORT;

	/* A MAC is known in the VLAN or in any, not both; so where one is at home the other is not. */
	*value = fdb_match(fdb_home(in->fdb, hash), key, &id);
	if (unlikely(*value == NULL) && in->has_any_macs) {
		any_key = fdb_key(mac->addr_bytes, DP_VLAN_ANY);
		any_hash = fdb_hash(in->fdb, any_key);
		*value = fdb_match(fdb_home(in->fdb, any_hash), any_key, &id);
		if (unlikely(*value == NULL))
			*value = fdb_find_hashed(in->fdb, any_key, any_hash, &id);
	}
	if (unlikely(*value == NULL))
		*value = fdb_find_hashed(in->fdb, key, hash, &id);
	return *value == NULL ? NULL : snap->port[id];
}

/* Whether a guest's port can't deliver: its rings do not run, or it is drained. */
static bool
forward_is_away(const struct snap_port *sp)
{
	const struct port *p = sp->port;

	return p->ops->tx_ready != NULL && !p->is_uplink &&
	       (port_hold(p) != PARK_NO_HOLD || !p->ops->tx_ready(p, 0));
}

/* What the adjacent bridge reflects to a VEPA port's side comes in at the uplink; so does the last that a
 * guest sent before it went away. */
static bool
forward_is_reflected(const struct snap_port *from)
{
	return from->vepa && (!forward_is_away(from) || park_has_just_begun(from->port));
}

/* Whether the frame is for a guest of this host. */
static bool
forward_is_local(const struct snapshot *snap, const struct snap_port *in, const struct frame *fr,
		 const struct forward_run *run)
{
	struct fdb_value *value;
	const struct snap_port *to = forward_lookup(snap, in, &frame_eth(fr)->dst_addr,
						    run->dst_key, run->dst_hash, &value);

	return to != NULL && !to->is_uplink;
}

/*
 * Notes the sender. *from is the port that it is known at (the input itself, mostly), or NULL.
 * Returns false where a guest uses the address of another port.
 */
static inline bool
forward_learn(const struct snapshot *snap, const struct snap_port *in, const struct frame *fr,
	      const struct forward_run *run, const struct snap_port **from)
{
	uint32_t now_s = atomic_load_explicit(&fdb_now_s, memory_order_relaxed);
	struct fdb_value *value;

	*from = forward_lookup(snap, in, &frame_eth(fr)->src_addr, run->src_key, run->src_hash,
			       &value);
	if (likely(*from == in)) {
		/* A shared cache line: written once a second, not once a frame. */
		if (atomic_load_explicit(&value->seen_s, memory_order_relaxed) != now_s)
			atomic_store_explicit(&value->seen_s, now_s, memory_order_relaxed);
		return true;
	}
	if (value != NULL && atomic_load_explicit(&value->is_static, memory_order_relaxed)) {
		/* A guest that is away has come up somewhere else. In a VLAN that it has not it is
		 * another. */
		if (in->is_uplink && *from != NULL && forward_is_away(*from) &&
		    snap_port_has_vlan(*from, fr->vlan) && !forward_is_reflected(*from))
			event_post_mac(in->bridge, run->src_key, in->id);
		return in->is_uplink;
	}
	/* What was parked for a guest elsewhere comes to it here: its sender has not moved. */
	if (*from != NULL && in->is_uplink && !(*from)->is_uplink && !forward_is_away(*from) &&
	    forward_is_local(snap, in, fr, run))
		return true;
	if (*from != NULL && in->is_uplink && forward_is_reflected(*from))
		return true;
	if (value != NULL || !atomic_load_explicit(&in->fdb->full, memory_order_relaxed))
		event_post_mac(in->bridge, run->src_key, in->id);
	return true;
}

static inline struct forward_out *
forward_out(struct forward *f, const struct snap_port *sp)
{
	uint16_t slot = f->slot_of[sp->id];

	if (slot >= f->n_outs || f->out[slot].sp != sp) {
		slot = (uint16_t)f->n_outs++;
		f->slot_of[sp->id] = slot;
		f->out[slot].sp = sp;
		f->out[slot].n = 0;
		f->out[slot].as_is = true;
	}
	return &f->out[slot];
}

static inline void
forward_add(struct forward_out *o, struct frame *fr)
{
	o->frame[o->n++] = fr;
	o->as_is = false;
	fr->uses++;
}

/* `from`: the local port that the sender is known at, where the frame came from an uplink. Returns
 * why there is no output, or DP_IN_DROPS. */
static enum dp_in_drop
forward_flood(struct forward *f, const struct snap_port *in, const struct snap_port *from,
	      enum dp_storm kind, struct frame *fr)
{
	const struct snap_port *const *list =
		kind == DP_STORM_UNKNOWN ? in->flood_unknown : in->flood_all;
	uint16_t n = kind == DP_STORM_UNKNOWN ? in->n_flood_unknown : in->n_flood_all, k;

	if (limit_is_set(&in->storm[kind]) &&
	    !limit_take(&in->storm[kind], &in->port->storm[kind], rte_rdtsc(), 1))
		return DP_IN_STORM;
	for (k = 0; k < n; k++) {
		const struct snap_port *out = list[k];

		if (out == in || !snap_port_takes(out, fr))
			continue;
		if ((in->vepa && !out->is_uplink) || (out->vepa && !in->is_uplink))
			continue;
		if (out->vepa && out == from)
			continue;
		forward_add(forward_out(f, out), fr);
	}
	f->n_copies += fr->uses;
	return fr->uses != 0 ? DP_IN_DROPS : DP_IN_NO_OUTPUT;
}

/* Where the frames of a run go: to `out`, or they are flooded as `flood` says, or dropped. */
struct forward_way {
	struct forward_out *out;
	enum dp_storm flood; /* DP_STORMS: no */
	const struct snap_port *from; /* see forward_flood() */
	enum dp_in_drop drop;
};

static inline void
forward_find_way(struct forward *f, const struct snapshot *snap, const struct snap_port *in,
		 const struct frame *fr, const struct forward_run *run, struct forward_way *way)
{
	const struct rte_ether_addr *to = &frame_eth(fr)->dst_addr;
	const struct snap_port *out;
	struct fdb_value *value;

	*way = (struct forward_way){.flood = DP_STORMS, .drop = run->drop};
	if (unlikely(run->drop != DP_IN_DROPS))
		return;
	if (in->learn && unlikely(!forward_learn(snap, in, fr, run, &way->from))) {
		way->drop = DP_IN_SPOOF;
		return;
	}
	if (unlikely(rte_is_multicast_ether_addr(to))) {
		if (forward_is_reserved(to))
			way->drop = DP_IN_NO_OUTPUT;
		else
			way->flood = rte_is_broadcast_ether_addr(to) ? DP_STORM_BROADCAST :
								       DP_STORM_MULTICAST;
		return;
	}
	out = in->vepa ? NULL : forward_lookup(snap, in, to, run->dst_key, run->dst_hash, &value);
	if (unlikely(out == NULL || (out->vepa && !in->is_uplink)))
		way->flood = DP_STORM_UNKNOWN;
	else if (unlikely(out == in || !snap_port_takes(out, fr)))
		way->drop = DP_IN_NO_OUTPUT;
	else
		way->out = forward_out(f, out);
}

/* What came in with a burst. */
struct forward_count {
	uint64_t packets, bytes;
	uint64_t drops[DP_IN_DROPS];
	uint64_t refused; /* frames above the port's rate, a bit each */
	bool may_leave; /* the input can keep what is too much for a round */
};

/* The longest frame of the kind of `fr`, which is not to be segmented, that an MTU allows. */
static inline uint32_t
forward_frame_max(uint16_t mtu, const struct frame *fr)
{
	return mtu + RTE_ETHER_CRC_LEN +
	       (fr->tagged ? FRAME_TAGGED_BYTES : sizeof(struct rte_ether_hdr));
}

/* The frames of a run that go to one output. */
static inline void
forward_to_one(const struct snap_port *in, struct burst *b, const struct forward_run *run,
	       struct forward_out *out, struct forward_count *count)
{
	/* They have the same marks; of frames to be segmented each may be of another kind. */
	const struct frame *head = &b->frame[run->first];
	uint32_t max = forward_frame_max(RTE_MIN(in->mtu, out->sp->mtu), head);
	uint64_t refused = count->refused, bytes = 0;
	uint16_t i, n = out->n;

	out->as_is &= head->marks == 0 && head->vlan == out->sp->untagged;
	for (i = run->first; i < run->end; i++) {
		struct frame *fr = &b->frame[i];

		fr->uses = 1;
		if (unlikely(fr->bytes > max)) {
			out->as_is = false;
			if (forward_is_too_long(in, fr)) {
				count->drops[DP_IN_MTU]++;
				continue;
			}
		}
		if (unlikely(refused & RTE_BIT64(i))) {
			count->drops[DP_IN_RATE]++;
			continue;
		}
		out->frame[n++] = fr;
		bytes += fr->bytes;
	}
	count->packets += (uint64_t)(n - out->n);
	count->bytes += bytes;
	out->n = n;
}

/* The frames of a run that are flooded, or dropped. Returns the first that is left alone, or run->end. */
static uint16_t
forward_to_many(struct forward *f, const struct snap_port *in, struct burst *b,
		const struct forward_run *run, const struct forward_way *way,
		struct forward_count *count)
{
	uint16_t i;

	for (i = run->first; i < run->end; i++) {
		struct frame *fr = &b->frame[i];
		enum dp_in_drop drop = way->drop;

		fr->uses = 0;
		if (drop != DP_IN_BAD_FRAME && drop != DP_IN_VLAN && forward_is_too_long(in, fr))
			drop = DP_IN_MTU;
		else if (count->refused & RTE_BIT64(i))
			drop = DP_IN_RATE;
		if (drop == DP_IN_DROPS) {
			if (f->n_copies >= FORWARD_COPIES_MAX && count->may_leave)
				return i;
			drop = forward_flood(f, in, way->from, way->flood, fr);
		}
		if (drop != DP_IN_DROPS) {
			count->drops[drop]++;
			continue;
		}
		count->packets++;
		count->bytes += fr->bytes;
	}
	return i;
}

/* Which frames are above the port's rate, a bit each. What its header or length forbids costs nothing. */
static uint64_t
forward_police(const struct snap_port *in, const struct burst *b, const struct forward_run *run,
	       uint16_t n_runs)
{
	uint64_t passed, refused = 0;
	uint32_t bytes[BURST_MAX];
	uint8_t of[BURST_MAX];
	uint16_t i, k, n = 0;

	for (k = 0; k < n_runs; k++) {
		for (i = run[k].first; i < run[k].end && run[k].drop == DP_IN_DROPS; i++) {
			if (forward_is_too_long(in, &b->frame[i]))
				continue;
			of[n] = (uint8_t)i;
			bytes[n++] = b->frame[i].bytes;
		}
	}
	if (n == 0)
		return 0;
	passed = limit_take_burst(&in->rate, &in->port->rate, rte_rdtsc(), bytes, n);
	for (i = 0; i < n; i++) {
		if (!(passed & RTE_BIT64(i)))
			refused |= RTE_BIT64(of[i]);
	}
	return refused;
}

uint16_t
forward_burst(struct forward *f, const struct snapshot *snap, const struct snap_port *in,
	      struct port_queue *q, struct burst *b)
{
	struct forward_run run[BURST_MAX];
	struct forward_count count = {
		/* What is captured or paid for must not come in twice; what is ours (announce_take) would
		 * not come again. */
		.may_leave = q->port->ops->rx_done != NULL && b->n_chains != 0 &&
			     in->capture == NULL && !in->limited,
	};
	uint16_t taken = 0, n_runs, i;
	unsigned int slot;

	f->n_outs = 0;
	f->n_copies = 0;
	for (i = 0; i < b->n && unlikely(in->capture != NULL); i++)
		capture_frame(in->capture, f->lcore, false, &b->frame[i], b->frame[i].tagged);
	n_runs = forward_divide(in, b, run);
	if (unlikely(in->limited))
		count.refused = forward_police(in, b, run, n_runs);
	for (i = 0; i < n_runs && taken == run[i].first; i++) {
		struct forward_way way;

		forward_find_way(f, snap, in, &b->frame[run[i].first], &run[i], &way);
		taken = run[i].end;
		if (likely(way.out != NULL))
			forward_to_one(in, b, &run[i], way.out, &count);
		else
			taken = forward_to_many(f, in, b, &run[i], &way, &count);
	}
	stats_add(&q->stats.in_packets, count.packets);
	stats_add(&q->stats.in_bytes, count.bytes);
	for (i = 0; i < DP_IN_DROPS && unlikely(count.packets != taken); i++)
		stats_add(&q->stats.in_drop[i], count.drops[i]);
	for (slot = 0; slot < f->n_outs; slot++)
		deliver(f, &f->out[slot], q, b);
	return taken;
}
