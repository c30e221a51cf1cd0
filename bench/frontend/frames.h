/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_FRAMES_H
#define FRONTEND_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The frames that the fake guests exchange: Ethernet, an optional VLAN tag, IPv4, UDP (or TCP where
 * segmentation offload is asked for), and a payload that says which stream, which number and when,
 * followed by bytes that follow from the number.
 *
 * A size is that of the Ethernet frame in the ring: no FCS, no virtio-net header. A tag counts.
 * Pure: no clock, no I/O, no state. Thread: any. May wait: no.
 */
#define FRAME_VNET_BYTES 12 /* virtio-net header with num_buffers (VERSION_1) */
#define FRAME_MIN_BYTES 64
#define FRAME_MIN_TSO_BYTES 128
#define FRAME_MAX_BYTES 65535
#define FRAME_PORT 0x534c /* destination port of all our frames */

/* A frame with this bit in its number only finds the way; it is not counted. */
#define FRAME_PROBE (UINT64_C(1) << 63)

/* What each frame carries directly behind its L4 header, in host order. */
struct frame_tag {
	uint64_t sequence;
	uint64_t sent_tsc;
	uint16_t stream;
} __attribute__((packed));

struct frame_spec {
	uint8_t dst[6];
	uint8_t src[6];
	uint16_t vlan; /* 0: no tag */
	uint16_t stream;
	uint32_t flow; /* chooses source address and port */
	bool csum_offload; /* leave the L4 checksum to the switch */
	uint16_t gso_bytes; /* 0, or TCP with this segment size */
};

/* A received frame, understood as far as its header and tag. */
struct frame_view {
	const uint8_t *payload; /* behind the L4 header */
	uint32_t payload_bytes; /* as the IP header says */
	uint32_t l2_bytes;
	uint32_t l4_bytes;
	struct frame_tag tag; /* zero in all segments of a frame but the first */
	uint16_t stream;
	uint32_t sequence_low; /* in every segment of a frame */
	uint32_t offset; /* of this segment in the frame's payload; 0 for a whole frame */
	bool is_tcp;
	bool is_last; /* segment that ends the frame, or a whole frame */
};

/* Bytes of headers in front of the tag. */
uint32_t frame_tag_offset(const struct frame_spec *spec);

/*
 * Builds a frame of `bytes` behind its virtio-net header: `header` is where that starts. The
 * payload behind the tag is zero.
 */
void frame_build(uint8_t *header, const struct frame_spec *spec, uint32_t bytes);

/* Makes a built frame one of another size: lengths and checksums, not the payload. */
void frame_resize(uint8_t *header, uint32_t bytes);

/* Fills the payload behind the tag with the pattern of `sequence`. */
void frame_fill(uint8_t *payload, uint32_t payload_bytes, uint64_t sequence);

/*
 * True if the first `bytes` are a frame of ours. Reads no more than `bytes`.
 */
bool frame_parse(const uint8_t *frame, uint32_t bytes, struct frame_view *view);

/* What the receiver told the switch that it accepts. */
struct frame_accepts {
	bool csum;
	bool tso4;
};

/*
 * Checks a whole received frame, virtio-net header included: lengths, checksums, offload requests
 * that the receiver accepts, pattern. Returns NULL if all is well, else what is wrong.
 */
const char *frame_check(const uint8_t *header, uint32_t frame_bytes, const struct frame_view *view,
			struct frame_accepts accepts);

static inline void
frame_read_tag(const uint8_t *payload, struct frame_tag *tag)
{
	memcpy(tag, payload, sizeof(*tag));
}

/*
 * Numbers and dates a built frame: `tag` is where its tag starts. TCP repeats the number where every
 * segment shows it.
 */
static inline void
frame_stamp(uint8_t *tag, bool is_tcp, uint64_t sequence, uint64_t now_tsc)
{
	uint32_t ack = __builtin_bswap32((uint32_t)sequence);

	memcpy(tag + offsetof(struct frame_tag, sequence), &sequence, sizeof(sequence));
	memcpy(tag + offsetof(struct frame_tag, sent_tsc), &now_tsc, sizeof(now_tsc));
	if (is_tcp)
		memcpy(tag - 12, &ack, sizeof(ack)); /* 20 bytes of TCP header, ack at 8 */
}

/* True if the destination address, read with the two bytes behind it, is `mac` (6 bytes). */
static inline bool
frame_is_for(const uint8_t *frame, uint64_t mac)
{
	uint64_t first;

	memcpy(&first, frame, sizeof(first));
	return (first & UINT64_C(0xffffffffffff)) == mac;
}

/*
 * The tag of an untagged UDP frame of ours of at least FRAME_MIN_BYTES, or NULL: frame_parse() for
 * the usual case, where every cycle counts.
 */
static inline const uint8_t *
frame_usual_tag(const uint8_t *frame)
{
	uint32_t type_and_ihl; /* Ethernet type, version and header length, type of service */
	uint16_t port;

	memcpy(&type_and_ihl, frame + 12, sizeof(type_and_ihl));
	memcpy(&port, frame + 36, sizeof(port));
	if ((type_and_ihl & 0xffffff) != 0x450008 || frame[23] != 17 ||
	    port != __builtin_bswap16(FRAME_PORT))
		return NULL;
	return frame + 42;
}

/* A MAC as frame_is_for() compares it: the first byte lowest. */
static inline uint64_t
frame_mac_word(const uint8_t *mac)
{
	uint64_t word = 0;

	memcpy(&word, mac, 6);
	return word;
}

#endif
