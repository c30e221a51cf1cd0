/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vring_library.h"

#include <stdatomic.h>

#include <rte_vhost.h>

#include "datapath/announce.h"
#include "datapath/call.h"
#include "datapath/mempool.h"
#include "datapath/port_vhost.h"
#include "datapath/stats.h"
#include "datapath/vnet_hdr.h"

/* A vring's number as vhost-user counts: even ones go to the guest, odd ones come from it. */
#define VRING_TO_GUEST(pair) ((uint16_t)(2 * (pair)))
#define VRING_FROM_GUEST(pair) ((uint16_t)(2 * (pair) + 1))

#define VRING_MRG_RXBUF RTE_BIT64(15) /* VIRTIO_NET_F_MRG_RXBUF */
#define VRING_PACKED RTE_BIT64(34) /* VIRTIO_F_RING_PACKED */

/* Frames that do not fit the buffers of a guest are skipped one by one; so many in one burst. */
#define VRING_SKIPS_MAX 4

/*
 * librte_vhost 22.11 notes the entries that a call uses in an array of as many as the ring has, and believes
 * the guest how many are available; so a call must not be able to use more. A frame that is received
 * takes one, and so does one that is sent to a guest that merges no buffers; to one that does, it may
 * take nearly all of them.
 */
static uint16_t
vring_call_max(int vid, uint16_t vring, bool merges)
{
	struct rte_vhost_vring info = {.size = 0};

	if (merges)
		return 1;
	rte_vhost_get_vhost_vring(vid, vring, &info);
	return info.size;
}

static uint16_t
vring_consumed(int vid, uint16_t vring)
{
	uint16_t avail = 0, used;

	rte_vhost_get_vring_base(vid, vring, &avail, &used);
	return avail;
}

/* Drops what can't be forwarded as its header asks; the rest keeps its order. Returns how many. */
static uint16_t
vring_library_requests(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	uint16_t i, kept = 0;

	for (i = 0; i < n; i++) {
		if (likely(vnet_request_from_rx(m[i]) == 0)) {
			m[kept++] = m[i];
		} else {
			rte_pktmbuf_free(m[i]);
			stats_add(&q->stats.in_drop[DP_IN_BAD_FRAME], 1);
		}
	}
	return kept;
}

/* See vring_direct.c. Returns whether the ring is to be looked at. */
static bool
vring_library_attend(struct port_queue *q, struct burst *b, int vid)
{
	struct rte_vhost_vring info = {.size = 0};

	bool may_poll;

	atomic_store(&q->attention, false);
	if (vid >= 0)
		rte_vhost_get_vhost_vring(vid, VRING_FROM_GUEST(q->index), &info);
	may_poll = park_may_poll(q, info.size);
	announce_take(q, b, vid >= 0);
	return may_poll && b->n == 0;
}

void
vring_library_rx(struct port_queue *q, struct burst *b)
{
	struct port_vhost *p = port_vhost_of(q->port);
	uint16_t vring = VRING_FROM_GUEST(q->index), before = 0, consumed, n, taken;
	int vid = atomic_load_explicit(&p->vid, memory_order_acquire);
	struct rte_mbuf *m[BURST_MAX];
	bool packed;

	if (unlikely(atomic_load_explicit(&q->attention, memory_order_relaxed)) &&
	    !vring_library_attend(q, b, vid))
		return;
	if (vid < 0 || !atomic_load_explicit(&p->enabled[vring], memory_order_relaxed)) {
		if (q->hold != PARK_NO_HOLD)
			park_polled(q, 0);
		return;
	}
	packed = atomic_load_explicit(&p->negotiated, memory_order_relaxed) & VRING_PACKED;
	if (!packed)
		before = vring_consumed(vid, vring);
	call_begin(vid);
	n = RTE_MIN(vring_call_max(vid, vring, false), (uint16_t)BURST_MAX);
	n = rte_vhost_dequeue_burst(vid, vring, mempool_of_lcore(b->lcore), m, n);
	call_end();
	if (unlikely(n < BURST_MAX && !packed)) {
		/* The library takes a chain that is no frame (or that a dry pool could not hold)
		 * and says nothing. A packed ring's index counts descriptors, so that there such
		 * a frame stays uncounted. A chain whose head or addresses are wrong it does not
		 * take at all: that guest's queue stands still. */
		consumed = vring_consumed(vid, vring) - before;
		if (unlikely(consumed > n))
			stats_add(&q->stats.in_drop[DP_IN_BAD_RING], consumed - n);
	}
	n = vring_library_requests(q, m, n);
	taken = burst_of_mbufs(b, m, n);
	if (unlikely(taken < n)) {
		rte_pktmbuf_free_bulk(&m[taken], n - taken);
		stats_add(&q->stats.in_drop[DP_IN_BAD_RING], n - taken);
	}
	if (unlikely(q->hold != PARK_NO_HOLD))
		park_polled(q, taken);
}

