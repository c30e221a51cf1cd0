/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forward + snapshot + table + burst together, with ports that only remember what they were sent.
 * One thread plays the lcore; there is no other, so a grace period is over at once.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_malloc.h>

#include "datapath/event.h"
#include "datapath/forward.h"
#include "datapath/inbox.h"
#include "datapath/rcu.h"
#include "datapath/table.h"

enum {
	PORTS = 8,
	KEPT = 64,
	UPLINK = 5,
	ANY = DP_VLAN_ANY
};

struct fake_port {
	struct port base;
	struct port_queue queue;
	unsigned int n_got;
	uint8_t got[KEPT][64]; /* the beginning of each frame that was sent on it */
	uint32_t got_len[KEPT];
};

static struct fake_port fakes[PORTS];
static struct rte_mempool *pool;
static struct forward fwd = {.lcore = 1};

static void
fake_keep(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	struct fake_port *f = (struct fake_port *)q->port;
	uint16_t i;

	for (i = 0; i < n; i++) {
		assert_true(f->n_got < KEPT);
		memcpy(f->got[f->n_got], rte_pktmbuf_mtod(m[i], void *),
		       RTE_MIN(m[i]->data_len, 64));
		f->got_len[f->n_got++] = m[i]->pkt_len;
	}
}

static void
fake_own(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	fake_keep(q, m, n);
	rte_pktmbuf_free_bulk(m, n);
}

static uint16_t
fake_tx_queue(const struct port *p, uint16_t wanted)
{
	(void)p;
	(void)wanted;
	return 0;
}

static const struct port_ops guest_ops = {.tx_copy = fake_keep, .tx_queue = fake_tx_queue};
static const struct port_ops uplink_ops = {.tx_own = fake_own, .tx_queue = fake_tx_queue};

/* Port n has the MAC 02:00:00:00:00:n where it has one. */
static void
add_port(uint16_t id, uint16_t access, bool has_mac, const struct dp_rules *more)
{
	struct fake_port *f = &fakes[id];
	struct err err;

	memset(f, 0, sizeof(*f));
	f->base.id = id;
	f->base.is_uplink = id >= UPLINK;
	f->base.ops = f->base.is_uplink ? &uplink_ops : &guest_ops;
	f->base.n_queues = 1;
	f->base.queue = &f->queue;
	f->queue.port = &f->base;
	f->queue.lcore_ctl = 1;
	if (more != NULL)
		f->base.rules_ctl = *more;
	f->base.rules_ctl.vlans.access = access;
	if (access == 0 && more == NULL)
		f->base.rules_ctl.vlans.all = true;
	if (f->base.rules_ctl.mtu == 0)
		f->base.rules_ctl.mtu = 1500;
	if (has_mac) {
		f->base.rules_ctl.n_macs = 1;
		f->base.rules_ctl.mac[0] = (struct dp_mac){{2, 0, 0, 0, 0, (uint8_t)id}};
	} else {
		f->base.rules_ctl.learn = true;
	}
	assert_int_equal(table_add(&f->base, &err), 0);
}

struct frame {
	uint8_t dst, src; /* last byte of 02:00:00:00:00:xx; 0xff as dst: broadcast */
	int vlan; /* -1: no tag */
	uint16_t len; /* without the tag; 0: 60 */
};

static struct rte_mbuf *
make_frame(const struct frame *f)
{
	uint8_t head[18] = {2, 0, 0, 0, 0, f->dst, 2, 0, 0, 0, 0, f->src, 0x08, 0x00};
	uint16_t len = (f->len != 0 ? f->len : 60) + (f->vlan >= 0 ? 4 : 0);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	char *data = rte_pktmbuf_append(m, len);

	memset(data, 0xa5, len);
	if (f->dst == 0xff)
		memset(head, 0xff, 6);
	if (f->vlan >= 0) {
		head[12] = 0x81;
		head[13] = 0;
		head[14] = (uint8_t)(f->vlan >> 8);
		head[15] = (uint8_t)f->vlan;
		head[16] = 0x08;
		head[17] = 0;
	}
	memcpy(data, head, RTE_MIN(len, f->vlan >= 0 ? 18 : 14));
	return m;
}

/* What an lcore does with a burst that came in on a port. */
static void
forward(uint16_t from, struct burst *b)
{
	const struct snapshot *s = snapshot_current;

	burst_look(b);
	forward_burst(&fwd, s, s->port[from], &fakes[from].queue, b);
	burst_release(b);
}

