/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_RING_PORT_H
#define TESTS_UNIT_RING_PORT_H

#include <linux/virtio_ring.h>

#include "datapath/port_vhost.h"
#include "datapath/vring_direct.h"

/*
 * A direct port with a guest in this process: both rings lie in plain memory,
 * in chains of one descriptor, whose number is their place in the ring. One
 * thread plays guest, lcore and librte_vhost.
 *
 * Linked in with --wrap: what librte_vhost knows of the rings, the clock's
 * rate, and the event queue.
 */
struct ring_port_spec {
	bool packed;
	uint64_t features; /* besides VERSION_1 and PACKED */
	uint16_t size; /* of both rings; 0: 64 */
	uint32_t in_bytes; /* of the longest frame in one receive buffer; 0: 2048 */
	uint32_t out_bytes; /* of the longest frame that it sends; 0: 2048 */
};

/* The guest's side of a ring. */
struct guest_ring {
	bool packed, device_writes;
	uint16_t size, free;
	uint16_t next, seen; /* to be given next, to be taken back next; packed: slots */
	bool next_wrap, seen_wrap;
	int call_fd;
	struct vring split;
	struct vring_packed_desc *desc; /* packed; as the two behind it */
	struct vring_packed_desc_event *driver, *device;
	uint8_t *buffer; /* of place 0, from its virtio header on */
	uint32_t buffer_bytes; /* of each */
};

/* A buffer that came back. */
struct guest_used {
	uint16_t id;
	uint32_t bytes; /* with the virtio header */
};

struct ring_port {
	struct port_vhost vhost;
	struct port_queue queue;
	struct virtq vq[2]; /* by vhost-user's numbers: 0 to the guest, 1 from it */
	struct guest_ring guest[2];
	uint8_t *memory;
	size_t memory_taken;
};

#define RING_PORT_HDR_BYTES 12
#define RING_PORT_MTU 1500

/* What stands in for librte_vhost and the clock. */
struct ring_port_world {
	uint64_t tsc_hz;
	unsigned int events[DP_EVENT_PARK_EXPIRED + 1]; /* by type */
	uint16_t base; /* as librte_vhost was last told */
};
extern struct ring_port_world ring_port_world;

/* The EAL, and mbufs of lcore 1. Once a process; 0 or -1. */
int ring_port_start(void);

/* Both rings run, empty. A test that fails leaks it. */
void ring_port_open(struct ring_port *p, const struct ring_port_spec *spec);
void ring_port_close(struct ring_port *p);

/* The guest gives n buffers of a ring at once; takes one back, false: there is none. */
void guest_gives(struct ring_port *p, unsigned int number, unsigned int n);
bool guest_takes(struct ring_port *p, unsigned int number, struct guest_used *used);

/* The virtio header in a buffer that came back. The frame is behind it. */
const uint8_t *guest_buffer(const struct ring_port *p, const struct guest_used *used);

/* Whether it wants to be called, where there is no event idx. */
void guest_wants_calls(struct ring_port *p, unsigned int number, bool wanted);

/* The guest sends a frame, behind its virtio header (NULL: that asks for nothing). */
void guest_sends(struct ring_port *p, const void *hdr, const void *frame, uint32_t bytes);

/* Interrupts on a ring since the last time. */
unsigned int calls(struct ring_port *p, unsigned int number);

/* What the lcore takes from the port, into `burst`, which is empty before. */
extern struct burst burst;
void lcore_polls(struct ring_port *p);

/* ... and all of it delivered to another, in frame's order, and given back. */
void lcore_forwards(struct ring_port *from, struct ring_port *to, uint16_t untagged);

#endif
