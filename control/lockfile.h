/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_LOCKFILE_H
#define CONTROL_LOCKFILE_H

#include "numa/err.h"

/*
 * Takes the lock file `path` for this process, for as long as it lives; children do not inherit it.
 * The file stays behind, as removing it would open a race. Returns a descriptor to keep open, or
 * -EBUSY (code "another-instance", with the pid of its holder), -errno. Thread: control.
 */
int lockfile_take(const char *path, struct err *err);

#endif
