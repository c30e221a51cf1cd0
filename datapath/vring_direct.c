/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vring_direct.h"

#include <string.h>

#include <rte_pause.h>

#include "datapath/announce.h"
#include "datapath/port_vhost.h"
#include "datapath/stats.h"
#include "datapath/vnet_guest.h"
#include "datapath/vnet_hdr.h"
#include "datapath/vring.h"

static inline bool
vring_is_live(const struct virtq *r)
{
	return atomic_load_explicit(&r->live, memory_order_acquire);
}

/* ---- from the guest ---------------------------------------------------------------------- */

/* What the rings want besides frames. Returns whether the guest's frames are to be looked at. */
static bool
direct_attend(struct port_queue *q, struct burst *b)
{
	struct virtq *ring[2] = {q->to_guest, q->from_guest};
	bool runs, may_poll;
	unsigned int i;

	/* First, so that what is set from here on is seen next time. */
	atomic_store(&q->attention, false);
	for (i = 0; i < RTE_DIM(ring); i++) {
		if (vring_is_live(ring[i]) && atomic_load(&ring[i]->call_due))
			vring_call(ring[i]);
	}
	runs = vring_is_live(q->from_guest);
	may_poll = park_may_poll(q, runs ? q->from_guest->size : 0);
	announce_take(q, b, runs);
	return may_poll && b->n == 0;
}

void
vring_direct_rx(struct port_queue *q, struct burst *b)
{
	struct virtq *r = q->from_guest;

	if (unlikely(atomic_load_explicit(&q->attention, memory_order_relaxed)) &&
	    !direct_attend(q, b))
		return;
	if (!vring_is_live(r)) {
		if (q->hold != PARK_NO_HOLD)
			park_polled(q, 0);
		return;
	}
	if (r->packed)
		vring_packed_rx(r, b);
	else
		vring_split_rx(r, b);
	if (unlikely(q->hold != PARK_NO_HOLD) && b->n == 0)
		park_polled(q, 0);
}

void
vring_direct_rx_done(struct port_queue *q, struct burst *b, uint16_t taken)
{
	struct virtq *r = q->from_guest;
	bool wants_call;

	if (unlikely(taken == 0 || b->n_chains == 0)) /* or a frame of our own (announce_take) */
		return;
	if (unlikely(q->hold != PARK_NO_HOLD))
		park_polled(q, taken);
	if (r->packed) {
		vring_packed_rx_done(r, b, taken);
		wants_call = vring_packed_publish(r);
	} else {
		vring_split_rx_done(r, b, taken);
		wants_call = vring_split_publish(r);
	}
	if (unlikely(wants_call))
		vring_call(r);
}

bool
vring_direct_rx_arm(struct port_queue *q, unsigned int lcore)
{
	struct virtq *from = q->from_guest, *to = q->to_guest;

	/* An announcement may have found no memory. */
	if (!park_is_settled(q) || (vring_is_live(to) && atomic_load(&to->call_due)) ||
	    (q->hold == PARK_NO_HOLD && vring_is_live(from) && atomic_load(&q->attention)))
		return false;
	/* Nothing is taken from a guest that is held, and what ends that wakes us. */
	return q->hold != PARK_NO_HOLD || !vring_is_live(from) || vring_arm(from, lcore);
}

void
vring_direct_rx_disarm(struct port_queue *q)
{
	if (vring_is_live(q->from_guest))
		vring_disarm(q->from_guest);
}

/* ---- to the guest ------------------------------------------------------------------------ */

/* An output for one burst. */
struct direct_out {
	struct port_queue *q;
	struct virtq *r;
	bool as_is;
	uint16_t untagged; /* VLAN whose frames go without tag */
	bool parks; /* the guest is away */
	bool waits; /* it has no room: the rest of the burst is parked, too */
	struct vring_sent sent;
	uint64_t mtu, offload; /* more reasons not to deliver */
};

static inline uint16_t
direct_tx(struct direct_out *o, struct frame *const *f, uint16_t n)
{
	return o->r->packed ? vring_packed_tx(o->r, f, n, o->as_is, o->untagged, &o->sent) :
			      vring_split_tx(o->r, f, n, o->as_is, o->untagged, &o->sent);
}

