/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_TRAFFIC_H
#define FRONTEND_TRAFFIC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <x86intrin.h>

#include "bench/frontend/guest.h"
#include "bench/frontend/stream.h"

/*
 * What runs between the guests: who sends to whom, the stages of a run, and its results.
 * One thread, the stream thread, polls all rings of all guests.
 */
#define TRAFFIC_STREAMS 65536
#define TRAFFIC_SCRATCH_BYTES (FRAME_VNET_BYTES + FRAME_MAX_BYTES + 64)

enum traffic_stage {
	STAGE_SILENT, /* --idle: receive only */
	STAGE_PROBE, /* every guest sends now and then, until all get through */
	STAGE_SETTLE, /* probes die away */
	STAGE_MEASURE,
	STAGE_DRAIN, /* frames under way arrive */
	STAGE_DONE,
};

struct traffic {
	const struct options *options;
	struct guest *guests;
	struct stream *streams; /* TRAFFIC_STREAMS, zero pages until used */
	double tsc_hz;
	pthread_t thread;

	_Atomic bool stop_wanted; /* set by control: come to an end */
	_Atomic bool stop_due; /* set by the stream thread: --stop-after reached */
	_Atomic bool got_through; /* set by the stream thread: we measure */
	_Atomic bool done; /* set by the stream thread */

	/* Owner: stream thread; read by control after `done`. */
	enum traffic_stage stage;
	uint64_t stage_since_tsc;
	uint64_t next_probe_tsc;
	bool now_probing; /* in this round */
	bool *probed; /* by (guest, queue): a probe came through */
	uint64_t start_tsc;
	uint64_t end_tsc;
	uint64_t last_rx_tsc;
	uint64_t rounds;
	uint64_t cycles;
	uint64_t busy_cycles; /* of rounds that moved at least one frame */
	uint64_t tx_tries; /* times that there was something to send */
	uint64_t tx_full; /* of those: the ring did not take it */
	uint64_t rx_polls;
	uint64_t rx_late; /* polls that found three quarters of a ring filled: we were slow */
	uint8_t *scratch; /* a frame of several buffers, in one piece */
};

/* Prepares the frames and the books of a run. Returns 0 or -errno with *err. Thread: control. */
int traffic_open(struct traffic *traffic, const struct options *options, struct guest *guests,
		 struct err *err);
void traffic_close(struct traffic *traffic);

/* Starts the stream thread and lets all guests run. Returns 0 or -errno with *err. */
int traffic_start(struct traffic *traffic, struct err *err);

/* Waits for the end of the stream thread, asking for it where `stop`. May wait: until it is done. */
void traffic_join(struct traffic *traffic, bool stop);

/* The guest that `index` sends to, or -1 where it sends to nobody in this process. */
int traffic_peer(const struct options *options, unsigned int index);

/* True if the guest sends while we measure. */
bool traffic_sends(const struct options *options, unsigned int index);

/* transmit.c: builds the frames of all transmit slots. Returns 0 or -ENOMEM. Thread: control. */
int transmit_prepare(const struct traffic *traffic, struct guest *guest);

/* Takes back what the switch has read, and begins to fetch what is to be written next: called some
 * time before transmit_burst(). Thread: stream. May wait: no. */
void transmit_reap(const struct traffic *traffic, struct queue *queue);

/* Sends up to `count` frames; probes where `probe`. Returns frames sent. As above. */
unsigned int transmit_burst(struct traffic *traffic, struct guest *guest, struct queue *queue,
			    unsigned int count, uint64_t now_tsc, bool probe);

/* Frames that the queue is to send now by rate, count and burst. */
unsigned int transmit_due(struct traffic *traffic, struct guest *guest, struct queue *queue,
			  uint64_t now_tsc);

/* receive.c: takes in what came. Returns frames and buffers moved. Thread: stream. May wait: no. */
unsigned int receive_burst(struct traffic *traffic, struct guest *guest, struct queue *queue);

/* receive_burst() for a guest that sleeps until it is called. */
unsigned int receive_when_called(struct traffic *traffic, struct guest *guest, struct queue *queue,
				 uint64_t now_tsc);

/* Understands the whole frames in what came back; receive_burst() does it. */
void receive_pending(struct traffic *traffic, struct guest *guest, struct queue *queue);

/* Gives buffers back that belong to a frame that will never be whole. */
void receive_reset(struct queue *queue);

#endif
