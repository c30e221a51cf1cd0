/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_params.h"

#include <errno.h>
#include <stdio.h>
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

int
ctl_params_read(const char *path, json_t *params, struct err *err)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	json_error_t why;
	json_t *more;
	int rc;

	if (!file)
		return err_set(err, errno, "usage", "--params %s: %s", path, strerror(errno));
	more = json_loadf(file, JSON_REJECT_DUPLICATES, &why);
	if (file != stdin)
		fclose(file);
	if (!more)
		return err_set(err, EINVAL, "usage", "--params %s is not JSON (line %d: %s)", path,
			       why.line, why.text);
	rc = json_is_object(more) ?
		     merge(params, more, err) :
		     err_set(err, EINVAL, "usage", "--params %s must hold one JSON object", path);
	json_decref(more);
	return rc;
}
