/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_PARAMS_H
#define CONTROL_CTL_PARAMS_H

#include <jansson.h>

#include "numa/err.h"

/* Adds the parameters in a file of JSON ("-": the standard input) to an object, each of which must be
 * new there. Errors: -errno, with a sentence. */
int ctl_params_read(const char *path, json_t *params, struct err *err);

#endif
