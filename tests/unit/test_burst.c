/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames in a guest's buffers and in mbufs, and what outputs get of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_net.h>
#include <rte_eal.h>

#include "datapath/burst.h"
#include "datapath/mempool.h"
#include "datapath/vnet_guest.h"
#include "tests/unit/fake_frame.h"

#define LCORE 1
#define VLAN 0x123
#define PRIORITY 0xa000 /* of the tag that frames come with */

static struct burst b;
static struct rte_mempool *pool;
static unsigned int in_use_before; /* mbufs */
static uint8_t buffer[FRAME_BYTES_MAX]; /* the guest's */
static uint8_t frame_was[FRAME_BYTES_MAX]; /* what the guest sent */

static int
setup(void **state)
{
	(void)state;
	burst_clear(&b);
	b.lcore = LCORE;
	in_use_before = rte_mempool_in_use_count(pool);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	burst_release(&b);
	return rte_mempool_in_use_count(pool) != in_use_before; /* every mbuf came home */
}

static void
put_bytes(uint32_t bytes, bool tagged)
{
	uint32_t i;

	for (i = 0; i < bytes; i++)
		buffer[i] = (uint8_t)(i * 7 + (i >> 8));
	put16(buffer + 12, tagged ? 0x8100 : 0x0800);
	if (tagged) {
		put16(buffer + 14, PRIORITY | 5);
		put16(buffer + 16, 0x0800);
	}
	memcpy(frame_was, buffer, bytes);
}

/* The bytes in the buffer as a frame in pieces of so many bytes each; its guest then writes over what
 * was looked at. */
static struct frame *
frame_of_buffer(uint32_t bytes, uint32_t piece)
{
	struct frame *f = &b.frame[b.n++];
	uint32_t at = RTE_MIN(piece, bytes);

	f->marks = 0;
	f->bytes = bytes;
	f->first = (struct burst_seg){buffer, at};
	f->more = &b.seg[b.n_segs];
	for (; at < bytes; at += piece, f->n_more++)
		b.seg[b.n_segs++] = (struct burst_seg){buffer + at, RTE_MIN(piece, bytes - at)};
	assert_true(b.n_segs <= BURST_SEGS_MAX);
	frame_fill_head(f);
	frame_look(f);
	memset(buffer, 0xee, RTE_MIN(bytes, (uint32_t)FRAME_HEAD_BYTES));
	f->uses = 1;
	return f;
}

static struct frame *
frame_made(uint32_t bytes, bool tagged, uint32_t piece)
{
	put_bytes(bytes, tagged);
	return frame_of_buffer(bytes, piece);
}

/* The mbuf is what was sent, with VLAN tag or without. */
static void
assert_mbuf(const struct rte_mbuf *m, const struct frame *f, bool tag)
{
	static uint8_t want[FRAME_BYTES_MAX + 4], got[FRAME_BYTES_MAX + 4];
	uint32_t from = f->tagged ? 16 : 12, to = tag ? 16 : 12;
	uint32_t bytes = f->bytes - from + to;
	const char *why;

	assert_non_null(m);
	assert_int_equal(rte_mbuf_check(m, 1, &why), 0);
	memcpy(want, frame_was, 12);
	put16(want + 12, 0x8100);
	put16(want + 14, f->tagged ? PRIORITY | f->vlan : f->vlan);
	memcpy(want + to, frame_was + from, f->bytes - from);
	assert_int_equal(m->pkt_len, bytes);
	if (rte_pktmbuf_read(m, 0, bytes, got) != got)
		memcpy(got, rte_pktmbuf_mtod(m, void *), bytes);
	assert_memory_equal(got, want, bytes);
}

/* ---- looking at frames -------------------------------------------------------------------- */

static void
the_head_is_gathered_from_any_pieces(void **state)
{
	static const uint32_t sizes[] = {14, 31, 32, 33, 100}, pieces[] = {1, 3, 13, 31, 32, 200};
	unsigned int i, k, at;

	(void)state;
	for (i = 0; i < RTE_DIM(sizes); i++) {
		for (k = 0; k < RTE_DIM(pieces); k++) {
			struct frame *f;

			burst_clear(&b);
			memset(b.frame[0].head, 0x55, FRAME_HEAD_BYTES);
			f = frame_made(sizes[i], false, pieces[k]);
			for (at = 0; at < FRAME_HEAD_BYTES; at++)
				assert_int_equal(f->head[at], at < sizes[i] ? frame_was[at] : 0);
		}
	}
}

