/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/envelope.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define INVALID(err, ...) (err_set(err, EINVAL, "", __VA_ARGS__), ENVELOPE_INVALID)

static int
check_members(struct request *req, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach(req->root, name, value)
	{
		if (!strcmp(name, "jsonrpc") || !strcmp(name, "id"))
			continue;
		if (!strcmp(name, "method")) {
			req->method = json_string_value(value);
			if (!req->method)
				return INVALID(err, "\"method\" must be text");
		} else if (!strcmp(name, "params")) {
			req->params = value;
		} else {
			return INVALID(err, "a request has no member \"%.64s\"", name);
		}
	}
	if (!req->method)
		return INVALID(err, "the request has no \"method\"");
	return 0;
}

/* Takes the numbers that fit back to integers. */
static void
restore_integers(json_t *value)
{
	const char *name;
	json_t *member;
	size_t i;
	void *next;

	json_object_foreach_safe(value, next, name, member)
	{
		double real = json_real_value(member);

		if (json_is_real(member) && fabs(real) < 9e15 && trunc(real) == real)
			json_object_set_new_nocheck(value, name, json_integer(real));
		else
			restore_integers(member);
	}
	json_array_foreach(value, i, member)
	{
		double real = json_real_value(member);

		if (json_is_real(member) && fabs(real) < 9e15 && trunc(real) == real)
			json_array_set_new(value, i, json_integer(real));
		else
			restore_integers(member);
	}
}

/* An integer beyond 64 bits is good JSON, and some parameter's bad value: it becomes a real number
 * here, which no parameter takes. */
static json_t *
parse(const char *line, size_t len, json_error_t *why)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
	json_t *root = json_loadb(line, len, flags, why);

	if (root || json_error_code(why) != json_error_numeric_overflow)
		return root;
	root = json_loadb(line, len, flags | JSON_DECODE_INT_AS_REAL, why);
	restore_integers(root);
	return root;
}

int
request_parse(struct request *req, const char *line, size_t len, struct err *err)
{
	const char *version;
	json_error_t why;
	json_t *id;

	*req = (struct request){.root = parse(line, len, &why)};
	if (!req->root) {
		err_set(err, EINVAL, "", "not JSON (column %d: %s)", why.column, why.text);
		return ENVELOPE_PARSE;
	}
	if (json_is_array(req->root))
		return INVALID(err, "batches are not taken; send one request per line");
	if (!json_is_object(req->root))
		return INVALID(err, "a request is an object");
	id = json_object_get(req->root, "id");
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return INVALID(err, "\"id\" must be a number, text or null");
	req->id = id;
	version = json_string_value(json_object_get(req->root, "jsonrpc"));
	if (!version || strcmp(version, "2.0") != 0)
		return INVALID(err, "\"jsonrpc\" must be \"2.0\"");
	return check_members(req, err);
}

void
request_free(struct request *req)
{
	json_decref(req->root);
	*req = (struct request){0};
}

static json_t *
reply(const json_t *id, const char *member, json_t *content)
{
	json_t *object = json_pack("{s:s, s:o}", "jsonrpc", "2.0", member, content);

	if (object &&
	    json_object_set_new(object, "id", id ? json_copy((json_t *)id) : json_null()) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *
reply_result(const json_t *id, json_t *result)
{
	return reply(id, "result", result);
}

/* A message may quote text that was cut in the middle of a character: drop the piece. */
json_t *
envelope_text(const char *text)
{
	for (size_t len = strlen(text); len > 0; len--) {
		json_t *string = json_stringn(text, len);

		if (string)
			return string;
	}
	return json_string("");
}

json_t *
reply_error(const json_t *id, int code, const struct err *err)
{
	json_t *error =
		json_pack("{s:i, s:o}", "code", code, "message", envelope_text(err->message));
	json_t *data = json_object();

	if (err->code[0])
		json_object_set_new(data, "code", envelope_text(err->code));
	if (err->param[0])
		json_object_set_new(data, "param", envelope_text(err->param));
	if (err->key[0])
		json_object_set_new(data, "key", envelope_text(err->key));
	if (json_object_size(data))
		json_object_set(error, "data", data);
	json_decref(data);
	return reply(id, "error", error);
}

int
reply_code(const struct err *err)
{
	return !strcmp(err->code, "bad-parameter") ? ENVELOPE_PARAMS : ENVELOPE_DOMAIN;
}
