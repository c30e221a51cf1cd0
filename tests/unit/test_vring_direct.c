/* SPDX-License-Identifier: BSD-3-Clause */
/* From one guest's rings to another's: what is delivered, what is not, and what
 * it is counted as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_net.h>

#include "datapath/mempool.h"
#include "datapath/vring.h"
#include "tests/unit/fake_frame.h"
#include "tests/unit/ring_port.h"

#define TO_GUEST 0
#define FROM_GUEST 1
#define MERGEABLE RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF)
#define SENDER (RTE_BIT64(VIRTIO_NET_F_CSUM) | RTE_BIT64(VIRTIO_NET_F_HOST_TSO4))
#define TAKES_CSUM RTE_BIT64(VIRTIO_NET_F_GUEST_CSUM)
#define TAKES_TSO (TAKES_CSUM | RTE_BIT64(VIRTIO_NET_F_GUEST_TSO4))
#define CRC_BYTES 4 /* by which a frame may exceed the MTU: burst_exceeds_mtu() */

static struct ring_port from, to;
static struct wire_frame wire;

/* ---- around each test ------------------------------------------------------------------------ */

static void
open_pair(const struct ring_port_spec *sender, const struct ring_port_spec *receiver)
{
	memset(&ring_port_world, 0, sizeof(ring_port_world));
	ring_port_open(&from, sender);
	ring_port_open(&to, receiver);
}

static void
close_pair(void)
{
	/* What was borrowed went home. */
	assert_int_equal(rte_mempool_in_use_count(mempool_of_lcore(burst.lcore)), 0);
	ring_port_close(&from);
	ring_port_close(&to);
}

static int
set_up(void **state)
{
	const struct ring_port_spec sender = {.features = SENDER, .out_bytes = 66000};
	const struct ring_port_spec receiver = {.features = MERGEABLE};

	(void)state;
	open_pair(&sender, &receiver);
	return 0;
}

static int
set_up_packed(void **state)
{
	const struct ring_port_spec sender = {.packed = true,
					      .features = SENDER,
					      .out_bytes = 66000};
	const struct ring_port_spec receiver = {.packed = true, .features = MERGEABLE};

	(void)state;
	open_pair(&sender, &receiver);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	close_pair();
	return 0;
}

/* The receiver is another one, with one more feature. */
static void
receiver_with(uint64_t features, uint32_t in_bytes)
{
	const struct ring_port_spec receiver = {
		.packed = to.vq[TO_GUEST].packed,
		.features = features,
		.in_bytes = in_bytes,
	};

	ring_port_close(&to);
	ring_port_open(&to, &receiver);
}

static uint64_t
lost(enum dp_out_drop reason)
{
	uint64_t all = 0;
	unsigned int i;

	for (i = 0; i < DP_OUT_DROPS; i++)
		all += to.queue.stats.out_drop[i];
	assert_int_equal(all, to.queue.stats.out_drop[reason]);
	return all;
}

static void
assert_delivered(uint64_t packets, uint64_t bytes)
{
	assert_int_equal(to.queue.stats.out_packets, packets);
	assert_int_equal(to.queue.stats.out_bytes, bytes);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A frame of `bytes` that can be told by its last byte. */
static void
send_plain(uint32_t bytes, int vlan, uint8_t mark)
{
	static uint8_t frame[4000];

	memset(frame, 0, sizeof(frame));
	memcpy(frame, "\x52\x54\x00\x00\x00\x02\x52\x54\x00\x00\x00\x01\x88\xb5", 14);
	if (vlan >= 0) {
		put16(frame + 12, 0x8100);
		put16(frame + 14, (unsigned int)vlan);
		put16(frame + 16, 0x88b5);
	}
	frame[bytes - 1] = mark;
	guest_sends(&from, NULL, frame, bytes);
}

/* A TCP frame that leaves its checksum to others, and with `mss` its segmentation. */
static void
send_request(unsigned int payload, uint16_t mss)
{
	const struct frame_spec spec = {.proto = TCP, .tcp_flags = FLAG_ACK, .payload = payload};
	struct virtio_net_hdr hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_offset = 16};

	frame_build(&spec, &wire);
	hdr.csum_start = (uint16_t)(wire.l2 + wire.l3);
	if (mss != 0) {
		hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		hdr.gso_size = mss;
		hdr.hdr_len = (uint16_t)(wire.l2 + wire.l3 + wire.l4);
	}
	guest_sends(&from, &hdr, wire.byte, wire.len);
}

