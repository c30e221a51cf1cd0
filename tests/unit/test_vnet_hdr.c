/* SPDX-License-Identifier: BSD-3-Clause */
/* What a guest asks for, and what an output can do of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/virtio_net.h>
#include <netinet/in.h>

#include "datapath/vnet_hdr.h"
#include "tests/unit/vnet_fixture.h"

/* ---- what a guest asks for ---------------------------------------------------------------- */

static void
requests_become_tx_flags_and_lengths(void **state)
{
	static struct wire_frame f;
	unsigned int i, tso;

	(void)state;
	for (i = 0; i < 2 * RTE_DIM(shapes); i++) {
		const struct frame_spec *s = &shapes[i / 2];
		uint64_t flags = s->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
		struct rte_mbuf *m;

		tso = i % 2 ? 1448 : 0;
		flags |= s->proto == TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
		flags |= tso ? RTE_MBUF_F_TX_TCP_SEG : 0;
		m = from_guest(s, &f, (uint16_t)tso);
		if (s->proto == UDP && tso) { /* IP fragmentation: never offered */
			assert_int_equal(vnet_request_from_rx(m), -EINVAL);
		} else {
			assert_int_equal(vnet_request_from_rx(m), 0);
			assert_int_equal(m->ol_flags, flags);
			assert_int_equal(m->l2_len, f.l2);
			assert_int_equal(m->l3_len, f.l3);
			assert_int_equal(m->l4_len, f.l4);
			assert_int_equal(m->tso_segsz, tso);
		}
		rte_pktmbuf_free(m);
	}
	assert_pool_full();
}

static void
a_frame_that_asks_for_nothing_is_not_touched(void **state)
{
	struct frame_spec s = {.proto = TCP, .payload = 10};
	static struct wire_frame f;
	struct rte_mbuf *m;

	(void)state;
	frame_build(&s, &f);
	m = frame_to_mbuf(&f, 0, pool);
	assert_int_equal(vnet_request_from_rx(m), 0);
	assert_int_equal(m->ol_flags, 0);
	assert_int_equal(m->l2_len, 0);
	assert_false(vnet_must_finish(m, 0));
	rte_pktmbuf_free(m);
	assert_pool_full();
}

/* Cut off at each byte: refused until the whole of the headers and what they promise is there. */
static void
a_frame_cut_off_anywhere_is_refused(void **state)
{
	static struct wire_frame f;
	unsigned int i, len, tso;

	(void)state;
	for (i = 0; i < RTE_DIM(shapes); i++) {
		for (tso = 0; tso < 2; tso++) {
			struct frame_spec s = shapes[i];

			s.payload = 5;
			s.mbuf_bytes = 0;
			frame_build(&s, &f);
			for (len = 1; len <= f.len; len++) {
				struct wire_frame cut = f;
				unsigned int needs =
					tso ? f.l2 + f.l3 + f.l4 + 1 : f.len - s.padding;
				bool good = len >= needs && (!tso || s.proto == TCP);
				struct rte_mbuf *m;

				cut.len = len;
				m = frame_to_mbuf(&cut, 0, pool);
				m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
				if (tso) {
					m->ol_flags |= RTE_MBUF_F_RX_LRO;
					m->tso_segsz = 100;
				}
				assert_int_equal(vnet_request_from_rx(m), good ? 0 : -EINVAL);
				if (!good)
					assert_int_equal(m->ol_flags, 0);
				rte_pktmbuf_free(m);
			}
		}
	}
	assert_pool_full();
}

/* One byte of a good frame changed; -EINVAL expected. */
static void
refuse(const struct frame_spec *s, uint16_t tso_segsz, unsigned int offset, uint8_t value)
{
	static struct wire_frame f;
	struct rte_mbuf *m = from_guest(s, &f, tso_segsz);

	assert_int_not_equal(f.byte[offset], value);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, offset) = value;
	assert_int_equal(vnet_request_from_rx(m), -EINVAL);
	assert_int_equal(m->ol_flags, 0);
	rte_pktmbuf_free(m);
}

static void
refuse_segment_size(const struct frame_spec *s, uint16_t tso_segsz, int expected)
{
	static struct wire_frame f;
	struct rte_mbuf *m = from_guest(s, &f, 1);

	m->tso_segsz = tso_segsz;
	assert_int_equal(vnet_request_from_rx(m), expected);
	rte_pktmbuf_free(m);
}

