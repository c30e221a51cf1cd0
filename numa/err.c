/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/err.h"

#include <stdio.h>
#include <stdlib.h>

static int
err_vset(struct err *err, int err_no, const char *code, const char *param, const char *key,
	 const char *fmt, va_list ap)
{
	if (err != NULL) {
		snprintf(err->code, sizeof(err->code), "%s", code);
		snprintf(err->param, sizeof(err->param), "%s", param);
		snprintf(err->key, sizeof(err->key), "%s", key);
		vsnprintf(err->message, sizeof(err->message), fmt, ap);
		/* It may quote what came from outside, and is one line in a log. */
		for (char *c = err->message; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				*c = '?';
	}
	return -abs(err_no);
}

int
err_set(struct err *err, int err_no, const char *code, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = err_vset(err, err_no, code, "", "", fmt, ap);
	va_end(ap);
	return ret;
}

int
err_set_param(struct err *err, int err_no, const char *code, const char *param, const char *fmt,
	      ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = err_vset(err, err_no, code, param, "", fmt, ap);
	va_end(ap);
	return ret;
}

int
err_set_key(struct err *err, int err_no, const char *code, const char *param, const char *key,
	    const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = err_vset(err, err_no, code, param, key, fmt, ap);
	va_end(ap);
	return ret;
}