static void
reading_takes_the_head_from_the_private_copy(void **state)
{
	static const uint32_t pieces[] = {1, 7, 32, 33, 100};
	uint8_t got[100];
	unsigned int k, from, bytes;

	(void)state;
	for (k = 0; k < RTE_DIM(pieces); k++) {
		struct frame *f;

		burst_clear(&b);
		f = frame_made(sizeof(got), true, pieces[k]);
		for (from = 0; from < sizeof(got); from++) {
			for (bytes = 0; from + bytes <= sizeof(got); bytes++) {
				memset(got, 0x55, sizeof(got));
				frame_read(f, from, bytes, got);
				assert_memory_equal(got, frame_was + from, bytes);
				if (bytes < sizeof(got))
					assert_int_equal(got[bytes], 0x55);
			}
		}
	}
}

static void
empty_pieces_are_nothing(void **state)
{
	struct burst_seg more[] = {{buffer + 20, 0}, {buffer + 20, 5}, {NULL, 0}, {buffer + 25, 35}};
	struct frame f = {.first = {buffer, 20}, .more = more, .n_more = 4, .bytes = 60};
	uint8_t got[60];

	(void)state;
	put_bytes(60, false);
	frame_fill_head(&f);
	frame_read(&f, 0, 60, got);
	assert_memory_equal(got, frame_was, 60);
}

static void
what_a_frame_is_shows_in_its_head(void **state)
{
	static const struct {
		uint32_t bytes;
		bool tag, tagged, cut;
		uint32_t l3_bytes;
	} want[] = {
		{13, false, false, false, 0},  {14, false, false, false, 0},
		{60, false, false, false, 46}, {14, true, false, true, 0},
		{17, true, false, true, 3},    {18, true, true, false, 0},
		{64, true, true, false, 46},
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(want); i++) {
		struct frame *f;

		put_bytes(64, want[i].tag);
		burst_clear(&b);
		memset(&b.frame[0], 0xff, sizeof(b.frame[0]));
		f = frame_of_buffer(want[i].bytes, 64);
		assert_int_equal(f->tagged, want[i].tagged);
		assert_int_equal(frame_is_cut_in_tag(f), want[i].cut);
		assert_int_equal(frame_l3_bytes(f), want[i].l3_bytes);
		assert_int_equal(frame_tag_vlan(f), want[i].tagged ? 5 : 0);
		assert_false(f->segmented || f->bad_request || f->in_mbuf || f->needs != 0);
	}
}

static void
a_second_tag_is_seen(void **state)
{
	static const unsigned int types[] = {0x8100, 0x88a8, 0x0800};
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(types); i++) {
		put_bytes(64, true);
		put16(buffer + 16, types[i]);
		burst_clear(&b);
		assert_int_equal(frame_is_tagged_twice(frame_of_buffer(64, 64)), i < 2);
	}
}

/* ---- mbufs of frames in buffers ------------------------------------------------------------ */

static void
a_frame_comes_out_in_the_form_that_is_asked_for(void **state)
{
	static const uint32_t sizes[] = {18,   31,   32,   33,	 60,
					 1518, 1920, 2048, 9018, FRAME_BYTES_MAX};
	static const uint32_t pieces[] = {1, 30, 32, 500, 4096, FRAME_BYTES_MAX};
	unsigned int i, k, form;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		for (k = 0; k < RTE_DIM(pieces); k++) {
			for (form = 0; form < 4; form++) {
				struct frame *f;

				if (sizes[i] / pieces[k] > FRAME_SEGS_MAX)
					continue;
				setup(state);
				f = frame_made(sizes[i], form & 1, pieces[k]);
				frame_set_vlan(f, VLAN);
				assert_mbuf(burst_mbuf(&b, f, form & 2), f, form & 2);
				assert_int_equal(f->uses, 0);
				assert_int_equal(teardown(state), 0);
			}
		}
	}
}

/* Outputs of both forms, of which some keep the mbuf and some only look at it. */
static void
one_frame_goes_to_many(void **state)
{
	unsigned int order, i, k;

	for (order = 0; order < 64; order++) {
		struct rte_mbuf *kept[3];
		unsigned int n = 0;
		struct frame *f;

		setup(state);
		f = frame_made(2500, order & 32, 700);
		frame_set_vlan(f, VLAN);
		f->uses = 5;
		for (i = 0; i < 5; i++) {
			bool tag = order >> i & 1;

			if (i % 2 == 0) {
				kept[n++] = burst_take(&b, f, tag);
				assert_mbuf(kept[n - 1], f, tag);
			} else {
				assert_mbuf(burst_mbuf(&b, f, tag), f, tag);
			}
			/* What was given before is as it was. */
			for (k = 0; k < n; k++)
				assert_mbuf(kept[k], f, order >> 2 * k & 1);
		}
		assert_int_equal(f->uses, 0);
		burst_release(&b);
		for (k = 0; k < n; k++)
			assert_mbuf(kept[k], f, order >> 2 * k & 1);
		rte_pktmbuf_free_bulk(kept, n);
		assert_int_equal(teardown(state), 0);
	}
}

