/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/burst.h"

#include <string.h>

#include "datapath/mempool.h"
#include "datapath/vnet_guest.h"
#include "datapath/vnet_hdr.h"

#define TAG_BYTES ((uint16_t)sizeof(struct rte_vlan_hdr))
#define VLAN_ID_MASK 0xfff

/* ---- frames ------------------------------------------------------------------------------ */

/* Copies bytes as they lie, head and all. */
static void
frame_gather(const struct frame *f, uint32_t offset, uint32_t bytes, uint8_t *to)
{
	uint16_t i;

	for (i = 0; bytes > 0; i++) {
		const struct burst_seg *seg = i == 0 ? &f->first : &f->more[i - 1];
		uint32_t some;

		if (offset >= seg->bytes) {
			offset -= seg->bytes;
			continue;
		}
		some = RTE_MIN(bytes, seg->bytes - offset);
		memcpy(to, seg->at + offset, some);
		to += some;
		bytes -= some;
		offset = 0;
	}
}

void
frame_fill_head(struct frame *f)
{
	uint32_t bytes = RTE_MIN(f->bytes, (uint32_t)FRAME_HEAD_BYTES);

	memset(f->head + bytes, 0, FRAME_HEAD_BYTES - bytes);
	frame_gather(f, 0, bytes, f->head);
	f->is_short = f->bytes < FRAME_TAGGED_BYTES;
}

void
frame_read(const struct frame *f, uint32_t offset, uint32_t bytes, void *to)
{
	uint8_t *at = to;

	if (offset < FRAME_HEAD_BYTES) {
		uint32_t some = RTE_MIN(bytes, FRAME_HEAD_BYTES - offset);

		memcpy(at, f->head + offset, some);
		at += some;
		offset += some;
		bytes -= some;
	}
	frame_gather(f, offset, bytes, at);
}

uint16_t
frame_tag_vlan(const struct frame *f)
{
	return f->tagged ? rte_be_to_cpu_16(frame_tag(f)->vlan_tci) & VLAN_ID_MASK : 0;
}

bool
frame_is_tagged_twice(const struct frame *f)
{
	rte_be16_t inner = frame_tag(f)->eth_proto;

	return inner == RTE_BE16(RTE_ETHER_TYPE_VLAN) || inner == RTE_BE16(RTE_ETHER_TYPE_QINQ);
}

void
frame_set_vlan(struct frame *f, uint16_t vlan)
{
	struct rte_vlan_hdr *tag = (struct rte_vlan_hdr *)(f->head + sizeof(struct rte_ether_hdr));

	f->vlan = vlan;
	if (likely(!f->tagged))
		return;
	tag->vlan_tci &= RTE_BE16(0xffff & ~VLAN_ID_MASK);
	tag->vlan_tci |= rte_cpu_to_be_16(vlan);
	if (f->in_mbuf)
		memcpy(rte_pktmbuf_mtod_offset(f->mbuf, void *, sizeof(struct rte_ether_hdr)), tag,
		       sizeof(*tag));
}

/* ---- mbufs that came in ------------------------------------------------------------------ */

/* Brings an mbuf into view, pieces and all. */
static void
burst_frame_of_mbuf(struct burst *b, struct frame *f, struct rte_mbuf *m)
{
	const struct rte_mbuf *s;

	f->first = (struct burst_seg){rte_pktmbuf_mtod(m, const uint8_t *), m->data_len};
	f->more = &b->seg[b->n_segs];
	f->marks = 0;
	for (s = m->next; s != NULL; s = s->next) {
		b->seg[b->n_segs++] =
			(struct burst_seg){rte_pktmbuf_mtod(s, const uint8_t *), s->data_len};
		f->n_more++;
	}
	f->bytes = m->pkt_len;
	if (likely(m->data_len >= FRAME_HEAD_BYTES))
		memcpy(f->head, f->first.at, FRAME_HEAD_BYTES);
	else
		frame_fill_head(f);
	frame_look(f);
	f->in_mbuf = true;
	f->mbuf = m;
	f->mbuf_tagged = f->tagged;
	if (unlikely((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) != 0)) {
		f->needs = (uint8_t)vnet_needs(m);
		f->segmented = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
		f->segment_l3_bytes = burst_l3_bytes(m);
	}
}

uint16_t
burst_of_mbufs(struct burst *b, struct rte_mbuf *const *m, uint16_t n)
{
	uint16_t i;

	burst_clear(b);
	for (i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], const void *));
	for (i = 0; i < n && b->n_segs + m[i]->nb_segs <= BURST_SEGS_MAX; i++)
		burst_frame_of_mbuf(b, &b->frame[i], m[i]);
	b->n = i;
	b->has_mbuf = i == BURST_MAX ? UINT64_MAX : RTE_BIT64(i) - 1;
	return i;
}

static inline uint64_t
burst_bit(const struct burst *b, const struct frame *f)
{
	return RTE_BIT64(f - b->frame);
}

/* ---- mbufs for outputs ------------------------------------------------------------------- */

/* The frame must be one mbuf chain of ours alone; the header's 12 address bytes move by 4. */
static void
burst_untag(struct rte_mbuf *m)
{
	uint8_t *start = rte_pktmbuf_mtod(m, uint8_t *);

	memmove(start + TAG_BYTES, start, 2 * RTE_ETHER_ADDR_LEN);
	rte_pktmbuf_adj(m, TAG_BYTES);
	if (m->l2_len >= TAG_BYTES)
		m->l2_len -= TAG_BYTES;
}

