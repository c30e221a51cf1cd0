/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_RPC_H
#define CONTROL_RPC_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/peer.h"
#include "numa/err.h"

/*
 * The control socket: connections, lines, limits. What a line means is envelope.h's and the
 * handler's. Thread: control, for all of it.
 *
 * Nobody's memory grows with what a client does: a line has at most RPC_LINE_MAX bytes, a client
 * that does not read its replies is not read any further, one that leaves a line unfinished is
 * closed, and so is a subscriber that falls behind.
 */

#define RPC_LINE_MAX (1 << 20) /* bytes, without the line end */
#define RPC_CONNECTIONS_MAX 2048
#define RPC_PARTIAL_LINE_MS 30000 /* to finish a line that was begun */
#define RPC_BACKLOG_PAUSE (256 << 10) /* bytes of unread replies that stop further requests */
#define RPC_BACKLOG_CUT (1 << 20) /* bytes of unread events that end a subscription */

struct rpc;
struct rpc_connection;

struct rpc_config {
	struct event_base *base;
	const char *path; /* must be free; the socket is made there with mode 0660 */
	struct peer_policy policy;
	unsigned int connections_max; /* RPC_CONNECTIONS_MAX, or what descriptors allow */
	unsigned int partial_line_ms; /* RPC_PARTIAL_LINE_MS, but for tests */
	/* Carries out a request: returns 0 and a new reference in *result, or an envelope_code and
	 * *err. After rpc_answer_later() *result is NULL. */
	int (*call)(void *arg, struct rpc_connection *connection, const char *method,
		    const json_t *params, json_t **result, struct err *err);
	void *arg;
};

/* Listens. NULL with *err set. `config` is copied; its path must live on. */
struct rpc *rpc_start(const struct rpc_config *config, struct err *err);

/* Takes no more connections or requests, and removes the socket; what was answered goes out as far
 * as the clients take it at once. The connections stay open, so that a client sees the end. */
void rpc_stop(struct rpc *rpc);
void rpc_destroy(struct rpc *rpc);

enum peer_access rpc_access(const struct rpc_connection *connection);

/*
 * The answer to a request that takes its time: to be asked for within `call`, and given later by
 * rpc_answer(), which the caller owes before rpc_destroy(). Other requests of the connection are
 * answered meanwhile; a client that hangs up does not get it. NULL: no memory.
 */
struct rpc_answer;
struct rpc_answer *rpc_answer_later(struct rpc_connection *connection);

/* Whether that was called for the request that is being carried out. */
bool rpc_answers_later(const struct rpc_connection *connection);

/* Answers with `result`, or with *err (a domain error) where that is NULL, and frees `answer`. Takes
 * ownership of `result`. */
void rpc_answer(struct rpc_answer *answer, json_t *result, const struct err *err);

/* From now on the connection gets what rpc_notify() sends for any of these topics (a bit each). */
void rpc_subscribe(struct rpc_connection *connection, uint32_t topics);

/* Sends the notification to all who subscribed to the topic. Takes ownership of
 * `message`. */
void rpc_notify(struct rpc *rpc, uint32_t topic, json_t *message);

#endif
