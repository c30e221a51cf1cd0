/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_ENVELOPE_H
#define CONTROL_ENVELOPE_H

#include <jansson.h>
#include <stddef.h>

#include "numa/err.h"

/* One line of the control channel: JSON-RPC 2.0, checked and taken apart, or put together. Pure. */

enum envelope_code {
	ENVELOPE_PARSE = -32700, /* not JSON */
	ENVELOPE_INVALID = -32600, /* JSON, but no request */
	ENVELOPE_NO_METHOD = -32601,
	ENVELOPE_PARAMS = -32602,
	ENVELOPE_DOMAIN = -32000, /* err.code says more */
};

struct request {
	json_t *root; /* owns all below */
	const json_t *id; /* NULL: none, which makes it a notification: no reply */
	const char *method;
	const json_t *params; /* NULL: none */
};

/*
 * Reads one line (without its end). Returns 0, or an envelope_code with a sentence in *err; then
 * req->id is what to answer with, NULL if that is unknown. request_free() in every case.
 */
int request_parse(struct request *req, const char *line, size_t len, struct err *err);
void request_free(struct request *req);

/* The reply, or NULL without memory. `id` NULL: null. Takes ownership of `result`. */
json_t *reply_result(const json_t *id, json_t *result);
json_t *reply_error(const json_t *id, int code, const struct err *err);

/* A text that may have been cut in the middle of a character, without the piece. A new reference. */
json_t *envelope_text(const char *text);

/* The envelope_code of a method that was refused: ENVELOPE_PARAMS or ENVELOPE_DOMAIN. */
int reply_code(const struct err *err);

#endif