/* Sends frames in one burst from a port, and takes in what was learned by it. */
static void
send_burst(uint16_t from, const struct frame *f, uint16_t n)
{
	struct burst b = {.n = n};
	struct dp_event event;
	struct event_mac mac;
	uint16_t i;

	for (i = 0; i < PORTS; i++)
		fakes[i].n_got = 0;
	for (i = 0; i < n; i++)
		b.mbuf[i] = make_frame(&f[i]);
	forward(from, &b);
	while (event_take(&event, &mac) == EVENT_MAC)
		fdb_learn(table.fdb[mac.bridge], mac.fdb_key, mac.port, UINT32_MAX);
	assert_int_equal(rte_mempool_in_use_count(pool), 0); /* every mbuf came home */
}

static void
send_one(uint16_t from, uint8_t dst, uint8_t src, int vlan)
{
	struct frame f = {.dst = dst, .src = src, .vlan = vlan};

	send_burst(from, &f, 1);
}

/* The ports that got the last burst, as a bit set. */
static unsigned int
receivers(void)
{
	unsigned int set = 0, i;

	for (i = 0; i < PORTS; i++) {
		if (fakes[i].n_got != 0)
			set |= 1U << i;
	}
	return set;
}

#define P(n) (1U << (n))

/* The tag that port `id` got its frame with, -1 for none. */
static int
tag_of(uint16_t id)
{
	const uint8_t *f = fakes[id].got[0];

	assert_int_equal(fakes[id].n_got, 1);
	if (f[12] == 0x81 && f[13] == 0) {
		assert_int_equal(f[16] << 8 | f[17], 0x0800);
		assert_int_equal(fakes[id].got_len[0], 64);
		return f[14] << 8 | f[15];
	}
	assert_int_equal(f[12] << 8 | f[13], 0x0800);
	assert_int_equal(fakes[id].got_len[0], 60);
	return -1;
}

static uint64_t
dropped(uint16_t id, enum dp_in_drop reason)
{
	return fakes[id].queue.stats.in_drop[reason];
}

static int
setup(void **state)
{
	(void)state;
	table.fdb[0] = fdb_create(1024, 300);
	return table_publish();
}

static int
teardown(void **state)
{
	uint16_t i;

	(void)state;
	for (i = 0; i < PORTS; i++) {
		if (table.port[i] != NULL)
			assert_int_equal(table_del(table.port[i]), 0);
	}
	fdb_destroy(table.fdb[0]);
	table.fdb[0] = NULL;
	return 0;
}

static void
known_unicast_goes_to_its_port_alone(void **state)
{
	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(3, 0, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), P(2));
	assert_int_equal(fakes[1].queue.stats.in_packets, 1);
	assert_int_equal(fakes[1].queue.stats.in_bytes, 60);
	send_one(1, 1, 1, -1); /* to itself: nowhere */
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_NO_OUTPUT), 1);
}

static void
unknown_unicast_goes_to_uplinks_and_learners(void **state)
{
	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(3, 0, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 0x77, 1, -1);
	assert_int_equal(receivers(), P(3) | P(UPLINK));
	send_one(UPLINK, 0x78, 0x50, -1);
	assert_int_equal(receivers(), P(3));
	send_one(3, 0x50, 0x33, -1); /* learned at the uplink by the frame before */
	assert_int_equal(receivers(), P(UPLINK));
	send_one(1, 0x33, 1, -1);
	assert_int_equal(receivers(), P(3));
}

static void
broadcast_stays_in_the_vlan(void **state)
{
	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 100, true, NULL);
	add_port(3, 200, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 0xff, 1, -1);
	assert_int_equal(receivers(), P(2) | P(UPLINK));
	assert_int_equal(tag_of(2), -1);
	assert_int_equal(tag_of(UPLINK), 100);
	send_one(UPLINK, 0xff, 0x50, 200);
	assert_int_equal(receivers(), P(3));
	assert_int_equal(tag_of(3), -1);
	send_one(UPLINK, 0xff, 0x50, -1); /* VLAN 0: nobody but trunks */
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(UPLINK, DP_IN_NO_OUTPUT), 1);
}

static void
access_ports_take_no_tags_but_priority_ones(void **state)
{
	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 100, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, 100);
	assert_int_equal(dropped(1, DP_IN_VLAN), 1);
	assert_int_equal(receivers(), 0);
	send_one(1, 0x77, 1, 0); /* priority-tagged: the VLAN id of the port replaces 0 */
	assert_int_equal(receivers(), P(UPLINK));
	assert_int_equal(tag_of(UPLINK), 100);
	send_one(1, 2, 1, 0);
	assert_int_equal(tag_of(2), -1);
}

