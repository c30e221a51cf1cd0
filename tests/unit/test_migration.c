/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest leaves its port, and what is for it goes after it: lcores and the control thread together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "datapath/event.h"
#include "datapath/inbox.h"
#include "tests/unit/migration_fixture.h"

static uint64_t
expired(uint16_t id)
{
	return fakes[id].queue[0].stats.out_drop[DP_OUT_PARK_EXPIRED];
}

/* ---- an inbox -------------------------------------------------------------------------------- */

/* Its frames are another lcore's. */
static void
give_to_other(uint16_t id)
{
	port_queue_give(&fakes[id].queue[0], OTHER);
	assert_int_equal(table_publish(), 0);
}

/* What the other lcore has taken out of its inbox, in a round that has not ended. */
static struct {
	struct port_queue *queue;
	struct rte_mbuf *m[BURST_MAX];
	uint16_t n;
} taken;
static void (*sends_at_once)(struct port_queue *q, struct rte_mbuf **m, uint16_t n);

static void
is_taken_for_guest(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	uint16_t i;

	taken.queue = q;
	for (i = 0; i < n; i++) {
		rte_pktmbuf_refcnt_update(m[i], 1);
		taken.m[taken.n++] = m[i];
	}
}

/* Its lcore takes its time from here on. */
static void
slow_down(uint16_t id)
{
	static struct port_ops slow;

	sends_at_once = port(id)->ops->tx_copy;
	slow = *port(id)->ops;
	slow.tx_copy = is_taken_for_guest;
	port(id)->ops = &slow;
}

