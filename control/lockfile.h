/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_LOCKFILE_H
#define CONTROL_LOCKFILE_H

#include "numa/err.h"

/*
 * Takes the lock file `path` for this process, for as long as it lives; children do not inherit it.
 * The file stays behind, as removing it would open a race. `option` is the one that decides where
 * it lies. Returns a descriptor to keep open, or -EBUSY (code "another-instance", with the pid of
 * its holder), -errno. Thread: control.
 */
int lockfile_take(const char *path, const char *option, struct err *err);

/* Only looks. Returns -EBUSY where another process holds the lock, else 0. Thread: control. */
int lockfile_look(const char *path, struct err *err);

#endif
