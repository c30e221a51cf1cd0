/* SPDX-License-Identifier: BSD-3-Clause */
/* What an output can not do is done for it: checksums and segments. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "datapath/vnet_hdr.h"
#include "tests/unit/vnet_fixture.h"

/* ---- checksums ---------------------------------------------------------------------------- */

/* Nothing but the checksum has changed, and it is right. */
static void
assert_checksummed(const struct frame_spec *s, const struct wire_frame *before,
		   const struct rte_mbuf *m)
{
	static struct wire_frame after;
	unsigned int field = before->l2 + before->l3 + (s->proto == TCP ? 16 : 6);

	frame_from_mbuf(m, before, &after);
	assert_int_equal(after.len, before->len);
	assert_int_equal(transport_sum(&after, s->v6, s->proto, before->l4 + s->payload), 0xffff);
	memcpy(after.byte + field, before->byte + field, 2);
	assert_memory_equal(after.byte, before->byte, before->len);
	assert_int_equal(m->ol_flags, 0);
}

static void
checksums_are_right_and_shared_frames_untouched(void **state)
{
	static struct wire_frame f, kept;
	unsigned int i, shared;

	(void)state;
	for (i = 0; i < RTE_DIM(shapes); i++) {
		for (shared = 0; shared < 2; shared++) {
			struct rte_mbuf *m = from_guest(&shapes[i], &f, 0), *out[1];

			assert_int_equal(vnet_request_from_rx(m), 0);
			rte_pktmbuf_refcnt_update(m, (int16_t)shared);
			assert_int_equal(vnet_finish(m, 0, pool, out, 1), 1);
			assert_int_equal(out[0] == m, !shared);
			assert_checksummed(&shapes[i], &f, out[0]);
			if (shared) { /* what others hold is as it was */
				frame_from_mbuf(m, &f, &kept);
				assert_memory_equal(kept.byte, f.byte, f.len);
				assert_true(vnet_must_finish(m, 0));
				rte_pktmbuf_free(m);
			}
			rte_pktmbuf_free(out[0]);
			rte_pktmbuf_free(m);
		}
	}
	assert_pool_full();
}

/* A UDP checksum of 0 would say that there is none: RFC 768. */
static void
a_udp_checksum_is_never_zero(void **state)
{
	struct frame_spec s = {.proto = UDP, .payload = 2};
	static struct wire_frame f;
	struct rte_mbuf *m, *out[1];
	uint32_t sum;

	(void)state;
	frame_build(&s, &f);
	put16(f.byte + f.l2 + f.l3 + 6, 0);
	put16(f.byte + f.l2 + f.l3 + 8, 0);
	sum = transport_sum(&f, false, UDP, 10);
	put16(f.byte + f.l2 + f.l3 + 8, 0xffff & ~sum);
	m = frame_to_mbuf(&f, 0, pool);
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	assert_int_equal(vnet_request_from_rx(m), 0);
	assert_int_equal(vnet_finish(m, 0, pool, out, 1), 1);
	frame_from_mbuf(out[0], &f, &f);
	assert_int_equal(get16(f.byte + f.l2 + f.l3 + 6), 0xffff);
	rte_pktmbuf_free(out[0]);
	rte_pktmbuf_free(m);
	assert_pool_full();
}

static void
a_frame_with_nothing_to_finish_goes_as_it_is(void **state)
{
	struct frame_spec s = {.proto = UDP, .payload = 100};
	static struct wire_frame f, after;
	struct rte_mbuf *m = from_guest(&s, &f, 0), *out[1];

	(void)state;
	assert_int_equal(vnet_request_from_rx(m), 0);
	assert_int_equal(vnet_finish(m, VNET_CAN_CSUM, pool, out, 1), 1);
	assert_ptr_equal(out[0], m);
	assert_int_equal(rte_mbuf_refcnt_read(m), 2);
	frame_from_mbuf(m, &f, &after);
	assert_memory_equal(after.byte, f.byte, f.len);
	rte_pktmbuf_free(out[0]);
	rte_pktmbuf_free(m);
	assert_pool_full();
}

/* ---- segments ----------------------------------------------------------------------------- */

