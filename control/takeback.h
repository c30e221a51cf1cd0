/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_TAKEBACK_H
#define CONTROL_TAKEBACK_H

#include <jansson.h>
#include <sys/queue.h>

#include "control/rpc.h"
#include "numa/err.h"

/*
 * migration.abort: ports that were prepared for a guest go, as it does not come after all.
 *
 * A guest that runs here keeps its ports. But the orchestrator may be faster than the kernel: of a QEMU
 * that it has just killed the hang-up can still be on its way. So a guest that runs is looked at again,
 * for half a second, before the request is refused. Thread: control.
 */

struct daemon;
struct takeback;
LIST_HEAD(takebacks, takeback); /* of struct daemon */

/*
 * Removes the ports of a map of migration.prepare, all or none. Returns {detached: [names]}, where those
 * that are gone already are left out; NULL with *err set: codes of migration_map_check(),
 * "not-prepared", "bad-state"; or NULL, and `connection` is answered later.
 */
json_t *takeback_start(struct daemon *d, struct rpc_connection *connection, json_t *map,
		       struct err *err);

/* sluiced stops: refuses all that wait. */
void takeback_clear(struct daemon *d);

#endif