/* The next frame that the receiver got, all of its buffers. Returns its bytes, 0: none. */
static uint32_t
receive(struct virtio_net_hdr_mrg_rxbuf *hdr, struct wire_frame *got)
{
	struct guest_used used;
	uint16_t i;

	got->l2 = wire.l2;
	got->l3 = wire.l3;
	got->l4 = wire.l4;
	got->len = 0;
	if (!guest_takes(&to, TO_GUEST, &used))
		return 0;
	memcpy(hdr, guest_buffer(&to, &used), sizeof(*hdr));
	for (i = 0; i < hdr->num_buffers; i++) {
		uint32_t skip = i == 0 ? sizeof(*hdr) : 0;

		if (i > 0)
			assert_true(guest_takes(&to, TO_GUEST, &used));
		memcpy(got->byte + got->len, guest_buffer(&to, &used) + skip, used.bytes - skip);
		got->len += used.bytes - skip;
	}
	return got->len;
}

/* The marks of all frames that came, in their order. */
static const char *
marks(void)
{
	static char text[BURST_MAX + 1];
	static struct wire_frame got;
	struct virtio_net_hdr_mrg_rxbuf hdr;
	unsigned int n = 0;

	while (receive(&hdr, &got) != 0)
		text[n++] = (char)got.byte[got.len - 1];
	text[n] = '\0';
	return text;
}

static void
assert_finished(const struct wire_frame *got)
{
	unsigned int l4_bytes = got->len - got->l2 - got->l3;

	assert_int_equal(transport_sum(got, false, TCP, l4_bytes), 0xffff);
}

/* ---- what goes in ---------------------------------------------------------------------------- */

static void
what_is_longer_than_the_mtu_is_left_out_of_its_row(void **state)
{
	const uint32_t max = 14 + RING_PORT_MTU + CRC_BYTES;

	(void)state;
	guest_gives(&to, TO_GUEST, 64);
	send_plain(60, -1, 'a');
	send_plain(max + 1, -1, 'B');
	send_plain(max, -1, 'c');
	send_plain(max + 4, 7, 'd'); /* a tag is none of the MTU's bytes */
	send_plain(max + 5, 7, 'E');
	send_plain(61, -1, 'f');
	lcore_forwards(&from, &to, 0);
	assert_string_equal(marks(), "acdf");
	assert_int_equal(lost(DP_OUT_MTU), 2);
	assert_delivered(4, 60 + max + max + 4 + 61);
	to.vhost.base.mtu = 9000;
	send_plain(max + 1, -1, 'g');
	lcore_forwards(&from, &to, 0);
	assert_string_equal(marks(), "g");
}

