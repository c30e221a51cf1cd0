/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_MIGRATION_H
#define DATAPATH_MIGRATION_H

#include "datapath/event.h"
#include "datapath/port.h"

/*
 * The control thread's part of a migration: who is incoming, who has moved, who is drained. See park.h
 * for what happens to the frames.
 */

/* Of a new port, before it is in a snapshot. */
void migration_init(struct port *p, const struct dp_rules *rules, bool incoming);

/* Takes in an event on its way up, which it may change. Returns whether it goes on. */
bool migration_event(struct dp_event *event);

/* A guest has gone, or a port has other MACs: others may have waited for that. */
void migration_retry(void);

/* Events were lost: does what would have been done at any of them. */
void migration_recover(void);

/* A port is gone: nobody's guest is there, and its MACs are free. */
void migration_forget(int port);

/* Frames that the guest has sent since the port was told to drain. */
uint64_t migration_forwarded(const struct port *p);

/* For how long the port's guest may still be heard of elsewhere; 0: it is not expected to be. */
unsigned int migration_left_ms(const struct port *p);

/* A sender that was seen. Returns true where its MAC stays where it is for now: it is that of a guest
 * which is away, and what is parked goes there first. */
bool migration_seen(const struct event_mac *mac);

#endif
