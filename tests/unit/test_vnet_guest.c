/* SPDX-License-Identifier: BSD-3-Clause */
/* Offload requests: from a guest's virtio header to an output, by way of an mbuf or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_net.h>
#include <rte_eal.h>

#include "datapath/vnet_guest.h"
#include "datapath/vnet_hdr.h"
#include "tests/unit/fake_frame.h"

#define ALL                                                                 \
	(RTE_BIT64(VIRTIO_NET_F_CSUM) | RTE_BIT64(VIRTIO_NET_F_HOST_TSO4) | \
	 RTE_BIT64(VIRTIO_NET_F_HOST_TSO6) | RTE_BIT64(VIRTIO_NET_F_HOST_ECN))
#define CAN_ALL (VNET_CAN_CSUM | VNET_CAN_TSO4 | VNET_CAN_TSO6 | VNET_CAN_TSO_ECN)

static struct rte_mempool *pool;
static struct wire_frame wire;
static struct burst_seg more[1];

/* The frame in two pieces, cut in its TCP header, with its request for a checksum and, if `gso_size`,
 * for segments; not taken yet. */
static struct frame
frame_of(const struct frame_spec *s, uint16_t gso_size)
{
	struct frame f = {.more = more, .n_more = 1};
	unsigned int cut;

	frame_build(s, &wire);
	cut = wire.l2 + wire.l3 + 5;
	f.bytes = wire.len;
	f.first = (struct burst_seg){wire.byte, cut};
	more[0] = (struct burst_seg){wire.byte + cut, wire.len - cut};
	frame_fill_head(&f);
	frame_look(&f);
	f.vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)(wire.l2 + wire.l3),
		.csum_offset = s->proto == TCP ? 16 : 6,
		.gso_size = gso_size,
	};
	if (gso_size != 0) {
		f.vnet.gso_type = s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		f.vnet.hdr_len = (uint16_t)(wire.l2 + wire.l3 + wire.l4);
	}
	return f;
}

static const struct frame_spec tcp4 = {.proto = TCP, .payload = 5000, .tcp_options = 12};
static const struct frame_spec udp4 = {.proto = UDP, .payload = 500};

/* ---- taking ------------------------------------------------------------------------------- */

static void
a_checksum_is_asked_for(void **state)
{
	struct frame f = frame_of(&udp4, 0);
	uint32_t l3_bytes = frame_l3_bytes(&f);

	(void)state;
	vnet_guest_take(&f, ALL);
	assert_int_equal(f.needs, VNET_CAN_CSUM);
	assert_false(f.segmented || f.bad_request);
	assert_int_equal(frame_l3_bytes(&f), l3_bytes);
}

static void
segments_are_asked_for(void **state)
{
	unsigned int form;

	(void)state;
	for (form = 0; form < 8; form++) {
		struct frame_spec s = tcp4;
		struct frame f;

		s.v6 = form & 1;
		s.tags = form >> 1 & 1;
		f = frame_of(&s, 1000);
		if (form & 4)
			f.vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		vnet_guest_take(&f, ALL);
		assert_int_equal(f.needs, VNET_CAN_CSUM | (s.v6 ? VNET_CAN_TSO6 : VNET_CAN_TSO4) |
						  (form & 4 ? VNET_CAN_TSO_ECN : 0));
		assert_true(f.segmented);
		assert_false(f.bad_request);
		assert_int_equal(frame_l3_bytes(&f), (s.v6 ? 40 : 20) + 32 + 1000);
	}
}

/* A guest that was not offered an offload, or did not want it, writes what it likes there. */
static void
without_the_feature_there_is_no_request(void **state)
{
	struct frame f = frame_of(&tcp4, 1000);

	(void)state;
	f.vnet.csum_start = 0xffff;
	vnet_guest_take(&f, ALL & ~RTE_BIT64(VIRTIO_NET_F_CSUM));
	assert_int_equal(f.needs, 0);
	assert_false(f.segmented || f.bad_request);
}

