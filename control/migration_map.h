/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_MIGRATION_MAP_H
#define CONTROL_MIGRATION_MAP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "numa/err.h"

/*
 * Where the guest's network cards are on the host that it moves to, as migration.prepare tells it
 * and migration.rewrite and migration.abort take it: {mac: {path, port, mode}}, where `path` is the
 * directory of the socket, its name the port's, and `mode` the guest's side of it. Pure. Thread: any.
 */

/*
 * Checks all of a map, in which no two network cards have one port. Errors: -EINVAL (codes
 * "bad-parameter", "invalid-port", "invalid-mode"), which blame the parameter "map", with the MAC as
 * key.
 */
int migration_map_check(const json_t *map, struct err *err);

/* The map's own spelling of a MAC, in letters of any case; NULL: it has no such entry. */
const char *migration_map_key(const json_t *map, const char *mac);

/* The path of an entry's socket, without double slashes, for the caller to free(). NULL: no memory. */
char *migration_map_socket(const json_t *entry);

/* Whether the guest's side of a checked entry is the client of the socket. */
bool migration_map_is_client(const json_t *entry);

#endif
