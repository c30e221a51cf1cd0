/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
merge(json_t *params, const json_t *more, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)more, name, value)
	{
		if (json_object_get(params, name))
			return err_set(err, EINVAL, "usage", "%.64s is given twice", name);
		json_object_set(params, name, value);
	}
	return 0;
}

static const char *
spoken(const char *path)
{
	return strcmp(path, "-") ? path : "on the standard input";
}

/* Bytes of a file, for the caller to free(); NULL with *err set. */
static char *
slurp(const char *path, size_t *len, const char *what, struct err *err)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char *bytes = NULL, *more;
	size_t size = 0, n = 0;

	if (!file) {
		err_set(err, errno, "usage", "%s %s: %s", what, path, strerror(errno));
		return NULL;
	}
	while (n == size && n <= CTL_PARAMS_BYTES_MAX) {
		size = size ? 2 * size : 65536;
		more = realloc(bytes, size);
		if (!more)
			break;
		bytes = more;
		n += fread(bytes + n, 1, size - n, file);
	}
	*len = n;
	if (ferror(file))
		err_set(err, errno, "usage", "%s %s: %s", what, spoken(path), strerror(errno));
	else if (n == size)
		err_set(err, EFBIG, "usage", "%s %s has more than %d bytes, and is not read", what,
			spoken(path), CTL_PARAMS_BYTES_MAX);
	if (ferror(file) || n == size) {
		free(bytes);
		bytes = NULL;
	}
	if (file != stdin)
		fclose(file);
	return bytes;
}

json_t *
ctl_params_json(const char *path, const char *what, struct err *err)
{
	size_t len;
	char *bytes = slurp(path, &len, what, err);
	json_error_t why;
	json_t *value = NULL;

	if (bytes) {
		value = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &why);
		if (!value)
			err_set(err, EINVAL, "usage", "%s %s is not JSON (line %d, column %d: %s)",
				what, spoken(path), why.line, why.column, why.text);
	}
	free(bytes);
	return value;
}

json_t *
ctl_params_text(const char *path, const char *what, struct err *err)
{
	size_t len;
	char *bytes = slurp(path, &len, what, err);
	json_t *text = NULL;

	if (bytes) {
		text = memchr(bytes, '\0', len) ? NULL : json_stringn(bytes, len);
		if (!text)
			err_set(err, EINVAL, "usage", "%s %s is not UTF-8 without NUL bytes", what,
				spoken(path));
	}
	free(bytes);
	return text;
}

int
ctl_params_read(const char *path, json_t *params, struct err *err)
{
	json_t *more = ctl_params_json(path, "--params", err);
	int rc;

	if (!more)
		return -EINVAL;
	rc = json_is_object(more) ? merge(params, more, err) :
				    err_set(err, EINVAL, "usage",
					    "--params %s must hold one JSON object", spoken(path));
	json_decref(more);
	return rc;
}
