/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_LINK_H
#define CONTROL_OVSDB_LINK_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "control/ovsdb_rows.h"
#include "numa/err.h"

/*
 * A connection to an ovsdb-server (RFC 7047, JSON-RPC 1.0 on a unix socket): connects and watches the
 * Open_vSwitch database with monitor_cond. When it breaks, or the server is silent (echo), it connects
 * again, after 0.1 s, doubled up to 5 s, and gets all rows anew; locks are gone then. Nothing here waits
 * or logs. The caller ignores SIGPIPE. Thread: control.
 */

struct ovsdb_link;

struct ovsdb_link_config {
	struct event_base *base;
	const char *path; /* of the unix socket */
	/* Rows have come, all of them (`fresh`: first since it is connected) or changes. They are valid until the
	 * link is destroyed, and stay as they were while it is not connected. */
	void (*on_rows)(void *arg, const struct ovsdb_rows *rows, bool fresh);
	/* The connection broke, or could not be made; once, and again if err->code has changed: "ovsdb-down",
	 * "ovsdb-refused" (it does not let us watch), "ovsdb-protocol", "no-memory". What was asked is not
	 * answered any more. */
	void (*on_down)(void *arg, const struct err *why);
	/* {"method": "locked"|"stolen", params: [id]}: RFC 7047, 4.1.9, 4.1.10. May be NULL. */
	void (*on_lock)(void *arg, const char *method, const char *id);
	void *arg;
};

/* Errors: -ENOMEM (code "no-memory"). That nobody listens is none: see on_down. */
struct ovsdb_link *ovsdb_link_create(const struct ovsdb_link_config *config, struct err *err);

/* Not from within a callback of the link. What was asked is not answered any more. */
void ovsdb_link_destroy(struct ovsdb_link *link);

/* An answer: `result`, or `error`, the other is NULL; both borrowed. For a transaction `result` is what each
 * operation answered, `error` what the one said that failed (all are undone then). */
typedef void ovsdb_link_answer(void *arg, const json_t *result, const json_t *error);

/*
 * Sends a request, behind what was sent before; the server carries them out in order. Takes over `params`.
 * `answer` may be NULL. Errors: -ENOTCONN: not connected, or rows have not come yet; -ENOMEM; -ENOBUFS: more than
 * the limit waits to be sent.
 */
int ovsdb_link_request(struct ovsdb_link *link, const char *method, json_t *params,
		       ovsdb_link_answer *answer, void *arg);

/* The same for "transact": takes over `operations`, a list without the database's name. */
int ovsdb_link_transact(struct ovsdb_link *link, json_t *operations, ovsdb_link_answer *answer,
			void *arg);

/*
 * Waits, for at most timeout_ms, for one look at the database before there is an event loop: for what sluiced
 * must know to start. Fills `rows`, which is to be freed. Errors: -errno with a sentence. May wait.
 */
int ovsdb_link_look(const char *path, unsigned int timeout_ms, struct ovsdb_rows *rows,
		    struct err *err);

#endif