static void
lying_headers_are_refused(void **state)
{
	struct frame_spec tcp4 = {.proto = TCP, .payload = 100};
	struct frame_spec udp4 = {.proto = UDP, .payload = 100};
	struct frame_spec tcp6 = {.proto = TCP, .payload = 100, .v6 = true};
	struct frame_spec bare = {.proto = TCP, .payload = 0};
	struct frame_spec huge = {.proto = TCP, .payload = 65535 - 39};
	struct frame_spec long6 = {.proto = TCP,
				   .payload = 1,
				   .v6 = true,
				   .l3_extra = 472,
				   .ext = IPPROTO_DSTOPTS};

	(void)state;
	refuse(&tcp4, 0, 12, 0x12); /* no IP */
	refuse(&tcp4, 0, 14, 0x44); /* header length below 20 */
	refuse(&tcp4, 0, 14, 0x65); /* version 6 */
	refuse(&tcp4, 0, 16, 0xff); /* longer than the frame */
	refuse(&tcp4, 0, 17, 30); /* shorter than its headers */
	refuse(&udp4, 0, 17, 27);
	refuse(&tcp4, 0, 20, 0x20); /* a fragment */
	refuse(&tcp4, 0, 23, 1); /* neither TCP nor UDP */
	refuse(&tcp4, 0, 14 + 20 + 12, 0x40); /* data offset below 20 */
	refuse(&tcp4, 64, 14 + 20 + 12, 0x40);
	refuse(&bare, 0, 14 + 20 + 12, 0xf0); /* data offset beyond the frame */
	refuse(&tcp6, 0, 18, 0xff); /* longer than the frame */
	refuse(&tcp6, 0, 19, 19); /* shorter than a TCP header */
	refuse(&tcp6, 0, 20, IPPROTO_HOPOPTS); /* an extension that is none */
	refuse(&long6, 0, 14 + 40, UDP + 100);
	refuse_segment_size(&tcp4, 0, -EINVAL);
	refuse_segment_size(&tcp4, 7, -EINVAL);
	refuse_segment_size(&tcp4, 8, 0);
	refuse_segment_size(&tcp4, UINT16_MAX, 0);
	refuse_segment_size(&bare, 100, -EINVAL);
	refuse_segment_size(&huge, 1448, -EINVAL);
	huge.payload--;
	refuse_segment_size(&huge, 1448, 0);
	/* An mbuf has 9 bits for the length of the network header. */
	refuse_segment_size(&long6, 100, -EINVAL);
	long6.l3_extra -= 8;
	refuse_segment_size(&long6, 100, 0);
	/* Headers that do not lie in one piece. */
	tcp4.mbuf_bytes = 50;
	refuse_segment_size(&tcp4, 100, -EINVAL);
	assert_pool_full();
}

/* ---- what an output can ------------------------------------------------------------------- */

#define FEATURE(name) (1ULL << VIRTIO_NET_F_GUEST_##name)

static void
a_guest_can_what_it_negotiated(void **state)
{
	(void)state;
	assert_int_equal(vnet_can_of_guest(0), 0);
	assert_int_equal(vnet_can_of_guest(~0ULL),
			 VNET_CAN_CSUM | VNET_CAN_TSO4 | VNET_CAN_TSO6 | VNET_CAN_TSO_ECN);
	assert_int_equal(vnet_can_of_guest(FEATURE(CSUM)), VNET_CAN_CSUM);
	assert_int_equal(vnet_can_of_guest(FEATURE(TSO4) | FEATURE(TSO6) | FEATURE(ECN)), 0);
	assert_int_equal(vnet_can_of_guest(FEATURE(CSUM) | FEATURE(TSO4)),
			 VNET_CAN_CSUM | VNET_CAN_TSO4);
	assert_int_equal(vnet_can_of_guest(FEATURE(CSUM) | FEATURE(TSO6) | FEATURE(ECN)),
			 VNET_CAN_CSUM | VNET_CAN_TSO6 | VNET_CAN_TSO_ECN);
}

static void
what_an_output_lacks_must_be_finished(void **state)
{
	const unsigned int csum = VNET_CAN_CSUM, tso4 = csum | VNET_CAN_TSO4,
			   tso6 = csum | VNET_CAN_TSO6, all = tso4 | tso6 | VNET_CAN_TSO_ECN;
	const struct {
		struct frame_spec spec;
		uint16_t tso;
		unsigned int can;
		bool must;
	} cases[] = {
		{{.proto = TCP, .payload = 9}, 0, 0, true},
		{{.proto = TCP, .payload = 9}, 0, csum, false},
		{{.proto = UDP, .payload = 9, .v6 = true}, 0, csum, false},
		{{.proto = TCP, .payload = 9}, 8, csum, true},
		{{.proto = TCP, .payload = 9}, 8, tso4, false},
		{{.proto = TCP, .payload = 9}, 8, tso6, true},
		{{.proto = TCP, .payload = 9}, 8, VNET_CAN_TSO4, true},
		{{.proto = TCP, .payload = 9, .v6 = true}, 8, tso4, true},
		{{.proto = TCP, .payload = 9, .v6 = true}, 8, tso6, false},
		{{.proto = TCP, .payload = 9, .tcp_flags = FLAG_CWR}, 8, tso4, true},
		{{.proto = TCP, .payload = 9, .tcp_flags = FLAG_CWR}, 8, all, false},
		{{.proto = TCP, .payload = 9, .tcp_flags = FLAG_CWR}, 0, csum, false},
		{{.proto = SCTP, .payload = 9}, 0, all, true},
		{{.proto = TCP, .v6 = true, .l3_extra = 8, .ext = IPPROTO_HOPOPTS}, 0, all, true},
	};
	static struct wire_frame f;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(cases); i++) {
		struct rte_mbuf *m = from_guest(&cases[i].spec, &f, cases[i].tso);

		assert_int_equal(vnet_request_from_rx(m), 0);
		assert_int_equal(vnet_must_finish(m, cases[i].can), cases[i].must);
		rte_pktmbuf_free(m);
	}
	assert_pool_full();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_become_tx_flags_and_lengths),
		cmocka_unit_test(a_frame_that_asks_for_nothing_is_not_touched),
		cmocka_unit_test(a_frame_cut_off_anywhere_is_refused),
		cmocka_unit_test(lying_headers_are_refused),
		cmocka_unit_test(a_guest_can_what_it_negotiated),
		cmocka_unit_test(what_an_output_lacks_must_be_finished),
	};

	return cmocka_run_group_tests(tests, setup_vnet, teardown_vnet);
}
