/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_GUEST_H
#define FRONTEND_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/frontend/frames.h"
#include "bench/frontend/histogram.h"
#include "bench/frontend/mem.h"
#include "bench/frontend/options.h"
#include "bench/frontend/proto.h"
#include "bench/frontend/ring.h"

/*
 * One fake guest: memory, queues, and the connection to the switch.
 *
 * Two threads know it. The control thread owns the socket and everything that is said on it. The
 * stream thread owns the rings and the counters. As a real guest does, it goes on polling its rings
 * while nobody is at the other end. Where the control thread needs the rings to stand still, it
 * pauses the guest (guest_pause(), at most one round of the stream thread) and lets it run again.
 */

/* Places in the lists of flows, sizes, addresses and tags. */
struct turn {
	uint32_t flow, size, mac, tag;
};

/* One receive ring, one transmit ring, and their buffers. Owner: stream thread. */
struct queue {
	struct ring rx;
	struct ring tx;
	uint8_t **rx_header; /* by slot: where the virtio-net header is; the frame is 64-aligned */
	uint8_t **tx_header;
	uint32_t *tx_bytes; /* by slot: size of the frame that lies there */
	uint32_t *tx_flow; /* by slot: its flow */
	uint64_t *sequence; /* by flow: number of its next frame */
	uint32_t stream; /* of flow 0 */
	uint32_t l2_bytes; /* of each frame that is sent */
	uint32_t tag_offset; /* from its virtio-net header */
	uint64_t announced; /* probes sent: each address and tag is to be in one */
	uint8_t (*head)[FRAME_UDP_HEAD_BYTES]; /* by flow; NULL where slots keep their frames */
	uint64_t fetched; /* publications whose buffer's line has been asked for to be written */
	struct turn turn; /* what the next frame is to be, where slots don't keep theirs */
	unsigned int unposted; /* receive buffers emptied and not given back yet */
	uint64_t due_base_tsc; /* rate: frames are due since then */
	uint64_t due_sent; /* of those, sent */
	struct ring_used *pending; /* came back, not understood yet (a frame's later buffers) */
	unsigned int pending_count;
	unsigned int rx_limit; /* buffers taken in at once */
	bool sleeping; /* waits for a call */
	uint64_t sleeping_since_tsc;
};

/* Owner: stream thread. Read by control after it ended. */
struct guest_stats {
	uint64_t tx_frames;
	uint64_t tx_bytes;
	uint64_t rx_frames; /* ours, not probes; duplicates count */
	uint64_t rx_bytes;
	uint64_t rx_in_time; /* rx_frames when the senders stopped */
	uint64_t rx_bytes_in_time;
	uint64_t rx_segments; /* pieces of TCP frames that the switch cut */
	uint64_t foreign; /* frames for others, or not ours */
	uint64_t corrupt;
	uint64_t malformed; /* used entries and buffer counts that make no sense */
	uint64_t calls;
	uint64_t missed_calls; /* work was there for 100 ms and nobody called */
	uint64_t rate_missed; /* frames that were due and that the full ring did not take */
	uint64_t last_rx_tsc;
	uint64_t longest_gap_tsc;
	const char *first_wrong; /* what frame_check() said first */
	struct histogram latency; /* TSC cycles */
};

struct guest {
	const struct options *options;
	unsigned int index;
	struct endpoint endpoint;
	uint8_t mac[6];
	struct frame_macs macs;
	struct arena arena;
	struct queue *queues;

	/* Owner: control thread. */
	struct proto proto;
	int listen_fd;
	uint64_t offered; /* features of the switch */
	uint64_t features; /* negotiated */
	uint64_t protocol_features;
	bool connected;
	bool was_connected;
	bool announced; /* with each handshake: a guest that has come from elsewhere */
	uint64_t reconnects;
	uint8_t *log; /* dirty log, or NULL */
	uint64_t log_bytes;
	int log_fd;

	/* A guest begins paused, and is paused again when the stream thread has left. */
	_Atomic bool pause_wanted; /* set by control */
	_Atomic bool paused; /* set by the stream thread */
	_Atomic bool unattended; /* set by the stream thread when it ends */

	struct guest_stats stats __attribute__((aligned(64)));
};

/* Lays out memory, rings and prebuilt buffers. Returns 0 or -errno with *err. Thread: control. */
int guest_open(struct guest *guest, const struct options *options, unsigned int index,
	       struct err *err);
void guest_close(struct guest *guest);

/* All guests of the command line, or NULL with *err. Thread: control. */
struct guest *guests_open(const struct options *options, struct err *err);
void guests_close(struct guest *guests, unsigned int count);

/*
 * Tries to come to a connection, without waiting: client mode connects, server mode accepts.
 * Returns 1 with a connection that nobody has spoken on, 0 where the switch is not there yet, or
 * -errno with *err. Thread: control. May wait: no.
 */
int guest_reach(struct guest *guest, struct err *err);

/*
 * Says everything that has to be said on a fresh connection, and starts the rings where they stand.
 * The guest must be paused, or the stream thread not started.
 * Returns 0 or -errno with *err. Thread: control. May wait: for the switch's answers.
 */
int guest_handshake(struct guest *guest, struct err *err);

/* Sends all that starts the rings (after guest_handshake() or GET_VRING_BASE). As above. */
int guest_start_rings(struct guest *guest, struct err *err);

/* Sends the memory table (again). As above, but the guest may run. */
int guest_send_memory(struct guest *guest, struct err *err);

/* Notes that the switch is gone. */
void guest_disconnect(struct guest *guest);

/* Turns dirty logging on, as QEMU does it under traffic. Returns 0 or -errno with *err. */
int guest_start_log(struct guest *guest, struct err *err);

/* The n-th ring in the protocol's numbering: 2 * queue receives, 2 * queue + 1 transmits. */
struct ring *guest_ring(struct guest *guest, uint32_t index);

/* Makes the stream thread leave the guest's rings alone, or care again. May wait: one round of it. */
void guest_pause(struct guest *guest);
void guest_resume(struct guest *guest);

#endif
