/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/burst.h"

#include <string.h>

#include <rte_ether.h>

#define TAG_BYTES ((uint16_t)sizeof(struct rte_vlan_hdr))
#define VLAN_ID_MASK 0xfff

void
burst_look(struct burst *b)
{
	uint16_t i;

	b->has_other = 0;
	for (i = 0; i < b->n; i++) {
		const struct rte_mbuf *m = b->mbuf[i];

		rte_prefetch0(rte_pktmbuf_mtod(m, const void *));
	}
	for (i = 0; i < b->n; i++) {
		const struct rte_mbuf *m = b->mbuf[i];

		b->eth[i] = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
		b->tagged[i] = burst_is_tagged(m);
		b->l3_bytes[i] = burst_l3_bytes(m);
		b->segmented[i] = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
	}
}

static struct rte_vlan_hdr *
burst_tag_of(const struct burst *b, uint16_t i)
{
	return rte_pktmbuf_mtod_offset(b->mbuf[i], struct rte_vlan_hdr *,
				       sizeof(struct rte_ether_hdr));
}

uint16_t
burst_tag_vlan(const struct burst *b, uint16_t i)
{
	return b->tagged[i] ? rte_be_to_cpu_16(burst_tag_of(b, i)->vlan_tci) & VLAN_ID_MASK : 0;
}

bool
burst_is_tagged_twice(const struct burst *b, uint16_t i)
{
	rte_be16_t inner = burst_tag_of(b, i)->eth_proto;

	return inner == RTE_BE16(RTE_ETHER_TYPE_VLAN) || inner == RTE_BE16(RTE_ETHER_TYPE_QINQ);
}

void
burst_set_vlan(struct burst *b, uint16_t i, uint16_t vlan)
{
	b->vlan[i] = vlan;
	if (b->tagged[i]) {
		struct rte_vlan_hdr *tag = burst_tag_of(b, i);

		tag->vlan_tci &= RTE_BE16(0xffff & ~VLAN_ID_MASK);
		tag->vlan_tci |= rte_cpu_to_be_16(vlan);
	}
}

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
burst_tag(struct rte_mbuf *m, uint16_t vlan)
{
	uint8_t *start = (uint8_t *)rte_pktmbuf_prepend(m, TAG_BYTES);
	rte_be16_t tag[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(vlan)};

	if (start == NULL)
		return -1;
	memmove(start, start + TAG_BYTES, 2 * RTE_ETHER_ADDR_LEN);
	memcpy(start + 2 * RTE_ETHER_ADDR_LEN, tag, sizeof(tag));
	if (m->l2_len != 0)
		m->l2_len += TAG_BYTES;
	return 0;
}

static int
burst_set_tag(struct rte_mbuf *m, bool tag, uint16_t vlan)
{
	if (tag)
		return burst_tag(m, vlan);
	burst_untag(m);
	return 0;
}

/* The frame in the form that it does not have: changed in place if this is its last use. */
static struct rte_mbuf *
burst_other_form(struct burst *b, uint16_t i, bool tag)
{
	struct rte_mbuf *m = b->mbuf[i];

	if (b->has_other & RTE_BIT64(i))
		return b->other[i];
	if (b->uses[i] == 1 && rte_mbuf_refcnt_read(m) == 1) {
		if (burst_set_tag(m, tag, b->vlan[i]) < 0)
			return NULL;
		b->tagged[i] = tag;
		return m;
	}
	m = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
	if (m == NULL)
		return NULL;
	if (burst_set_tag(m, tag, b->vlan[i]) < 0) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	b->other[i] = m;
	b->has_other |= RTE_BIT64(i);
	return m;
}

static struct rte_mbuf *
burst_form(struct burst *b, uint16_t i, bool tag)
{
	return likely(b->tagged[i] == tag) ? b->mbuf[i] : burst_other_form(b, i, tag);
}

struct rte_mbuf *
burst_mbuf(struct burst *b, uint16_t i, bool tag)
{
	struct rte_mbuf *m = burst_form(b, i, tag);

	b->uses[i]--;
	return m;
}

struct rte_mbuf *
burst_take(struct burst *b, uint16_t i, bool tag)
{
	struct rte_mbuf *m = burst_form(b, i, tag);

	if (--b->uses[i] > 0 || m == NULL) {
		if (m != NULL)
			rte_pktmbuf_refcnt_update(m, 1);
		return m;
	}
	if (m == b->mbuf[i])
		b->mbuf[i] = NULL;
	else
		b->has_other &= ~RTE_BIT64(i);
	return m;
}

void
burst_release(struct burst *b)
{
	uint16_t i;

	while (unlikely(b->has_other != 0)) {
		i = (uint16_t)rte_bsf64(b->has_other);
		rte_pktmbuf_free(b->other[i]);
		b->has_other &= b->has_other - 1;
	}
	rte_pktmbuf_free_bulk(b->mbuf, b->n);
	b->n = 0;
}