static void
a_frame_that_is_cut_is_as_long_as_its_segments(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;
	static struct wire_frame got;

	(void)state;
	receiver_with(MERGEABLE | TAKES_TSO, 0);
	guest_gives(&to, TO_GUEST, 64);
	send_request(60000, RING_PORT_MTU - 40);
	send_request(9000, RING_PORT_MTU - 40 + CRC_BYTES + 1);
	lcore_forwards(&from, &to, 0);
	assert_int_equal(receive(&hdr, &got), 60054);
	assert_int_equal(hdr.num_buffers, 30);
	assert_int_equal(hdr.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(hdr.hdr.gso_size, RING_PORT_MTU - 40);
	assert_int_equal(hdr.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(receive(&hdr, &got), 0);
	assert_int_equal(lost(DP_OUT_MTU), 1);
	assert_delivered(1, 60054);
}

/* Without mergeable buffers one must hold all of it. */
static void
what_is_longer_than_the_buffers_counts_as_too_long(void **state)
{
	(void)state;
	receiver_with(0, 512);
	guest_gives(&to, TO_GUEST, 64);
	send_plain(512, -1, 'a');
	send_plain(513, -1, 'B');
	send_plain(100, -1, 'c');
	lcore_forwards(&from, &to, 0);
	assert_string_equal(marks(), "ac");
	assert_int_equal(lost(DP_OUT_MTU), 1);
}

/* ---- offloads -------------------------------------------------------------------------------- */

static void
a_checksum_is_finished_for_who_does_not_take_it(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;
	static struct wire_frame got;

	(void)state;
	guest_gives(&to, TO_GUEST, 64);
	guest_wants_calls(&to, TO_GUEST, true);
	send_plain(60, -1, 'a');
	send_request(1001, 0);
	send_plain(60, -1, 'c');
	lcore_forwards(&from, &to, 0);
	assert_int_equal(calls(&to, TO_GUEST), 1); /* for all three */
	assert_int_equal(receive(&hdr, &got), 60);
	assert_int_equal(got.byte[59], 'a');
	assert_int_equal(receive(&hdr, &got), 1055);
	assert_int_equal(hdr.hdr.flags, 0);
	assert_finished(&got);
	assert_string_equal(marks(), "c");
	assert_delivered(3, 60 + 1055 + 60);
}

static void
a_checksum_is_left_to_who_takes_it(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;
	static struct wire_frame got;

	(void)state;
	receiver_with(MERGEABLE | TAKES_CSUM, 0);
	guest_gives(&to, TO_GUEST, 64);
	send_request(1001, 0);
	lcore_forwards(&from, &to, 0);
	assert_int_equal(receive(&hdr, &got), wire.len);
	assert_int_equal(hdr.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.hdr.csum_start, 34);
	assert_int_equal(hdr.hdr.csum_offset, 16);
	assert_memory_equal(got.byte, wire.byte, wire.len);
}

/* Segments are the receiver's; in the books it is the one frame that was sent.
 */
static void
what_is_cut_counts_as_one_frame_and_makes_one_call(void **state)
{
	const unsigned int mss = 1000, payload = 4321;
	struct virtio_net_hdr_mrg_rxbuf hdr;
	static struct wire_frame got;
	unsigned int at;

	(void)state;
	guest_gives(&to, TO_GUEST, 64);
	guest_wants_calls(&to, TO_GUEST, true);
	send_plain(60, -1, 'a');
	send_request(payload, (uint16_t)mss);
	send_plain(60, -1, 'z');
	lcore_forwards(&from, &to, 0);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	assert_int_equal(receive(&hdr, &got), 60);
	for (at = 0; at < payload; at += mss) {
		unsigned int some = RTE_MIN(mss, payload - at);

		assert_int_equal(receive(&hdr, &got), 54 + some);
		assert_int_equal(hdr.hdr.flags, 0);
		assert_int_equal(hdr.hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(get32(got.byte + 38), TCP_SEQ + at);
		assert_memory_equal(got.byte + 54, wire.byte + 54 + at, some);
		assert_finished(&got);
	}
	assert_string_equal(marks(), "z");
	assert_delivered(3, 60 + 54 + payload + 60);
	assert_int_equal(lost(DP_OUT_OFFLOAD), 0);
}

/* The receiver can't know that some are missing; the books can. */
static void
what_came_in_part_counts_as_lost(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf hdr;
	static struct wire_frame got;
	unsigned int n = 0;

	(void)state;
	guest_gives(&to, TO_GUEST, 3);
	send_request(4321, 1000);
	lcore_forwards(&from, &to, 0);
	while (receive(&hdr, &got) != 0)
		n++;
	assert_int_equal(n, 3);
	assert_int_equal(lost(DP_OUT_RING_FULL), 1);
	assert_delivered(0, 0);
	/* The next one is not affected. */
	guest_gives(&to, TO_GUEST, 5);
	send_request(4321, 1000);
	lcore_forwards(&from, &to, 0);
	assert_delivered(1, 54 + 4321);
	assert_int_equal(lost(DP_OUT_RING_FULL), 1);
}

static void
more_segments_than_software_makes_are_an_offload_drop(void **state)
{
	(void)state;
	guest_gives(&to, TO_GUEST, 64);
	send_plain(60, -1, 'a');
	send_request(60000, 100);
	send_plain(60, -1, 'c');
	lcore_forwards(&from, &to, 0);
	assert_string_equal(marks(), "ac");
	assert_int_equal(lost(DP_OUT_OFFLOAD), 1);
}

static void
without_mbufs_only_offloads_are_lost(void **state)
{
	static struct rte_mbuf *all[1 << 16];
	struct rte_mempool *pool = mempool_of_lcore(burst.lcore);
	unsigned int n = rte_mempool_avail_count(pool);

	(void)state;
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, all, n), 0);
	guest_gives(&to, TO_GUEST, 64);
	send_plain(60, -1, 'a');
	send_request(100, 0);
	send_plain(60, -1, 'c');
	lcore_forwards(&from, &to, 0);
	rte_pktmbuf_free_bulk(all, n);
	assert_string_equal(marks(), "ac");
	assert_int_equal(lost(DP_OUT_OFFLOAD), 1);
}

/* ---- who is not there ------------------------------------------------------------------------ */

static void
send_ten(void)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		send_plain(60, -1, (uint8_t)('a' + i));
}

