/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/forward_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <rte_eal.h>

#include "datapath/event.h"
#include "datapath/inbox.h"
#include "datapath/mempool.h"
#include "datapath/rcu.h"

#define FRAME_ROOM 2048

struct fake_port fakes[PORTS];
struct forward fwd = {.lcore = LCORE};
struct rte_mempool *pool;

static bool direct; /* guests are */
static struct burst burst = {.lcore = LCORE};

/* The next burst. */
static struct {
	uint16_t n;
	struct {
		uint8_t byte[FRAME_ROOM];
		uint16_t bytes;
		bool segmented, bad_request;
	} frame[BURST_MAX];
} input;

static struct fake_port *
fake_of(struct port_queue *q)
{
	return (struct fake_port *)q->port;
}

static void
fake_keep(struct port_queue *q, const uint8_t *byte, uint32_t bytes)
{
	struct fake_port *p = fake_of(q);

	assert_true(p->n_got < KEPT);
	memcpy(p->got[p->n_got], byte, RTE_MIN(bytes, 64u));
	p->got_len[p->n_got++] = bytes;
	p->got_on[q->index]++;
}

static void
fake_copy(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	uint8_t byte[FRAME_ROOM];
	uint16_t i;

	for (i = 0; i < n; i++)
		fake_keep(q, rte_pktmbuf_read(m[i], 0, m[i]->pkt_len, byte), m[i]->pkt_len);
}

static void
fake_own(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	fake_copy(q, m, n);
	rte_pktmbuf_free_bulk(m, n);
}

static void
fake_frames(struct port_queue *q, struct burst *b, struct frame **f, uint16_t n, bool as_is,
	    uint16_t untagged)
{
	uint8_t from[FRAME_ROOM], to[FRAME_ROOM + 4];
	uint16_t i;

	(void)b;
	for (i = 0; i < n; i++) {
		const uint8_t tag[4] = {0x81, 0, (uint8_t)(f[i]->vlan >> 8), (uint8_t)f[i]->vlan};
		bool tagged = f[i]->vlan != untagged;
		uint32_t skip = f[i]->tagged ? 16 : 12;

		assert_true(!as_is || (f[i]->marks == 0 && !tagged &&
				       !burst_exceeds_mtu(frame_l3_bytes(f[i]), q->port->mtu)));
		frame_read(f[i], 0, f[i]->bytes, from);
		memcpy(to, from, 12);
		memcpy(to + 12, tag, tagged ? 4 : 0);
		memcpy(to + (tagged ? 16 : 12), from + skip, f[i]->bytes - skip);
		fake_keep(q, to, f[i]->bytes - skip + (tagged ? 16 : 12));
	}
}

static void
fake_rx_done(struct port_queue *q, struct burst *b, uint16_t taken)
{
	(void)q;
	(void)b;
	(void)taken;
}

static bool
fake_tx_ready(const struct port *p, uint16_t pair)
{
	return !((const struct fake_port *)p)->off[pair];
}

static const struct port_ops mbuf_ops = {.tx_copy = fake_copy, .tx_ready = fake_tx_ready};
static const struct port_ops direct_ops = {
	.rx_done = fake_rx_done,
	.tx_frames = fake_frames,
	.tx_copy = fake_copy,
	.tx_ready = fake_tx_ready,
};
static const struct port_ops uplink_ops = {.tx_own = fake_own};

void
add_port(uint16_t id, uint16_t access, bool has_mac, const struct dp_rules *more)
{
	struct fake_port *f = &fakes[id];
	struct err err;
	uint16_t q;

	memset(f, 0, sizeof(*f));
	f->base.id = id;
	f->base.is_uplink = id >= UPLINK;
	f->base.ops = f->base.is_uplink ? &uplink_ops : direct ? &direct_ops : &mbuf_ops;
	f->base.n_queues = 1;
	f->base.queue = f->queue;
	for (q = 0; q < PAIRS; q++) {
		f->queue[q].port = &f->base;
		f->queue[q].index = q;
		port_queue_give(&f->queue[q], LCORE);
	}
	if (more != NULL)
		f->base.rules_ctl = *more;
	if (access != 0)
		f->base.rules_ctl.vlans = (struct dp_vlans){DP_VLANS_ACCESS, .vlan = access};
	else if (more == NULL)
		f->base.rules_ctl.vlans.all = true;
	if (f->base.rules_ctl.mtu == 0)
		f->base.rules_ctl.mtu = 1500;
	f->base.mtu = f->base.rules_ctl.mtu;
	if (has_mac) {
		f->base.rules_ctl.n_macs = 1;
		f->base.rules_ctl.mac[0] = (struct dp_mac){{2, 0, 0, 0, 0, (uint8_t)id}};
	} else {
		f->base.rules_ctl.learn = true;
	}
	assert_int_equal(table_add(&f->base, &err), 0);
}

uint8_t *
add_frame(const struct frame_spec *f)
{
	uint8_t head[18] = {2, 0, 0, 0, 0, f->dst, 2, 0, 0, 0, 0, f->src, 0x08, 0x00};
	uint16_t bytes = (f->len != 0 ? f->len : 60) + (f->vlan >= 0 ? 4 : 0);
	uint8_t *at = input.frame[input.n].byte;

	assert_true(input.n < BURST_MAX && bytes <= FRAME_ROOM);
	memset(at, 0xa5, bytes);
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
	memcpy(at, head, RTE_MIN(bytes, f->vlan >= 0 ? 18 : 14));
	input.frame[input.n].segmented = input.frame[input.n].bad_request = false;
	input.frame[input.n++].bytes = bytes;
	return at;
}

