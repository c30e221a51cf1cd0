/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include <jansson.h>
#include <stdint.h>

#include "control/daemon.h"

/*
 * What the datapath tells, passed on to those who must act (reconnect) and those who asked to know
 * (events.subscribe). Thread: control.
 */

/* Takes all events off the datapath. To be called when dp_event_fd() is readable, and at least once
 * a second. */
void events_pump(struct daemon *d);

/* Takes all events off the datapath when a port or an uplink was removed, of which `id` and `name`
 * are left: what its end has caused is told under its name, before the id is given again. */
void events_pump_removed(struct daemon *d, int id, const char *name);

/* To be called once a second: tells what was withheld from the log, and opens it again. */
void events_log_second(struct daemon *d);

/* Tells subscribers that the lcore became overloaded. */
void events_overload(struct daemon *d, const struct load_lcore *lcore);

/* Tells subscribers and the log that the lcore's thread has left its CPU, or is back. */
void events_lcore_spot(struct daemon *d, unsigned int lcore, const struct lcore_spot *spot);

/* A queue is polled by another lcore than `from` now. `why`: "memory", "asked", "rebalance" or
 * "overload". */
void events_queue_moved(struct daemon *d, const struct model_port *port, unsigned int queue,
			unsigned int from, const char *why);

/* Queues of the port are polled from another memory node: follow_placement(). */
void events_port_remote(struct daemon *d, const struct model_port *port, const char *placement);

/* Tells subscribers that a capture has ended by itself. */
void events_capture_stopped(struct daemon *d, const struct recording *recording);

/* CLOCK_REALTIME, as events have it. */
int64_t events_now_ns(void);

/* What was done to a port whose guest moves, at `time_ns`: before what the datapath tells of it.
 * `why`: "asked" or "drain-timeout". */
void events_draining(struct daemon *d, const struct model_port *port, int64_t time_ns, bool park,
		     unsigned int timeout_ms);
void events_resumed(struct daemon *d, const struct model_port *port, int64_t time_ns,
		    const char *why);
void events_announced(struct daemon *d, const struct model_port *port, unsigned int round);

/* A bit for each type of the list of strings (schema_check() has passed it); NULL: all of them. */
uint32_t events_topics(const json_t *types);

/* The types of a set of bits, as a list. */
json_t *events_types(uint32_t topics);

#endif
