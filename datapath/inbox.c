/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/inbox.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "datapath/doze.h"

struct inbox_item {
	struct rte_mbuf *m;
	struct port_queue *queue;
};

/* [lcore]; written by the control thread before the lcores start. */
static struct rte_ring *inbox[DP_LCORES_MAX + 1];

/* What an lcore has taken out for a queue that is not its own yet; its own. One queue moves at a time. */
static struct {
	unsigned int n;
	struct inbox_item item[INBOX_SIZE];
} kept[DP_LCORES_MAX + 1];

int
inbox_create(unsigned int n_lcores, const int *node_of_lcore)
{
	char name[RTE_RING_NAMESIZE];
	unsigned int lcore;

	for (lcore = 1; lcore <= n_lcores; lcore++) {
		snprintf(name, sizeof(name), "inbox%u", lcore);
		inbox[lcore] = rte_ring_create_elem(name, sizeof(struct inbox_item), INBOX_SIZE,
						    node_of_lcore[lcore], RING_F_SC_DEQ);
		if (inbox[lcore] == NULL) {
			inbox_destroy();
			return -ENOMEM;
		}
	}
	return 0;
}

void
inbox_destroy(void)
{
	unsigned int lcore;

	for (lcore = 1; lcore <= DP_LCORES_MAX; lcore++) {
		rte_ring_free(inbox[lcore]);
		inbox[lcore] = NULL;
	}
}

uint16_t
inbox_put(unsigned int lcore, struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	struct inbox_item item[BURST_MAX];
	uint16_t i;

	for (i = 0; i < n; i++) {
		item[i].m = m[i];
		item[i].queue = q;
	}
	i = (uint16_t)rte_ring_mp_enqueue_burst_elem(inbox[lcore], item, sizeof(item[0]), n, NULL);
	doze_wake(lcore);
	return i;
}

void
inbox_settle(void)
{
	unsigned int lcore;

	for (lcore = 1; lcore <= DP_LCORES_MAX && inbox[lcore] != NULL; lcore++) {
		const struct rte_ring *r = inbox[lcore];
		uint32_t put = __atomic_load_n(&r->prod.tail, __ATOMIC_ACQUIRE);

		while ((int32_t)(__atomic_load_n(&r->cons.tail, __ATOMIC_ACQUIRE) - put) < 0)
			sched_yield(); /* as rcu_synchronize() */
	}
}

void
inbox_discard(void)
{
	struct inbox_item item;
	unsigned int lcore;

	for (lcore = 1; lcore <= DP_LCORES_MAX && inbox[lcore] != NULL; lcore++) {
		while (rte_ring_sc_dequeue_elem(inbox[lcore], &item, sizeof(item)) == 0)
			rte_pktmbuf_free(item.m);
	}
}

/* Sends a run of items for one queue. */
static void
inbox_send(struct port_queue *q, const struct inbox_item *item, unsigned int n)
{
	const struct port_ops *ops = q->port->ops;
	struct rte_mbuf *m[BURST_MAX];
	unsigned int i;

	for (i = 0; i < n; i++)
		m[i] = item[i].m;
	if (ops->tx_own != NULL) {
		ops->tx_own(q, m, (uint16_t)n);
	} else {
		ops->tx_copy(q, m, (uint16_t)n);
		rte_pktmbuf_free_bulk(m, n);
	}
}

bool
inbox_is_empty(unsigned int lcore)
{
	return kept[lcore].n == 0 && rte_ring_empty(inbox[lcore]);
}

/* Sends what was kept, once it may. Returns how many frames that are, sent or not. */
static unsigned int
inbox_send_kept(unsigned int lcore)
{
	unsigned int n = kept[lcore].n, i;

	if (likely(n == 0))
		return 0;
	if (atomic_load(&kept[lcore].item[0].queue->lcore) != lcore)
		return n;
	for (i = 0; i < n; i += BURST_MAX)
		inbox_send(kept[lcore].item[0].queue, &kept[lcore].item[i],
			   RTE_MIN(n - i, (unsigned int)BURST_MAX));
	kept[lcore].n = 0;
	return n;
}

/* Sends a run of items for one queue, or keeps them while another lcore may be in there. */
static void
inbox_deliver(unsigned int lcore, const struct inbox_item *item, unsigned int n)
{
	struct port_queue *q = item->queue;

	if (likely(atomic_load_explicit(&q->lcore, memory_order_acquire) == lcore)) {
		inbox_send_kept(lcore); /* it may be the queue's from a moment ago */
		inbox_send(q, item, n);
		return;
	}
	memcpy(&kept[lcore].item[kept[lcore].n], item, n * sizeof(*item));
	kept[lcore].n += n;
}

unsigned int
inbox_take(unsigned int lcore)
{
	struct inbox_item item[BURST_MAX];
	unsigned int total = inbox_send_kept(lcore);
	/* As many as could be kept, should all of them have to be. */
	unsigned int left = RTE_MIN(rte_ring_count(inbox[lcore]), INBOX_SIZE - kept[lcore].n);

	total += left;
	while (left > 0) {
		unsigned int n, i, from;

		n = rte_ring_sc_dequeue_burst_elem(inbox[lcore], item, sizeof(item[0]),
						   RTE_MIN(left, (unsigned int)BURST_MAX), NULL);
		if (n == 0)
			break; /* counted, but its producer has not finished */
		for (from = 0, i = 1; i <= n; i++) {
			if (i < n && item[i].queue == item[from].queue)
				continue;
			inbox_deliver(lcore, &item[from], i - from);
			from = i;
		}
		left -= n;
	}
	return total - left;
}
