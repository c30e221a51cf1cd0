/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_text.h"

#include <err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

char *
ctl_text_format(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		errx(EXIT_FAILURE, "out of memory");
	va_end(ap);
	return text;
}

/* Marks that have no width and turn the direction of what follows, or break the line. */
static bool
reorders(wchar_t c)
{
	return c == 0x061c || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* Bytes of the character at `text`; its code in *c, or -1 if it is none. */
static size_t
next_char(const char *text, wchar_t *c)
{
	mbstate_t state = {0};
	size_t n = mbrtowc(c, text, strlen(text), &state);

	if (n == (size_t)-1 || n == (size_t)-2) {
		*c = -1;
		return 1;
	}
	return n;
}

char *
ctl_text_safe(const char *text)
{
	char *safe;
	size_t size;
	FILE *out = open_memstream(&safe, &size);

	if (!out)
		errx(EXIT_FAILURE, "out of memory");
	while (*text) {
		wchar_t c;
		size_t n = next_char(text, &c);

		if (c == -1 || c < 0x20 || (c >= 0x7f && c < 0xa0))
			for (size_t i = 0; i < n; i++)
				fprintf(out, "\\x%02x", (unsigned char)text[i]);
		else if (reorders(c) || wcwidth(c) < 0)
			fprintf(out, "\\u%04x", (unsigned int)c);
		else
			fwrite(text, 1, n, out);
		text += n;
	}
	if (fclose(out))
		errx(EXIT_FAILURE, "out of memory");
	return safe;
}

size_t
ctl_text_width(const char *text)
{
	size_t width = 0;

	while (*text) {
		wchar_t c;

		text += next_char(text, &c);
		if (c != -1 && wcwidth(c) > 0)
			width += wcwidth(c);
	}
	return width;
}

void
ctl_text_cut(char *text, size_t width)
{
	size_t room = width > 2 ? width - 2 : 0;
	char *end = text;

	if (ctl_text_width(text) <= width)
		return;
	for (char *at = text;;) {
		wchar_t c;
		size_t n = next_char(at, &c);
		size_t columns = c != -1 && wcwidth(c) > 0 ? wcwidth(c) : 0;

		if (columns > room)
			break;
		room -= columns;
		at += n;
		end = at;
	}
	/* At least two columns are cut off, hence at least one byte; one may be all there is. */
	strcpy(end, strlen(end) > 1 ? ".." : ".");
}

const char *
ctl_text_count(char *buf, uint64_t n)
{
	char digits[CTL_TEXT_SIZE];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *to = buf;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return buf;
}

/* Three significant digits, a suffix for each `step`: "999", "1.23k". */
static const char *
scale(char *buf, double n, double step, const char *const *suffix)
{
	int decimals;

	/* 999.5 would be printed as 1000 of the smaller unit. */
	while (n >= (step == 1000 ? 999.5 : step) && suffix[1]) {
		n /= step;
		suffix++;
		if (n < 1)
			n = 1;
	}
	decimals = n == (double)(uint64_t)n || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
	snprintf(buf, CTL_TEXT_SIZE, "%.*f%s", decimals, n, *suffix);
	return buf;
}

const char *
ctl_text_scaled(char *buf, double n)
{
	static const char *const suffix[] = {"", "k", "M", "G", "T", "P", "E", NULL};

	/* Half a packet is none of people's business, but something is not nothing. */
	if (n < 999 && n > (double)(uint64_t)n)
		n = (double)(uint64_t)n + 1;
	return scale(buf, n, 1000, suffix);
}

const char *
ctl_text_bytes(char *buf, uint64_t n)
{
	static const char *const suffix[] = {" B", " kB", " MB", " GB", " TB", " PB", " EB", NULL};

	return scale(buf, n, 1000, suffix);
}

const char *
ctl_text_memory(char *buf, uint64_t n)
{
	static const char *const suffix[] = {" B",   " KiB", " MiB", " GiB",
					     " TiB", " PiB", " EiB", NULL};

	return scale(buf, n, 1024, suffix);
}

const char *
ctl_text_age(char *buf, int64_t s)
{
	long long t = s > 0 ? s : 0;

	if (t < 60)
		snprintf(buf, CTL_TEXT_SIZE, "%lld s", t);
	else if (t < 3600)
		snprintf(buf, CTL_TEXT_SIZE, "%lld min %02lld s", t / 60, t % 60);
	else if (t < 86400)
		snprintf(buf, CTL_TEXT_SIZE, "%lld h %02lld min", t / 3600, t / 60 % 60);
	else
		snprintf(buf, CTL_TEXT_SIZE, "%lld d %02lld h", t / 86400, t / 3600 % 24);
	return buf;
}

char *
ctl_text_ids(const json_t *array)
{
	size_t n = json_array_size(array);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		errx(EXIT_FAILURE, "out of memory");
	for (size_t i = 0; i < n;) {
		json_int_t first = json_integer_value(json_array_get(array, i));
		json_int_t last = first;

		fprintf(out, "%s%lld", i > 0 ? "," : "", (long long)first);
		while (++i < n && json_integer_value(json_array_get(array, i)) == last + 1)
			last++;
		if (last > first)
			fprintf(out, "%c%lld", last > first + 1 ? '-' : ',', (long long)last);
	}
	if (fclose(out))
		errx(EXIT_FAILURE, "out of memory");
	return text;
}
