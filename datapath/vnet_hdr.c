/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vnet_hdr.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_sctp.h>
#include <rte_tcp.h>
#include <rte_udp.h>

/*
 * A guest that asks for a checksum has put the sum of the pseudo header into the field. Nothing
 * here trusts that: librte_vhost and the devices' prepare functions write their own idea of it
 * into a frame that other outputs may still finish, so checksums are made from the first byte.
 *
 * Segmentation is our own and not librte_gso's, which knows no TCP over IPv6, copies the flags of
 * the first segment (CWR) into all of them, leaves the checksums to the caller, and gives chains
 * of two mbufs from two pools for what is a single copy here; the payload has to be read for the
 * checksum in any case.
 */

/* All that a request is made of. */
#define VNET_TX_FLAGS \
	(RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6)

#define VNET_L3_LEN_MAX ((1U << RTE_MBUF_L3_LEN_BITS) - 1)

unsigned int
vnet_can_of_guest(uint64_t features)
{
	unsigned int can = VNET_CAN_CSUM;

	if (!(features & (1ULL << VIRTIO_NET_F_GUEST_CSUM)))
		return 0;
	if (features & (1ULL << VIRTIO_NET_F_GUEST_TSO4))
		can |= VNET_CAN_TSO4;
	if (features & (1ULL << VIRTIO_NET_F_GUEST_TSO6))
		can |= VNET_CAN_TSO6;
	if (features & (1ULL << VIRTIO_NET_F_GUEST_ECN))
		can |= VNET_CAN_TSO_ECN;
	return can;
}

static uint32_t
vnet_l4_offset(const struct rte_mbuf *m)
{
	return m->l2_len + m->l3_len;
}

/* Bytes of transport header and payload, as the IP header has it: what follows is padding. */
static int
vnet_l4_bytes(const struct rte_mbuf *m)
{
	if (m->ol_flags & RTE_MBUF_F_TX_IPV4) {
		const struct rte_ipv4_hdr *ip4 =
			rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, m->l2_len);

		return rte_be_to_cpu_16(ip4->total_length) - m->l3_len;
	}
	const struct rte_ipv6_hdr *ip6 =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, m->l2_len);

	return rte_be_to_cpu_16(ip6->payload_len) + (int)sizeof(*ip6) - m->l3_len;
}

/* The TX flags that name the frame's protocols, or 0 where no request can be meant for them. */
static uint64_t
vnet_protocol_flags(uint32_t ptype)
{
	uint64_t flags;

	if (RTE_ETH_IS_IPV4_HDR(ptype))
		flags = RTE_MBUF_F_TX_IPV4;
	else if (RTE_ETH_IS_IPV6_HDR(ptype))
		flags = RTE_MBUF_F_TX_IPV6;
	else
		return 0;
	switch (ptype & RTE_PTYPE_L4_MASK) {
	case RTE_PTYPE_L4_TCP:
		return flags | RTE_MBUF_F_TX_TCP_CKSUM;
	case RTE_PTYPE_L4_UDP:
		return flags | RTE_MBUF_F_TX_UDP_CKSUM;
	case RTE_PTYPE_L4_SCTP:
		return flags | RTE_MBUF_F_TX_SCTP_CKSUM;
	default:
		return 0;
	}
}

/*
 * librte_vhost looks at less than it seems: it never checks that the transport header lies within
 * the frame, nor what the IP header says of its length. What it cannot parse (a tunnel, a fragment,
 * two tags of 0x8100, another transport) it has finished itself, and then there is no flag; nor is
 * there one for a segmentation of such a frame, or of size 0, which goes on as one long frame until
 * an MTU stops it.
 */