static void
no_guest_is_not_a_queue_that_is_off(void **state)
{
	int vid = to.vhost.vid;

	(void)state;
	guest_gives(&to, TO_GUEST, 64);
	to.vq[TO_GUEST].live = false;
	send_ten();
	lcore_forwards(&from, &to, 0);
	assert_int_equal(lost(DP_OUT_QUEUE_OFF), 10);
	memset(to.queue.stats.out_drop, 0, sizeof(to.queue.stats.out_drop));
	to.vhost.vid = -1;
	send_ten();
	lcore_forwards(&from, &to, 0);
	assert_int_equal(lost(DP_OUT_NO_GUEST), 10);
	to.vhost.vid = vid;
	assert_delivered(0, 0);
	assert_string_equal(marks(), "");
}

/* The other ring goes on. */
static void
a_ring_that_is_off_gives_nothing(void **state)
{
	(void)state;
	send_ten();
	from.vq[FROM_GUEST].live = false;
	lcore_polls(&from);
	assert_int_equal(burst.n, 0);
	from.vq[FROM_GUEST].live = true;
	from.vq[TO_GUEST].live = false;
	lcore_polls(&from);
	assert_int_equal(burst.n, 10);
	vring_direct_rx_done(&from.queue, &burst, 10);
}

/* ---- what comes in --------------------------------------------------------------------------- */

static unsigned int
given_back(void)
{
	struct guest_used used;
	unsigned int n = 0;

	while (guest_takes(&from, FROM_GUEST, &used))
		n++;
	return n;
}

static void
what_is_not_taken_comes_again(void **state)
{
	(void)state;
	send_ten();
	lcore_polls(&from);
	assert_int_equal(burst.n, 10);
	vring_direct_rx_done(&from.queue, &burst, 4);
	assert_int_equal(given_back(), 4);
	lcore_polls(&from);
	assert_int_equal(burst.n, 6);
	assert_int_equal(burst.frame[0].first.at[59], 'e');
	vring_direct_rx_done(&from.queue, &burst, 0);
	assert_int_equal(given_back(), 0);
	lcore_polls(&from);
	assert_int_equal(burst.n, 6);
	vring_direct_rx_done(&from.queue, &burst, 6);
	assert_int_equal(given_back(), 6);
}

