/* SPDX-License-Identifier: BSD-3-Clause */
/* When a guest is away, and for how long frames are kept for it. See park.h. */
#include "datapath/park.h"

#include <rte_cycles.h>

#include "datapath/event.h"
#include "datapath/port.h"

#define PARK_FIRST_MS 20 /* what is seen of a guest so soon after it has gone may be a reflection */
#define PARK_LATE_MS 50 /* what is still under way to a guest that has moved */

bool
park_is_over(const struct port *p)
{
	uint64_t until = atomic_load_explicit(&p->park.until, memory_order_relaxed);

	return until == 0 || (int64_t)(until - rte_rdtsc()) <= 0;
}

void
park_begin(struct port *p, bool moves)
{
	uint64_t ms = __atomic_load_n(&p->park.ms, __ATOMIC_RELAXED);

	atomic_store(&p->park.moves, moves);
	if (ms != 0)
		atomic_store(&p->park.until, rte_rdtsc() + ms * (rte_get_tsc_hz() / 1000));
}

bool
park_has_just_begun(const struct port *p)
{
	uint64_t until = atomic_load_explicit(&p->park.until, memory_order_relaxed);
	uint64_t ms = __atomic_load_n(&p->park.ms, __ATOMIC_RELAXED), hz = rte_get_tsc_hz();

	return until != 0 && (int64_t)(rte_rdtsc() - (until - ms * (hz / 1000))) <
				     PARK_FIRST_MS * (int64_t)(hz / 1000);
}

unsigned int
park_left_ms(const struct port *p)
{
	uint64_t until = atomic_load(&p->park.until), now = rte_rdtsc();

	if (!atomic_load(&p->park.moves) || park_is_over(p))
		return 0;
	return (unsigned int)((until - now) / (rte_get_tsc_hz() / 1000)) + 1;
}

void
park_catch_up(struct port *p)
{
	uint64_t ms = __atomic_load_n(&p->park.ms, __ATOMIC_RELAXED);
	uint64_t until = rte_rdtsc() + ms * (rte_get_tsc_hz() / 1000);

	/* The second is how long what is kept then stays. */
	atomic_store(&p->park.full_until, until);
	atomic_store(&p->park.until, until);
}

bool
park_waits_for_room(const struct port_queue *q)
{
	uint64_t until = atomic_load_explicit(&q->port->park.full_until, memory_order_relaxed);

	return until != 0 && (int64_t)(until - rte_rdtsc()) > 0;
}

void
park_back(struct port *p)
{
	uint64_t ms = __atomic_load_n(&p->park.ms, __ATOMIC_RELAXED);

	atomic_store(&p->park.moves, false);
	if (atomic_load(&p->park.n) != 0)
		atomic_store(&p->park.until, rte_rdtsc() + ms * (rte_get_tsc_hz() / 1000));
}

void
park_finish(struct port *p)
{
	atomic_store(&p->park.moves, false);
	/* What is still under way to it goes after it. */
	if (!park_is_over(p))
		atomic_store(&p->park.until,
			     rte_rdtsc() + PARK_LATE_MS * (rte_get_tsc_hz() / 1000));
}

void
park_tell(struct port *p)
{
	if (!park_is_over(p) && !atomic_exchange(&p->park.away, true))
		event_post(DP_EVENT_PORT_PARKING, p->id, 0);
}

void
park_end(struct port *p, uint32_t connection, pid_t pid)
{
	if (connection != p->park.connection && (pid == 0 || pid != p->park.pid))
		atomic_fetch_add(&p->park.guest, 1);
	p->park.connection = connection;
	p->park.pid = pid;
	atomic_store(&p->park.away, false);
}
