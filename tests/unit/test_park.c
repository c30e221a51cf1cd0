/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames for a guest that is away are kept: in their order, byte for byte, within their bounds, and given
 * to it when it is back. On both kinds of rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <rte_lcore.h>

#include "datapath/forward.h"
#include "datapath/park.h"
#include "datapath/park_pool.h"
#include "datapath/vnet_hdr.h"
#include "tests/unit/ring_port.h"

#define TO_GUEST 0
#define POOL_MIB 1
#define FRAMES_MAX 1000
#define LONG_BYTES 9000U
#define THE_GUEST 17 /* process ids of front-ends */
#define ANOTHER 18

static struct ring_port from, to;
static struct forward forward;
static struct snapshot *snap;
static struct snap_port snap_port;

static bool
ring_runs(const struct port *p, uint16_t pair)
{
	(void)p;
	(void)pair;
	return to.vq[TO_GUEST].live;
}

static const struct port_ops ops = {
	.tx_ready = ring_runs,
	.tx_parked = vring_direct_tx_parked,
};

static int
set_up_ring(bool packed)
{
	const struct ring_port_spec spec = {
		.packed = packed,
		.features = RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF),
		.out_bytes = 10000,
	};

	memset(&ring_port_world, 0, sizeof(ring_port_world));
	ring_port_world.tsc_hz = 1000000000;
	ring_port_open(&from, &spec);
	ring_port_open(&to, &spec);
	forward.lcore = rte_lcore_id();
	to.vhost.base.ops = &ops;
	to.vhost.base.mtu = LONG_BYTES;
	to.vhost.base.park.redirect = -1;
	to.vhost.base.park.frames_max = FRAMES_MAX;
	to.vhost.base.park.ms = 60000;
	park_end(&to.vhost.base, 1, THE_GUEST);
	snap = calloc(1, sizeof(*snap));
	snap_port.port = &to.vhost.base;
	snap->port[to.vhost.base.id] = &snap_port;
	return park_create(POOL_MIB);
}

static int
set_up(void **state)
{
	(void)state;
	return set_up_ring(false);
}

static int
set_up_packed(void **state)
{
	(void)state;
	return set_up_ring(true);
}

static int
tear_down(void **state)
{
	(void)state;
	park_discard();
	park_clear(&to.vhost.base);
	park_destroy();
	free(snap);
	memset(&snap_port, 0, sizeof(snap_port));
	ring_port_close(&from);
	ring_port_close(&to);
	return 0;
}

/* The guest's rings stop, and run again. */
static void
goes_away(void)
{
	park_begin(&to.vhost.base, false);
	to.vq[TO_GUEST].live = false;
}

static void
is_back(void)
{
	park_end(&to.vhost.base, 1, THE_GUEST);
	to.vq[TO_GUEST].live = true;
}