/* Copies frames that need nothing else; looks again for room as often as the port wants. */
static void
direct_put(struct direct_out *o, struct frame *const *f, uint16_t n)
{
	unsigned int looks = __atomic_load_n(&o->q->port->tx_retries, __ATOMIC_RELAXED);
	uint64_t skipped = o->sent.full + o->sent.too_long;
	uint16_t done;

	if (n == 0)
		return;
	if (unlikely(o->parks || o->waits)) {
		park_keep(o->q, f, n, o->untagged);
		return;
	}
	done = direct_tx(o, f, n);
	/* Where a frame did not fit the buffers another look will not help, but takes long. */
	while (unlikely(done < n) && looks-- > 0 && vring_is_live(o->r) &&
	       o->sent.full + o->sent.too_long == skipped) {
		rte_pause();
		done += direct_tx(o, &f[done], n - done);
	}
	if (likely(done == n) || o->sent.patient)
		return;
	o->waits = park_waits_for_room(o->q);
	if (o->waits)
		park_keep(o->q, &f[done], n - done, o->untagged);
	else
		o->sent.full += n - done;
}

/* Frames in mbufs of our own that ask for no more than the guest takes, their tags as they are to
 * be. Returns how many went in. */
static uint64_t
direct_put_mbufs(struct direct_out *o, struct burst *b, struct rte_mbuf **m, uint16_t n)
{
	uint64_t before = o->sent.packets;
	struct frame *f[BURST_MAX];
	uint16_t done = 0, some, i;

	while (done < n) {
		some = burst_of_mbufs(b, &m[done],
				      RTE_MIN((uint16_t)(n - done), (uint16_t)BURST_MAX));
		for (i = 0; i < some; i++) {
			f[i] = &b->frame[i];
			f[i]->vlan = f[i]->tagged; /* stays in */
			if (f[i]->needs != 0)
				vnet_guest_from_mbuf(f[i], m[done + i]);
		}
		direct_put(o, f, some);
		if (some == 0)
			break;
		done += some;
	}
	return o->sent.packets - before;
}

/* A frame that asks for more than the guest takes, or that came in an mbuf and asks for anything:
 * done in software. However many segments that makes, it counts as the one frame that it was,
 * delivered if all of it was. `m` is NULL where there was no memory for it. Returns false where it is to wait
 * for room (sent.patient), and nothing was done. */
static bool
direct_finish(struct direct_out *o, struct rte_mbuf *m)
{
	static _Thread_local struct burst segments; /* too large for a stack */
	struct vring_sent before = o->sent;
	struct rte_mbuf *seg[VNET_SEGS_MAX];
	uint16_t untagged = o->untagged;
	bool too_long;
	uint64_t sent;
	int n = -1;

	if (m != NULL)
		n = vnet_finish(m, o->r->can, m->pool, seg, VNET_SEGS_MAX);
	/* Handed on as it is, its checksum field is written to; and somebody else may have it, too. */
	if (n == 1 && seg[0] == m && rte_mbuf_refcnt_read(m) > 2) {
		rte_pktmbuf_free(m);
		seg[0] = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
		n = seg[0] == NULL ? -1 : 1;
	}
	if (n < 0) {
		o->offload++;
		return true;
	}
	o->untagged = 0;
	sent = direct_put_mbufs(o, &segments, seg, (uint16_t)n);
	o->untagged = untagged;
	too_long = o->sent.too_long != before.too_long;
	if (o->parks || o->waits)
		goto out; /* some are parked: then each segment is a frame of its own */
	o->sent = before;
	if (o->sent.patient && sent == 0 && !too_long) {
		; /* the caller has it */
	} else if (sent == (uint64_t)n) {
		o->sent.packets++;
		o->sent.bytes += m->pkt_len;
	} else if (too_long) {
		o->sent.too_long++;
	} else {
		o->sent.full++;
	}
out:
	rte_pktmbuf_free_bulk(seg, (unsigned int)n);
	return !o->sent.patient || sent > 0 || too_long;
}

/* The same where the guest is away, or was. */
static __rte_noinline bool
direct_begin_away(struct direct_out *o, uint16_t n)
{
	const struct port_vhost *p = port_vhost_of(o->q->port);
	struct port_queue *q = o->q;
	enum dp_out_drop reason = DP_OUT_QUEUE_OFF;

	if (vring_is_live(o->r) && !park_holds(q) && q->park.n == 0)
		return true;
	switch (park_choose(q)) {
	case PARK_KEEP:
		o->parks = true;
		return true;
	case PARK_TOO_LATE:
		reason = DP_OUT_PARK_EXPIRED;
		break;
	case PARK_REFUSE:
		if (atomic_load_explicit(&p->vid, memory_order_relaxed) < 0)
			reason = DP_OUT_NO_GUEST;
		break;
	}
	stats_add(&q->stats.out_drop[reason], n);
	return false;
}