static int
burst_tag(struct rte_mbuf *m, uint16_t tci)
{
	uint8_t *start = (uint8_t *)rte_pktmbuf_prepend(m, TAG_BYTES);
	rte_be16_t tag[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(tci)};

	if (start == NULL)
		return -1;
	memmove(start, start + TAG_BYTES, 2 * RTE_ETHER_ADDR_LEN);
	memcpy(start + 2 * RTE_ETHER_ADDR_LEN, tag, sizeof(tag));
	if (m->l2_len != 0)
		m->l2_len += TAG_BYTES;
	return 0;
}

/* Puts the frame's tag into its copy m, with the priority that it came with; or takes it out. */
static int
burst_set_tag(struct rte_mbuf *m, bool tag, const struct frame *f)
{
	if (tag)
		return burst_tag(m, f->tagged ? rte_be_to_cpu_16(frame_tag(f)->vlan_tci) : f->vlan);
	burst_untag(m);
	return 0;
}

/* Appends the frame's bytes from `offset` on to m, which grows by mbufs as it must. */
static int
burst_fill(struct rte_mbuf *m, const struct frame *f, uint32_t offset)
{
	struct rte_mbuf *last = m;
	uint32_t skip = offset;
	uint16_t i;

	for (i = 0; i <= f->n_more; i++) {
		const struct burst_seg *seg = i == 0 ? &f->first : &f->more[i - 1];
		uint32_t at = RTE_MIN(skip, seg->bytes);

		skip -= at;
		while (at < seg->bytes) {
			uint32_t some =
				RTE_MIN(seg->bytes - at, (uint32_t)rte_pktmbuf_tailroom(last));

			if (some == 0) {
				last->next = rte_pktmbuf_alloc(m->pool);
				if (last->next == NULL)
					return -1;
				last = last->next;
				m->nb_segs++;
				continue;
			}
			memcpy(rte_pktmbuf_mtod_offset(last, void *, last->data_len), seg->at + at,
			       some);
			last->data_len += some;
			m->pkt_len += some;
			at += some;
		}
	}
	return 0;
}

/* A copy of a frame in a guest's buffers, in the form that is asked for first. */
static int
burst_copy_out(struct burst *b, struct frame *f, bool tag)
{
	uint32_t head = RTE_MIN(f->bytes, (uint32_t)FRAME_HEAD_BYTES);
	struct rte_mbuf *m = rte_pktmbuf_alloc(mempool_of_lcore(b->lcore));

	if (m == NULL)
		return -1;
	memcpy(rte_pktmbuf_mtod(m, void *), f->head, head);
	m->data_len = (uint16_t)head;
	m->pkt_len = head;
	if ((f->tagged != tag && burst_set_tag(m, tag, f) < 0) ||
	    burst_fill(m, f, FRAME_HEAD_BYTES) < 0 ||
	    (unlikely(f->needs != 0) && vnet_guest_to_mbuf(f, tag, m) < 0)) {
		rte_pktmbuf_free(m);
		return -1;
	}
	f->mbuf = m;
	f->mbuf_tagged = tag;
	b->has_mbuf |= burst_bit(b, f);
	return 0;
}

/* The frame in the form that its mbuf does not have: changed in place if this is its last use. */
static struct rte_mbuf *
burst_other_form(struct burst *b, struct frame *f, bool tag)
{
	struct rte_mbuf *m = f->mbuf;

	if (b->has_other & burst_bit(b, f))
		return f->other;
	if (f->uses == 1 && rte_mbuf_refcnt_read(m) == 1) {
		if (burst_set_tag(m, tag, f) < 0)
			return NULL;
		f->mbuf_tagged = tag;
		return m;
	}
	m = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
	if (m == NULL)
		return NULL;
	if (burst_set_tag(m, tag, f) < 0) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	f->other = m;
	b->has_other |= burst_bit(b, f);
	return m;
}

static struct rte_mbuf *
burst_form(struct burst *b, struct frame *f, bool tag)
{
	if (!(b->has_mbuf & burst_bit(b, f)) && burst_copy_out(b, f, tag) < 0)
		return NULL;
	return likely(f->mbuf_tagged == tag) ? f->mbuf : burst_other_form(b, f, tag);
}

struct rte_mbuf *
burst_mbuf(struct burst *b, struct frame *f, bool tag)
{
	struct rte_mbuf *m = burst_form(b, f, tag);

	f->uses--;
	return m;
}

struct rte_mbuf *
burst_take(struct burst *b, struct frame *f, bool tag)
{
	struct rte_mbuf *m = burst_form(b, f, tag);

	if (--f->uses > 0 || m == NULL) {
		if (m != NULL)
			rte_pktmbuf_refcnt_update(m, 1);
		return m;
	}
	if (m == f->mbuf)
		b->has_mbuf &= ~burst_bit(b, f);
	else
		b->has_other &= ~burst_bit(b, f);
	return m;
}

void
burst_free_mbufs(struct burst *b)
{
	for (; b->has_mbuf != 0; b->has_mbuf &= b->has_mbuf - 1)
		rte_pktmbuf_free(b->frame[rte_bsf64(b->has_mbuf)].mbuf);
	for (; b->has_other != 0; b->has_other &= b->has_other - 1)
		rte_pktmbuf_free(b->frame[rte_bsf64(b->has_other)].other);
}
