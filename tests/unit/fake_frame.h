/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_FAKE_FRAME_H
#define TESTS_UNIT_FAKE_FRAME_H

#include <rte_mbuf.h>

/*
 * Frames built byte by byte and looked at byte by byte, with checksums of our own, so that in a
 * test nothing of DPDK's header code checks itself.
 */
#define TCP 6
#define UDP 17
#define SCTP 132
#define FLAG_FIN 0x01
#define FLAG_PSH 0x08
#define FLAG_ACK 0x10
#define FLAG_CWR 0x80
#define FRAME_MAX 70000
#define IP_ID 0xfffe /* so that segments wrap it */
#define TCP_SEQ 0xfffffff0u

struct frame_spec {
	unsigned int tags; /* 0, 1 (0x8100), 2 (0x88a8, 0x8100) */
	bool v6;
	unsigned int l3_extra; /* bytes of IPv4 options or of one IPv6 extension header */
	uint8_t ext; /* its number */
	uint8_t ext_segments_left; /* of a routing header */
	uint8_t proto;
	unsigned int tcp_options;
	uint8_t tcp_flags;
	unsigned int payload;
	unsigned int padding; /* behind the IP packet */
	unsigned int mbuf_bytes; /* in each mbuf; 0: 2048 */
};

struct wire_frame { /* as on the wire */
	uint8_t byte[FRAME_MAX];
	unsigned int l2, l3, l4, len; /* lengths of headers and frame */
};

void put16(uint8_t *at, unsigned int value);
unsigned int get16(const uint8_t *at);
uint32_t get32(const uint8_t *at);

/* The one's complement sum, added to `sum`. */
uint32_t sum16(const uint8_t *at, unsigned int len, uint32_t sum);

/* The sum of pseudo header and transport: 0xffff where the checksum is right. */
uint32_t transport_sum(const struct wire_frame *f, bool v6, uint8_t proto, unsigned int l4_bytes);

/* Sums are wrong but that of an IPv4 header; the payload is a pattern. */
void frame_build(const struct frame_spec *s, struct wire_frame *f);

/* The caller's; in mbufs of `mbuf_bytes` (0: 2048). */
struct rte_mbuf *frame_to_mbuf(const struct wire_frame *f, unsigned int mbuf_bytes,
			       struct rte_mempool *pool);

/* The mbuf's bytes, with header lengths as in `like`, which may be f. */
void frame_from_mbuf(const struct rte_mbuf *m, const struct wire_frame *like, struct wire_frame *f);

#endif
