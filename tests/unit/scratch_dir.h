/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_SCRATCH_DIR_H
#define TESTS_UNIT_SCRATCH_DIR_H

/* cmocka's setup and teardown: a directory of its own for each test, whose canonical path is
 * *state. */
int scratch_dir_make(void **state);
int scratch_dir_remove(void **state);

/* "DIR/NAME", in a buffer that lives until the eighth call from now. */
const char *scratch_path(void **state, const char *name);

/* Writes a file there; returns its path as scratch_path(). */
const char *scratch_file(void **state, const char *name, const char *text);

#endif
