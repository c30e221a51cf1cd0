/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_ERR_H
#define NUMA_ERR_H

#include <stdarg.h>

/*
 * What went wrong, in a form that reaches the person who can mend it.
 *
 * A function that can fail for a reason worth telling takes a `struct err *` as its last
 * parameter and returns 0 (or a value >= 0) or -errno. The caller owns the struct; it is written
 * only on failure, and only once, where the cause is known.
 *
 * This lives in the lowest room so that every room can speak the same language.
 */
struct err {
	char code[32]; /* stable text code of the control channel: "port-exists" */
	char param[32]; /* the parameter or configuration key to blame, or "" */
	char key[64]; /* what inside that parameter: a MAC of a map, a detail of an offering; or "" */
	char message[512]; /* one sentence: what is wrong and what to do */
};

/*
 * Fills *err and returns `err_no` negated if positive, as it is if negative (so that a call can be
 * the operand of `return`). `err` may be NULL. A message too long is cut, and a
 * control character in it is a '?'. Thread: any.
 */
int err_set(struct err *err, int err_no, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* As err_set(), and blames the parameter `param`. */
int err_set_param(struct err *err, int err_no, const char *code, const char *param, const char *fmt,
		  ...) __attribute__((format(printf, 5, 6)));

/* As err_set_param(), and blames what `key` names inside the parameter. */
int err_set_key(struct err *err, int err_no, const char *code, const char *param, const char *key,
		const char *fmt, ...) __attribute__((format(printf, 6, 7)));

#endif
