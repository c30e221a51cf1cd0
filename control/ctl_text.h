/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_TEXT_H
#define CONTROL_CTL_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Numbers and strings as people read them. Pure functions, one thread.
 *
 * Text that comes from outside (a daemon, a command line) may hold anything; what would move the
 * cursor or reorder a line is written as an escape, so that a terminal shows what is there. Text is
 * read as UTF-8 whatever the locale: the caller has set LC_CTYPE to C.UTF-8. Where it has not,
 * everything that is not ASCII is escaped.
 */
#define CTL_TEXT_SIZE 32 /* holds what any of the number functions writes */

/* A new string, freed by the caller: printf's, and the process ends where memory does. */
char *ctl_text_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A new string, freed by the caller: `text` with what is not printable as \x1b or \u202e. */
char *ctl_text_safe(const char *text);

/* Columns that safe text takes on a terminal. */
size_t ctl_text_width(const char *text);

/* Cuts safe text down to `width` columns, its end replaced by "..". Changes it in place. */
void ctl_text_cut(char *text, size_t width);

/* The number functions write into `buf` of CTL_TEXT_SIZE bytes and return it. */
const char *ctl_text_count(char *buf, uint64_t n); /* 1234567 -> "1,234,567" */
const char *ctl_text_scaled(char *buf, double n); /* 1234567 -> "1.23M", by thousands */
const char *ctl_text_bytes(char *buf, uint64_t n); /* 1234567 -> "1.23 MB" */
const char *ctl_text_memory(char *buf, uint64_t n); /* 2097152 -> "2 MiB" */
const char *ctl_text_age(char *buf, int64_t s); /* 3725 -> "1 h 02 min" */

/* A new string, freed by the caller: rising integers of an array: [1,2,3,7] -> "1-3,7". */
char *ctl_text_ids(const json_t *array);

#endif
