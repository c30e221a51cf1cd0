/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/deliver.h"

#include "datapath/inbox.h"
#include "datapath/stats.h"

int
deliver_ready(const struct forward *f, const struct snap_port *sp, uint16_t wanted)
{
	const struct port *p = sp->port;
	uint16_t pair = wanted, k;
	int any = -1;

	for (k = 0; k < p->n_queues; k++) {
		if (p->ops->tx_ready == NULL || p->ops->tx_ready(p, pair)) {
			if (sp->owner[pair] == f->lcore)
				return pair;
			if (any < 0)
				any = pair;
		}
		pair = (uint16_t)(pair + 1 == p->n_queues ? 0 : pair + 1);
	}
	return any;
}

/* The queue pair of an output for what came in on pair `wanted`: always the same, so that a flow keeps its
 * order. */
static uint16_t
deliver_pair(const struct forward *f, const struct snap_port *sp, uint16_t wanted)
{
	const struct port *p = sp->port;
	int ready;

	if (p->n_queues == 1)
		return 0;
	wanted %= p->n_queues;
	/* Behind what is parked there. */
	if (unlikely(atomic_load_explicit(&p->park.n, memory_order_relaxed) != 0) &&
	    atomic_load(&p->queue[wanted].park.listed))
		return wanted;
	ready = deliver_ready(f, sp, wanted);
	return ready < 0 ? wanted : (uint16_t)ready;
}

/* For outputs that want mbufs, or whose queue belongs to another lcore. */
static void
deliver_mbufs(struct forward *f, struct forward_out *o, uint16_t pair, struct burst *b)
{
	struct port_queue *q = &o->sp->port->queue[pair];
	const struct port_ops *ops = o->sp->port->ops;
	bool is_mine = o->sp->owner[pair] == f->lcore;
	bool keeps = !is_mine || ops->tx_own != NULL;
	struct rte_mbuf *m[BURST_MAX];
	uint16_t i, n = 0, put;

	for (i = 0; i < o->n; i++) {
		struct frame *fr = o->frame[i];
		bool tag = fr->vlan != o->sp->untagged;

		m[n] = keeps ? burst_take(b, fr, tag) : burst_mbuf(b, fr, tag);
		if (likely(m[n] != NULL))
			n++;
		else
			stats_add(&f->undelivered[o->sp->id], 1);
	}
	if (is_mine && keeps) {
		ops->tx_own(q, m, n);
	} else if (is_mine) {
		ops->tx_copy(q, m, n);
	} else {
		put = inbox_put(o->sp->owner[pair] & ~SNAP_MOVES, q, m, n);
		stats_add(&f->undelivered[o->sp->id], n - put);
		rte_pktmbuf_free_bulk(&m[put], n - put);
	}
}

static void
deliver_capture(const struct forward *f, const struct snap_port *sp, struct frame *const *frame,
		uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n; i++)
		capture_frame(sp->capture, f->lcore, true, frame[i],
			      frame[i]->vlan != sp->untagged);
}

void
deliver(struct forward *f, struct forward_out *o, struct port_queue *in, struct burst *b)
{
	struct port *p = o->sp->port;
	uint16_t pair = deliver_pair(f, o->sp, in->index);

	if (unlikely(o->sp->capture != NULL))
		deliver_capture(f, o->sp, o->frame, o->n);
	if (likely(p->ops->tx_frames != NULL && o->sp->owner[pair] == f->lcore))
		p->ops->tx_frames(&p->queue[pair], b, o->frame, o->n, o->as_is, o->sp->untagged);
	else
		deliver_mbufs(f, o, pair, b);
}

/* As deliver_some(), of which it is the part for outputs that want mbufs. */
static uint16_t
deliver_some_mbufs(const struct forward *f, const struct snap_port *to, uint16_t pair,
		   struct burst *b, struct frame *const *frame, uint16_t n)
{
	struct port_queue *q = &to->port->queue[pair];
	const struct port_ops *ops = to->port->ops;
	struct rte_mbuf *m[BURST_MAX];
	uint16_t i, taken;

	for (i = 0; i < n; i++) {
		m[i] = burst_take(b, frame[i], frame[i]->vlan != to->untagged);
		if (m[i] == NULL)
			n = i;
	}
	if (to->owner[pair] == f->lcore && ops->tx_try != NULL)
		return ops->tx_try(q, m, n);
	taken = n;
	if (to->owner[pair] == f->lcore) {
		ops->tx_copy(q, m, n);
		rte_pktmbuf_free_bulk(m, n);
	} else {
		taken = inbox_put(to->owner[pair] & ~SNAP_MOVES, q, m, n);
		rte_pktmbuf_free_bulk(&m[taken], n - taken);
	}
	return taken;
}

uint16_t
deliver_parked(const struct forward *f, const struct snap_port *sp, uint16_t pair, struct burst *b)
{
	struct frame *frame[BURST_MAX];
	uint16_t i;

	if (likely(sp->owner[pair] == f->lcore))
		return sp->port->ops->tx_parked(&sp->port->queue[pair], b);
	for (i = 0; i < b->n; i++)
		frame[i] = &b->frame[i];
	return deliver_some_mbufs(f, sp, pair, b, frame, b->n);
}

uint16_t
deliver_some(const struct forward *f, const struct snap_port *to, uint16_t wanted, struct burst *b,
	     struct frame **frame, uint16_t n)
{
	uint16_t pair = deliver_pair(f, to, wanted);
	struct port *p = to->port;

	if (p->ops->tx_frames != NULL && to->owner[pair] == f->lcore)
		p->ops->tx_frames(&p->queue[pair], b, frame, n, false, to->untagged);
	else
		n = deliver_some_mbufs(f, to, pair, b, frame, n);
	if (to->capture != NULL)
		deliver_capture(f, to, frame, n);
	return n;
}
