/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_WIRE_H
#define CONTROL_OVSDB_WIRE_H

#include <event2/buffer.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "numa/err.h"

/*
 * Cuts what an ovsdb-server sends into messages. They are JSON objects, one behind the other, with
 * nothing between them: a message ends where its first bracket is closed. Pure. Thread: any.
 */

#define OVSDB_WIRE_MESSAGE_MAX (64 << 20) /* bytes: a database of tens of thousands of ports */
#define OVSDB_WIRE_DEPTH_MAX 64 /* brackets in brackets; what the protocol needs is about ten */

struct ovsdb_wire {
	char *data;
	size_t size, len;
	size_t seen; /* so much of it was looked at, and is one unfinished message */
	unsigned int depth; /* brackets that are open there */
	bool in_string, escaped; /* where it stands there */
};

/* Moves what `input` holds behind the rest. Errors: -ENOMEM; -EMSGSIZE (code "ovsdb-protocol"). */
int ovsdb_wire_add(struct ovsdb_wire *wire, struct evbuffer *input, struct err *err);

/* The next message: 1 and a new reference in *message; 0: it is not complete. Errors: -EPROTO (code
 * "ovsdb-protocol"): no JSON object, or nested too deep; no message can be found behind that. */
int ovsdb_wire_next(struct ovsdb_wire *wire, json_t **message, struct err *err);

/* Forgets all; *wire is as good as new. */
void ovsdb_wire_clear(struct ovsdb_wire *wire);

#endif
