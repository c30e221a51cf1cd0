/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues whose port is drained, or whose guest is not there yet. See park.h. */
#include "datapath/park.h"

#include "datapath/doze.h"
#include "datapath/event.h"
#include "datapath/port.h"

enum park_choice
park_choose(const struct port_queue *q)
{
	if (q->hold == PARK_HOLD_DROP)
		return PARK_REFUSE;
	if (q->park.n != 0 || !park_is_over(q->port))
		return PARK_KEEP;
	return q->hold == PARK_HOLD ? PARK_TOO_LATE : PARK_REFUSE;
}

void
park_hold(struct port *p, enum park_hold hold)
{
	uint16_t i;

	/* Ended and begun again between two looks is not the same. */
	atomic_store(&p->hold_word, ((atomic_load(&p->hold_word) >> 8) + 1) << 8 | hold);
	for (i = 0; i < p->n_queues; i++)
		atomic_store(&p->queue[i].attention, true);
	doze_wake_all();
}

bool
park_is_settled(const struct port_queue *q)
{
	return atomic_load(&q->port->hold_word) == q->hold_word &&
	       (!park_holds(q) || port_queue_is_drained(q));
}

bool
park_may_poll(struct port_queue *q, uint32_t ring_size)
{
	uint32_t word = atomic_load(&q->port->hold_word);
	enum park_hold hold = (enum park_hold)(word & 0xff);

	if (hold == PARK_NO_HOLD) {
		q->hold_word = word;
		q->hold = PARK_NO_HOLD;
		q->parks = q->park.n != 0;
		return true;
	}
	/* Here again in the next round. */
	atomic_store(&q->attention, true);
	if (q->hold_word != word) {
		q->hold_word = word;
		q->hold = hold;
		q->parks |= park_holds(q);
		q->drain_left = ring_size;
	}
	if (hold == PARK_HOLD_INCOMING || atomic_load(&q->drained_word) == word)
		return false;
	if (q->drain_left > 0)
		return true;
	atomic_store(&q->drained_word, word);
	event_post(DP_EVENT_QUEUE_DRAINED, q->port->id, q->index);
	return false;
}

void
park_polled(struct port_queue *q, uint16_t n)
{
	q->drain_left -= n != 0 ? RTE_MIN(q->drain_left, (uint32_t)n) : q->drain_left;
}
