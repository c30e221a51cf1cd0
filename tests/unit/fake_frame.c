/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/fake_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void
put16(uint8_t *at, unsigned int value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

unsigned int
get16(const uint8_t *at)
{
	return (unsigned int)at[0] << 8 | at[1];
}

uint32_t
get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

uint32_t
sum16(const uint8_t *at, unsigned int len, uint32_t sum)
{
	unsigned int i;

	for (i = 0; i < len; i++) {
		sum += (uint32_t)at[i] << (i % 2 ? 0 : 8);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

uint32_t
transport_sum(const struct wire_frame *f, bool v6, uint8_t proto, unsigned int l4_bytes)
{
	uint8_t tail[4] = {(uint8_t)(l4_bytes >> 8), (uint8_t)l4_bytes, 0, proto};
	uint32_t sum;

	sum = v6 ? sum16(f->byte + f->l2 + 8, 32, 0) : sum16(f->byte + f->l2 + 12, 8, 0);
	sum = sum16(tail, sizeof(tail), sum);
	return sum16(f->byte + f->l2 + f->l3, l4_bytes, sum);
}

static uint8_t *
build_l2(const struct frame_spec *s, uint8_t *at)
{
	memcpy(at, "\x52\x54\x00\x00\x00\x02\x52\x54\x00\x00\x00\x01", 12);
	at += 12;
	if (s->tags == 2) {
		put16(at, 0x88a8);
		put16(at + 2, 7);
		at += 4;
	}
	if (s->tags > 0) {
		put16(at, 0x8100);
		put16(at + 2, 100);
		at += 4;
	}
	put16(at, s->v6 ? 0x86dd : 0x0800);
	return at + 2;
}

static uint8_t *
build_l3(const struct frame_spec *s, uint8_t *at, unsigned int l4_bytes)
{
	uint8_t *ip = at;

	if (!s->v6) {
		at[0] = (uint8_t)(0x45 + s->l3_extra / 4);
		put16(at + 2, 20 + s->l3_extra + l4_bytes);
		put16(at + 4, IP_ID);
		at[8] = 64;
		at[9] = s->proto;
		memcpy(at + 12, "\xc0\x00\x02\x01\xc6\x33\x64\xfe", 8);
		memset(at + 20, 1, s->l3_extra);
		put16(at + 10, 0xffff & ~sum16(ip, 20 + s->l3_extra, 0));
		return at + 20 + s->l3_extra;
	}
	at[0] = 0x60;
	put16(at + 4, s->l3_extra + l4_bytes);
	at[6] = s->l3_extra ? s->ext : s->proto;
	at[7] = 64;
	memcpy(at + 8, "\x20\x01\x0d\xb8\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c", 16);
	memcpy(at + 24, "\x20\x01\x0d\xb8\xff\xfe\xfd\xfc\0\0\0\0\0\0\0\1", 16);
	if (s->l3_extra) {
		at[40] = s->proto;
		at[41] = (uint8_t)(s->l3_extra / 8 - 1);
		at[43] = s->ext_segments_left;
	}
	return at + 40 + s->l3_extra;
}

void
frame_build(const struct frame_spec *s, struct wire_frame *f)
{
	unsigned int i;
	uint8_t *at;

	memset(f, 0, sizeof(*f));
	f->l4 = s->proto == TCP ? 20 + s->tcp_options : s->proto == UDP ? 8 : 12;
	at = build_l2(s, f->byte);
	f->l2 = (unsigned int)(at - f->byte);
	at = build_l3(s, at, f->l4 + s->payload);
	f->l3 = (unsigned int)(at - f->byte) - f->l2;
	put16(at, 40000);
	put16(at + 2, 443);
	if (s->proto == TCP) {
		put16(at + 4, TCP_SEQ >> 16);
		put16(at + 6, TCP_SEQ & 0xffff);
		at[12] = (uint8_t)(f->l4 / 4 << 4);
		at[13] = s->tcp_flags;
		memset(at + 20, 1, s->tcp_options);
		put16(at + 16, 0xdead); /* whatever a guest may have put there */
	} else if (s->proto == UDP) {
		put16(at + 4, 8 + s->payload);
		put16(at + 6, 0xdead);
	}
	at += f->l4;
	for (i = 0; i < s->payload; i++)
		*at++ = (uint8_t)(i * 7 + (i >> 8));
	memset(at, 0xee, s->padding);
	f->len = (unsigned int)(at - f->byte) + s->padding;
}

struct rte_mbuf *
frame_to_mbuf(const struct wire_frame *f, unsigned int mbuf_bytes, struct rte_mempool *pool)
{
	struct rte_mbuf *head = NULL, *m;
	unsigned int offset = 0, n;

	mbuf_bytes = mbuf_bytes ? mbuf_bytes : 2048;
	do {
		m = rte_pktmbuf_alloc(pool);
		assert_non_null(m);
		n = f->len - offset < mbuf_bytes ? f->len - offset : mbuf_bytes;
		memcpy(rte_pktmbuf_append(m, (uint16_t)n), f->byte + offset, n);
		offset += n;
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	} while (offset < f->len);
	return head;
}

void
frame_from_mbuf(const struct rte_mbuf *m, const struct wire_frame *like, struct wire_frame *f)
{
	f->l2 = like->l2;
	f->l3 = like->l3;
	f->l4 = like->l4;
	f->len = m->pkt_len;
	assert_true(f->len <= FRAME_MAX);
	if (rte_pktmbuf_read(m, 0, f->len, f->byte) != f->byte)
		memcpy(f->byte, rte_pktmbuf_mtod(m, void *), f->len);
}
