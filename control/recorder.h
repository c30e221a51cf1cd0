/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_RECORDER_H
#define CONTROL_RECORDER_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "control/pcapng.h"
#include "datapath/dp.h"
#include "numa/err.h"

/*
 * Captures: what passes a port, written to a pcapng file while it happens.
 *
 * A timer takes the frames out of the datapath and writes them, so much at a time that requests are
 * answered meanwhile. A recording ends when it is told to, when its file is full or cannot be
 * written, or when its port goes. One that ended by itself is kept until somebody asks for it.
 * Thread: control, for all of it. May wait: for the disk.
 */

struct recorder_request {
	int port; /* the datapath's */
	const char *name; /* the port's */
	const char *file;
	unsigned int snaplen;
	uint64_t max_bytes; /* of the file */
};

struct recording {
	TAILQ_ENTRY(recording) link;
	int port;
	char name[DP_NAME_SIZE];
	char *file;
	unsigned int snaplen;
	uint64_t max_bytes;
	int64_t start_ns; /* CLOCK_REALTIME */
	uint64_t packets; /* in the file */
	uint64_t lost; /* known when it has ended */
	char why[128]; /* it ended by itself; "": it did not */
	struct pcapng out;
};

TAILQ_HEAD(recordings, recording);

struct recorder {
	struct event *timer; /* runs while a recording does */
	struct recordings recordings; /* for all to read */
	void (*ended)(void *arg, const struct recording *recording);
	void *arg;
};

/* `ended` is called when a recording has ended by itself. -ENOMEM. */
int recorder_init(struct recorder *r, struct event_base *base,
		  void (*ended)(void *arg, const struct recording *recording), void *arg);

/* Ends all recordings; the datapath still runs. Nothing happens if it was never initialised. */
void recorder_clear(struct recorder *r);

/*
 * Begins a recording to a new file. Errors: -EINVAL (code "bad-parameter"), -EEXIST ("file-exists"),
 * -errno ("file-refused"), -EBUSY ("capture-runs"), and dp_capture_start()'s.
 */
int recorder_start(struct recorder *r, const struct recorder_request *request, struct err *err);

/*
 * Ends the port's recording, if it has not ended by itself. Returns it, the caller's to
 * recorder_free(), or NULL if there is none.
 */
struct recording *recorder_stop(struct recorder *r, const char *name);
void recorder_free(struct recording *recording);

/* To be called before the datapath's port goes. */
void recorder_port_goes(struct recorder *r, int port);

#endif
