/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_DRAIN_H
#define CONTROL_DRAIN_H

#include <stdbool.h>
#include <sys/queue.h>

#include "control/model.h"
#include "control/rpc.h"
#include "numa/err.h"

/*
 * Requests about a port in migration that are answered when the datapath has got there.
 *
 *   up --drain--> draining --its guest's frames are out--> drained --resume--> up
 *                    '------ the deadline, or resume ------------------------> up
 *
 * The states are the datapath's; this module keeps who waits for them, and the deadlines. A client
 * that hangs up changes nothing: the drain goes on. Thread: control, for all of it.
 */

struct daemon;
struct drain_wait;
LIST_HEAD(drain_waits, drain_wait); /* of struct daemon */

/*
 * Begins to drain a port, and answers the request of `connection` later: with what was forwarded and
 * parked; or, after `timeout_ms`, with the error "drain-timeout", and the port is up as before.
 * Errors: -EINVAL (code "bad-state"), -ENOMEM.
 */
int drain_start(struct daemon *d, struct rpc_connection *connection, struct model_port *port,
		unsigned int timeout_ms, bool park, struct err *err);

/* Ends a drain, wherever it is; who waits for it is refused. Errors: -EINVAL ("bad-state"). */
int drain_resume(struct daemon *d, struct model_port *port, struct err *err);

/*
 * Removes a port. While frames are parked for its guest the request of `connection` is answered
 * later: when they are gone, to the guest or to where it is now, and at most after the port's
 * park_ms; *later tells. With `force` it is done at once. Errors: -EINVAL ("bad-state": it is under
 * way), and drain_detach()'s. `connection` may be NULL: then nobody is answered.
 */
int drain_leave(struct daemon *d, struct rpc_connection *connection, struct model_port *port,
		bool force, bool *later, struct err *err);

/* Whether drain_leave() is to remove the port later. */
bool drain_is_leaving(const struct daemon *d, const struct model_port *port);

/* Removes a port at once, and answers all that wait for it. Errors: model_port_del()'s. */
int drain_detach(struct daemon *d, struct model_port *port, struct err *err);

/* An event of the port came, and a wait for it may be over. */
void drain_look(struct daemon *d, const struct model_port *port, const struct dp_event *event);

/* sluiced stops: refuses all that wait. */
void drain_clear(struct daemon *d);

#endif