int
vnet_request_from_rx(struct rte_mbuf *m)
{
	const uint64_t rx_flags = RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_MASK;
	bool is_tso = m->ol_flags & RTE_MBUF_F_RX_LRO;
	struct rte_net_hdr_lens len = {0};
	uint32_t ptype, headers;
	uint64_t flags;
	int l4_bytes;

	if (likely(!(m->ol_flags & rx_flags)))
		return 0;
	m->ol_flags &= ~rx_flags;
	ptype = rte_net_get_ptype(m, &len,
				  RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);
	flags = vnet_protocol_flags(ptype);
	headers = len.l2_len + len.l3_len + len.l4_len;
	/* An input fills an mbuf before it starts the next, so honest headers are in the first. */
	if (flags == 0 || len.l3_len > VNET_L3_LEN_MAX || headers > m->data_len ||
	    m->pkt_len - len.l2_len > UINT16_MAX)
		return -EINVAL;
	if ((flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM &&
	    len.l4_len < sizeof(struct rte_tcp_hdr))
		return -EINVAL;
	if (is_tso) {
		/* UDP: VIRTIO_NET_HDR_GSO_UDP, IP fragmentation, is never offered. */
		if ((flags & RTE_MBUF_F_TX_L4_MASK) != RTE_MBUF_F_TX_TCP_CKSUM ||
		    m->tso_segsz < VNET_SEGMENT_BYTES_MIN || m->pkt_len == headers)
			return -EINVAL;
		flags |= RTE_MBUF_F_TX_TCP_SEG;
	}
	m->tx_offload = rte_mbuf_tx_offload(len.l2_len, len.l3_len, len.l4_len,
					    is_tso ? m->tso_segsz : 0, 0, 0, 0);
	m->ol_flags |= flags;
	l4_bytes = vnet_l4_bytes(m);
	/* Segments get lengths of their own; some guests leave that of the whole at 0. */
	if (!is_tso &&
	    (l4_bytes < len.l4_len || vnet_l4_offset(m) + (uint32_t)l4_bytes > m->pkt_len)) {
		m->ol_flags &= ~VNET_TX_FLAGS;
		return -EINVAL;
	}
	return 0;
}

/*
 * What of `can` holds for this frame. Behind IPv6 extension headers it is nothing: DPDK's pseudo
 * header (rte_ipv6_phdr_cksum), which librte_vhost and the drivers use, takes the extension for
 * the transport.
 */
static unsigned int
vnet_can_for(const struct rte_mbuf *m, unsigned int can)
{
	if ((m->ol_flags & RTE_MBUF_F_TX_IPV6) && m->l3_len != sizeof(struct rte_ipv6_hdr))
		return 0;
	return can;
}

unsigned int
vnet_needs(const struct rte_mbuf *m)
{
	unsigned int needs = VNET_CAN_CSUM;

	if (!(m->ol_flags & RTE_MBUF_F_TX_L4_MASK))
		return 0;
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
		needs |= m->ol_flags & RTE_MBUF_F_TX_IPV4 ? VNET_CAN_TSO4 : VNET_CAN_TSO6;
	return needs;
}

static bool
vnet_must_segment(const struct rte_mbuf *m, unsigned int can)
{
	unsigned int need = VNET_CAN_CSUM;
	const struct rte_tcp_hdr *tcp;

	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		return false;
	need |= m->ol_flags & RTE_MBUF_F_TX_IPV4 ? VNET_CAN_TSO4 : VNET_CAN_TSO6;
	if ((can & need) != need)
		return true;
	if (can & VNET_CAN_TSO_ECN)
		return false;
	tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, vnet_l4_offset(m));
	return tcp->tcp_flags & RTE_TCP_CWR_FLAG;
}

bool
vnet_must_finish(const struct rte_mbuf *m, unsigned int can)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;

	if (likely(l4 == 0))
		return false;
	can = vnet_can_for(m, can);
	return !(can & VNET_CAN_CSUM) || l4 == RTE_MBUF_F_TX_SCTP_CKSUM ||
	       vnet_must_segment(m, can);
}

/* With a routing header under way the pseudo header has another destination than the frame. */
static bool
vnet_is_source_routed(const struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip6 =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, m->l2_len);
	uint32_t offset = m->l2_len + sizeof(*ip6);
	uint8_t proto = ip6->proto;

	if (!(m->ol_flags & RTE_MBUF_F_TX_IPV6))
		return false;
	while (offset < vnet_l4_offset(m)) {
		/* Next header, length in 8 bytes less one, type, segments left (RFC 8200, 4.4). */
		const uint8_t *ext = rte_pktmbuf_mtod_offset(m, const uint8_t *, offset);

		if (proto == IPPROTO_ROUTING && ext[3] != 0)
			return true;
		proto = ext[0];
		offset += (ext[1] + 1U) * 8;
	}
	return false;
}