/* Taking the first tag off would show the second one, in a VLAN that was never checked. */
static void
a_priority_tag_hides_no_other_tag(void **state)
{
	struct frame f = {.dst = 0xff, .src = 1, .vlan = 0};
	struct dp_rules rules = {0};
	static const uint8_t inner[2][2] = {{0x81, 0x00}, {0x88, 0xa8}};
	unsigned int i;

	(void)state;
	rules.vlans.trunks[0] = RTE_BIT64(0) | RTE_BIT64(5);
	add_port(1, 100, true, NULL);
	add_port(2, 0, true, &rules);
	add_port(UPLINK, 0, false, NULL);
	for (i = 0; i < 4; i++) {
		struct burst b = {.n = 1};
		uint16_t from = i < 2 ? 1 : 2;

		f.src = (uint8_t)from;
		b.mbuf[0] = make_frame(&f);
		memcpy(rte_pktmbuf_mtod_offset(b.mbuf[0], void *, 16), inner[i % 2], 2);
		forward(from, &b);
	}
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_VLAN), 2);
	assert_int_equal(dropped(2, DP_IN_VLAN), 2);
}

static void
segments_are_not_made_for_a_group(void **state)
{
	struct frame f = {.dst = 0xff, .src = 1, .vlan = -1};
	struct burst b = {.n = 1};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	b.mbuf[0] = make_frame(&f);
	b.mbuf[0]->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	forward(1, &b);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
}

static void
a_header_cut_in_its_tag_is_bad(void **state)
{
	struct frame f = {.dst = 0xff, .src = 1, .vlan = 5, .len = 2 + 14 - 4};
	struct burst b = {.n = 1};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	b.mbuf[0] = make_frame(&f); /* 16 bytes: addresses, 0x8100, VLAN, and nothing */
	assert_int_equal(b.mbuf[0]->pkt_len, 16);
	forward(1, &b);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
}

static void
a_learning_guest_does_not_use_anothers_address(void **state)
{
	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(3, 0, false, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(3, 2, 1, -1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(3, DP_IN_SPOOF), 1);
	send_one(UPLINK, 2, 1, -1); /* but 1 may have moved to another host */
	assert_int_equal(receivers(), P(2));
}

static void
a_trunks_own_mac_is_not_shadowed_by_a_learned_one(void **state)
{
	(void)state;
	add_port(1, 5, true, NULL);
	add_port(3, 5, false, NULL);
	send_one(3, 1, 2, -1); /* 3 says that it is 02:...:02 */
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), P(3));
	add_port(2, 0, true, NULL); /* whose MAC that is, in every VLAN */
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), P(2));
	send_one(3, 1, 2, -1); /* 3 says so again */
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), P(2));
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
	struct frame f = {.dst = 2, .src = 1, .vlan = -1};
	struct burst b = {.n = 1};
	atomic_bool began = false;
	pthread_t owner;

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	fakes[2].queue.lcore_ctl = 2;
	assert_int_equal(table_publish(), 0);
	b.mbuf[0] = make_frame(&f);
	forward(1, &b);
	assert_int_equal(pthread_create(&owner, NULL, take_later, &began), 0);
	inbox_settle();
	assert_true(began);
	pthread_join(owner, NULL);
	assert_int_equal(receivers(), P(2));
}

static void
same_mac_in_two_vlans_is_two_stations(void **state)
{
	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 200, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, -1); /* 2's MAC, but in VLAN 100: unknown there */
	assert_int_equal(receivers(), P(UPLINK));
	send_one(UPLINK, 2, 0x50, 200);
	assert_int_equal(receivers(), P(2));
	assert_int_equal(tag_of(2), -1);
}

