/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/conffile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Turns what is between '#' and the end of a line into blanks, but in quotations. Returns 0, or the
 * line on which a quotation begins that does not end.
 */
static unsigned int
blank_comments(char *text)
{
	unsigned int line = 1, quote_line = 0;
	bool comment = false;
	char quote = '\0';

	for (char *c = text; *c; c++) {
		if (*c == '\n') {
			line++;
			comment = false;
		} else if (comment) {
			*c = ' ';
		} else if (quote && *c == '\\' && c[1] && c[1] != '\n') {
			c++;
		} else if (*c == quote) {
			quote = '\0';
		} else if (!quote && (*c == '"' || *c == '\'')) {
			quote = *c;
			quote_line = line;
		} else if (!quote && *c == '#') {
			comment = true;
			*c = ' ';
		}
	}
	return quote ? quote_line : 0;
}

char *
conffile_read(const char *path, struct err *err)
{
	unsigned int quote_line;
	char *text = NULL;
	size_t len;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		goto unreadable;
	text = malloc(CONFFILE_SIZE_MAX + 1);
	if (!text)
		goto unreadable;
	len = fread(text, 1, CONFFILE_SIZE_MAX + 1, f);
	if (ferror(f))
		goto unreadable;
	fclose(f);
	if (len > CONFFILE_SIZE_MAX || memchr(text, '\0', len)) {
		err_set(err, EINVAL, "bad-option", "%s is no configuration file: it %s", path,
			len > CONFFILE_SIZE_MAX ? "is larger than 1 MiB" : "contains a NUL");
		goto fail;
	}
	text[len] = '\0';
	quote_line = blank_comments(text);
	if (quote_line) {
		err_set(err, EINVAL, "bad-option", "%s:%u: a quotation begins here and has no end",
			path, quote_line);
		goto fail;
	}
	return text;

unreadable:
	err_set(err, errno, "bad-option", "cannot read the configuration file %s: %s", path,
		strerror(errno));
	if (f)
		fclose(f);
fail:
	free(text);
	return NULL;
}
