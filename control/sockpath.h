/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_SOCKPATH_H
#define CONTROL_SOCKPATH_H

#include <stdbool.h>

#include "datapath/dp.h"
#include "numa/err.h"

/*
 * Where guests' sockets may lie, and what may be in their way.
 *
 * A path reaches the datapath in one canonical form, so that two spellings of one place compare
 * equal, and only if it lies beneath a configured directory with every symbolic link resolved.
 */

#define SOCKPATH_DIRS_MAX 16

struct sockpath_dirs {
	unsigned int n;
	char *dir[SOCKPATH_DIRS_MAX]; /* canonical */
};

/*
 * Adds the directory `dir`. Errors: -ENOENT, -ENOTDIR, -EACCES (code "bad-option", param
 * "socket-dir"). Thread: control.
 */
int sockpath_dirs_add(struct sockpath_dirs *dirs, const char *dir, struct err *err);
void sockpath_dirs_free(struct sockpath_dirs *dirs);

/*
 * Makes the canonical path of the socket `text` (NULL: `name`); relative ones go under the first
 * directory. Errors: -EINVAL (code "socket-path-refused", param "socket"). Thread: control.
 */
int sockpath_resolve(const struct sockpath_dirs *dirs, const char *text, const char *name,
		     char path[DP_PATH_SIZE], struct err *err);

/*
 * Makes room for a listener on `path`: removes a socket that nobody listens on any more. Anything
 * else stays and is refused: -EEXIST (code "socket-in-use": somebody listens; or
 * "socket-path-refused": not a socket), -EACCES ... Thread: control.
 */
int sockpath_clear(const char *path, struct err *err);

#endif
