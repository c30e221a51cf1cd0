/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OFFLINE_H
#define CONTROL_OFFLINE_H

#include <jansson.h>

#include "numa/err.h"

/*
 * Methods that need nothing but their parameters. sluiced and sluicectl carry out the same function,
 * so that sluicectl needs no sluiced for them.
 */

/* The parameters have passed schema_check(). Returns the result, a new reference, or NULL with *err
 * set. Pure. Thread: any. */
typedef json_t *offline_method(const json_t *params, struct err *err);

/* NULL: the method needs sluiced, at least with these parameters. */
offline_method *offline_find(const char *method, const json_t *params);

#endif