/* A frame of its own for each number and length. */
static void
make(uint8_t *frame, uint32_t number, uint32_t bytes)
{
	uint32_t i;

	for (i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(number * 7 + i * 13 + (i >> 8));
	memset(frame, 2, 12);
	frame[12] = 0x08;
	frame[13] = 0;
}

static void
sends(uint32_t number, uint32_t bytes)
{
	uint8_t frame[LONG_BYTES];

	make(frame, number, bytes);
	guest_sends(&from, NULL, frame, bytes);
	lcore_forwards(&from, &to, 0);
}

/* The guest has got exactly that next. It may be spread over buffers. */
static void
receives(uint32_t number, uint32_t bytes)
{
	uint8_t wanted[LONG_BYTES], got[LONG_BYTES];
	uint32_t n = 0, skip = RING_PORT_HDR_BYTES;
	struct guest_used used;

	make(wanted, number, bytes);
	while (n < bytes) {
		assert_true(guest_takes(&to, TO_GUEST, &used));
		assert_true(n + used.bytes - skip <= bytes);
		memcpy(got + n, guest_buffer(&to, &used) + skip, used.bytes - skip);
		n += used.bytes - skip;
		skip = 0;
	}
	assert_memory_equal(got, wanted, bytes);
}

static void
runs(void)
{
	park_run(&forward, snap, &burst);
}

static uint64_t
dropped(enum dp_out_drop reason)
{
	return to.queue.stats.out_drop[reason];
}

/* ---- kept and given ---------------------------------------------------------------------------- */

static void
what_comes_meanwhile_is_given_first(void **state)
{
	uint32_t i;

	(void)state;
	guest_gives(&to, TO_GUEST, 64);
	sends(0, 60);
	receives(0, 60);
	goes_away();
	for (i = 1; i <= 10; i++)
		sends(i, 60 + i);
	assert_int_equal(to.vhost.base.park.n, 10);
	assert_int_equal(to.queue.stats.parked, 10);
	runs();
	assert_int_equal(to.vhost.base.park.n, 10);
	is_back();
	/* Behind those that are parked, though the ring runs. */
	sends(11, 71);
	assert_int_equal(to.vhost.base.park.n, 11);
	runs();
	for (i = 1; i <= 11; i++)
		receives(i, 60 + i);
	assert_int_equal(to.vhost.base.park.n, 0);
	assert_int_equal(to.queue.stats.parked, 0);
	assert_int_equal(to.queue.stats.unparked, 11);
	assert_false(to.queue.parks);
	sends(12, 60);
	receives(12, 60);
	assert_int_equal(to.queue.stats.out_packets, 13);
}

static void
frames_of_all_lengths_come_out_as_they_were(void **state)
{
	static const uint32_t bytes[] = {14, 60, 1514, LONG_BYTES, 61, 8000, 17, LONG_BYTES};
	uint32_t i, round;

	(void)state;
	for (round = 0; round < 3; round++) {
		goes_away();
		for (i = 0; i < RTE_DIM(bytes); i++)
			sends(i, bytes[i]);
		is_back();
		guest_gives(&to, TO_GUEST, to.guest[TO_GUEST].free);
		runs();
		for (i = 0; i < RTE_DIM(bytes); i++)
			receives(i, bytes[i]);
	}
}

static void
a_guest_without_room_gets_them_bit_by_bit(void **state)
{
	uint32_t i;

	(void)state;
	goes_away();
	for (i = 0; i < 20; i++)
		sends(i, 60);
	is_back();
	runs();
	assert_int_equal(to.vhost.base.park.n, 20);
	for (i = 0; i < 20; i++) {
		guest_gives(&to, TO_GUEST, 1);
		runs();
		receives(i, 60);
	}
	assert_int_equal(dropped(DP_OUT_RING_FULL), 0);
	assert_int_equal(to.vhost.base.park.n, 0);
}

static const struct virtio_net_hdr ask = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.csum_start = 34,
	.csum_offset = 6,
};

/* The guest takes fewer requests than before, and has no room yet. */
static void
what_is_to_be_finished_waits_for_room_too(void **state)
{
	uint8_t frame[60];
	struct guest_used used;

	(void)state;
	from.vq[1].features |= RTE_BIT64(VIRTIO_NET_F_CSUM);
	make(frame, 1, sizeof(frame));
	frame[14] = 0x45;
	frame[16] = 0;
	frame[17] = sizeof(frame) - 14;
	frame[20] = frame[21] = 0;
	frame[23] = 17;
	frame[38] = 0;
	frame[39] = sizeof(frame) - 34;
	to.vq[TO_GUEST].can = VNET_CAN_CSUM;
	goes_away();
	guest_sends(&from, &ask, frame, sizeof(frame));
	lcore_forwards(&from, &to, 0);
	sends(2, 62);
	is_back();
	to.vq[TO_GUEST].can = 0;
	to.vhost.base.mtu = 1500;
	runs();
	assert_int_equal(to.vhost.base.park.n, 2);
	assert_int_equal(dropped(DP_OUT_RING_FULL), 0);
	guest_gives(&to, TO_GUEST, 5);
	runs();
	assert_int_equal(to.vhost.base.park.n, 0);
	assert_true(guest_takes(&to, TO_GUEST, &used));
	assert_int_equal(guest_buffer(&to, &used)[0], 0);
	assert_memory_equal(guest_buffer(&to, &used) + RING_PORT_HDR_BYTES, frame, 40);
	receives(2, 62);
}