/* Longer than any frame: it has no bytes, which forwarding drops, and its buffer goes back in its turn. */
static void
what_is_no_frame_has_no_bytes_and_is_given_back(void **state)
{
	static const uint8_t nothing[65900];

	(void)state;
	guest_sends(&from, NULL, nothing, sizeof(nothing));
	send_plain(60, -1, 'a');
	lcore_polls(&from);
	assert_int_equal(burst.n, 2);
	assert_int_equal(burst.frame[0].bytes, 0);
	assert_int_not_equal(burst.frame[0].marks, 0); /* in a run of its own */
	assert_int_equal(burst.frame[1].bytes, 60);
	vring_direct_rx_done(&from.queue, &burst, 1);
	assert_int_equal(given_back(), 1);
	lcore_polls(&from);
	assert_int_equal(burst.n, 1);
	assert_int_equal(burst.frame[0].bytes, 60);
	assert_true(from.vq[FROM_GUEST].live);
}

/* ---- from mbufs ------------------------------------------------------------------------------ */

/* Several outputs may get the same one. */
static void
shared_mbufs_are_copied_and_not_changed(void **state)
{
	const struct frame_spec spec = {.proto = TCP, .payload = 500, .tags = 1};
	struct virtio_net_hdr_mrg_rxbuf hdr;
	static struct wire_frame got;
	struct rte_mbuf *m;
	unsigned int i;

	(void)state;
	guest_gives(&to, TO_GUEST, 64);
	frame_build(&spec, &wire);
	m = frame_to_mbuf(&wire, 300, mempool_of_lcore(burst.lcore));
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	m->l2_len = wire.l2;
	m->l3_len = wire.l3;
	m->l4_len = wire.l4;
	rte_mbuf_refcnt_set(m, 2);
	for (i = 0; i < 2; i++) {
		vring_direct_tx_copy(&to.queue, &m, 1);
		assert_int_equal(receive(&hdr, &got), wire.len); /* with its tag */
		assert_int_equal(hdr.hdr.flags, 0);
		assert_finished(&got);
		frame_from_mbuf(m, &wire, &got);
		assert_memory_equal(got.byte, wire.byte, wire.len);
		assert_int_equal(rte_mbuf_refcnt_read(m), 2);
	}
	assert_delivered(2, 2 * wire.len);
	/* Nor where it is handed on as it is, for which virtio wants another sum in it. */
	receiver_with(MERGEABLE | TAKES_CSUM, 0);
	guest_gives(&to, TO_GUEST, 1);
	vring_direct_tx_copy(&to.queue, &m, 1);
	assert_int_equal(receive(&hdr, &got), wire.len);
	assert_int_equal(hdr.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	frame_from_mbuf(m, &wire, &got);
	assert_memory_equal(got.byte, wire.byte, wire.len);
	rte_mbuf_refcnt_set(m, 1);
	rte_pktmbuf_free(m);
}

#define ON_SPLIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define ON_PACKED(test)                                               \
	{                                                             \
#test "/packed", test, set_up_packed, tear_down, NULL \
	}
#define ON_BOTH(test) ON_SPLIT(test), ON_PACKED(test)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(what_is_longer_than_the_mtu_is_left_out_of_its_row),
		ON_BOTH(a_frame_that_is_cut_is_as_long_as_its_segments),
		ON_BOTH(what_is_longer_than_the_buffers_counts_as_too_long),
		ON_BOTH(a_checksum_is_finished_for_who_does_not_take_it),
		ON_BOTH(a_checksum_is_left_to_who_takes_it),
		ON_BOTH(what_is_cut_counts_as_one_frame_and_makes_one_call),
		ON_BOTH(what_came_in_part_counts_as_lost),
		ON_BOTH(more_segments_than_software_makes_are_an_offload_drop),
		ON_BOTH(without_mbufs_only_offloads_are_lost),
		ON_BOTH(no_guest_is_not_a_queue_that_is_off),
		ON_BOTH(a_ring_that_is_off_gives_nothing),
		ON_BOTH(what_is_not_taken_comes_again),
		ON_BOTH(what_is_no_frame_has_no_bytes_and_is_given_back),
		ON_BOTH(shared_mbufs_are_copied_and_not_changed),
	};

	if (ring_port_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
