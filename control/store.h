/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include <jansson.h>

#include "numa/err.h"

/*
 * One JSON document that survives: the file state.json of a directory, replaced as a whole, so that
 * a crash leaves the old one or the new one. Thread: control.
 */

#define STORE_VERSION 1

#define STORE_FILE "state.json"

/* What to do about a file that cannot be used: ends a sentence. */
#define STORE_REMEDY \
	"put a good copy in its place, or move it away to start without bridges and ports"

/*
 * Reads the document of `dir`: *document is a new reference, NULL where there is no file yet.
 * Errors: -errno, -EINVAL for a damaged file or one of another version (code "bad-state-file").
 */
int store_load(const char *dir, json_t **document, struct err *err);

/* Writes `document`, an object; adds the version to it. Errors: -errno (code "store-failed"); then
 * the old document is still there. May wait: for the disk. */
int store_save(const char *dir, json_t *document, struct err *err);

#endif