bool
vring_library_rx_arm(struct port_queue *q, unsigned int lcore)
{
	(void)lcore;
	return park_is_settled(q) && atomic_load(&port_vhost_of(q->port)->vid) < 0;
}

/* The guest's side of a queue, for one burst. */
struct vring_tx {
	struct port_queue *q;
	int vid;
	uint16_t vring;
	uint64_t negotiated;
	uint16_t call_max; /* frames */
};

/* Keeps frames for a guest that is away; what they ask for is done first. */
static void
vring_library_park(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	static _Thread_local struct burst burst; /* too large for a stack */
	struct rte_mbuf *seg[VNET_SEGS_MAX];
	uint16_t mtu = __atomic_load_n(&q->port->mtu, __ATOMIC_RELAXED), i;

	for (i = 0; i < n; i++) {
		int k, from, some;

		if (burst_exceeds_mtu(burst_l3_bytes(m[i]), mtu)) {
			stats_add(&q->stats.out_drop[DP_OUT_MTU], 1);
			continue;
		}
		k = vnet_finish(m[i], 0, m[i]->pool, seg, VNET_SEGS_MAX);
		if (k < 0)
			stats_add(&q->stats.out_drop[DP_OUT_OFFLOAD], 1);
		for (from = 0; from < k; from += some) {
			some = burst_of_mbufs(&burst, &seg[from], (uint16_t)RTE_MIN(k - from, 1));
			if (some == 0)
				break;
			burst.frame[0].vlan = burst.frame[0].tagged; /* stays in */
			park_keep(q, (struct frame *[]){&burst.frame[0]}, 1, 0);
		}
		if (k > 0)
			rte_pktmbuf_free_bulk(seg, (unsigned int)k);
	}
}

/* Hands over m[0..n-1] as far as there is room. Returns how many. */
static uint16_t
vring_library_put(const struct vring_tx *tx, struct rte_mbuf **m, uint16_t n)
{
	struct dp_stats *stats = &tx->q->stats;
	uint64_t bytes = 0;
	uint16_t sent, i;

	call_begin(tx->vid);
	sent = rte_vhost_enqueue_burst(tx->vid, tx->vring, m, RTE_MIN(n, tx->call_max));
	call_end();
	for (i = 0; i < sent; i++)
		bytes += m[i]->pkt_len;
	stats_add(&stats->out_packets, sent);
	stats_add(&stats->out_bytes, bytes);
	return sent;
}

/*
 * Tries once more the frame that found no room: with room before, it fails only if it is too long for what the
 * guest offers, and those behind it may not be. On a packed ring the library would read another field for
 * the guest's index. Returns whether it is done with, and counted.
 */
static bool
vring_library_put_or_skip(const struct vring_tx *tx, struct rte_mbuf *m)
{
	if ((tx->negotiated & VRING_PACKED) || rte_vhost_avail_entries(tx->vid, tx->vring) == 0)
		return false;
	if (vring_library_put(tx, &m, 1) == 0)
		stats_add(&tx->q->stats.out_drop[tx->negotiated & VRING_MRG_RXBUF ? DP_OUT_RING_FULL :
										    DP_OUT_MTU],
			  1);
	return true;
}

static void
vring_library_enqueue(const struct vring_tx *tx, struct rte_mbuf **m, uint16_t n)
{
	struct dp_stats *stats = &tx->q->stats;
	unsigned int skips = 0;
	uint16_t i = 0, sent;

	while (i < n && tx->q->park.n == 0) {
		sent = vring_library_put(tx, &m[i], n - i);
		i += sent;
		if (sent > 0)
			continue;
		if (skips++ == VRING_SKIPS_MAX || !vring_library_put_or_skip(tx, m[i]))
			break;
		i++;
	}
	if (unlikely(i < n) && (tx->q->park.n != 0 || park_waits_for_room(tx->q)))
		vring_library_park(tx->q, &m[i], n - i);
	else
		stats_add(&stats->out_drop[DP_OUT_RING_FULL], n - i);
}

/* A frame that asks for more than the guest takes: done in software first. However many segments
 * that makes, it counts as the one frame that it was, delivered if all of it was. */
