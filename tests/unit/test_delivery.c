/* SPDX-License-Identifier: BSD-3-Clause */
/* How frames get to where forwarding sends them, and what a port may send. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_cycles.h>

#include "datapath/inbox.h"
#include "tests/unit/forward_fixture.h"

#define OUTPUTS 6 /* of a port where there are seven */

/* A clock that seems to stand still: what a limit lets in again takes seconds. */
uint64_t
rte_get_tsc_hz(void)
{
	return 1ULL << 33;
}

/* Ports 1..UPLINK-1 are guests with MACs, the rest uplinks. */
static void
add_seven_ports(const struct dp_rules *rules_of_first)
{
	uint16_t id;

	add_port(1, 0, true, rules_of_first);
	for (id = 2; id < PORTS; id++)
		add_port(id, 0, id < UPLINK, NULL);
}

static uint16_t
send_same(uint16_t from, uint8_t dst, uint16_t n)
{
	const struct frame_spec f = {.dst = dst, .src = (uint8_t)from, .vlan = -1};
	uint16_t i;

	for (i = 0; i < n; i++)
		add_frame(&f);
	return send_burst(from, NULL, 0);
}

/* ---- outputs ----------------------------------------------------------------------------- */

/* A frame for outputs of both tag forms, others of the burst for one: each gets its own. */
static void
a_burst_of_mixed_forms_comes_out_right(void **state)
{
	static const uint16_t inputs[] = {UPLINK, 4};
	unsigned int i, k;

	(void)state;
	add_port(1, 100, false, NULL);
	add_port(2, 100, true, NULL);
	add_port(3, 0, true, NULL);
	add_port(4, 0, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	add_port(UPLINK + 1, 0, false, NULL);
	for (k = 0; k < 2; k++) {
		const uint8_t src = (uint8_t)(0x50 + k);
		const struct frame_spec f[4] = {
			{.dst = 0xff, .src = src, .vlan = 100},
			{.dst = 2, .src = src, .vlan = 100},
			{.dst = 3, .src = src, .vlan = 100},
			{.dst = 0xff, .src = src, .vlan = 100},
		};

		send_burst(inputs[k], f, 4);
		assert_int_equal(fakes[1].n_got, 2);
		assert_int_equal(fakes[2].n_got, 3);
		assert_int_equal(fakes[3].n_got, 3);
		assert_int_equal(fakes[UPLINK + 1].n_got, 2);
		assert_int_equal(fakes[inputs[k]].n_got, 0);
		for (i = 0; i < 3; i++) {
			assert_int_equal(fakes[2].got_len[i], 60);
			assert_int_equal(fakes[2].got[i][12] << 8 | fakes[2].got[i][13], 0x0800);
			assert_int_equal(fakes[3].got_len[i], 64);
			assert_int_equal(fakes[3].got[i][12] << 8 | fakes[3].got[i][13], 0x8100);
			assert_int_equal(fakes[3].got[i][63], 0xa5);
		}
	}
}

static void
a_port_of_another_lcore_is_reached_through_its_inbox(void **state)
{
	const struct frame_spec f = {.dst = 0xff, .src = 1, .vlan = -1};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	port_queue_give(&fakes[2].queue[0], 2);
	port_queue_give(&fakes[UPLINK].queue[0], 2);
	assert_int_equal(table_publish(), 0);
	add_frame(&f);
	forward(1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(inbox_take(2), 2);
	assert_int_equal(receivers(), P(2) | P(UPLINK));
	assert_int_equal(tag_of(2), -1);
	assert_int_equal(inbox_take(2), 0);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void *
take_later(void *began)
{
	usleep(20000); /* so that a wait that is none is over before */
	atomic_store((atomic_bool *)began, true);
	inbox_take(2);
	return NULL;
}

static void
inboxes_settle_when_they_are_emptied(void **state)
{
	const struct frame_spec f = {.dst = 2, .src = 1, .vlan = -1};
	atomic_bool began = false;
	pthread_t owner;

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	port_queue_give(&fakes[2].queue[0], 2);
	assert_int_equal(table_publish(), 0);
	add_frame(&f);
	forward(1);
	assert_int_equal(pthread_create(&owner, NULL, take_later, &began), 0);
	inbox_settle();
	assert_true(began);
	pthread_join(owner, NULL);
	assert_int_equal(receivers(), P(2));
}

static void
what_a_full_inbox_does_not_take_is_counted(void **state)
{
	const struct frame_spec f = {.dst = 2, .src = 1, .vlan = -1};
	uint64_t before = fwd.undelivered[2];
	unsigned int sent = 0, i;

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	port_queue_give(&fakes[2].queue[0], 2);
	assert_int_equal(table_publish(), 0);
	for (; sent < INBOX_SIZE + BURST_MAX; sent += BURST_MAX) {
		for (i = 0; i < BURST_MAX; i++)
			add_frame(&f);
		assert_int_equal(forward(1), BURST_MAX);
	}
	assert_int_equal(fwd.undelivered[2] - before, sent - (INBOX_SIZE - 1));
	inbox_discard();
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	assert_int_equal(fakes[1].queue[0].stats.in_packets, sent);
}

/* An output that takes frames from where they lie needs no mbuf. */
static void
without_mbufs_a_copy_is_lost_and_counted(void **state)
{
	static struct rte_mbuf *all[1 << 16];
	uint64_t before = fwd.undelivered[UPLINK];
	const struct frame_spec f = {.dst = 0xff, .src = 1, .vlan = -1};
	unsigned int n = rte_mempool_avail_count(pool);

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, all, n), 0);
	add_frame(&f);
	assert_int_equal(forward(1), 1);
	assert_int_equal(receivers(), P(2));
	assert_int_equal(fwd.undelivered[UPLINK] - before, 1);
	rte_pktmbuf_free_bulk(all, n);
}

/* ---- queue pairs ------------------------------------------------------------------------- */

/* The pair of port 2 that a frame goes to which came in on pair `in`, or -1: another lcore's. */
static int
pair_for(uint16_t in)
{
	uint16_t q;
	int pair = -1;

	fakes[1].queue[0].index = in;
	send_same(1, 2, 1);
	for (q = 0; q < PAIRS; q++) {
		if (fakes[2].got_on[q] != 0)
			pair = q;
	}
	return pair;
}

/* ... and which one that is. */
static int
foreign_pair_for(uint16_t in)
{
	const struct frame_spec f = {.dst = 2, .src = 1, .vlan = -1};
	uint16_t q;

	fakes[1].queue[0].index = in;
	add_frame(&f);
	forward(1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(inbox_take(2), 1);
	for (q = 0; q < PAIRS && fakes[2].got_on[q] == 0; q++)
		;
	return q;
}

static void
add_pairs(uint8_t lcore0, uint8_t lcore1, uint8_t lcore2)
{
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	fakes[2].base.n_queues = PAIRS;
	port_queue_give(&fakes[2].queue[0], lcore0);
	port_queue_give(&fakes[2].queue[1], lcore1);
	port_queue_give(&fakes[2].queue[2], lcore2);
	assert_int_equal(table_publish(), 0);
}

static void
a_pair_goes_to_its_like(void **state)
{
	(void)state;
	add_pairs(LCORE, LCORE, LCORE);
	assert_int_equal(pair_for(0), 0);
	assert_int_equal(pair_for(1), 1);
	assert_int_equal(pair_for(2), 2);
	assert_int_equal(pair_for(4), 1);
	fakes[2].off[1] = true;
	assert_int_equal(pair_for(1), 2);
	fakes[2].off[2] = true;
	assert_int_equal(pair_for(1), 0);
	fakes[2].off[0] = true; /* all: the one that it would be */
	assert_int_equal(pair_for(1), 1);
}

static void
a_pair_of_ones_own_is_preferred(void **state)
{
	(void)state;
	add_pairs(2, LCORE, 2);
	assert_int_equal(pair_for(0), 1);
	assert_int_equal(pair_for(1), 1);
	assert_int_equal(pair_for(2), 1);
	fakes[2].off[1] = true;
	assert_int_equal(foreign_pair_for(0), 0);
	assert_int_equal(foreign_pair_for(1), 2);
	assert_int_equal(foreign_pair_for(2), 2);
	fakes[2].off[2] = true;
	assert_int_equal(foreign_pair_for(2), 0);
}

/* ---- the work that one burst may make ----------------------------------------------------- */

static void
a_flood_waits_in_the_ring_of_its_guest(void **state)
{
	const uint16_t taken = (FORWARD_COPIES_MAX + OUTPUTS - 1) / OUTPUTS;

	(void)state;
	add_seven_ports(NULL);
	assert_int_equal(send_same(1, 0xff, BURST_MAX), taken);
	assert_int_equal(fakes[1].queue[0].stats.in_packets, taken);
	assert_int_equal(fakes[1].queue[0].stats.in_bytes, 60 * taken);
	assert_int_equal(fakes[2].n_got, taken);
	assert_int_equal(fakes[UPLINK].n_got, taken);
	assert_int_equal(send_same(1, 0xff, BURST_MAX - taken), BURST_MAX - taken);
	assert_int_equal(send_same(1, 2, BURST_MAX), BURST_MAX); /* to one port alone */
}

/* Or frames would overtake each other. */
static void
what_comes_behind_a_flood_waits_with_it(void **state)
{
	const struct frame_spec group = {.dst = 0xff, .src = 1, .vlan = -1};
	const struct frame_spec one = {.dst = 2, .src = 1, .vlan = -1};
	const uint16_t taken = 5 + (FORWARD_COPIES_MAX + OUTPUTS - 1) / OUTPUTS;
	uint16_t i;

	(void)state;
	add_seven_ports(NULL);
	for (i = 0; i < BURST_MAX; i++)
		add_frame(i < 5 || i > 60 ? &one : &group);
	assert_int_equal(send_burst(1, NULL, 0), taken);
	assert_int_equal(fakes[2].n_got, taken);
	assert_int_equal(fakes[3].n_got, taken - 5);
	for (i = 0; i < taken - 5; i++) /* and where the flood ends just there */
		add_frame(&group);
	add_frame(&one);
	add_frame(&group);
	assert_int_equal(send_burst(1, NULL, 0), taken - 5 + 1);
	assert_int_equal(fakes[2].n_got, taken - 5 + 1);
}

static void
what_cannot_wait_is_sent(void **state)
{
	(void)state;
	add_seven_ports(NULL);
	assert_int_equal(send_same(1, 0xff, BURST_MAX), BURST_MAX);
	assert_int_equal(fakes[2].n_got, BURST_MAX);
}

static void
an_uplinks_flood_does_not_wait(void **state)
{
	(void)state;
	add_seven_ports(NULL);
	assert_int_equal(send_same(UPLINK, 0xff, BURST_MAX), BURST_MAX);
	assert_int_equal(fakes[2].n_got, BURST_MAX);
}

static void
what_is_paid_for_is_not_left(void **state)
{
	struct dp_rules rules = {
		.vlans.all = true,
		.limits = {.rate_bps = 1ULL << 33, .burst_bits = 1 << 20},
	};

	(void)state;
	add_seven_ports(&rules);
	assert_int_equal(send_same(1, 0xff, BURST_MAX), BURST_MAX);
	assert_int_equal(dropped(1, DP_IN_RATE), 0);
	assert_int_equal(fakes[2].n_got, BURST_MAX);
}

/* ---- limits ------------------------------------------------------------------------------ */

static void
a_ports_rate_is_held(void **state)
{
	const struct dp_rules rules = {
		.vlans.all = true,
		.limits = {.rate_bps = 8, .burst_bits = 8 * (60 + 64 + 1)},
	};
	const struct frame_spec f[] = {
		{.dst = 2, .src = 1, .vlan = -1, .len = 13}, /* pays nothing */
		{.dst = 2, .src = 1, .vlan = -1, .len = 1519}, /* nor this */
		{.dst = 2, .src = 9, .vlan = -1}, /* nor does what is not the guest's to send */
		{.dst = 2, .src = 1, .vlan = -1},
		{.dst = 2, .src = 1, .vlan = 5},
		{.dst = 2, .src = 1, .vlan = -1}, /* in debt from here on */
		{.dst = 2, .src = 1, .vlan = -1},
		{.dst = 0xff, .src = 1, .vlan = -1},
	};

	(void)state;
	add_port(1, 0, true, &rules);
	add_port(2, 0, true, NULL);
	assert_int_equal(send_burst(1, f, RTE_DIM(f)), RTE_DIM(f));
	assert_int_equal(fakes[2].n_got, 3);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
	assert_int_equal(dropped(1, DP_IN_SPOOF), 1);
	assert_int_equal(dropped(1, DP_IN_MTU), 1);
	assert_int_equal(dropped(1, DP_IN_RATE), 2);
	assert_int_equal(fakes[1].queue[0].stats.in_packets, 3);
	assert_int_equal(fakes[1].queue[0].stats.in_bytes, 60 + 64 + 60);
	send_one(1, 2, 1, -1); /* and in the next burst */
	assert_int_equal(dropped(1, DP_IN_RATE), 3);
	send_one(2, 1, 2, -1); /* the other way is free */
	assert_int_equal(receivers(), P(1));
}

/* A storm of each kind has a limit of its own, which what has one output does not know. */
static void
a_storm_is_held_by_its_kind(void **state)
{
	static const uint8_t group[6] = {0x01, 0, 0x5e, 0, 0, 5}, stp[6] = {0x01, 0x80, 0xc2};
	const struct frame_spec f = {.dst = 2, .src = 1, .vlan = -1};
	struct dp_rules rules = {.vlans.all = true};
	unsigned int kind, i;

	(void)state;
	add_port(2, 0, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	for (kind = 0; kind < DP_STORMS; kind++) {
		memset(rules.limits.storm_pps, 0, sizeof(rules.limits.storm_pps));
		rules.limits.storm_pps[kind] = 10; /* one at once, and one on tick */
		add_port(1, 0, true, &rules);
		send_same(1, 0xff, 5);
		assert_int_equal(fakes[UPLINK].n_got, kind == DP_STORM_BROADCAST ? 2 : 5);
		send_same(1, 0x77, 5);
		assert_int_equal(fakes[UPLINK].n_got, kind == DP_STORM_UNKNOWN ? 2 : 5);
		for (i = 0; i < 5; i++)
			memcpy(add_frame(&f), i == 0 ? stp : group, 6);
		send_burst(1, NULL, 0);
		assert_int_equal(fakes[UPLINK].n_got, kind == DP_STORM_MULTICAST ? 2 : 4);
		assert_int_equal(dropped(1, DP_IN_STORM), kind == DP_STORM_MULTICAST ? 2 : 3);
		send_same(1, 2, 5);
		assert_int_equal(fakes[2].n_got, 5);
		assert_int_equal(table_del(&fakes[1].base), 0);
	}
}

static void
a_request_that_fits_nothing_is_a_bad_frame(void **state)
{
	const struct frame_spec f = {.dst = 2, .src = 1, .vlan = -1};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_frame(&f);
	ask_for_nonsense();
	add_frame(&f);
	ask_for_segments(); /* to one port: why not */
	send_burst(1, NULL, 0);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
	assert_int_equal(fakes[2].n_got, 1);
}

/* ---- capture ----------------------------------------------------------------------------- */

static void
expect_captured(struct capture *c, bool to_guest, int vlan, uint32_t bytes)
{
	struct dp_captured got;

	assert_true(capture_read(c, &got));
	assert_int_equal(got.to_guest, to_guest);
	assert_int_equal(got.frame_bytes, bytes);
	assert_int_equal(got.data[5], 0xff);
	assert_int_equal(got.data[12] << 8 | got.data[13], vlan < 0 ? 0x0800 : 0x8100);
	if (vlan >= 0)
		assert_int_equal(got.data[14] << 8 | got.data[15], vlan);
}

/* As it came in, also where it goes nowhere; as it goes out, in the form that the output has. */
static void
what_passes_a_port_is_captured_as_the_guest_has_it(void **state)
{
	static const uint16_t captured[] = {1, 2, 3, UPLINK};
	const struct frame_spec f[] = {
		{.dst = 0xff, .src = 1, .vlan = 0},
		{.dst = 0xff, .src = 1, .vlan = 7}, /* not carried */
		{.dst = 0xff, .src = 1, .vlan = -1, .len = 100},
	};
	struct capture *c[PORTS] = {NULL};
	struct dp_captured none;
	unsigned int i;

	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 100, true, NULL);
	add_port(3, 0, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	for (i = 0; i < RTE_DIM(captured); i++) {
		c[captured[i]] = capture_create(1500, 2);
		fakes[captured[i]].base.capture_ctl = c[captured[i]];
	}
	assert_int_equal(table_publish(), 0);
	send_burst(1, f, 3);
	expect_captured(c[1], false, 0, 64);
	expect_captured(c[1], false, 7, 64);
	expect_captured(c[1], false, -1, 100);
	expect_captured(c[2], true, -1, 60);
	expect_captured(c[2], true, -1, 100);
	expect_captured(c[3], true, 100, 64);
	expect_captured(c[3], true, 100, 104);
	expect_captured(c[UPLINK], true, 100, 64);
	expect_captured(c[UPLINK], true, 100, 104);
	for (i = 0; i < RTE_DIM(captured); i++) {
		assert_false(capture_read(c[captured[i]], &none));
		fakes[captured[i]].base.capture_ctl = NULL;
	}
	assert_int_equal(table_publish(), 0);
	for (i = 0; i < RTE_DIM(captured); i++)
		capture_destroy(c[captured[i]]);
}

/* Left in its ring a frame would be captured again when it is found there again. */
static void
a_captured_flood_is_captured_once(void **state)
{
	struct capture *c = capture_create(64, 2);
	struct dp_captured got;
	unsigned int n = 0;

	(void)state;
	add_seven_ports(NULL);
	fakes[1].base.capture_ctl = c;
	assert_int_equal(table_publish(), 0);
	assert_int_equal(send_same(1, 0xff, BURST_MAX), BURST_MAX);
	while (capture_read(c, &got))
		n++;
	assert_int_equal(n, BURST_MAX);
	fakes[1].base.capture_ctl = NULL;
	assert_int_equal(table_publish(), 0);
	capture_destroy(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_burst_of_mixed_forms_comes_out_right),
		ON_BOTH(a_port_of_another_lcore_is_reached_through_its_inbox),
		ON_BOTH(inboxes_settle_when_they_are_emptied),
		ON_BOTH(what_a_full_inbox_does_not_take_is_counted),
		ON_DIRECT(without_mbufs_a_copy_is_lost_and_counted),
		ON_BOTH(a_pair_goes_to_its_like),
		ON_BOTH(a_pair_of_ones_own_is_preferred),
		ON_DIRECT(a_flood_waits_in_the_ring_of_its_guest),
		ON_DIRECT(what_comes_behind_a_flood_waits_with_it),
		ON_MBUFS(what_cannot_wait_is_sent),
		ON_BOTH(an_uplinks_flood_does_not_wait),
		ON_DIRECT(what_is_paid_for_is_not_left),
		ON_BOTH(a_ports_rate_is_held),
		ON_BOTH(a_storm_is_held_by_its_kind),
		ON_DIRECT(a_request_that_fits_nothing_is_a_bad_frame),
		ON_BOTH(what_passes_a_port_is_captured_as_the_guest_has_it),
		ON_DIRECT(a_captured_flood_is_captured_once),
	};

	if (forward_fixture_start() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