static void
trunk_lists_are_kept(void **state)
{
	struct dp_rules rules = {0};

	(void)state;
	rules.vlans.trunks[0] = RTE_BIT64(5);
	rules.vlans.trunks[4094 / 64] = RTE_BIT64(4094 % 64);
	add_port(1, 0, true, &rules);
	add_port(2, 5, true, NULL);
	add_port(3, 6, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, 5);
	assert_int_equal(receivers(), P(2));
	assert_int_equal(tag_of(2), -1);
	send_one(2, 1, 2, -1); /* a trunk's static MAC is valid in all its VLANs */
	assert_int_equal(receivers(), P(1));
	assert_int_equal(tag_of(1), 5);
	send_one(3, 1, 3, -1); /* but not in others */
	assert_int_equal(receivers(), 0);
	send_one(1, 3, 1, 6);
	send_one(1, 3, 1, -1);
	assert_int_equal(dropped(1, DP_IN_VLAN), 2);
	send_one(1, 0xff, 1, 4094);
	assert_int_equal(receivers(), P(UPLINK));
	assert_int_equal(tag_of(UPLINK), 4094);
	send_one(UPLINK, 0xff, 0x50, 4095);
	assert_int_equal(dropped(UPLINK, DP_IN_VLAN), 1);
}

static void
bad_frames_are_dropped_by_reason(void **state)
{
	const struct frame short_frame = {.dst = 2, .src = 1, .vlan = -1, .len = 13};
	const struct frame longest = {.dst = 2, .src = 1, .vlan = -1, .len = 1518};
	const struct frame too_long = {.dst = 2, .src = 1, .vlan = -1, .len = 1519};
	const struct frame longest_tagged = {.dst = 2, .src = 1, .vlan = 3, .len = 1518};

	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	send_burst(1, &short_frame, 1);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
	send_burst(1, &longest, 1);
	assert_int_equal(receivers(), P(2));
	send_burst(1, &longest_tagged, 1);
	assert_int_equal(receivers(), P(2));
	send_burst(1, &too_long, 1);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_MTU), 1);
	send_one(1, 2, 9, -1); /* not its MAC */
	assert_int_equal(dropped(1, DP_IN_SPOOF), 1);
	assert_int_equal(fakes[1].queue.stats.in_packets, 2);
}

static void
group_addresses_are_no_senders_and_reserved_ones_no_targets(void **state)
{
	struct burst b = {.n = 2};
	struct frame f = {.dst = 2, .src = 1, .vlan = -1};
	static const uint8_t stp[6] = {0x01, 0x80, 0xc2, 0, 0, 0};
	uint8_t *data;

	(void)state;
	add_port(1, 0, false, NULL);
	add_port(2, 0, false, NULL);
	b.mbuf[0] = make_frame(&f);
	data = rte_pktmbuf_mtod(b.mbuf[0], uint8_t *);
	data[6] |= 1;
	b.mbuf[1] = make_frame(&f);
	memcpy(rte_pktmbuf_mtod(b.mbuf[1], uint8_t *), stp, 6);
	forward(1, &b);
	assert_int_equal(receivers(), 0);
	assert_int_equal(dropped(1, DP_IN_BAD_FRAME), 1);
	assert_int_equal(dropped(1, DP_IN_NO_OUTPUT), 1);
}

static void
vepa_speaks_to_uplinks_alone(void **state)
{
	struct dp_rules vepa = {.vlans.all = true, .vepa = true};

	(void)state;
	add_port(1, 0, true, &vepa);
	add_port(2, 0, true, NULL);
	add_port(3, 0, true, &vepa);
	add_port(UPLINK, 0, false, NULL);
	send_one(1, 2, 1, -1); /* to a local guest: by the adjacent bridge */
	assert_int_equal(receivers(), P(UPLINK));
	send_one(2, 1, 2, -1);
	assert_int_equal(receivers(), P(UPLINK));
	send_one(1, 0xff, 1, -1);
	assert_int_equal(receivers(), P(UPLINK));
	send_one(2, 0xff, 2, -1);
	assert_int_equal(receivers(), P(UPLINK));
	send_one(UPLINK, 1, 2, -1); /* reflected */
	assert_int_equal(receivers(), P(1));
	send_one(UPLINK, 0xff, 1, -1); /* 1's own broadcast, reflected: not to 1 */
	assert_int_equal(receivers(), P(2) | P(3));
	send_one(2, 1, 2, -1); /* the reflection has moved nobody */
	assert_int_equal(receivers(), P(UPLINK));
}