static void
segments_and_sums_are_still_asked_for(void **state)
{
	uint8_t frame[60];
	struct guest_used used;

	(void)state;
	from.vq[1].features |= RTE_BIT64(VIRTIO_NET_F_CSUM);
	to.vq[TO_GUEST].can = VNET_CAN_CSUM;
	make(frame, 1, sizeof(frame));
	frame[14] = 0x45;
	frame[23] = 17;
	goes_away();
	guest_sends(&from, &ask, frame, sizeof(frame));
	lcore_forwards(&from, &to, 0);
	is_back();
	guest_gives(&to, TO_GUEST, 1);
	runs();
	assert_true(guest_takes(&to, TO_GUEST, &used));
	assert_memory_equal(guest_buffer(&to, &used), &ask, sizeof(ask));
	assert_memory_equal(guest_buffer(&to, &used) + RING_PORT_HDR_BYTES, frame, sizeof(frame));
}

/* ---- bounds ------------------------------------------------------------------------------------ */

static void
no_more_than_the_port_may(void **state)
{
	uint32_t i;

	(void)state;
	to.vhost.base.park.frames_max = 3;
	goes_away();
	for (i = 0; i < 5; i++)
		sends(i, 60);
	assert_int_equal(to.vhost.base.park.n, 3);
	assert_int_equal(dropped(DP_OUT_PARK_FULL), 2);
	is_back();
	guest_gives(&to, TO_GUEST, 5);
	runs();
	for (i = 0; i < 3; i++)
		receives(i, 60);
}

/* And the memory is there again afterwards, all of it, each time. */
static void
no_more_than_the_pool_has(void **state)
{
	uint32_t round, i, kept = 0;
	struct park_page *page;

	(void)state;
	for (round = 0; round < 3; round++) {
		goes_away();
		for (i = 0; dropped(DP_OUT_PARK_FULL) == round && i < 1000; i++)
			sends(i, LONG_BYTES);
		assert_true(round == 0 || i == kept);
		kept = i;
		/* One port gets half of the pool. */
		assert_in_range(kept, (POOL_MIB << 20) / LONG_BYTES / 4,
				(POOL_MIB << 20) / LONG_BYTES / 2 + 1);
		page = park_pool_take(0);
		assert_non_null(page);
		park_pool_free(page);
		is_back();
		for (i = 0; i < kept - 1; i++) {
			guest_gives(&to, TO_GUEST, 5);
			runs();
			receives(i, LONG_BYTES);
		}
		assert_int_equal(to.vhost.base.park.n, 0);
	}
}

static void
not_longer_than_the_port_may(void **state)
{
	(void)state;
	goes_away();
	sends(1, 60);
	to.vhost.base.park.until = rte_rdtsc() - 1;
	runs();
	assert_int_equal(dropped(DP_OUT_PARK_EXPIRED), 1);
	assert_int_equal(to.vhost.base.park.n, 0);
	sends(2, 60);
	assert_int_equal(to.vhost.base.park.n, 0);
	assert_int_equal(dropped(DP_OUT_NO_GUEST) + dropped(DP_OUT_QUEUE_OFF), 1);
}

