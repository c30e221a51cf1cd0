/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_EVENT_H
#define DATAPATH_EVENT_H

#include <stdatomic.h>

#include "datapath/dp.h"

/*
 * The queue upward: what lcores and librte_vhost's thread tell the control thread.
 *
 * Any thread posts without waiting; one reader, the control thread, takes them out. When the
 * queue is full the event is lost and counted (the reader finds state by asking, events only
 * tell it to look). The file descriptor becomes readable at the first event after the reader
 * found the queue empty, so a poster makes at most one system call for each time the reader wakes.
 */
int event_create(void);
void event_destroy(void);
int event_fd(void);

/* Has event_fd() be readable as long as fd has one of the epoll events, instead of those that were asked for
 * before; and no more. Before it is closed. Thread: control. */
void event_watch(int fd, uint32_t events);
void event_ignore(int fd);

/* Thread: any. */
void event_post(enum dp_event_type type, uint16_t port, uint64_t value);

/* A sender seen by an lcore that the table does not know at this port. Wakes the reader once a
 * millisecond at most: what comes in between is read with the next, or when it is sent again.
 * Thread: lcore. */
void event_post_mac(uint16_t bridge, uint64_t fdb_key, uint16_t port);

struct event_mac {
	uint16_t bridge, port;
	uint64_t fdb_key;
};

/* Forgets all senders that were posted for the port. Thread: control. */
void event_discard_macs(uint16_t port);

/* Whether an event found no room since this was asked the last time. Thread: control. */
bool event_were_lost(void);

enum event_kind {
	EVENT_NONE,
	EVENT_UP,
	EVENT_MAC
};

/* Takes one out. Thread: control. */
enum event_kind event_take(struct dp_event *event, struct event_mac *mac);

#endif
