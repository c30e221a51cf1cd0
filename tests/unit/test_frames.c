/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_net.h>

#include "bench/frontend/frames.h"

static const struct frame_accepts accepts_all = {.csum = true, .tso4 = true};
static const struct frame_accepts accepts_nothing = {.csum = false, .tso4 = false};

static const struct frame_spec plain = {
	.dst = {2, 0, 0, 0, 0, 2},
	.src = {2, 0, 0, 0, 0, 1},
	.stream = 77,
	.flow = 5,
};

/* A frame with its header: the header lies before a cache line, as in the rings. */
struct buffer {
	uint8_t pad[64 - FRAME_VNET_BYTES];
	uint8_t header[FRAME_VNET_BYTES + FRAME_MAX_BYTES + 64];
} __attribute__((aligned(64)));

static struct buffer buffer;

static uint8_t *
frame(void)
{
	return buffer.header + FRAME_VNET_BYTES;
}

static struct virtio_net_hdr_v1 *
vnet(void)
{
	return (struct virtio_net_hdr_v1 *)buffer.header;
}

/* Builds a frame as a sender does with --verify. */
static void
build(const struct frame_spec *spec, uint32_t bytes, uint64_t sequence)
{
	uint8_t *tag = frame() + frame_tag_offset(spec);

	frame_build(buffer.header, spec, bytes);
	frame_stamp(tag, spec->gso_bytes != 0, sequence, 4242);
	frame_fill(tag, bytes - frame_tag_offset(spec), sequence);
}

static const char *
check(uint32_t bytes, struct frame_accepts accepts)
{
	struct frame_view view;

	assert_true(frame_parse(frame(), bytes, &view));
	return frame_check(buffer.header, bytes, &view, accepts);
}

static bool
is_for(const uint8_t *first, uint32_t count)
{
	struct frame_macs macs = frame_macs(first, count);

	return frame_is_for(frame(), &macs);
}

static void
what_is_built_is_read(void **state)
{
	struct frame_view view;

	(void)state;
	build(&plain, 64, 123456789012);
	assert_true(frame_parse(frame(), 64, &view));
	assert_int_equal(view.stream, 77);
	assert_int_equal(view.tag.sequence, 123456789012);
	assert_int_equal(view.tag.sent_tsc, 4242);
	assert_int_equal(view.payload_bytes, 64 - 42);
	assert_int_equal(view.l2_bytes, 14);
	assert_true(view.is_last);
	assert_false(view.is_tcp);
	assert_true(is_for(plain.dst, 1));
	assert_false(is_for(plain.src, 1));
	assert_true(is_for(plain.src, 2));
	assert_null(check(64, accepts_nothing));
}

static void
every_size_passes_its_check(void **state)
{
	struct frame_spec spec = plain;
	uint32_t bytes;

	(void)state;
	for (bytes = FRAME_MIN_BYTES; bytes < 300; bytes++) {
		spec.vlan = bytes % 2 ? 5 : 0;
		spec.csum_offload = bytes % 3 == 0;
		build(&spec, bytes, bytes);
		assert_null(check(bytes, accepts_all));
	}
}

static void
a_tag_is_part_of_the_size(void **state)
{
	struct frame_spec spec = plain;
	struct frame_view view;

	(void)state;
	spec.vlan = 100;
	build(&spec, 64, 1);
	assert_true(frame_parse(frame(), 64, &view));
	assert_int_equal(view.l2_bytes, 18);
	assert_int_equal(view.payload_bytes, sizeof(struct frame_tag));
	assert_int_equal(frame()[12] << 8 | frame()[13], 0x8100);
	assert_int_equal(frame()[14] << 8 | frame()[15], 100);
}

/* Whichever bit of a frame's payload changes: it is seen. */
static void
every_payload_bit_counts(void **state)
{
	const uint32_t bytes = 150;
	uint32_t first = frame_tag_offset(&plain) + sizeof(struct frame_tag);
	uint32_t at;

	(void)state;
	build(&plain, bytes, 9);
	for (at = first; at < bytes; at++) {
		frame()[at] ^= (uint8_t)(1u << at % 8);
		assert_string_equal(check(bytes, accepts_all), "payload");
		frame()[at] ^= (uint8_t)(1u << at % 8);
	}
	assert_null(check(bytes, accepts_all));
}

