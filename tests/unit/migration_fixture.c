/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/migration_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <rte_lcore.h>

#include "datapath/inbox.h"
#include "datapath/mempool.h"
#include "datapath/migration.h"
#include "datapath/park_pool.h"
#include "datapath/rcu.h"

#define POOL_MIB 1

uint64_t
rte_get_tsc_hz(void)
{
	return TSC_HZ;
}

struct end ends[PORTS];

/* ---- lcores and grace periods ---------------------------------------------------------------- */

static struct burst parked, copied;

void
become(unsigned int lcore)
{
	RTE_PER_LCORE(_lcore_id) = lcore;
	fwd.lcore = lcore;
	parked.lcore = (uint8_t)lcore;
}

void
runs_parks(void)
{
	park_run(&fwd, snapshot_current, &parked);
}

void (*in_grace_period)(void), (*in_inbox_settle)(void);

void __wrap_rcu_synchronize(void);
void __wrap_inbox_settle(void);
void __real_inbox_settle(void);

void
__wrap_rcu_synchronize(void)
{
	if (in_grace_period != NULL)
		in_grace_period();
}

void
__wrap_inbox_settle(void)
{
	if (in_inbox_settle != NULL)
		in_inbox_settle();
	else
		assert_int_equal(inbox_take(OTHER), 0); /* nobody would, for ever */
	__real_inbox_settle();
}

/* ---- ports ----------------------------------------------------------------------------------- */

static void
end_gets(const struct port_queue *q, uint32_t bytes)
{
	uint16_t id = q->port->id;

	assert_true(ends[id].n < GOT_MAX);
	ends[id].bytes[ends[id].n++] = bytes;
}

/* As a guest's rings do it. */
static void
guest_gets(struct port_queue *q, struct burst *b, struct frame **f, uint16_t n, bool as_is,
	   uint16_t untagged)
{
	uint16_t i;

	(void)b;
	(void)as_is;
	if (q->port->ops->tx_ready(q->port, q->index) && !park_holds(q) && q->park.n == 0) {
		for (i = 0; i < n; i++)
			end_gets(q, f[i]->bytes);
	} else {
		assert_int_equal(park_choose(q), PARK_KEEP);
		park_keep(q, f, n, untagged);
	}
}

static void
guest_gets_mbufs(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	struct frame *frame[BURST_MAX];
	uint16_t i;

	assert_int_equal(burst_of_mbufs(&copied, m, n), n);
	for (i = 0; i < n; i++) {
		copied.frame[i].vlan = copied.frame[i].tagged;
		frame[i] = &copied.frame[i];
	}
	guest_gets(q, &copied, frame, n, false, true);
}

static uint16_t
guest_gets_parked(struct port_queue *q, struct burst *b)
{
	uint16_t i;

	for (i = 0; i < b->n; i++)
		end_gets(q, b->frame[i].bytes);
	return b->n;
}

static bool
guest_runs(const struct port *p, uint16_t pair)
{
	return !((const struct fake_port *)p)->off[pair];
}

static void
uplink_gets(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n; i++)
		end_gets(q, m[i]->pkt_len);
	rte_pktmbuf_free_bulk(m, n);
}

static uint16_t
uplink_tries(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	uint16_t some = (uint16_t)RTE_MIN(ends[q->port->id].room, (unsigned int)n);

	uplink_gets(q, m, some);
	rte_pktmbuf_free_bulk(&m[some], n - some);
	ends[q->port->id].room -= some;
	return some;
}

static void
no_info(struct port *p, struct dp_port_info *info)
{
	(void)p;
	(void)info;
}

static const struct port_ops guest_ops = {
	.tx_frames = guest_gets,
	.tx_copy = guest_gets_mbufs,
	.tx_parked = guest_gets_parked,
	.tx_ready = guest_runs,
	.info = no_info,
};
static const struct port_ops uplink_ops = {
	.tx_own = uplink_gets,
	.tx_try = uplink_tries,
	.info = no_info,
};

struct dp_rules rules;

struct port *
port(uint16_t id)
{
	return &fakes[id].base;
}

struct park_port *
park_of(uint16_t id)
{
	return &fakes[id].base.park;
}

void
add(uint16_t id, bool has_mac)
{
	add_port(id, 0, has_mac, &rules);
	port(id)->ops = id >= UPLINK ? &uplink_ops : &guest_ops;
	migration_init(port(id), &rules, false);
	ends[id].room = GOT_MAX;
}

void
goes_away(uint16_t id)
{
	park_begin(port(id), true);
	fakes[id].off[0] = true;
}

/* ---- frames and events ----------------------------------------------------------------------- */

void
sends(uint16_t from, uint8_t dst, uint8_t src, uint16_t first, uint16_t n)
{
	struct frame_spec f = {.dst = dst, .src = src, .vlan = -1};
	uint16_t i;

	become(LCORE);
	for (i = 0; i < n; i++) {
		f.len = (uint16_t)(first + i);
		add_frame(&f);
	}
	assert_int_equal(forward(from), n);
}

void
assert_got_bytes(uint16_t id, uint16_t first, unsigned int n)
{
	unsigned int i;

	assert_int_equal(ends[id].n, n);
	for (i = 0; i < n; i++)
		assert_int_equal(ends[id].bytes[i], first + i);
	ends[id].n = 0;
}

uint64_t
expect(enum dp_event_type type, uint16_t id)
{
	struct dp_event event;

	assert_true(dp_poll(&event));
	assert_int_equal(event.type, type);
	assert_int_equal(event.port, id);
	return event.value;
}

void
expect_nothing(void)
{
	struct dp_event event;

	assert_false(dp_poll(&event));
}

void
assert_pools_full(void)
{
	struct park_page *page, *first = NULL;
	unsigned int n;

	assert_int_equal(rte_mempool_in_use_count(mempool_of_lcore(LCORE)), 0);
	assert_int_equal(rte_mempool_in_use_count(mempool_of_lcore(OTHER)), 0);
	/* Every page once: one that was freed twice would come twice, without end. */
	for (n = 0; (page = park_pool_take(0)) != NULL; n++) {
		assert_true(n < (POOL_MIB << 20) / PARK_PAGE_BYTES);
		page->next = first;
		first = page;
	}
	assert_int_equal(n, (POOL_MIB << 20) / PARK_PAGE_BYTES);
	for (page = first; page != NULL; page = first) {
		first = page->next;
		park_pool_free(page);
	}
}

int
setup_migration(void **state)
{
	memset(ends, 0, sizeof(ends));
	in_grace_period = in_inbox_settle = NULL;
	rules = (struct dp_rules){.vlans.all = true, .park_ms = 2000, .park_frames = 1000};
	become(LCORE);
	return park_create(POOL_MIB) < 0 ? -1 : setup_direct(state);
}

int
teardown_migration(void **state)
{
	struct dp_event event;
	int ret;

	park_discard();
	in_grace_period = NULL;
	in_inbox_settle = inbox_discard; /* where a test has failed midway */
	ret = teardown(state);
	while (dp_poll(&event))
		;
	park_destroy();
	return ret;
}
