/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vnet_guest.h"

#include <errno.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_net.h>
#include <rte_tcp.h>

#include "datapath/vnet_hdr.h"

#define TAG_BYTES ((int)sizeof(struct rte_vlan_hdr))

#define FEATURE(bit, features) ((features) & (1ULL << (bit)))

/* What a segmentation of this type needs of an output, 0: nothing that its guest may ask for. */
static unsigned int
vnet_guest_gso_needs(uint8_t gso_type, uint64_t features)
{
	unsigned int needs = VNET_CAN_CSUM;

	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		if (!FEATURE(VIRTIO_NET_F_HOST_TSO4, features))
			return 0;
		needs |= VNET_CAN_TSO4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		if (!FEATURE(VIRTIO_NET_F_HOST_TSO6, features))
			return 0;
		needs |= VNET_CAN_TSO6;
		break;
	default:
		return 0;
	}
	if (gso_type & VIRTIO_NET_HDR_GSO_ECN) {
		if (!FEATURE(VIRTIO_NET_F_HOST_ECN, features))
			return 0;
		needs |= VNET_CAN_TSO_ECN;
	}
	return needs;
}

/* Headers of a frame that is to be cut, from the start of the frame to the payload; 0: there is no
 * such. Takes the guest's word for where TCP begins, and TCP's for where it ends. */
static uint32_t
vnet_guest_header_bytes(const struct frame *f)
{
	uint32_t start = f->vnet.csum_start, headers;
	struct rte_tcp_hdr tcp;

	if (start + sizeof(tcp) > f->bytes)
		return 0;
	frame_read(f, start, sizeof(tcp), &tcp);
	headers = start + (tcp.data_off >> 4) * 4;
	if (headers < start + sizeof(tcp) || headers >= f->bytes)
		return 0;
	return headers;
}

void
vnet_guest_take(struct frame *f, uint64_t features)
{
	struct virtio_net_hdr *vnet = &f->vnet;
	uint32_t l2_bytes = sizeof(struct rte_ether_hdr) + (f->tagged ? TAG_BYTES : 0), headers;

	/* DATA_VALID is for us to say, not for the guest. */
	vnet->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (!FEATURE(VIRTIO_NET_F_CSUM, features) ||
	    (vnet->flags == 0 && vnet->gso_type == VIRTIO_NET_HDR_GSO_NONE))
		return;
	/* No checksum is further in, and the sum goes behind where it starts. */
	if (vnet->flags == 0 || vnet->csum_start < l2_bytes ||
	    (uint32_t)vnet->csum_start + vnet->csum_offset + sizeof(uint16_t) > f->bytes)
		goto bad;
	f->needs = VNET_CAN_CSUM;
	if (vnet->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return;
	f->needs = (uint8_t)vnet_guest_gso_needs(vnet->gso_type, features);
	headers = vnet_guest_header_bytes(f);
	if (f->needs == 0 || headers == 0 || vnet->gso_size < VNET_SEGMENT_BYTES_MIN)
		goto bad;
	f->segmented = true;
	f->segment_l3_bytes = headers - l2_bytes + vnet->gso_size;
	return;
bad:
	f->needs = 0;
	f->bad_request = true;
}

void
vnet_guest_give(const struct frame *f, bool tag, uint8_t *hdr)
{
	int shift = TAG_BYTES * ((int)tag - (int)f->tagged);
	struct virtio_net_hdr vnet = f->vnet;

	vnet.csum_start = (uint16_t)(vnet.csum_start + shift);
	if (vnet.hdr_len != 0)
		vnet.hdr_len = (uint16_t)(vnet.hdr_len + shift);
	memcpy(hdr, &vnet, sizeof(vnet));
}

int
vnet_guest_to_mbuf(const struct frame *f, bool tag, struct rte_mbuf *m)
{
	struct rte_net_hdr_lens len = {0};
	struct virtio_net_hdr vnet;
	uint32_t ptype;

	vnet_guest_give(f, tag, (uint8_t *)&vnet);
	ptype = rte_net_get_ptype(m, &len, RTE_PTYPE_ALL_MASK);
	if (!f->segmented && ((ptype & RTE_PTYPE_L4_MASK) == 0 ||
			      vnet.csum_start > len.l2_len + len.l3_len + len.l4_len))
		return vnet_sum_up(m, vnet.csum_start, vnet.csum_offset);
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	if (f->segmented) {
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
		m->tso_segsz = vnet.gso_size;
	}
	return vnet_request_from_rx(m);
}

void
vnet_guest_from_mbuf(struct frame *f, struct rte_mbuf *m)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	bool is_v4 = m->ol_flags & RTE_MBUF_F_TX_IPV4;
	bool is_tcp = l4 == RTE_MBUF_F_TX_TCP_CKSUM;

	f->vnet = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = m->l2_len + m->l3_len,
		.csum_offset = is_tcp ? offsetof(struct rte_tcp_hdr, cksum) :
					offsetof(struct rte_udp_hdr, dgram_cksum),
	};
	f->needs = VNET_CAN_CSUM;
	vnet_write_pseudo_sum(m);
	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		return;
	f->vnet.gso_type = is_v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	f->vnet.gso_size = m->tso_segsz;
	f->vnet.hdr_len = m->l2_len + m->l3_len + m->l4_len;
	f->needs |= is_v4 ? VNET_CAN_TSO4 : VNET_CAN_TSO6;
	if (rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, f->vnet.csum_start)->tcp_flags &
	    RTE_TCP_CWR_FLAG)
		f->vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
}