static void
another_frames_payload_is_seen(void **state)
{
	uint8_t *tag = frame() + frame_tag_offset(&plain);

	(void)state;
	build(&plain, 200, 1000);
	frame_stamp(tag, false, 1001, 0);
	assert_string_equal(check(200, accepts_all), "payload");
}

static void
lengths_must_fit(void **state)
{
	struct frame_view view;

	(void)state;
	build(&plain, 200, 1);
	assert_string_equal(check(201, accepts_all), "length");
	assert_false(frame_parse(frame(), 199, &view));
	assert_false(frame_parse(frame(), 20, &view));
}

static void
a_bad_ip_header_is_seen(void **state)
{
	(void)state;
	build(&plain, 100, 1);
	frame()[14 + 8]--; /* ttl */
	assert_string_equal(check(100, accepts_all), "IP checksum");
}

static void
other_traffic_is_not_ours(void **state)
{
	struct frame_view view;

	(void)state;
	build(&plain, 100, 1);
	frame()[13] = 0x06; /* ARP */
	assert_false(frame_parse(frame(), 100, &view));
	build(&plain, 100, 1);
	frame()[14 + 20 + 2]++; /* port */
	assert_false(frame_parse(frame(), 100, &view));
}

/* Finishes the checksum as a switch does in software. */
static void
finish_csum(uint32_t bytes)
{
	uint32_t start = vnet()->csum_start, sum = 0, i;
	uint8_t *field = frame() + start + vnet()->csum_offset;

	for (i = start; i < bytes; i++)
		sum += (i - start) % 2 ? frame()[i] : (uint32_t)frame()[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	field[0] = (uint8_t)(~sum >> 8);
	field[1] = (uint8_t)~sum;
	vnet()->flags = 0;
}

static void
an_unfinished_checksum_needs_consent(void **state)
{
	struct frame_spec spec = plain;

	(void)state;
	spec.csum_offload = true;
	build(&spec, 333, 1);
	assert_int_equal(vnet()->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_null(check(333, accepts_all));
	assert_non_null(check(333, accepts_nothing));
	finish_csum(333);
	assert_null(check(333, accepts_nothing));
	frame()[300] ^= 1;
	assert_string_equal(check(333, accepts_nothing), "L4 checksum");
}

static void
a_checksum_request_moves_with_the_tag(void **state)
{
	struct frame_spec spec = plain;

	(void)state;
	spec.csum_offload = true;
	spec.vlan = 3;
	build(&spec, 100, 1);
	assert_int_equal(vnet()->csum_start, 18 + 20);
	vnet()->csum_start -= 4; /* as a switch that forgot that it pushed a tag */
	assert_string_equal(check(100, accepts_all), "checksum request at the wrong place");
}

/* A head from a template, with other lengths, addresses and tag, is what building it anew gives. */
static void
a_head_is_like_built(void **state)
{
	static uint8_t built[FRAME_UDP_HEAD_BYTES];
	uint8_t head[FRAME_UDP_HEAD_BYTES];
	uint32_t bytes;

	(void)state;
	for (bytes = FRAME_MIN_BYTES; bytes < 9000; bytes += 7) {
		struct frame_spec spec = plain, other;

		spec.vlan = bytes % 2 ? 5 : 0;
		spec.csum_offload = bytes % 3 == 0;
		frame_build_head(head, &spec);
		other = spec;
		other.dst[5]++;
		other.src[3]++; /* 65,536 behind */
		other.vlan = spec.vlan ? 4094 : 0;
		frame_build(buffer.header, &other, bytes);
		memcpy(built, frame(), sizeof(built));
		memset(frame(), 0xff, sizeof(built));
		frame_put_head(frame(), head, spec.vlan ? 18 : 14, bytes);
		frame_mac_add(frame(), 1);
		frame_mac_add(frame() + 6, 65536);
		if (spec.vlan)
			frame_put_vlan(frame(), other.vlan);
		assert_memory_equal(frame(), built, sizeof(built));
	}
}

static void
the_usual_tag_is_behind_udp(void **state)
{
	struct frame_spec spec = plain;

	(void)state;
	build(&spec, 64, 1);
	assert_ptr_equal(frame_usual_tag(frame()), frame() + 42);
	spec.vlan = 7;
	build(&spec, 64, 1);
	assert_ptr_equal(frame_usual_tag(frame()), frame() + 46);
	spec.gso_bytes = 1000;
	build(&spec, 128, 1);
	assert_null(frame_usual_tag(frame()));
}

static void
a_tcp_frame_asks_for_segments(void **state)
{
	struct frame_spec spec = plain;
	struct frame_view view;

	(void)state;
	spec.gso_bytes = 1460;
	build(&spec, FRAME_MAX_BYTES, UINT64_C(0x123456789));
	assert_int_equal(vnet()->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(vnet()->gso_size, 1460);
	assert_int_equal(vnet()->hdr_len, 54);
	assert_true(frame_parse(frame(), FRAME_MAX_BYTES, &view));
	assert_int_equal(view.sequence_low, 0x23456789);
	assert_int_equal(view.tag.sequence, UINT64_C(0x123456789));
	assert_true(view.is_tcp && view.is_last);
	assert_null(check(FRAME_MAX_BYTES, accepts_all));
	assert_non_null(check(FRAME_MAX_BYTES, accepts_nothing));
}

/* Cuts the second segment out of a TCP frame by hand: it must verify by itself. */
static void
a_segment_verifies_by_itself(void **state)
{
	const uint32_t headers = 54, mss = 1001, whole = 4000;
	struct frame_spec spec = plain;
	struct frame_view view;
	uint32_t sum = 0, i;

	(void)state;
	spec.gso_bytes = (uint16_t)mss;
	build(&spec, whole, 7);
	memmove(frame() + headers, frame() + headers + mss, mss);
	frame()[16] = (uint8_t)((headers - 14 + mss) >> 8);
	frame()[17] = (uint8_t)(headers - 14 + mss);
	frame()[24] = frame()[25] = 0;
	for (i = 14; i < 34; i += 2)
		sum += (uint32_t)frame()[i] << 8 | frame()[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	frame()[24] = (uint8_t)(~sum >> 8);
	frame()[25] = (uint8_t)~sum;
	frame()[38 + 2] = (uint8_t)(mss >> 8); /* TCP sequence */
	frame()[38 + 3] = (uint8_t)mss;
	frame()[34 + 13] &= 0xf7; /* PSH */
	vnet()->gso_type = VIRTIO_NET_HDR_GSO_NONE;
	assert_true(frame_parse(frame(), headers + mss, &view));
	assert_int_equal(view.offset, mss);
	assert_int_equal(view.sequence_low, 7);
	assert_int_equal(view.stream, 77);
	assert_false(view.is_last);
	assert_null(check(headers + mss, accepts_all));
	frame()[headers + 500] ^= 0x10;
	assert_string_equal(check(headers + mss, accepts_all), "payload");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_built_is_read),
		cmocka_unit_test(every_size_passes_its_check),
		cmocka_unit_test(a_tag_is_part_of_the_size),
		cmocka_unit_test(every_payload_bit_counts),
		cmocka_unit_test(another_frames_payload_is_seen),
		cmocka_unit_test(lengths_must_fit),
		cmocka_unit_test(a_bad_ip_header_is_seen),
		cmocka_unit_test(other_traffic_is_not_ours),
		cmocka_unit_test(an_unfinished_checksum_needs_consent),
		cmocka_unit_test(a_checksum_request_moves_with_the_tag),
		cmocka_unit_test(a_head_is_like_built),
		cmocka_unit_test(the_usual_tag_is_behind_udp),
		cmocka_unit_test(a_tcp_frame_asks_for_segments),
		cmocka_unit_test(a_segment_verifies_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