uint16_t
frame_bytes(void)
{
	return input.frame[input.n - 1].bytes;
}

void
ask_for_segments(void)
{
	input.frame[input.n - 1].segmented = true;
}

void
ask_for_nonsense(void)
{
	input.frame[input.n - 1].bad_request = true;
}

/* Frames in a guest's buffers, every second one in three pieces. The guest writes over what was
 * looked at. */
static void
burst_of_buffers(void)
{
	uint16_t i;

	for (i = 0; i < input.n; i++) {
		struct frame *f = &burst.frame[i];
		uint8_t *byte = input.frame[i].byte;
		uint32_t bytes = input.frame[i].bytes;
		uint32_t cut = i % 2 == 0 && bytes > 13 ? 13 : bytes;
		struct burst_seg *more = &burst.seg[burst.n_segs];

		f->marks = 0;
		f->bytes = bytes;
		f->first = (struct burst_seg){byte, cut};
		f->more = more;
		if (cut < bytes) {
			more[f->n_more++] = (struct burst_seg){byte + cut, 1};
			more[f->n_more++] = (struct burst_seg){byte + cut + 1, bytes - cut - 1};
			burst.n_segs += 2;
		}
		frame_fill_head(f);
		frame_look(f);
		f->segmented = input.frame[i].segmented;
		f->bad_request = input.frame[i].bad_request;
		memset(byte, 0xee, RTE_MIN(bytes, (uint32_t)FRAME_HEAD_BYTES));
	}
	burst.n = burst.n_chains = input.n;
}

static void
burst_of_made_mbufs(void)
{
	struct rte_mbuf *m[BURST_MAX];
	uint16_t i;

	for (i = 0; i < input.n; i++) {
		m[i] = rte_pktmbuf_alloc(pool);
		assert_non_null(m[i]);
		memcpy(rte_pktmbuf_append(m[i], input.frame[i].bytes), input.frame[i].byte,
		       input.frame[i].bytes);
		if (input.frame[i].segmented)
			m[i]->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
	}
	assert_int_equal(burst_of_mbufs(&burst, m, input.n), input.n);
}

uint16_t
forward(uint16_t from)
{
	const struct snapshot *s = snapshot_current;
	uint16_t taken, i;

	for (i = 0; i < PORTS; i++) {
		fakes[i].n_got = 0;
		memset(fakes[i].got_on, 0, sizeof(fakes[i].got_on));
	}
	burst_clear(&burst);
	if (direct && from < UPLINK)
		burst_of_buffers();
	else
		burst_of_made_mbufs();
	input.n = 0;
	for (i = 0; i < burst.n; i++) {
		burst.frame[i].vlan = 0xeee; /* to be set for each */
		burst.frame[i].uses = 0xeee;
	}
	taken = forward_burst(&fwd, s, s->port[from], &fakes[from].queue[0], &burst);
	burst_release(&burst);
	return taken;
}

uint16_t
send_burst(uint16_t from, const struct frame_spec *f, uint16_t n)
{
	struct dp_event event;
	struct event_mac mac;
	uint16_t taken, i;

	for (i = 0; i < n; i++)
		add_frame(&f[i]);
	taken = forward(from);
	while (event_take(&event, &mac) == EVENT_MAC)
		fdb_learn(table.fdb[mac.bridge], mac.fdb_key, mac.port, UINT32_MAX);
	assert_int_equal(rte_mempool_in_use_count(pool), 0); /* every mbuf came home */
	return taken;
}

void
send_one(uint16_t from, uint8_t dst, uint8_t src, int vlan)
{
	struct frame_spec f = {.dst = dst, .src = src, .vlan = vlan};

	send_burst(from, &f, 1);
}

unsigned int
receivers(void)
{
	unsigned int set = 0, i;

	for (i = 0; i < PORTS; i++) {
		if (fakes[i].n_got != 0)
			set |= 1U << i;
	}
	return set;
}

int
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

uint64_t
dropped(uint16_t id, enum dp_in_drop reason)
{
	return fakes[id].queue[0].stats.in_drop[reason];
}

int
forward_fixture_start(void)
{
	char *argv[] = {(char *)"test",	       (char *)"--no-huge",	 (char *)"--no-pci",
			(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m",
			(char *)"128",	       (char *)"--lcores=0@0",	 NULL};
	static const int node_of_lcore[] = {0, SOCKET_ID_ANY, SOCKET_ID_ANY};
	static const struct dp_config config = {.n_lcores = 2,
						.lcore = {{.node = SOCKET_ID_ANY},
							  {.node = SOCKET_ID_ANY}}};
	struct err err;

	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0 || rcu_create(0) < 0 ||
	    event_create() < 0 || inbox_create(2, node_of_lcore) < 0 ||
	    mempool_create(&config, &err) < 0)
		return -1;
	pool = mempool_of_lcore(LCORE);
	return 0;
}

static int
setup(bool direct_guests)
{
	direct = direct_guests;
	input.n = 0;
	table.fdb[0] = fdb_create(1024, 300);
	return table_publish();
}

int
setup_mbufs(void **state)
{
	(void)state;
	return setup(false);
}

int
setup_direct(void **state)
{
	(void)state;
	return setup(true);
}

int
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