/* Opens the output. Returns false where it takes nothing, and then the frames are counted. */
static bool
direct_begin(struct direct_out *o, struct port_queue *q, uint16_t n, bool as_is, uint16_t untagged)
{
	*o = (struct direct_out){.q = q, .r = q->to_guest, .as_is = as_is, .untagged = untagged};
	return likely(vring_is_live(o->r) && !q->parks) || direct_begin_away(o, n);
}

static void
direct_end(struct direct_out *o)
{
	struct dp_stats *stats = &o->q->stats;
	bool wants_call;

	stats_add(&stats->out_packets, o->sent.packets);
	stats_add(&stats->out_bytes, o->sent.bytes);
	if (unlikely(o->sent.full != 0))
		stats_add(&stats->out_drop[DP_OUT_RING_FULL], o->sent.full);
	if (unlikely(o->sent.too_long + o->mtu != 0))
		stats_add(&stats->out_drop[DP_OUT_MTU], o->sent.too_long + o->mtu);
	if (unlikely(o->offload != 0))
		stats_add(&stats->out_drop[DP_OUT_OFFLOAD], o->offload);
	if (unlikely(o->parks))
		return;
	wants_call = o->r->packed ? vring_packed_publish(o->r) : vring_split_publish(o->r);
	if (unlikely(wants_call))
		vring_call(o->r);
}

/* Frames of which some may be too long, or ask for more than the guest takes. */
static void
direct_put_some(struct direct_out *o, struct burst *b, struct frame **f, uint16_t n)
{
	uint16_t mtu = __atomic_load_n(&o->q->port->mtu, __ATOMIC_RELAXED), i, from = 0;

	for (i = 0; i < n; i++) {
		bool too_long = burst_exceeds_mtu(frame_l3_bytes(f[i]), mtu);

		if (likely(!too_long &&
			   (f[i]->needs == 0 || (!f[i]->in_mbuf && !(f[i]->needs & ~o->r->can)))))
			continue;
		/* Out of the row, so that the frames before it stay before it. */
		direct_put(o, &f[from], i - from);
		from = i + 1;
		if (too_long)
			o->mtu++;
		else
			direct_finish(o, burst_mbuf(b, f[i], f[i]->vlan != o->untagged));
	}
	direct_put(o, &f[from], n - from);
}

void
vring_direct_tx_frames(struct port_queue *q, struct burst *b, struct frame **f, uint16_t n,
		       bool as_is, uint16_t untagged)
{
	struct direct_out o;

	if (unlikely(!direct_begin(&o, q, n, as_is, untagged)))
		return;
	if (likely(as_is))
		direct_put(&o, f, n);
	else
		direct_put_some(&o, b, f, n);
	direct_end(&o);
}

void
vring_direct_tx_copy(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	static _Thread_local struct burst burst; /* too large for a stack */
	struct frame *f[BURST_MAX];
	uint16_t done = 0, some, i;

	/* The tags are as they are to be, so all of them stay. */
	for (; done < n; done += some) {
		some = burst_of_mbufs(&burst, &m[done],
				      RTE_MIN((uint16_t)(n - done), (uint16_t)BURST_MAX));
		for (i = 0; i < some; i++) {
			f[i] = &burst.frame[i];
			f[i]->vlan = f[i]->tagged;
			f[i]->uses = 2; /* the mbuf is the caller's, too: never changed in place */
		}
		vring_direct_tx_frames(q, &burst, f, some, false, 0);
		if (some == 0)
			break;
	}
	if (unlikely(done < n))
		stats_add(&q->stats.out_drop[DP_OUT_OFFLOAD], n - done);
}

uint16_t
vring_direct_tx_parked(struct port_queue *q, struct burst *b)
{
	struct direct_out o = {
		.q = q,
		.r = q->to_guest,
		.sent.patient = true,
	};
	struct frame *f[BURST_MAX];
	uint16_t i, done = 0;

	if (!vring_is_live(o.r))
		return 0;
	for (i = 0; i < b->n; i++) {
		f[i] = &b->frame[i];
		f[i]->vlan = f[i]->tagged; /* stays in */
	}
	for (i = 0; i < b->n; i++) {
		if (!(f[i]->needs & ~o.r->can))
			continue;
		done += direct_tx(&o, &f[done], i - done);
		if (done < i)
			break;
		if (!direct_finish(&o, burst_mbuf(b, f[i], f[i]->tagged)))
			break;
		done++;
	}
	if (i == b->n)
		done += direct_tx(&o, &f[done], i - done);
	direct_end(&o);
	return done;
}