/* A frame for outputs of both tag forms, others of the burst for one: each gets its own. */
static void
a_burst_of_mixed_forms_comes_out_right(void **state)
{
	const struct frame f[4] = {
		{.dst = 0xff, .src = 0x50, .vlan = 100},
		{.dst = 2, .src = 0x50, .vlan = 100},
		{.dst = 3, .src = 0x50, .vlan = 100},
		{.dst = 0xff, .src = 0x51, .vlan = 100},
	};
	unsigned int i;

	(void)state;
	add_port(1, 100, false, NULL);
	add_port(2, 100, true, NULL);
	add_port(3, 0, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	add_port(UPLINK + 1, 0, false, NULL);
	send_burst(UPLINK, f, 4);
	assert_int_equal(fakes[1].n_got, 2);
	assert_int_equal(fakes[2].n_got, 3);
	assert_int_equal(fakes[3].n_got, 3);
	assert_int_equal(fakes[UPLINK + 1].n_got, 2);
	assert_int_equal(fakes[UPLINK].n_got, 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(fakes[2].got_len[i], 60);
		assert_int_equal(fakes[2].got[i][12] << 8 | fakes[2].got[i][13], 0x0800);
		assert_int_equal(fakes[3].got_len[i], 64);
		assert_int_equal(fakes[3].got[i][12] << 8 | fakes[3].got[i][13], 0x8100);
	}
}

static void
two_ports_cannot_have_one_mac(void **state)
{
	struct err err;
	struct dp_rules rules;

	(void)state;
	add_port(1, 100, true, NULL);
	add_port(2, 100, true, NULL);
	rules = fakes[2].base.rules_ctl;
	rules.mac[1] = rules.mac[0];
	rules.mac[0] = (struct dp_mac){{2, 0, 0, 0, 0, 0x22}};
	rules.mac[1].byte[5] = 1;
	rules.n_macs = 2;
	assert_int_equal(table_set_rules(&fakes[2].base, &rules, &err), -EEXIST);
	assert_string_equal(err.code, "mac-in-use");
	send_one(1, 2, 1, -1); /* nothing has changed */
	assert_int_equal(receivers(), P(2));
	rules.n_macs = 1;
	assert_int_equal(table_set_rules(&fakes[2].base, &rules, &err), 0);
	send_one(1, 2, 1, -1);
	assert_int_equal(receivers(), 0); /* nobody has that MAC now */
	send_one(1, 0x22, 1, -1);
	assert_int_equal(receivers(), P(2));
}

static void
a_port_of_another_lcore_is_reached_through_its_inbox(void **state)
{
	(void)state;
	add_port(1, 0, true, NULL);
	add_port(2, 0, true, NULL);
	add_port(UPLINK, 0, false, NULL);
	fakes[2].queue.lcore_ctl = 2;
	fakes[UPLINK].queue.lcore_ctl = 2;
	assert_int_equal(table_publish(), 0);
	{
		struct frame f = {.dst = 0xff, .src = 1, .vlan = -1};
		struct burst b = {.n = 1, .mbuf = {make_frame(&f)}};

		forward(1, &b);
	}
	assert_int_equal(receivers(), 0);
	assert_int_equal(inbox_take(2), 2);
	assert_int_equal(receivers(), P(2) | P(UPLINK));
	assert_int_equal(inbox_take(2), 0);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

int
main(void)
{
	char *argv[] = {(char *)"test",	       (char *)"--no-huge",	 (char *)"--no-pci",
			(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m",
			(char *)"64",	       (char *)"--lcores=0@0",	 NULL};
	static const int node_of_lcore[] = {0, SOCKET_ID_ANY, SOCKET_ID_ANY};
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(known_unicast_goes_to_its_port_alone),
		T(unknown_unicast_goes_to_uplinks_and_learners),
		T(broadcast_stays_in_the_vlan),
		T(access_ports_take_no_tags_but_priority_ones),
		T(a_priority_tag_hides_no_other_tag),
		T(segments_are_not_made_for_a_group),
		T(a_header_cut_in_its_tag_is_bad),
		T(a_learning_guest_does_not_use_anothers_address),
		T(a_trunks_own_mac_is_not_shadowed_by_a_learned_one),
		T(inboxes_settle_when_they_are_emptied),
		T(same_mac_in_two_vlans_is_two_stations),
		T(trunk_lists_are_kept),
		T(bad_frames_are_dropped_by_reason),
		T(group_addresses_are_no_senders_and_reserved_ones_no_targets),
		T(vepa_speaks_to_uplinks_alone),
		T(a_burst_of_mixed_forms_comes_out_right),
		T(two_ports_cannot_have_one_mac),
		T(a_port_of_another_lcore_is_reached_through_its_inbox),
	};

	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0 || rcu_create(0) < 0 ||
	    event_create() < 0 || inbox_create(2, node_of_lcore) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("test", 1023, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
