/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_PARAMS_H
#define CONTROL_CTL_PARAMS_H

#include <jansson.h>

#include "numa/err.h"

/*
 * Parameters from files, "-" being the standard input. None is read further than CTL_PARAMS_BYTES_MAX.
 * Errors: -EINVAL, or NULL, with a sentence. May wait: for the file.
 */
#define CTL_PARAMS_BYTES_MAX (8 << 20)

/* Adds the parameters in a file of JSON to an object, each of which must be new there. */
int ctl_params_read(const char *path, json_t *params, struct err *err);

/* The JSON in a file, a new reference. */
json_t *ctl_params_json(const char *path, const char *what, struct err *err);

/* All of a file as text, which must be UTF-8. A new reference. */
json_t *ctl_params_text(const char *path, const char *what, struct err *err);

#endif