/* Nor is it for another: also where that comes while a frame is on its way. */
static void
another_guest_gets_none_of_it(void **state)
{
	static const pid_t others[] = {ANOTHER, 0, 0};
	unsigned int i;

	(void)state;
	guest_gives(&to, TO_GUEST, 64);
	for (i = 0; i < RTE_DIM(others); i++) {
		goes_away();
		sends(1, 60);
		park_end(&to.vhost.base, 2 + (uint32_t)i, others[i]);
		to.vq[TO_GUEST].live = true;
		sends(2, 62);
		runs();
		receives(2, 62);
		assert_int_equal(dropped(DP_OUT_PARK_EXPIRED), i + 1);
		assert_int_equal(to.vhost.base.park.n, 0);
	}
}

/* A process in another pid namespace has no number that can be compared; its connection is the same. */
static void
the_same_connection_is_the_same_guest(void **state)
{
	(void)state;
	park_end(&to.vhost.base, 7, 0);
	guest_gives(&to, TO_GUEST, 64);
	goes_away();
	sends(1, 60);
	park_end(&to.vhost.base, 7, 0);
	to.vq[TO_GUEST].live = true;
	runs();
	receives(1, 60);
	assert_int_equal(dropped(DP_OUT_PARK_EXPIRED), 0);
}

/* ---- drained ------------------------------------------------------------------------------------- */

static void
a_drained_queue_is_emptied_first(void **state)
{
	uint8_t frame[60];

	(void)state;
	make(frame, 1, sizeof(frame));
	guest_sends(&to, NULL, frame, sizeof(frame));
	park_begin(&to.vhost.base, false);
	park_hold(&to.vhost.base, PARK_HOLD);
	lcore_polls(&to);
	assert_int_equal(burst.n, 1);
	assert_false(port_queue_is_drained(&to.queue));
	vring_direct_rx_done(&to.queue, &burst, 1);
	lcore_polls(&to);
	lcore_polls(&to);
	assert_true(port_queue_is_drained(&to.queue));
	/* From here on nobody looks. */
	guest_sends(&to, NULL, frame, sizeof(frame));
	lcore_polls(&to);
	assert_int_equal(burst.n, 0);
	guest_gives(&to, TO_GUEST, 4);
	sends(2, 60);
	assert_int_equal(to.vhost.base.park.n, 1);
	runs();
	assert_int_equal(to.vhost.base.park.n, 1);
	park_hold(&to.vhost.base, PARK_NO_HOLD);
	lcore_polls(&to);
	assert_int_equal(burst.n, 1);
	runs();
	receives(2, 60);
}

static void
a_guest_that_never_stops_is_drained_all_the_same(void **state)
{
	uint8_t frame[60];
	unsigned int i;

	(void)state;
	make(frame, 1, sizeof(frame));
	park_hold(&to.vhost.base, PARK_HOLD_DROP);
	for (i = 0; i < 1000 && !port_queue_is_drained(&to.queue); i++) {
		guest_sends(&to, NULL, frame, sizeof(frame));
		lcore_polls(&to);
		if (burst.n > 0)
			vring_direct_rx_done(&to.queue, &burst, burst.n);
	}
	assert_in_range(i, 2, to.vq[1].size + 2);
	sends(2, 60);
	assert_int_equal(to.vhost.base.park.n, 0);
}

/* ---- redirected ---------------------------------------------------------------------------------- */

/* An uplink that has room for so many frames, and what it took: their lengths. */
static struct {
	struct port port;
	struct port_queue queue;
	struct snap_port snap;
	unsigned int room, n;
	uint32_t bytes[256];
} uplink;

static uint16_t
uplink_takes(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	uint16_t taken = (uint16_t)RTE_MIN(uplink.room, (unsigned int)n), i;

	assert_ptr_equal(q, &uplink.queue);
	for (i = 0; i < taken; i++)
		uplink.bytes[uplink.n++] = m[i]->pkt_len;
	rte_pktmbuf_free_bulk(m, n);
	uplink.room -= taken;
	return taken;
}