static void
vring_library_finish(const struct vring_tx *tx, struct rte_mbuf *m, unsigned int can)
{
	struct dp_stats *stats = &tx->q->stats;
	struct rte_mbuf *seg[VNET_SEGS_MAX];
	int n = vnet_finish(m, can, m->pool, seg, VNET_SEGS_MAX);
	uint16_t i, k, sent = 1;

	if (tx->q->park.n != 0 && n > 0) {
		rte_pktmbuf_free_bulk(seg, (unsigned int)n);
		vring_library_park(tx->q, &m, 1);
		return;
	}
	if (n < 0) {
		stats_add(&stats->out_drop[DP_OUT_OFFLOAD], 1);
		return;
	}
	call_begin(tx->vid);
	for (i = 0; i < n && sent > 0; i += sent)
		sent = rte_vhost_enqueue_burst(tx->vid, tx->vring, &seg[i],
					       RTE_MIN((uint16_t)(n - i), tx->call_max));
	call_end();
	if (i == n) {
		stats_add(&stats->out_packets, 1);
		stats_add(&stats->out_bytes, m->pkt_len);
	} else if (park_waits_for_room(tx->q)) {
		/* Each segment is a frame of its own then. */
		stats_add(&stats->out_packets, i);
		for (k = 0; k < i; k++)
			stats_add(&stats->out_bytes, seg[k]->pkt_len);
		vring_library_park(tx->q, &seg[i], (uint16_t)(n - i));
	} else {
		stats_add(&stats->out_drop[DP_OUT_RING_FULL], 1);
	}
	rte_pktmbuf_free_bulk(seg, (unsigned int)n);
}

/* The guest takes nothing now. */
static void
vring_library_refuse(struct port_queue *q, struct rte_mbuf **m, uint16_t n, enum dp_out_drop reason)
{
	enum park_choice choice = park_choose(q);

	if (choice == PARK_KEEP)
		vring_library_park(q, m, n);
	else
		stats_add(&q->stats.out_drop[choice == PARK_TOO_LATE ? DP_OUT_PARK_EXPIRED : reason],
			  n);
}

uint16_t
vring_library_tx_parked(struct port_queue *q, struct burst *b)
{
	struct port_vhost *p = port_vhost_of(q->port);
	struct vring_tx tx = {.q = q, .vring = VRING_TO_GUEST(q->index)};
	struct rte_mbuf *m[BURST_MAX];
	uint16_t n, sent;

	tx.vid = atomic_load_explicit(&p->vid, memory_order_acquire);
	if (tx.vid < 0)
		return 0;
	tx.negotiated = atomic_load_explicit(&p->negotiated, memory_order_relaxed);
	tx.call_max = vring_call_max(tx.vid, tx.vring, tx.negotiated & VRING_MRG_RXBUF);
	for (n = 0; n < b->n; n++) {
		m[n] = burst_mbuf(b, &b->frame[n], b->frame[n].tagged);
		if (m[n] == NULL)
			break;
	}
	sent = vring_library_put(&tx, m, n);
	return sent == 0 && n > 0 && vring_library_put_or_skip(&tx, m[0]) ? 1 : sent;
}

void
vring_library_tx_copy(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	struct port_vhost *p = port_vhost_of(q->port);
	struct vring_tx tx = {.q = q, .vring = VRING_TO_GUEST(q->index)};
	unsigned int can;
	uint16_t mtu = __atomic_load_n(&q->port->mtu, __ATOMIC_RELAXED);
	uint16_t i, from = 0;

	tx.vid = atomic_load_explicit(&p->vid, memory_order_acquire);
	if (unlikely(tx.vid < 0)) {
		vring_library_refuse(q, m, n, DP_OUT_NO_GUEST);
		return;
	}
	if (unlikely(!atomic_load_explicit(&p->enabled[tx.vring], memory_order_relaxed) ||
		     park_holds(q) || q->park.n != 0)) {
		vring_library_refuse(q, m, n, DP_OUT_QUEUE_OFF);
		return;
	}
	tx.negotiated = atomic_load_explicit(&p->negotiated, memory_order_relaxed);
	tx.call_max = vring_call_max(tx.vid, tx.vring, tx.negotiated & VRING_MRG_RXBUF);
	can = vnet_can_of_guest(tx.negotiated);
	for (i = 0; i < n; i++) {
		bool too_long = burst_exceeds_mtu(burst_l3_bytes(m[i]), mtu);

		if (likely(!too_long && !vnet_must_finish(m[i], can)))
			continue;
		/* Out of the row, so that the frames before it stay before it. */
		vring_library_enqueue(&tx, &m[from], i - from);
		from = i + 1;
		if (too_long)
			stats_add(&q->stats.out_drop[DP_OUT_MTU], 1);
		else
			vring_library_finish(&tx, m[i], can);
	}
	vring_library_enqueue(&tx, &m[from], n - from);
}
