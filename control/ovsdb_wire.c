/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MIN (64 << 10) /* of the buffer; a bigger one is given back when it is empty */

void
ovsdb_wire_clear(struct ovsdb_wire *wire)
{
	free(wire->data);
	memset(wire, 0, sizeof(*wire));
}

int
ovsdb_wire_add(struct ovsdb_wire *wire, struct evbuffer *input, struct err *err)
{
	const size_t n = evbuffer_get_length(input);
	size_t size = wire->size ? wire->size : SIZE_MIN;
	char *data;

	if (n > OVSDB_WIRE_MESSAGE_MAX - wire->len)
		return err_set(err, EMSGSIZE, "ovsdb-protocol",
			       "ovsdb-server: a message has more than %d MiB",
			       OVSDB_WIRE_MESSAGE_MAX >> 20);
	while (size < wire->len + n)
		size *= 2;
	if (size != wire->size) {
		data = realloc(wire->data, size);
		if (!data)
			return err_set(err, ENOMEM, "no-memory",
				       "no memory for a message of ovsdb-server");
		wire->data = data;
		wire->size = size;
	}
	evbuffer_remove(input, wire->data + wire->len, n);
	wire->len += n;
	return 0;
}

/* Looks at one more byte of the message. */
static void
look(struct ovsdb_wire *wire, char c)
{
	if (wire->in_string) {
		if (wire->escaped)
			wire->escaped = false;
		else if (c == '\\')
			wire->escaped = true;
		else if (c == '"')
			wire->in_string = false;
	} else if (c == '"') {
		wire->in_string = true;
	} else if (c == '{' || c == '[') {
		wire->depth++;
	} else if (c == '}' || c == ']') {
		wire->depth--;
	}
}

/* Takes the first n bytes away. */
static void
drop(struct ovsdb_wire *wire, size_t n)
{
	wire->len -= n;
	wire->seen = 0;
	if (!wire->len && wire->size > SIZE_MIN)
		ovsdb_wire_clear(wire);
	else
		memmove(wire->data, wire->data + n, wire->len);
}

int
ovsdb_wire_next(struct ovsdb_wire *wire, json_t **message, struct err *err)
{
	size_t blank = 0;
	json_error_t error;

	if (!wire->seen) {
		while (blank < wire->len && memchr(" \t\r\n", wire->data[blank], 4))
			blank++;
		if (blank)
			drop(wire, blank);
		if (!wire->len)
			return 0;
		if (wire->data[0] != '{')
			return err_set(err, EPROTO, "ovsdb-protocol",
				       "ovsdb-server: what came is no JSON object");
	}
	do {
		if (wire->seen == wire->len)
			return 0;
		look(wire, wire->data[wire->seen++]);
		if (wire->depth > OVSDB_WIRE_DEPTH_MAX)
			return err_set(err, EPROTO, "ovsdb-protocol",
				       "ovsdb-server: a message is nested deeper than %d levels",
				       OVSDB_WIRE_DEPTH_MAX);
	} while (wire->depth);
	*message = json_loadb(wire->data, wire->seen, 0, &error);
	if (!*message)
		return err_set(err, EPROTO, "ovsdb-protocol",
			       "ovsdb-server: a message is no JSON at byte %d", error.position);
	drop(wire, wire->seen);
	return 1;
}
