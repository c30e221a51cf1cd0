/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/frames.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>

#define IP_BYTES 20
#define UDP_BYTES 8
#define TCP_BYTES 20
/* Behind 14 bytes of Ethernet header nothing is aligned. */
struct ip_header {
	struct iphdr h;
} __attribute__((packed));
struct udp_header {
	struct udphdr h;
} __attribute__((packed));
struct tcp_header {
	struct tcphdr h;
} __attribute__((packed));

#define PATTERN_KEY UINT64_C(0x9e3779b97f4a7c15)
#define PATTERN_STEP UINT64_C(0xd1342543de82ef95)

static uint32_t
csum_add(uint32_t sum, const uint8_t *data, uint32_t bytes)
{
	uint64_t wide = sum;
	uint32_t i;

	for (i = 0; i + 2 <= bytes; i += 2) {
		uint16_t word;

		memcpy(&word, data + i, sizeof(word));
		wide += word;
	}
	if (i < bytes)
		wide += data[i]; /* little endian: the odd byte is the first of its word */
	while (wide >> 16)
		wide = (wide & 0xffff) + (wide >> 16);
	return (uint32_t)wide;
}

static uint16_t
csum_finish(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Sum of the pseudo header; `l4_bytes` may be 0 to leave the length out. */
static uint32_t
csum_pseudo(const struct ip_header *ip, uint32_t l4_bytes)
{
	uint32_t sum = csum_add(0, (const uint8_t *)ip + offsetof(struct iphdr, saddr), 8);

	return sum + htons(ip->h.protocol) + htons((uint16_t)l4_bytes);
}

static uint32_t
l2_bytes_of(const uint8_t *frame)
{
	uint16_t type;

	memcpy(&type, frame + offsetof(struct ether_header, ether_type), sizeof(type));
	return type == htons(ETHERTYPE_VLAN) ? ETHER_HDR_LEN + 4 : ETHER_HDR_LEN;
}

uint32_t
frame_tag_offset(const struct frame_spec *spec)
{
	return ETHER_HDR_LEN + (spec->vlan ? 4 : 0) + IP_BYTES +
	       (spec->gso_bytes ? TCP_BYTES : UDP_BYTES);
}

static void
set_ip_length(struct ip_header *ip, uint32_t ip_bytes)
{
	ip->h.tot_len = htons((uint16_t)ip_bytes);
	ip->h.check = 0;
	ip->h.check = csum_finish(csum_add(0, (const uint8_t *)ip, IP_BYTES));
}

static uint8_t *
build_l2(uint8_t *frame, const struct frame_spec *spec)
{
	uint16_t type = htons(ETHERTYPE_IP);
	uint16_t vlan[2] = {htons(ETHERTYPE_VLAN), htons(spec->vlan)};

	memcpy(frame, spec->dst, 6);
	memcpy(frame + 6, spec->src, 6);
	frame += 12;
	if (spec->vlan) {
		memcpy(frame, vlan, sizeof(vlan));
		frame += sizeof(vlan);
	}
	memcpy(frame, &type, sizeof(type));
	return frame + sizeof(type);
}

static void
build_udp(struct udp_header *udp, const struct ip_header *ip, const struct frame_spec *spec,
	  uint32_t l4_bytes)
{
	udp->h.source = htons((uint16_t)(1024 + spec->flow % 60000));
	udp->h.dest = htons(FRAME_PORT);
	udp->h.len = htons((uint16_t)l4_bytes);
	/* Asked to finish a checksum, the switch finds the pseudo header's sum; else: none. */
	udp->h.check = spec->csum_offload ? (uint16_t)~csum_finish(csum_pseudo(ip, l4_bytes)) : 0;
}

static void
build_tcp(struct tcp_header *tcp, const struct ip_header *ip, const struct frame_spec *spec,
	  uint32_t l4_bytes)
{
	tcp->h.source = htons((uint16_t)(1024 + spec->flow % 60000));
	tcp->h.dest = htons(FRAME_PORT);
	tcp->h.doff = TCP_BYTES / 4;
	tcp->h.ack = 1;
	tcp->h.psh = 1; /* whoever cuts the frame leaves it on in the last segment only */
	tcp->h.window = htons(spec->stream); /* repeated in every segment */
	tcp->h.check = (uint16_t)~csum_finish(csum_pseudo(ip, l4_bytes));
}

void
frame_build(uint8_t *header, const struct frame_spec *spec, uint32_t bytes)
{
	struct virtio_net_hdr_v1 *vnet = (struct virtio_net_hdr_v1 *)header;
	uint8_t *frame = header + FRAME_VNET_BYTES;
	struct ip_header *ip;
	uint8_t *l4;
	uint32_t l2, ip_bytes;
	struct frame_tag tag = {.stream = spec->stream};

	memset(header, 0, FRAME_VNET_BYTES + bytes);
	ip = (struct ip_header *)build_l2(frame, spec);
	l2 = (uint32_t)((uint8_t *)ip - frame);
	ip_bytes = bytes - l2;
	ip->h.version = 4;
	ip->h.ihl = IP_BYTES / 4;
	ip->h.ttl = 64;
	ip->h.protocol = spec->gso_bytes ? IPPROTO_TCP : IPPROTO_UDP;
	ip->h.saddr = htonl(0x0a000001u + (spec->flow & 0xffff));
	ip->h.daddr = htonl(0x0a800001u);
	set_ip_length(ip, ip_bytes);
	l4 = (uint8_t *)ip + IP_BYTES;
	if (spec->gso_bytes)
		build_tcp((struct tcp_header *)l4, ip, spec, ip_bytes - IP_BYTES);
	else
		build_udp((struct udp_header *)l4, ip, spec, ip_bytes - IP_BYTES);
	if (spec->csum_offload || spec->gso_bytes) {
		vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vnet->csum_start = (uint16_t)(l2 + IP_BYTES);
		vnet->csum_offset = spec->gso_bytes ? offsetof(struct tcphdr, check) :
						      offsetof(struct udphdr, check);
	}
	if (spec->gso_bytes) {
		vnet->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		vnet->gso_size = spec->gso_bytes;
		vnet->hdr_len = (uint16_t)(l2 + IP_BYTES + TCP_BYTES);
	}
	memcpy(frame + frame_tag_offset(spec), &tag, sizeof(tag));
}

void
frame_build_head(uint8_t *head, const struct frame_spec *spec)
{
	uint8_t whole[FRAME_VNET_BYTES + FRAME_UDP_HEAD_BYTES];
	uint8_t *frame = whole + FRAME_VNET_BYTES;
	struct ip_header *ip;
	struct udp_header *udp;

	frame_build(whole, spec, FRAME_UDP_HEAD_BYTES);
	ip = (struct ip_header *)(frame + l2_bytes_of(frame));
	udp = (struct udp_header *)((uint8_t *)ip + IP_BYTES);
	set_ip_length(ip, 0);
	udp->h.len = 0;
	if (spec->csum_offload)
		udp->h.check = (uint16_t)~csum_finish(csum_pseudo(ip, 0));
	memcpy(head, frame, FRAME_UDP_HEAD_BYTES);
}

static inline uint64_t
pattern_word(uint64_t sequence, uint32_t word)
{
	return ((uint32_t)sequence + UINT64_C(1)) * PATTERN_KEY + word * PATTERN_STEP;
}

void
frame_fill(uint8_t *payload, uint32_t payload_bytes, uint64_t sequence)
{
	struct frame_tag tag;
	uint32_t words = payload_bytes / 8;
	uint32_t i;
	uint64_t word;

	frame_read_tag(payload, &tag);
	for (i = 0; i < words; i++) {
		word = pattern_word(sequence, i);
		memcpy(payload + UINT32_C(8) * i, &word, sizeof(word));
	}
	word = pattern_word(sequence, words);
	memcpy(payload + UINT32_C(8) * words, &word, payload_bytes % 8);
	memcpy(payload, &tag, sizeof(tag));
}

static bool
pattern_matches(const uint8_t *payload, uint32_t bytes, uint32_t offset, uint32_t sequence)
{
	uint32_t at = offset < sizeof(struct frame_tag) ? sizeof(struct frame_tag) : offset;
	uint32_t end = offset + bytes;
	uint64_t differs = 0, word, got;

	while (at < end && at % 8 != 0) {
		word = pattern_word(sequence, at / 8);
		differs |= payload[at - offset] ^ (uint8_t)(word >> (8 * (at % 8)));
		at++;
	}
	for (; at + 8 <= end; at += 8) {
		word = pattern_word(sequence, at / 8);
		memcpy(&got, payload + (at - offset), sizeof(got));
		differs |= word ^ got;
	}
	for (; at < end; at++) {
		word = pattern_word(sequence, at / 8);
		differs |= payload[at - offset] ^ (uint8_t)(word >> (8 * (at % 8)));
	}
	return differs == 0;
}

bool
frame_parse(const uint8_t *frame, uint32_t bytes, struct frame_view *view)
{
	const struct ip_header *ip;
	const struct tcp_header *tcp;
	uint16_t type, port;
	uint32_t l2, ip_bytes;

	memset(&view->tag, 0, sizeof(view->tag));
	if (bytes < ETHER_HDR_LEN + 4 + IP_BYTES + TCP_BYTES)
		return false;
	l2 = l2_bytes_of(frame);
	memcpy(&type, frame + l2 - 2, sizeof(type));
	ip = (const struct ip_header *)(frame + l2);
	memcpy(&port, frame + l2 + IP_BYTES + 2, sizeof(port));
	if (type != htons(ETHERTYPE_IP) || ip->h.ihl != IP_BYTES / 4 || port != htons(FRAME_PORT))
		return false;
	view->is_tcp = ip->h.protocol == IPPROTO_TCP;
	view->l2_bytes = l2;
	view->l4_bytes = view->is_tcp ? TCP_BYTES : UDP_BYTES;
	ip_bytes = ntohs(ip->h.tot_len);
	if (ip_bytes < IP_BYTES + view->l4_bytes)
		return false;
	view->payload = frame + l2 + IP_BYTES + view->l4_bytes;
	view->payload_bytes = ip_bytes - IP_BYTES - view->l4_bytes;
	if (l2 + ip_bytes > bytes)
		return false;
	view->offset = 0;
	view->is_last = true;
	if (view->is_tcp) {
		tcp = (const struct tcp_header *)(frame + l2 + IP_BYTES);
		view->stream = ntohs(tcp->h.window);
		view->sequence_low = ntohl(tcp->h.ack_seq);
		view->offset = ntohl(tcp->h.seq);
		view->is_last = tcp->h.psh;
	}
	if (view->offset != 0)
		return true;
	if (view->payload_bytes < sizeof(view->tag))
		return false;
	frame_read_tag(view->payload, &view->tag);
	view->stream = view->tag.stream;
	view->sequence_low = (uint32_t)view->tag.sequence;
	return true;
}

static const char *
check_csum(const struct virtio_net_hdr_v1 *vnet, const uint8_t *frame,
	   const struct frame_view *view, struct frame_accepts accepts)
{
	const struct ip_header *ip = (const struct ip_header *)(frame + view->l2_bytes);
	const uint8_t *l4 = (const uint8_t *)ip + IP_BYTES;
	uint32_t bytes = view->l4_bytes + view->payload_bytes;
	uint16_t field;
	uint32_t offset =
		view->is_tcp ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check);

	if (csum_finish(csum_add(0, (const uint8_t *)ip, IP_BYTES)) != 0)
		return "IP checksum";
	if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!accepts.csum)
			return "unfinished checksum that the guest does not accept";
		if (vnet->csum_start != view->l2_bytes + IP_BYTES || vnet->csum_offset != offset)
			return "checksum request at the wrong place";
		return NULL;
	}
	memcpy(&field, l4 + offset, sizeof(field));
	if (field == 0 && !view->is_tcp)
		return NULL;
	if (csum_finish(csum_add(csum_pseudo(ip, bytes), l4, bytes)) != 0)
		return "L4 checksum";
	return NULL;
}

const char *
frame_check(const uint8_t *header, uint32_t frame_bytes, const struct frame_view *view,
	    struct frame_accepts accepts)
{
	const struct virtio_net_hdr_v1 *vnet = (const struct virtio_net_hdr_v1 *)header;
	const uint8_t *frame = header + FRAME_VNET_BYTES;
	const char *wrong;

	if (view->l2_bytes + IP_BYTES + view->l4_bytes + view->payload_bytes != frame_bytes)
		return "length";
	if (vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE && !accepts.tso4)
		return "segmentation request that the guest does not accept";
	if (vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE &&
	    (vnet->gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || vnet->gso_size == 0 || !view->is_tcp))
		return "segmentation request that does not fit the frame";
	wrong = check_csum(vnet, frame, view, accepts);
	if (wrong != NULL)
		return wrong;
	if (!pattern_matches(view->payload, view->payload_bytes, view->offset, view->sequence_low))
		return "payload";
	return NULL;
}
