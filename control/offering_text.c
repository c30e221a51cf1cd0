/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/offering_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\n\v\f\r"

#define REFUSE(param, key, err, ...) \
	err_set_key(err, EINVAL, "bad-encoding", param, key, __VA_ARGS__)

static int
digit_of(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (at - digits) % 16 : -1;
}

/* The bytes behind the escapes. Returns how many, or -EINVAL. */
static int
unescape(const char *text, char *out, const char *param, const char *key, struct err *err)
{
	char *to = out;

	for (const char *at = text; *at; at++) {
		int high, low;

		if (*at != '%') {
			*to++ = *at == '+' ? ' ' : *at;
			continue;
		}
		high = digit_of(at[1]);
		low = high < 0 ? -1 : digit_of(at[2]);
		if (low < 0)
			return REFUSE(param, key, err,
				      "%.63s is not URL-encoded: \"%.3s\" at byte %zu is no %% with two"
				      " hexadecimal digits (a %% itself is %%25)",
				      key, at, at - text + 1);
		if (high == 0 && low == 0)
			return REFUSE(param, key, err,
				      "%.63s has a NUL at byte %zu (%%00), which no text has", key,
				      at - text + 1);
		*to++ = high << 4 | low;
		at += 2;
	}
	*to = '\0';
	return to - out;
}

/* How many bytes of UTF-8 the character at `at` has; 0: it is none. */
static size_t
character(const unsigned char *at)
{
	size_t n = *at < 0x80 ? 1 :
		   *at < 0xc2 ? 0 :
		   *at < 0xe0 ? 2 :
		   *at < 0xf0 ? 3 :
		   *at < 0xf5 ? 4 :
				0;

	for (size_t i = 1; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong, a half of UTF-16, or beyond Unicode. */
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
	    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
		return 0;
	return n;
}

/* Where in the encoded text the decoded byte number `n` comes from, from 1. */
static size_t
encoded_byte(const char *text, size_t n)
{
	const char *at = text;

	for (; n > 0; n--)
		at += *at == '%' ? 3 : 1;
	return at - text + 1;
}

char *
offering_decode(const char *text, const char *param, const char *key, struct err *err)
{
	char *out = malloc(strlen(text) + 1);
	int len = out ? unescape(text, out, param, key, err) : -ENOMEM;

	for (int i = 0; i < len;) {
		size_t n = character((const unsigned char *)out + i);

		if (n == 0) {
			REFUSE(param, key, err,
			       "%.63s is not UTF-8 when it is decoded: byte %zu begins no character",
			       key, encoded_byte(text, i));
			len = -EINVAL;
			break;
		}
		i += n;
	}
	if (len < 0) {
		free(out);
		return NULL;
	}
	return out;
}

/* The length of the title in a section's first line, "title:"; 0: it has none. */
static size_t
title_len(const char *section, size_t len)
{
	const char *end = memchr(section, '\n', len);
	size_t line = end ? (size_t)(end - section) : len;

	if (line < 2 || section[line - 1] != ':')
		return 0;
	for (size_t i = 0; i < line; i++)
		if (strchr(BLANKS, section[i]))
			return 0;
	return line - 1;
}

static void
add_section(json_t *sections, const char *section, size_t len, unsigned int number)
{
	size_t title = title_len(section, len), skip;
	char *key;

	/* Behind the title come ':' and a line end, if anything does. */
	skip = title == 0 ? 0 : title + 2 < len ? title + 2 : len;
	if ((title ? asprintf(&key, "extraconfig-%.*s", (int)title, section) :
		     asprintf(&key, "extraconfig-%u", number)) < 0)
		return;
	json_object_set_new(sections, key, json_stringn(section + skip, len - skip));
	free(key);
}

json_t *
offering_sections(const char *text)
{
	json_t *sections = json_object();
	char *lines = strdup(text), *to = lines;
	const char *end;
	unsigned int number = 1;

	if (!lines || !text[strspn(text, BLANKS)])
		goto out;
	for (const char *from = text; *from; from++)
		if (*from != '\r' || from[1] != '\n')
			*to++ = *from;
	*to = '\0';
	/* Empty sections at the end are none, nor is a line end that is left of them. */
	for (char *at = lines; *at; number++) {
		end = strstr(at, "\n\n");
		if (!at[strspn(at, "\n")])
			break;
		add_section(sections, at, end ? (size_t)(end - at) : strlen(at), number);
		at = end ? (char *)end + 2 : at + strlen(at);
	}
out:
	free(lines);
	return sections;
}