/* The guest is known to live behind the uplink now. */
static void
has_gone_to_the_uplink(struct fdb *fdb, const uint8_t mac[6])
{
	static const struct port_ops uplink_ops = {.tx_try = uplink_takes};

	memset(&uplink, 0, sizeof(uplink));
	uplink.port = (struct port){
		.ops = &uplink_ops,
		.id = (uint16_t)(to.vhost.base.id + 1),
		.n_queues = 1,
		.is_uplink = true,
		.queue = &uplink.queue,
	};
	uplink.snap = (struct snap_port){
		.port = &uplink.port,
		.id = uplink.port.id,
		.trunk_all = true,
		.is_uplink = true,
		.owner = {(uint8_t)forward.lcore},
	};
	fdb_add_static(fdb, fdb_key(mac, 0), to.vhost.base.id);
	snap_port.fdb = fdb;
	snap_port.id = to.vhost.base.id;
	snap->port[uplink.port.id] = &uplink.snap;
	to.vhost.base.park.redirect = uplink.port.id;
}

/* What finds no room waits, and none of it is lost or passes another. */
static void
an_uplink_is_given_what_it_has_room_for(void **state)
{
	static const uint8_t mac[6] = {2, 2, 2, 2, 2, 2};
	struct fdb *fdb = fdb_create(64, 300);
	unsigned int i;

	(void)state;
	goes_away();
	for (i = 0; i < 150; i++)
		sends(i, 60 + i);
	has_gone_to_the_uplink(fdb, mac);
	runs();
	assert_int_equal(to.vhost.base.park.n, 150);
	uplink.room = 5;
	runs();
	assert_int_equal(to.vhost.base.park.n, 145);
	uplink.room = 100;
	runs();
	uplink.room = 100;
	for (i = 0; i < 3; i++)
		runs();
	assert_int_equal(to.vhost.base.park.n, 0);
	assert_int_equal(uplink.n, 150);
	for (i = 0; i < 150; i++)
		assert_int_equal(uplink.bytes[i], 60 + i);
	assert_int_equal(to.queue.stats.redirected, 150);
	assert_int_equal(dropped(DP_OUT_PARK_EXPIRED), 0);
	fdb_destroy(fdb);
}

/* However many inputs add to it: a look takes more than came since the last one. */
static void
it_comes_to_an_end_though_more_comes(void **state)
{
	static const uint8_t mac[6] = {2, 2, 2, 2, 2, 2};
	struct fdb *fdb = fdb_create(64, 300);
	unsigned int round, i;

	(void)state;
	goes_away();
	for (i = 0; i < 10; i++)
		sends(i, 60);
	has_gone_to_the_uplink(fdb, mac);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 2 * BURST_MAX; i++)
			sends(i, 60);
		uplink.room = 1000;
		uplink.n = 0;
		runs();
		assert_int_equal(to.vhost.base.park.n, 0);
	}
	fdb_destroy(fdb);
}

#define ON_BOTH(test)                                                 \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down),     \
	{                                                             \
#test "/packed", test, set_up_packed, tear_down, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(what_comes_meanwhile_is_given_first),
		ON_BOTH(frames_of_all_lengths_come_out_as_they_were),
		ON_BOTH(a_guest_without_room_gets_them_bit_by_bit),
		ON_BOTH(segments_and_sums_are_still_asked_for),
		ON_BOTH(what_is_to_be_finished_waits_for_room_too),
		ON_BOTH(no_more_than_the_port_may),
		ON_BOTH(no_more_than_the_pool_has),
		ON_BOTH(not_longer_than_the_port_may),
		ON_BOTH(another_guest_gets_none_of_it),
		ON_BOTH(the_same_connection_is_the_same_guest),
		ON_BOTH(a_drained_queue_is_emptied_first),
		ON_BOTH(a_guest_that_never_stops_is_drained_all_the_same),
		ON_BOTH(an_uplink_is_given_what_it_has_room_for),
		ON_BOTH(it_comes_to_an_end_though_more_comes),
	};

	if (ring_port_start() < 0)
		return 1;
	return cmocka_run_group_tests_name("park", tests, NULL, NULL);
}