/* A frame of a round that began when the guest was still known at port 1; none that begins now does so. */
static void
lcore_ends_a_round(void)
{
	const struct rte_ether_hdr eth = {.dst_addr = {{2, 0, 0, 0, 0, 1}},
					  .src_addr = {{2, 0, 0, 0, 0, 3}},
					  .ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	in_grace_period = NULL;
	assert_int_equal(fdb_port_of(table.fdb[0], fdb_key(eth.dst_addr.addr_bytes, 0)), UPLINK);
	memcpy(rte_pktmbuf_append(m, 104), &eth, sizeof(eth));
	assert_int_equal(inbox_put(OTHER, &fakes[1].queue[0], &m, 1), 1);
}

static void
other_ends_its_round(void)
{
	in_grace_period = NULL;
	become(OTHER);
	sends_at_once(taken.queue, taken.m, taken.n);
	rte_pktmbuf_free_bulk(taken.m, taken.n);
	taken.n = 0;
}

/* What it takes out, it sends before the next grace period is over. */
static void
other_empties_its_inbox(void)
{
	in_inbox_settle = NULL;
	become(OTHER);
	inbox_take(OTHER);
	in_grace_period = other_ends_its_round;
}

/*
 * Parked frames, some in the inbox, and one that comes there while its MAC moves already. When its guest is
 * said to have moved, an orchestrator detaches the port: then all of it must be where it is counted.
 */
static void
what_lies_in_an_inbox_goes_after_its_guest(void **state)
{
	(void)state;
	add(1, true);
	add(3, true);
	add(UPLINK, false);
	give_to_other(1);
	give_to_other(UPLINK);
	goes_away(1);
	sends(3, 1, 3, 100, 2);
	become(OTHER);
	assert_int_equal(inbox_take(OTHER), 2);
	assert_int_equal(park_of(1)->n, 2);
	slow_down(1);
	sends(3, 1, 3, 102, 2);
	sends(UPLINK, 3, 1, 60, 1); /* it is there */
	expect_nothing();
	assert_int_equal(park_of(1)->redirect, UPLINK);
	become(OTHER);
	runs_parks();
	assert_got_bytes(UPLINK, 100, 2);

	in_grace_period = lcore_ends_a_round;
	in_inbox_settle = other_empties_its_inbox;
	assert_int_equal(expect(DP_EVENT_PORT_REDIRECTED, 1), 2);
	assert_int_equal(expect(DP_EVENT_PORT_MOVED, 1), UPLINK);
	assert_null(in_grace_period);
	assert_null(in_inbox_settle);
	assert_int_equal(park_of(1)->n, 3);
	become(OTHER);
	runs_parks();
	sends(3, 1, 3, 105, 1);
	inbox_take(OTHER);
	assert_got_bytes(UPLINK, 102, 4);
	assert_int_equal(expired(1), 0);
	assert_pools_full();
}

static void
other_takes(void)
{
	unsigned int lcore = rte_lcore_id();

	become(OTHER);
	inbox_take(OTHER);
	become(lcore);
}

/* The inbox has room for some of them, and those behind wait. */
static void
a_full_inbox_holds_up_what_goes_after_a_guest(void **state)
{
	const unsigned int room = 3, before = INBOX_SIZE - 1 - room;
	unsigned int i;

	(void)state;
	add(1, true);
	add(3, true);
	add(UPLINK, false);
	give_to_other(UPLINK);
	goes_away(1);
	sends(3, 1, 3, 100, 10);
	for (i = 0; i < before; i++)
		sends(3, 9, 3, 60, 1); /* somebody's, out there */
	sends(UPLINK, 3, 1, 60, 1);
	expect_nothing();
	runs_parks();
	runs_parks();
	assert_int_equal(park_of(1)->n, 10 - room);
	other_takes();
	assert_int_equal(ends[UPLINK].n, before + room);
	memmove(ends[UPLINK].bytes, &ends[UPLINK].bytes[before], room * sizeof(uint32_t));
	ends[UPLINK].n = room;
	runs_parks();
	assert_int_equal(park_of(1)->n, 0);
	in_inbox_settle = other_takes;
	assert_int_equal(expect(DP_EVENT_PORT_REDIRECTED, 1), 10);
	expect(DP_EVENT_PORT_MOVED, 1);
	sends(3, 1, 3, 110, 1);
	other_takes();
	assert_got_bytes(UPLINK, 100, 11);
	assert_int_equal(fwd.undelivered[UPLINK], 0);
	assert_int_equal(fakes[1].queue[0].stats.redirected, 10);
	assert_int_equal(expired(1), 0);
	assert_pools_full();
}

/* ---- one lcore ------------------------------------------------------------------------------- */

static void
nothing_overtakes_what_is_parked(void **state)
{
	(void)state;
	add(1, true);
	add(3, true);
	add(UPLINK, false);
	goes_away(1);
	ends[UPLINK].room = 2;
	sends(3, 1, 3, 100, 3);
	sends(UPLINK, 3, 1, 60, 1);
	expect_nothing();
	sends(3, 1, 3, 103, 1);
	runs_parks();
	sends(3, 1, 3, 104, 1);
	expect_nothing();
	ends[UPLINK].room = 100;
	sends(3, 1, 3, 105, 1);
	runs_parks();
	sends(3, 1, 3, 106, 1);
	runs_parks();
	assert_int_equal(expect(DP_EVENT_PORT_REDIRECTED, 1), 6);
	assert_int_equal(expect(DP_EVENT_PORT_REDIRECTED, 1), 1);
	assert_int_equal(expect(DP_EVENT_PORT_MOVED, 1), UPLINK);
	sends(3, 1, 3, 107, 1);
	assert_got_bytes(UPLINK, 100, 8);
	assert_pools_full();
}

/* Time is over while some of them wait for room: each is counted, and told, as what became of it. */
static void
what_waits_for_room_may_expire(void **state)
{
	const struct dp_stats *stats = &fakes[1].queue[0].stats;

	(void)state;
	add(1, true);
	add(3, true);
	add(UPLINK, false);
	goes_away(1);
	sends(3, 1, 3, 100, 5);
	sends(UPLINK, 3, 1, 60, 1);
	expect_nothing();
	ends[UPLINK].room = 2;
	runs_parks();
	assert_int_equal(park_of(1)->n, 3);
	park_of(1)->until = rte_rdtsc() - 1;
	runs_parks();
	ends[UPLINK].room = 100;
	runs_parks();
	assert_got_bytes(UPLINK, 100, 2);
	assert_int_equal(stats->redirected, 2);
	assert_int_equal(expired(1), 3);
	assert_int_equal(stats->parked, 0);
	assert_int_equal(park_of(1)->n, 0);
	assert_int_equal(park_of(1)->n_pages, 0);
	assert_int_equal(expect(DP_EVENT_PORT_REDIRECTED, 1), 2);
	assert_int_equal(expect(DP_EVENT_PARK_EXPIRED, 1), 3);
	assert_int_equal(expect(DP_EVENT_PORT_MOVED, 1), UPLINK);
	expect_nothing();
	assert_pools_full();
}

/* The last that the guest sent comes back from the adjacent bridge when it has just gone. */
static void
a_reflection_is_not_the_guest_elsewhere(void **state)
{
	unsigned int has_mac;

	(void)state;
	add(3, true);
	add(UPLINK, false);
	for (has_mac = 0; has_mac < 2; has_mac++) {
		rules.vepa = true;
		add(1, has_mac);
		rules.vepa = false;
		sends(1, 3, 1, 60, 1);
		expect_nothing();
		goes_away(1);
		sends(UPLINK, 3, 1, 60, 1);
		expect_nothing();
		assert_int_equal(park_of(1)->redirect, -1);
		/* What comes later is from where it is now. */
		park_of(1)->until -= 100 * (TSC_HZ / 1000);
		sends(UPLINK, 3, 1, 60, 1);
		assert_int_equal(expect(DP_EVENT_PORT_MOVED, 1), UPLINK);
		assert_int_equal(park_of(1)->redirect, UPLINK);
		assert_int_equal(table_del(port(1)), 0);
		fdb_flush_port(table.fdb[0], UPLINK);
	}
	/* No bridge reflects what another port sends. */
	add(1, true);
	goes_away(1);
	sends(UPLINK, 3, 1, 60, 1);
	expect(DP_EVENT_PORT_MOVED, 1);
}

/* As much time as if it had gone now, for what its rings do not hold at once. */
static void
a_guest_that_is_back_has_time_for_what_is_parked(void **state)
{
	(void)state;
	add(1, true);
	add(3, true);
	goes_away(1);
	sends(3, 1, 3, 100, 2);
	park_of(1)->until = rte_rdtsc() + TSC_HZ / 1000;
	fakes[1].off[0] = false;
	event_post(DP_EVENT_PORT_UP, 1, 0);
	expect(DP_EVENT_PORT_UP, 1);
	assert_false(park_of(1)->moves);
	assert_true(park_of(1)->until - rte_rdtsc() > park_of(1)->ms / 2 * (TSC_HZ / 1000));
	runs_parks();
	assert_int_equal(expect(DP_EVENT_PORT_UNPARKED, 1), 2);
}

/* Two guests have each been seen at the other's port. */
static void
two_ports_that_wait_for_each_other_send_nothing_round(void **state)
{
	const uint8_t at_1 = 0x11, at_2 = 0x12;
	unsigned int i;

	(void)state;
	add(1, false);
	add(2, false);
	add(3, true);
	park_end(port(1), 1, 7);
	sends(1, 3, at_1, 60, 1);
	sends(2, 3, at_2, 60, 1);
	expect_nothing();
	goes_away(1);
	goes_away(2);
	sends(3, at_1, 3, 100, 2);
	sends(3, at_2, 3, 102, 3);
	sends(2, 3, at_1, 60, 1);
	sends(1, 3, at_2, 60, 1);
	expect_nothing();
	assert_int_equal(park_of(1)->redirect, 2);
	assert_int_equal(park_of(2)->redirect, 1);
	for (i = 0; i < 3; i++)
		runs_parks();
	assert_int_equal(park_of(1)->n, 2);
	assert_int_equal(park_of(2)->n, 3);
	assert_int_equal(fakes[1].queue[0].stats.redirected, 0);
	assert_int_equal(fakes[2].queue[0].stats.redirected, 0);

	/* One is back: it has its own, and is where the other's guest was seen. */
	park_end(port(1), 1, 7);
	fakes[1].off[0] = false;
	event_post(DP_EVENT_PORT_UP, 1, 0);
	expect(DP_EVENT_PORT_UP, 1);
	runs_parks();
	assert_int_equal(fakes[1].queue[0].stats.unparked, 2);
	assert_int_equal(fakes[2].queue[0].stats.redirected, 3);
	assert_int_equal(ends[1].n, 5);
	assert_int_equal(ends[2].n, 0);
	assert_pools_full();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_migration, teardown_migration)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_lies_in_an_inbox_goes_after_its_guest),
		TEST(a_full_inbox_holds_up_what_goes_after_a_guest),
		TEST(nothing_overtakes_what_is_parked),
		TEST(a_guest_that_is_back_has_time_for_what_is_parked),
		TEST(what_waits_for_room_may_expire),
		TEST(a_reflection_is_not_the_guest_elsewhere),
		TEST(two_ports_that_wait_for_each_other_send_nothing_round),
	};

	if (forward_fixture_start() < 0)
		return 1;
	return cmocka_run_group_tests_name("migration", tests, NULL, NULL);
}