static void
a_copy_is_made_once_for_each_form(void **state)
{
	struct frame *f = frame_made(60, false, 60);
	struct rte_mbuf *plain, *tagged;

	(void)state;
	f->uses = 5;
	plain = burst_mbuf(&b, f, false);
	assert_ptr_equal(burst_mbuf(&b, f, false), plain);
	tagged = burst_mbuf(&b, f, true);
	assert_ptr_not_equal(tagged, plain);
	assert_ptr_equal(burst_mbuf(&b, f, true), tagged);
	assert_ptr_equal(burst_mbuf(&b, f, false), plain);
	assert_int_equal(rte_mempool_in_use_count(pool), in_use_before + 2);
}

static void
the_last_output_needs_no_copy(void **state)
{
	struct frame *f = frame_made(60, false, 60);
	struct rte_mbuf *m;

	(void)state;
	f->uses = 2;
	m = burst_mbuf(&b, f, false);
	assert_ptr_equal(burst_take(&b, f, true), m);
	assert_mbuf(m, f, true);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1); /* the taker's alone */
	rte_pktmbuf_free(m);
}

static void
without_memory_there_is_none(void **state)
{
	static struct rte_mbuf *all[1 << 16];
	unsigned int n = rte_mempool_avail_count(pool);
	struct frame *f = frame_made(5000, false, 5000);
	struct rte_mbuf *m;

	(void)state;
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, all, n), 0);
	f->uses = 4;
	assert_null(burst_mbuf(&b, f, false));
	assert_null(burst_take(&b, f, true));
	assert_int_equal(f->uses, 2);
	rte_pktmbuf_free(all[--n]); /* enough to begin with */
	assert_null(burst_mbuf(&b, f, false));
	assert_int_equal(b.has_mbuf, 0);
	rte_pktmbuf_free_bulk(all, n);
	m = burst_mbuf(&b, f, false);
	assert_mbuf(m, f, false);
}

/* ---- frames that came in mbufs -------------------------------------------------------------- */

static struct rte_mbuf *
mbuf_made(uint32_t bytes, bool tagged, unsigned int mbuf_bytes)
{
	static struct wire_frame w;

	put_bytes(bytes, tagged);
	memcpy(w.byte, buffer, bytes);
	w.len = bytes;
	return frame_to_mbuf(&w, mbuf_bytes, pool);
}

static void
mbufs_come_into_view(void **state)
{
	static const unsigned int mbuf_bytes[] = {1, 13, 31, 32, 2048};
	struct rte_mbuf *m[RTE_DIM(mbuf_bytes)];
	uint8_t got[100];
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = mbuf_made(sizeof(got), i % 2, mbuf_bytes[i]);
	assert_int_equal(burst_of_mbufs(&b, m, RTE_DIM(m)), RTE_DIM(m));
	assert_int_equal(b.n, RTE_DIM(m));
	for (i = 0; i < RTE_DIM(m); i++) {
		struct frame *f = &b.frame[i];

		put_bytes(sizeof(got), i % 2);
		assert_true(f->in_mbuf);
		assert_ptr_equal(f->mbuf, m[i]);
		assert_true(b.has_mbuf & RTE_BIT64(i));
		assert_int_equal(f->bytes, sizeof(got));
		assert_int_equal(f->tagged, i % 2);
		assert_int_equal(f->mbuf_tagged, i % 2);
		assert_memory_equal(f->head, buffer, FRAME_HEAD_BYTES);
		assert_int_equal(f->n_more, m[i]->nb_segs - 1);
		frame_read(f, 0, sizeof(got), got);
		assert_memory_equal(got, buffer, sizeof(got));
	}
}

static void
an_mbufs_request_is_the_frames(void **state)
{
	struct rte_mbuf *m = mbuf_made(9000, false, 0);

	(void)state;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = 32;
	m->tso_segsz = 1000;
	assert_int_equal(burst_of_mbufs(&b, &m, 1), 1);
	assert_true(b.frame[0].segmented);
	assert_int_equal(frame_l3_bytes(&b.frame[0]), 20 + 32 + 1000);
	assert_int_not_equal(b.frame[0].needs, 0);
}

static void
mbufs_in_too_many_pieces_stay_the_callers(void **state)
{
	struct rte_mbuf *m[3];
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = mbuf_made(BURST_SEGS_MAX / 2, false, 1);
	assert_int_equal(burst_of_mbufs(&b, m, RTE_DIM(m)), 2);
	assert_int_equal(b.n, 2);
	rte_pktmbuf_free(m[2]);
}