/* Folded, not inverted: RFC 9293, 3.1 and RFC 8200, 8.1. */
static uint16_t
vnet_pseudo_sum(const struct rte_mbuf *m, uint8_t proto, uint16_t l4_bytes)
{
	bool is_v4 = m->ol_flags & RTE_MBUF_F_TX_IPV4;
	uint32_t addresses = m->l2_len + (is_v4 ? offsetof(struct rte_ipv4_hdr, src_addr) :
						  offsetof(struct rte_ipv6_hdr, src_addr));
	uint32_t sum =
		rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const void *, addresses), is_v4 ? 8 : 32);

	sum += rte_cpu_to_be_16(proto);
	sum += rte_cpu_to_be_16(l4_bytes);
	return __rte_raw_cksum_reduce(sum);
}

/* Of `bytes` from `offset`, which lies in the first mbuf; not folded. rte_raw_cksum_mbuf() of
 * 22.11 loses carries behind an mbuf of odd length. */
static uint32_t
vnet_sum(const struct rte_mbuf *m, uint32_t offset, uint32_t bytes)
{
	bool is_odd = false;
	uint32_t sum = 0;

	while (bytes > 0) {
		uint32_t n = RTE_MIN(bytes, m->data_len - offset);
		uint16_t part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, void *, offset), n);

		sum += is_odd ? rte_bswap16(part) : part;
		is_odd ^= n & 1;
		bytes -= n;
		m = m->next;
		offset = 0;
	}
	return sum;
}

int
vnet_sum_up(struct rte_mbuf *m, uint32_t start, uint32_t offset)
{
	uint16_t sum;

	if (start + offset + sizeof(sum) > m->data_len)
		return -EINVAL;
	sum = (uint16_t)~__rte_raw_cksum_reduce(vnet_sum(m, start, m->pkt_len - start));
	memcpy(rte_pktmbuf_mtod_offset(m, void *, start + offset), &sum, sizeof(sum));
	return 0;
}

void
vnet_write_pseudo_sum(struct rte_mbuf *m)
{
	bool is_tcp = (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
	uint32_t l4 = vnet_l4_offset(m);
	uint16_t l4_bytes = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG ? (uint16_t)(m->pkt_len - l4) :
								  (uint16_t)vnet_l4_bytes(m);
	uint16_t sum = vnet_pseudo_sum(m, is_tcp ? IPPROTO_TCP : IPPROTO_UDP, l4_bytes);

	if (is_tcp)
		rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, l4)->cksum = sum;
	else
		rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, l4)->dgram_cksum = sum;
}

