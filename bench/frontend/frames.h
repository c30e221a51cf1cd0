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
#define FRAME_UDP_HEAD_BYTES 64
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

/*
 * The first bytes of a UDP frame as frame_put_head() copies them: all of its headers, their lengths
 * left out. A generator that changes the flow of each frame could not build each anew.
 */
void frame_build_head(uint8_t *head, const struct frame_spec *spec);

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

/* Addresses that follow each other in their lower 32 bits. */
struct frame_macs {
	uint16_t high; /* the first two bytes as they lie in memory */
	uint32_t low; /* of the first address, host order */
	uint32_t count;
};

static inline struct frame_macs
frame_macs(const uint8_t *first, uint32_t count)
{
	struct frame_macs macs = {.count = count};
	uint32_t low;

	memcpy(&macs.high, first, sizeof(macs.high));
	memcpy(&low, first + 2, sizeof(low));
	macs.low = __builtin_bswap32(low);
	return macs;
}

/* True if the destination address is one of `macs`. */
static inline bool
frame_is_for(const uint8_t *frame, const struct frame_macs *macs)
{
	uint16_t high;
	uint32_t low;

	memcpy(&high, frame, sizeof(high));
	memcpy(&low, frame + 2, sizeof(low));
	return high == macs->high && __builtin_bswap32(low) - macs->low < macs->count;
}

/* The `by`-th address behind one. */
static inline void
frame_mac_add(uint8_t *mac, uint32_t by)
{
	uint32_t low;

	memcpy(&low, mac + 2, sizeof(low));
	low = __builtin_bswap32(__builtin_bswap32(low) + by);
	memcpy(mac + 2, &low, sizeof(low));
}

static inline void
frame_put_vlan(uint8_t *frame, uint16_t vlan)
{
	uint16_t tci = __builtin_bswap16(vlan);

	memcpy(frame + 14, &tci, sizeof(tci));
}

/* Adds a field that was 0 to the Internet checksum of its header. */
static inline uint16_t
frame_csum_add(uint16_t csum, uint16_t field)
{
	uint32_t sum = csum + (uint32_t)field;

	return (uint16_t)(sum + (sum >> 16));
}

/* Begins a UDP frame of `bytes` with a head; the virtio-net header and what lies behind the head
 * stay. `l2_bytes`: 14, or 18 with a tag. */
static inline void
frame_put_head(uint8_t *frame, const uint8_t *head, uint32_t l2_bytes, uint32_t bytes)
{
	uint8_t *ip = frame + l2_bytes;
	uint16_t ip_bytes = __builtin_bswap16((uint16_t)(bytes - l2_bytes));
	uint16_t udp_bytes = __builtin_bswap16((uint16_t)(bytes - l2_bytes - 20));
	uint16_t check;

	memcpy(frame, head, FRAME_UDP_HEAD_BYTES);
	memcpy(ip + 2, &ip_bytes, sizeof(ip_bytes));
	memcpy(&check, ip + 10, sizeof(check));
	check = (uint16_t)~frame_csum_add((uint16_t)~check, ip_bytes);
	memcpy(ip + 10, &check, sizeof(check));
	memcpy(ip + 24, &udp_bytes, sizeof(udp_bytes));
	memcpy(&check, ip + 26, sizeof(check));
	if (check != 0) { /* left to the switch: the sum of the pseudo header */
		check = frame_csum_add(check, udp_bytes);
		memcpy(ip + 26, &check, sizeof(check));
	}
}

/*
 * The tag of a UDP frame of ours of at least FRAME_MIN_BYTES, or NULL: frame_parse() for the usual
 * case, where every cycle counts.
 */
static inline const uint8_t *
frame_usual_tag(const uint8_t *frame)
{
	uint32_t type_and_ihl; /* Ethernet type, version and header length, type of service */
	uint16_t port;

	memcpy(&type_and_ihl, frame + 12, sizeof(type_and_ihl));
	if ((uint16_t)type_and_ihl == __builtin_bswap16(0x8100)) {
		frame += 4;
		memcpy(&type_and_ihl, frame + 12, sizeof(type_and_ihl));
	}
	memcpy(&port, frame + 36, sizeof(port));
	if ((type_and_ihl & 0xffffff) != 0x450008 || frame[23] != 17 ||
	    port != __builtin_bswap16(FRAME_PORT))
		return NULL;
	return frame + 42;
}

#endif