static void
assert_segment(const struct frame_spec *s, const struct wire_frame *whole, const struct rte_mbuf *m,
	       unsigned int offset, unsigned int bytes, unsigned int can)
{
	bool is_last = offset + bytes == s->payload;
	uint8_t drop = (uint8_t)((offset > 0 ? FLAG_CWR : 0) | (is_last ? 0 : FLAG_FIN | FLAG_PSH));
	unsigned int headers = whole->l2 + whole->l3 + whole->l4;
	const uint8_t *whole_ip = whole->byte + whole->l2;
	static struct wire_frame seg;
	const uint8_t *ip = seg.byte + whole->l2, *tcp = ip + whole->l3;

	frame_from_mbuf(m, whole, &seg);
	assert_int_equal(seg.len, headers + bytes);
	assert_memory_equal(seg.byte, whole->byte, seg.l2);
	if (s->v6) {
		assert_int_equal(get16(ip + 4), seg.len - seg.l2 - 40);
		assert_memory_equal(ip + 6, whole_ip + 6, seg.l3 - 6);
	} else {
		assert_int_equal(get16(ip + 2), seg.len - seg.l2);
		assert_int_equal(sum16(ip, seg.l3, 0), 0xffff);
		assert_memory_equal(ip + 12, whole_ip + 12, seg.l3 - 12);
	}
	assert_int_equal(get32(tcp + 4), TCP_SEQ + offset);
	assert_int_equal(tcp[13], s->tcp_flags & (uint8_t)~drop);
	assert_memory_equal(tcp + 20, whole_ip + whole->l3 + 20, whole->l4 - 20);
	assert_memory_equal(seg.byte + headers, whole->byte + headers + offset, bytes);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	if (can & VNET_CAN_CSUM) {
		assert_int_equal(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_TCP_CKSUM);
		assert_false(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
		assert_int_equal(m->tso_segsz, 0);
		assert_int_equal(m->l2_len + m->l3_len + m->l4_len, headers);
		assert_false(vnet_must_finish(m, can));
	} else {
		assert_int_equal(m->ol_flags, 0);
		assert_int_equal(transport_sum(&seg, s->v6, TCP, seg.l4 + bytes), 0xffff);
	}
}

static void
segment_and_check(const struct frame_spec *s, uint16_t tso, unsigned int can)
{
	static struct rte_mbuf *out[VNET_SEGS_MAX];
	static struct wire_frame f, kept;
	struct rte_mbuf *m = from_guest(s, &f, tso);
	unsigned int n = (s->payload + tso - 1) / tso, i;

	assert_int_equal(vnet_request_from_rx(m), 0);
	assert_int_equal(vnet_finish(m, can, pool, out, VNET_SEGS_MAX), n);
	for (i = 0; i < n; i++) {
		assert_segment(s, &f, out[i], i * tso, RTE_MIN(tso, s->payload - i * tso), can);
		if (!s->v6) /* RFC 791: the id tells fragments of different packets apart */
			assert_int_equal(get16(rte_pktmbuf_mtod_offset(out[i], uint8_t *,
								       f.l2 + 4)),
					 (IP_ID + i) & 0xffff);
		rte_pktmbuf_free(out[i]);
	}
	frame_from_mbuf(m, &f, &kept);
	assert_memory_equal(kept.byte, f.byte, f.len);
	rte_pktmbuf_free(m);
	assert_pool_full();
}

static void
segments_add_up_to_the_frame(void **state)
{
	const uint8_t flags[] = {FLAG_ACK, FLAG_ACK | FLAG_PSH | FLAG_FIN | FLAG_CWR};
	const unsigned int sizes[][2] = {{1, 8},	{1448, 1448},  {1449, 1448}, {14480, 1448},
					 {65000, 1447}, {65000, 9000}, {2304, 9}};
	unsigned int i;

	(void)state;
	for (i = 0; i < 2 * 3 * RTE_DIM(flags) * RTE_DIM(sizes); i++) {
		const unsigned int *size = sizes[i / 12];
		struct frame_spec s = {.proto = TCP,
				       .v6 = i % 2,
				       .tags = i % 3,
				       .tcp_options = 12,
				       .tcp_flags = flags[i / 6 % 2],
				       .payload = size[0],
				       .mbuf_bytes = i / 6 % 2 ? 1001 : 2048};

		segment_and_check(&s, (uint16_t)size[1], 0);
		segment_and_check(&s, (uint16_t)size[1], VNET_CAN_CSUM);
	}
}

static void
options_and_extensions_are_in_each_segment(void **state)
{
	struct frame_spec options = {.proto = TCP,
				     .payload = 3000,
				     .l3_extra = 40,
				     .tcp_options = 40};
	struct frame_spec ext = {.proto = TCP,
				 .payload = 3000,
				 .v6 = true,
				 .l3_extra = 16,
				 .ext = IPPROTO_DSTOPTS};

	(void)state;
	segment_and_check(&options, 1000, 0);
	segment_and_check(&ext, 1000, 0);
}

/* An output that segments all but frames with CWR gets those cut. */
static void
cwr_is_cut_where_the_output_does_not_know_it(void **state)
{
	unsigned int can = VNET_CAN_CSUM | VNET_CAN_TSO4 | VNET_CAN_TSO6;
	struct frame_spec s = {.proto = TCP, .payload = 3000, .tcp_flags = FLAG_ACK | FLAG_CWR};

	(void)state;
	segment_and_check(&s, 1000, can);
	s.v6 = true;
	segment_and_check(&s, 1000, can);
}

static void
refuse_finish(const struct frame_spec *s, uint16_t tso, struct rte_mempool *from, uint16_t max,
	      int expected)
{
	static struct rte_mbuf *out[VNET_SEGS_MAX + 1];
	static struct wire_frame f;
	struct rte_mbuf *m = from_guest(s, &f, tso);

	assert_int_equal(vnet_request_from_rx(m), 0);
	rte_pktmbuf_refcnt_update(m, 1); /* so that a checksum needs an mbuf, too */
	assert_int_equal(vnet_finish(m, 0, from, out, max), expected);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(m);
	assert_pool_full();
	assert_int_equal(rte_mempool_in_use_count(from), 0);
}

static void
what_cannot_be_finished_is_refused_whole(void **state)
{
	struct rte_mempool *small = rte_pktmbuf_pool_create("small", 7, 0, 0, 2048 + 128, 0);
	struct frame_spec tcp = {.proto = TCP, .payload = 2560};
	struct frame_spec udp = {.proto = UDP, .payload = 20000};
	struct frame_spec sctp = {.proto = SCTP, .payload = 100};
	struct frame_spec routed = {.proto = TCP,
				    .payload = 100,
				    .v6 = true,
				    .l3_extra = 24,
				    .ext = IPPROTO_ROUTING,
				    .ext_segments_left = 1};

	(void)state;
	assert_non_null(small);
	refuse_finish(&tcp, 256, pool, 9, -E2BIG);
	refuse_finish(&tcp, 9, pool, VNET_SEGS_MAX, -E2BIG);
	refuse_finish(&tcp, 0, pool, 0, -E2BIG);
	refuse_finish(&tcp, 256, small, VNET_SEGS_MAX, -ENOMEM); /* 10 of 7 */
	tcp.payload = 20000;
	refuse_finish(&tcp, 9000, small, VNET_SEGS_MAX, -ENOMEM); /* in the midst of a chain */
	refuse_finish(&udp, 0, small, 1, -ENOMEM);
	refuse_finish(&sctp, 0, pool, 1, -ENOTSUP);
	refuse_finish(&routed, 0, pool, 1, -ENOTSUP);
	refuse_finish(&routed, 50, pool, VNET_SEGS_MAX, -ENOTSUP);
	rte_mempool_free(small);
}

/* Bytes changed at random in good frames: nothing may be read or written outside of them. */
static void
random_changes_do_no_harm(void **state)
{
	static struct rte_mbuf *out[VNET_SEGS_MAX];
	static struct wire_frame f;
	unsigned int round, accepted = 0, k;

	(void)state;
	srandom(20221111);
	for (round = 0; round < 50000; round++) {
		const struct frame_spec *s = &shapes[(unsigned long)random() % RTE_DIM(shapes)];
		uint16_t tso = random() % 2 ? (uint16_t)random() : 0;
		struct rte_mbuf *m = from_guest(s, &f, tso);
		int n;

		for (k = random() % 4; k > 0; k--)
			*rte_pktmbuf_mtod_offset(m, uint8_t *,
						 random() % RTE_MIN(m->data_len, 96)) =
				(uint8_t)random();
		if (random() % 4 == 0)
			rte_pktmbuf_trim(m, (uint16_t)(random() % m->data_len) % 100);
		if (vnet_request_from_rx(m) == 0) {
			accepted++;
			n = vnet_finish(m, (unsigned int)random() % 16, pool, out, VNET_SEGS_MAX);
			if (n > 0)
				rte_pktmbuf_free_bulk(out, (unsigned int)n);
		}
		rte_pktmbuf_free(m);
	}
	assert_true(accepted > round / 10 && accepted < round);
	assert_pool_full();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_are_right_and_shared_frames_untouched),
		cmocka_unit_test(a_udp_checksum_is_never_zero),
		cmocka_unit_test(a_frame_with_nothing_to_finish_goes_as_it_is),
		cmocka_unit_test(segments_add_up_to_the_frame),
		cmocka_unit_test(options_and_extensions_are_in_each_segment),
		cmocka_unit_test(cwr_is_cut_where_the_output_does_not_know_it),
		cmocka_unit_test(what_cannot_be_finished_is_refused_whole),
		cmocka_unit_test(random_changes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, setup_vnet, teardown_vnet);
}
