/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_RECONNECT_H
#define CONTROL_RECONNECT_H

#include <event2/event.h>
#include <stdbool.h>

#include "numa/err.h"

/*
 * Connects client ports, and connects them again, as soon as their guest listens.
 *
 * A port whose guest is away costs nothing but an inotify watch on its directory and one try a
 * second, in case the directory itself was replaced. A socket that appears is tried at once; while
 * it is there but refuses, which it does between bind() and listen(), after 1, 2, 4 ... ms, up to
 * a second. Thread: control.
 */
struct reconnect;

/* NULL with *err set, where the kernel gives no inotify instance. */
struct reconnect *reconnect_create(struct event_base *base, struct err *err);
void reconnect_destroy(struct reconnect *r);

/*
 * Takes care of the port from now on; tries before it returns. `clears`: a socket that nobody listens on is removed,
 * for who is to listen there again and would be in his own way: OVS-DPDK does not do that after a crash, QEMU does.
 * Errors: -ENOMEM.
 */
int reconnect_add(struct reconnect *r, int port, const char *path, bool clears);

/* The port goes away. Nothing happens if it was never added. */
void reconnect_del(struct reconnect *r, int port);

/* DP_EVENT_PORT_DISCONNECTED came: tries again, at once or, if the guest had not got its rings to
 * run, after a little longer each time. Nothing happens if the port was never added. */
void reconnect_lost(struct reconnect *r, int port);

/* DP_EVENT_PORT_UP came: the connection is a good one. */
void reconnect_up(struct reconnect *r, int port);

#endif
