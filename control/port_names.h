/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_PORT_NAMES_H
#define CONTROL_PORT_NAMES_H

#include <jansson.h>

#include "numa/err.h"

/*
 * The names that an orchestrator's ports get: csdpdk-1, csdpdk-2, ... in one sequence for the whole
 * host. The next is the highest in use and one. Pure. Thread: any.
 */

#define PORT_NAMES_SIZE 64 /* of a port's name, with the terminating NUL */

/* Writes the name that comes behind those in the list `names`; what is not of the sequence does not
 * count. Errors: -ENOSPC (code "no-name-left"). */
int port_names_next(const json_t *names, char name[PORT_NAMES_SIZE], struct err *err);

/* port.next_name with `existing`: {"name": ...}, or NULL with *err set. */
json_t *port_names_answer(const json_t *params, struct err *err);

#endif
