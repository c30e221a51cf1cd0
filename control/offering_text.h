/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OFFERING_TEXT_H
#define CONTROL_OFFERING_TEXT_H

#include <jansson.h>

#include "numa/err.h"

/* How CloudStack writes configurations down. Pure. Thread: any. */

/*
 * URL-encoded UTF-8, decoded once: "%3C" -> "<", "+" -> a blank. Returns a text for the caller to
 * free(), or NULL with *err set: code "bad-encoding", which blames `param` and `key`, and says which
 * byte of the encoded text is wrong. A NUL is wrong, too.
 */
char *offering_decode(const char *text, const char *param, const char *key, struct err *err);

/*
 * A VM's extraconfig, decoded: sections with an empty line between them. Returns a new object, as
 * Java's String.split("\n\n") has it: the key is "extraconfig-" and the title, which a first line "title:"
 * gives, or the section's number from 1; of two with one title it holds the last. Of text that is nothing
 * but blanks there are none.
 */
json_t *offering_sections(const char *text);

#endif