static void
a_good_sum_is_no_request_and_not_the_guests_to_say(void **state)
{
	struct frame f = frame_of(&tcp4, 0);

	(void)state;
	f.vnet = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	vnet_guest_take(&f, ALL);
	assert_int_equal(f.needs, 0);
	assert_false(f.bad_request);
	f = frame_of(&tcp4, 0);
	f.vnet.flags |= VIRTIO_NET_HDR_F_DATA_VALID | VIRTIO_NET_HDR_F_RSC_INFO;
	vnet_guest_take(&f, ALL);
	assert_int_equal(f.vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
}

static void
assert_bad(struct frame *f, uint64_t features)
{
	vnet_guest_take(f, features);
	assert_true(f->bad_request);
	assert_int_equal(f->needs, 0);
	assert_false(f->segmented);
}

static void
a_sum_must_lie_in_the_frame_behind_its_header(void **state)
{
	struct frame_spec tagged = udp4;
	struct frame f = frame_of(&udp4, 0);
	uint32_t bytes = f.bytes;

	(void)state;
	tagged.tags = 1;
	f.vnet.csum_start = 13;
	assert_bad(&f, ALL);
	f = frame_of(&udp4, 0);
	f.vnet.csum_start = 14;
	vnet_guest_take(&f, ALL);
	assert_false(f.bad_request);
	f = frame_of(&tagged, 0);
	f.vnet.csum_start = 17;
	assert_bad(&f, ALL);
	f = frame_of(&udp4, 0);
	f.vnet.csum_offset = (uint16_t)(bytes - 2 - f.vnet.csum_start);
	vnet_guest_take(&f, ALL);
	assert_false(f.bad_request);
	f = frame_of(&udp4, 0);
	f.vnet.csum_offset = (uint16_t)(bytes - 1 - f.vnet.csum_start);
	assert_bad(&f, ALL);
	f = frame_of(&udp4, 0);
	f.vnet.csum_start = f.vnet.csum_offset = 0xffff;
	assert_bad(&f, ALL);
}

static void
segments_that_cannot_be_made_are_a_bad_request(void **state)
{
	struct frame_spec cut = tcp4;
	struct frame f = frame_of(&tcp4, 1000);

	(void)state;
	f.vnet.flags = 0; /* each segment needs a sum */
	assert_bad(&f, ALL);
	f = frame_of(&tcp4, 1000);
	f.vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	assert_bad(&f, ALL);
	f = frame_of(&tcp4, 1000);
	f.vnet.gso_type = 0x7f;
	assert_bad(&f, ALL);
	f = frame_of(&tcp4, 1000);
	f.vnet.gso_type = VIRTIO_NET_HDR_GSO_ECN; /* of what? */
	assert_bad(&f, ALL);
	f = frame_of(&tcp4, VNET_SEGMENT_BYTES_MIN - 1);
	assert_bad(&f, ALL);
	f = frame_of(&tcp4, VNET_SEGMENT_BYTES_MIN);
	vnet_guest_take(&f, ALL);
	assert_false(f.bad_request);
	f = frame_of(&tcp4, 1000);
	wire.byte[wire.l2 + wire.l3 + 12] = 4 << 4; /* TCP's header is not that short */
	assert_bad(&f, ALL);
	f = frame_of(&tcp4, 1000);
	f.vnet.csum_start = (uint16_t)(f.bytes - 19); /* no room for one */
	f.vnet.csum_offset = 0;
	assert_bad(&f, ALL);
	cut.payload = 0; /* nothing to cut */
	f = frame_of(&cut, 1000);
	assert_bad(&f, ALL);
	cut.payload = 1;
	f = frame_of(&cut, 1000);
	vnet_guest_take(&f, ALL);
	assert_false(f.bad_request);
}

static void
each_kind_of_segments_has_its_feature(void **state)
{
	struct frame_spec tcp6 = tcp4;
	struct frame f = frame_of(&tcp4, 1000);

	(void)state;
	tcp6.v6 = true;
	assert_bad(&f, ALL & ~RTE_BIT64(VIRTIO_NET_F_HOST_TSO4));
	f = frame_of(&tcp6, 1000);
	assert_bad(&f, ALL & ~RTE_BIT64(VIRTIO_NET_F_HOST_TSO6));
	f = frame_of(&tcp4, 1000);
	f.vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_bad(&f, ALL & ~RTE_BIT64(VIRTIO_NET_F_HOST_ECN));
}

/* ---- giving ------------------------------------------------------------------------------- */

static void
a_request_moves_with_the_tag(void **state)
{
	unsigned int form;

	(void)state;
	for (form = 0; form < 4; form++) {
		struct frame_spec s = tcp4;
		bool tag = form & 2;
		struct virtio_net_hdr want, got;
		uint8_t hdr[12];
		int shift;
		struct frame f;

		s.tags = form & 1;
		shift = 4 * ((int)tag - (int)s.tags);
		f = frame_of(&s, 1000);
		vnet_guest_take(&f, ALL);
		want = f.vnet;
		want.csum_start = (uint16_t)(want.csum_start + shift);
		want.hdr_len = (uint16_t)(want.hdr_len + shift);
		memset(hdr, 0x55, sizeof(hdr));
		vnet_guest_give(&f, tag, hdr);
		memcpy(&got, hdr, sizeof(got));
		assert_memory_equal(&got, &want, sizeof(got));
		assert_int_equal(hdr[10], 0x55); /* num_buffers is not its business */
		f.vnet.hdr_len = 0; /* not told: stays so */
		vnet_guest_give(&f, tag, hdr);
		memcpy(&got, hdr, sizeof(got));
		assert_int_equal(got.hdr_len, 0);
	}
}

/* ---- mbufs -------------------------------------------------------------------------------- */

/* What is on the wire behind an output that can do nothing: all sums are right. */
static void
assert_finished(struct rte_mbuf *m, const struct frame_spec *s, unsigned int n_expected,
		unsigned int segment_bytes)
{
	static struct wire_frame out;
	struct rte_mbuf *seg[VNET_SEGS_MAX];
	unsigned int i, offset = 0, headers = wire.l2 + wire.l3 + wire.l4;
	int n = vnet_finish(m, 0, pool, seg, VNET_SEGS_MAX);

	assert_int_equal(n, n_expected);
	for (i = 0; i < n_expected; i++) {
		unsigned int payload = RTE_MIN(segment_bytes, s->payload - offset);

		frame_from_mbuf(seg[i], &wire, &out);
		assert_int_equal(out.len, headers + payload);
		assert_memory_equal(out.byte + headers, wire.byte + headers + offset, payload);
		assert_int_equal(transport_sum(&out, s->v6, s->proto, wire.l4 + payload), 0xffff);
		offset += payload;
	}
	assert_int_equal(offset, s->payload);
	rte_pktmbuf_free_bulk(seg, n_expected);
}

static void
a_request_is_carried_out_by_way_of_an_mbuf(void **state)
{
	unsigned int form;

	(void)state;
	for (form = 0; form < 16; form++) {
		struct frame_spec s = form & 1 ? tcp4 : udp4;
		uint16_t gso_size = form & 2 && s.proto == TCP ? 999 : 0;
		struct rte_mbuf *m;
		struct frame f;

		s.v6 = form & 4;
		s.tags = form >> 3 & 1;
		f = frame_of(&s, gso_size);
		vnet_guest_take(&f, ALL);
		m = frame_to_mbuf(&wire, 0, pool);
		assert_int_equal(vnet_guest_to_mbuf(&f, f.tagged, m), 0);
		assert_int_equal(vnet_needs(m), f.needs & ~VNET_CAN_TSO_ECN);
		if (gso_size != 0)
			assert_finished(m, &s, (s.payload + 998) / 999, 999);
		else
			assert_finished(m, &s, 1, s.payload);
		rte_pktmbuf_free(m);
	}
}

/* Has the frame summed up from `start` on. The sum's field begins with that of what goes before, which
 * the guest knows and we need not. */
static void
assert_summed_at_once(const struct frame_spec *s, unsigned int offset_in_l4)
{
	struct frame f = frame_of(s, 0);
	static struct wire_frame out;
	unsigned int start = wire.l2 + wire.l3 + offset_in_l4, at = start + 8;
	struct rte_mbuf *m;

	f.vnet.csum_start = (uint16_t)start;
	f.vnet.csum_offset = 8;
	vnet_guest_take(&f, ALL);
	assert_int_equal(f.needs, VNET_CAN_CSUM);
	put16(wire.byte + at, 0x1234);
	m = frame_to_mbuf(&wire, 0, pool);
	assert_int_equal(vnet_guest_to_mbuf(&f, f.tagged, m), 0);
	assert_int_equal(vnet_needs(m), 0);
	frame_from_mbuf(m, &wire, &out);
	assert_int_equal(sum16(out.byte + start, wire.len - start, 0x1234), 0xffff);
	put16(wire.byte + at, get16(out.byte + at));
	assert_memory_equal(out.byte, wire.byte, wire.len); /* all else is as it was */
	rte_pktmbuf_free(m);
}

/* Virtio's request is for anything; a device's offload is for TCP and UDP, and not in a tunnel. */
static void
a_sum_that_no_device_knows_is_made_at_once(void **state)
{
	const struct frame_spec ospf = {.proto = 89, .payload = 333};
	const struct frame_spec tunnel = {.proto = UDP, .payload = 333, .tags = 1};

	(void)state;
	assert_summed_at_once(&ospf, 0);
	assert_summed_at_once(&ospf, 4);
	assert_summed_at_once(&tunnel, 100);
}

static void
a_request_that_the_frame_has_outgrown_is_refused(void **state)
{
	struct frame f = frame_of(&tcp4, 1000);
	struct rte_mbuf *m;

	(void)state;
	vnet_guest_take(&f, ALL);
	wire.byte[wire.l2 + 9] = UDP; /* since then the guest has changed its mind */
	m = frame_to_mbuf(&wire, 0, pool);
	assert_int_not_equal(vnet_guest_to_mbuf(&f, false, m), 0);
	rte_pktmbuf_free(m);
}

/* From one guest into an mbuf, and on to another: what it is asked for is the same, and with the sum
 * of the pseudo header in its place, as virtio has it, all it has to do is to add up. */
static void
an_mbufs_request_is_a_guests_again(void **state)
{
	unsigned int form;

	(void)state;
	for (form = 0; form < 16; form++) {
		struct frame_spec s = form & 1 ? tcp4 : udp4;
		uint16_t gso_size = form & 2 && s.proto == TCP ? 1000 : 0;
		bool ecn = gso_size != 0 && form & 8;
		static struct wire_frame out;
		unsigned int start, at;
		struct rte_mbuf *m;
		struct frame from, to = {.bytes = 0};

		s.v6 = form & 4;
		s.tcp_flags = ecn ? FLAG_ACK | FLAG_CWR : FLAG_ACK;
		from = frame_of(&s, gso_size);
		if (ecn)
			from.vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		vnet_guest_take(&from, ALL);
		m = frame_to_mbuf(&wire, 0, pool);
		assert_int_equal(vnet_guest_to_mbuf(&from, false, m), 0);
		vnet_guest_from_mbuf(&to, m);
		assert_memory_equal(&to.vnet, &from.vnet, sizeof(to.vnet));
		assert_int_equal(to.needs & ~VNET_CAN_TSO_ECN, from.needs & ~VNET_CAN_TSO_ECN);
		frame_from_mbuf(m, &wire, &out);
		start = out.l2 + out.l3;
		at = start + (s.proto == TCP ? 16 : 6);
		put16(out.byte + at, 0xffff & ~sum16(out.byte + start, out.len - start, 0));
		assert_int_equal(transport_sum(&out, s.v6, s.proto, out.len - start), 0xffff);
		rte_pktmbuf_free(m);
	}
}

static int
all_home(void **state)
{
	(void)state;
	return rte_mempool_in_use_count(pool) != 0;
}

static int
start(void **state)
{
	char *argv[] = {(char *)"test",	       (char *)"--no-huge",	 (char *)"--no-pci",
			(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m",
			(char *)"64",	       (char *)"--lcores=0@0",	 NULL};

	(void)state;
	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", 1023, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM,
				       SOCKET_ID_ANY);
	return pool == NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checksum_is_asked_for),
		cmocka_unit_test(segments_are_asked_for),
		cmocka_unit_test(without_the_feature_there_is_no_request),
		cmocka_unit_test(a_good_sum_is_no_request_and_not_the_guests_to_say),
		cmocka_unit_test(a_sum_must_lie_in_the_frame_behind_its_header),
		cmocka_unit_test(segments_that_cannot_be_made_are_a_bad_request),
		cmocka_unit_test(each_kind_of_segments_has_its_feature),
		cmocka_unit_test(a_request_moves_with_the_tag),
		cmocka_unit_test(a_request_is_carried_out_by_way_of_an_mbuf),
		cmocka_unit_test(a_sum_that_no_device_knows_is_made_at_once),
		cmocka_unit_test(a_request_that_the_frame_has_outgrown_is_refused),
		cmocka_unit_test(an_mbufs_request_is_a_guests_again),
	};

	return cmocka_run_group_tests(tests, start, all_home);
}
