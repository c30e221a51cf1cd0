/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CONFFILE_H
#define CONTROL_CONFFILE_H

#include "numa/err.h"

/*
 * The text of the configuration file as libconfuse should see it, on the heap: its comments are
 * blank, because libconfuse 3.3 counts the line of a comment three times and would blame the wrong
 * line for what follows. NULL with *err set: the file cannot be read, has more than
 * CONFFILE_SIZE_MAX bytes, a NUL, or a quotation without end. Thread: control.
 */
#define CONFFILE_SIZE_MAX (1 << 20)

char *conffile_read(const char *path, struct err *err);

#endif