/* A VLAN that replaces another is in the mbuf as well; the priority stays. */
static void
an_mbufs_tag_is_changed_in_place(void **state)
{
	struct rte_mbuf *m = mbuf_made(100, true, 0);
	struct frame *f = &b.frame[0];

	(void)state;
	burst_of_mbufs(&b, &m, 1);
	frame_set_vlan(f, VLAN);
	f->uses = 2;
	assert_ptr_equal(burst_mbuf(&b, f, true), m);
	assert_mbuf(m, f, true);
	assert_ptr_equal(burst_take(&b, f, false), m);
	assert_mbuf(m, f, false);
	rte_pktmbuf_free(m);
}

/* ---- requests ------------------------------------------------------------------------------- */

#define ALL_OFFLOADS                                                        \
	(RTE_BIT64(VIRTIO_NET_F_CSUM) | RTE_BIT64(VIRTIO_NET_F_HOST_TSO4) | \
	 RTE_BIT64(VIRTIO_NET_F_HOST_TSO6) | RTE_BIT64(VIRTIO_NET_F_HOST_ECN))

/* As a guest sends it, in pieces; gso_size 0: only to be summed up. */
static struct frame *
frame_with_request(const struct frame_spec *s, uint16_t gso_size)
{
	static struct wire_frame w;
	struct frame *f;

	frame_build(s, &w);
	memcpy(buffer, w.byte, w.len);
	f = frame_of_buffer(w.len, 700);
	f->vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)(w.l2 + w.l3),
		.csum_offset = s->proto == TCP ? 16 : 6,
		.gso_size = gso_size,
	};
	if (gso_size != 0)
		f->vnet.gso_type = s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	vnet_guest_take(f, ALL_OFFLOADS);
	assert_false(f->bad_request);
	return f;
}

static void
a_request_goes_along_in_both_forms(void **state)
{
	unsigned int form;

	for (form = 0; form < 8; form++) {
		const struct frame_spec s = {.proto = TCP,
					     .payload = 5000,
					     .v6 = form & 4,
					     .tags = form & 1};
		bool tag = form & 2;
		struct rte_mbuf *m, *other;
		struct frame *f;

		setup(state);
		f = frame_with_request(&s, 1400);
		frame_set_vlan(f, VLAN);
		f->uses = 3;
		m = burst_mbuf(&b, f, tag);
		assert_non_null(m);
		assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
		assert_int_equal(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_TCP_CKSUM);
		assert_true(m->ol_flags & (s.v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4));
		assert_int_equal(m->l2_len, tag ? 18 : 14);
		assert_int_equal(m->l3_len, s.v6 ? 40 : 20);
		assert_int_equal(m->l4_len, 20);
		assert_int_equal(m->tso_segsz, 1400);
		other = burst_mbuf(&b, f, !tag);
		assert_non_null(other);
		assert_true(other->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
		assert_int_equal(other->l2_len, tag ? 14 : 18);
		assert_int_equal(other->tso_segsz, 1400);
		assert_int_equal(teardown(state), 0);
	}
}

/* The guest has changed its frame since the request was checked. */
static void
a_request_that_fits_no_more_is_no_frame(void **state)
{
	const struct frame_spec s = {.proto = TCP, .payload = 3000, .v6 = true};
	struct frame *f = frame_with_request(&s, 1400);

	(void)state;
	memset(buffer + FRAME_HEAD_BYTES, 0, 54); /* no TCP header there now */
	assert_null(burst_take(&b, f, false));
	assert_int_equal(f->uses, 0);
}

static int
start(void **state)
{
	char *argv[] = {(char *)"test",	       (char *)"--no-huge",	 (char *)"--no-pci",
			(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m",
			(char *)"64",	       (char *)"--lcores=0@0",	 NULL};
	static const struct dp_config config = {.n_lcores = 1, .lcore = {{.node = SOCKET_ID_ANY}}};

	(void)state;
	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0 || mempool_create(&config, NULL) < 0)
		return -1;
	pool = mempool_of_lcore(LCORE);
	return 0;
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_head_is_gathered_from_any_pieces),
		T(reading_takes_the_head_from_the_private_copy),
		T(empty_pieces_are_nothing),
		T(what_a_frame_is_shows_in_its_head),
		T(a_second_tag_is_seen),
		T(a_frame_comes_out_in_the_form_that_is_asked_for),
		T(one_frame_goes_to_many),
		T(a_copy_is_made_once_for_each_form),
		T(the_last_output_needs_no_copy),
		T(without_memory_there_is_none),
		T(mbufs_come_into_view),
		T(an_mbufs_request_is_the_frames),
		T(mbufs_in_too_many_pieces_stay_the_callers),
		T(an_mbufs_tag_is_changed_in_place),
		T(a_request_goes_along_in_both_forms),
		T(a_request_that_fits_no_more_is_no_frame),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