/* Makes the checksum that m, which is ours alone, asks for. */
static void
vnet_checksum(struct rte_mbuf *m)
{
	bool is_udp = (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM;
	void *l4 = rte_pktmbuf_mtod_offset(m, void *, vnet_l4_offset(m));
	uint16_t l4_bytes = (uint16_t)vnet_l4_bytes(m), sum;
	struct rte_udp_hdr *udp = l4;
	struct rte_tcp_hdr *tcp = l4;

	if (is_udp)
		udp->dgram_cksum = 0;
	else
		tcp->cksum = 0;
	sum = (uint16_t)~__rte_raw_cksum_reduce(vnet_sum(m, vnet_l4_offset(m), l4_bytes) +
						vnet_pseudo_sum(m,
								is_udp ? IPPROTO_UDP : IPPROTO_TCP,
								l4_bytes));
	if (is_udp)
		udp->dgram_cksum = sum == 0 ? 0xffff : sum; /* 0 says "no checksum" */
	else
		tcp->cksum = sum;
	m->ol_flags &= ~VNET_TX_FLAGS;
}

/* Copies `bytes` of m from `offset` behind the end of `to`, which grows by mbufs as it must. */
static int
vnet_append(struct rte_mbuf *to, const struct rte_mbuf *m, uint32_t offset, uint32_t bytes,
	    struct rte_mempool *pool)
{
	struct rte_mbuf *last = rte_pktmbuf_lastseg(to);

	while (bytes > 0) {
		uint32_t n = RTE_MIN(bytes, (uint32_t)rte_pktmbuf_tailroom(last));
		const void *from;
		void *end;

		if (n == 0) {
			last->next = rte_pktmbuf_alloc(pool);
			if (last->next == NULL)
				return -ENOMEM;
			last = last->next;
			to->nb_segs++;
			continue;
		}
		end = rte_pktmbuf_mtod_offset(last, void *, last->data_len);
		from = rte_pktmbuf_read(m, offset, n, end);
		if (from != end)
			memcpy(end, from, n);
		last->data_len += n;
		to->pkt_len += n;
		offset += n;
		bytes -= n;
	}
	return 0;
}

/* Adjusts the headers of segment i, which is all there already and asks for a checksum. */
static void
vnet_segment_headers(struct rte_mbuf *s, uint16_t i, bool is_last, uint32_t seq_offset)
{
	uint16_t l3_bytes = (uint16_t)(s->pkt_len - s->l2_len);
	struct rte_tcp_hdr *tcp =
		rte_pktmbuf_mtod_offset(s, struct rte_tcp_hdr *, vnet_l4_offset(s));
	void *ip = rte_pktmbuf_mtod_offset(s, void *, s->l2_len);
	struct rte_ipv4_hdr *ip4 = ip;
	struct rte_ipv6_hdr *ip6 = ip;

	if (s->ol_flags & RTE_MBUF_F_TX_IPV4) {
		ip4->total_length = rte_cpu_to_be_16(l3_bytes);
		ip4->packet_id = rte_cpu_to_be_16(rte_be_to_cpu_16(ip4->packet_id) + i);
		ip4->hdr_checksum = 0;
		ip4->hdr_checksum = rte_ipv4_cksum(ip4);
	} else {
		ip6->payload_len = rte_cpu_to_be_16(l3_bytes - sizeof(*ip6));
	}
	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + seq_offset);
	if (i > 0)
		tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	if (!is_last)
		tcp->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
}

static int
vnet_segment(const struct rte_mbuf *m, unsigned int can, struct rte_mempool *pool,
	     struct rte_mbuf **out, uint16_t max)
{
	uint32_t headers = vnet_l4_offset(m) + m->l4_len;
	uint32_t payload = m->pkt_len - headers;
	uint32_t n = (payload + m->tso_segsz - 1) / m->tso_segsz, i;

	if (n > max)
		return -E2BIG;
	for (i = 0; i < n; i++) {
		uint32_t offset = i * m->tso_segsz;
		uint32_t bytes = RTE_MIN(payload - offset, (uint32_t)m->tso_segsz);
		struct rte_mbuf *s = rte_pktmbuf_copy(m, pool, 0, headers);

		out[i] = s;
		if (s == NULL || vnet_append(s, m, headers + offset, bytes, pool) < 0)
			goto no_memory;
		s->ol_flags &= ~RTE_MBUF_F_TX_TCP_SEG;
		s->tso_segsz = 0;
		vnet_segment_headers(s, (uint16_t)i, i == n - 1, offset);
		if (!(can & VNET_CAN_CSUM))
			vnet_checksum(s);
	}
	return (int)n;

no_memory:
	rte_pktmbuf_free_bulk(out, i + 1);
	return -ENOMEM;
}

int
vnet_finish(struct rte_mbuf *m, unsigned int can, struct rte_mempool *pool, struct rte_mbuf **out,
	    uint16_t max)
{
	bool is_private = RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
	bool must = vnet_must_finish(m, can);

	if (must && ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_SCTP_CKSUM ||
		     vnet_is_source_routed(m)))
		return -ENOTSUP;
	can = vnet_can_for(m, can);
	if (must && vnet_must_segment(m, can))
		return vnet_segment(m, can, pool, out, max);
	if (max == 0)
		return -E2BIG;
	if (must && !is_private) {
		out[0] = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
		if (out[0] == NULL)
			return -ENOMEM;
	} else {
		out[0] = m;
		rte_pktmbuf_refcnt_update(m, 1);
	}
	if (must)
		vnet_checksum(out[0]);
	return 1;
}
