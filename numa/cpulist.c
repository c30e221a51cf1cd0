/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/cpulist.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Reads a decimal number at *text and steps over it. Returns -1 where there is none; a number that
 * no CPU can have comes back as CPU_SETSIZE, however long it is. */
static int
number_take(const char **text)
{
	const char *digits = *text;
	int value = 0;

	while (**text >= '0' && **text <= '9') {
		value = value * 10 + (**text - '0');
		if (value > CPU_SETSIZE)
			value = CPU_SETSIZE;
		(*text)++;
	}
	return *text == digits ? -1 : value;
}

/* Adds the CPUs of one piece, "8" or "2-5", to *set. Returns what is wrong with it, or NULL. */
static const char *
piece_add(const char *piece, size_t len, cpu_set_t *set)
{
	const char *text = piece;
	int first, last;

	first = last = number_take(&text);
	if (first >= 0 && *text == '-') {
		text++;
		last = number_take(&text);
	}
	if (first < 0 || last < 0 || text != piece + len)
		return "is neither a CPU number nor a range such as 2-5";
	if (last < first)
		return "is a range that ends before it begins";
	if (last >= CPU_SETSIZE)
		return "is beyond the highest CPU number possible, 1023";
	for (int cpu = first; cpu <= last; cpu++) {
		if (CPU_ISSET(cpu, set))
			return "repeats a CPU that the list has already";
		CPU_SET(cpu, set);
	}
	return NULL;
}

int
cpulist_parse(const char *text, cpu_set_t *set, struct err *err)
{
	const char *piece = text, *wrong;
	cpu_set_t found;

	_Static_assert(CPU_SETSIZE == 1024, "a message of piece_add() names the highest CPU");
	CPU_ZERO(&found);
	for (;;) {
		size_t len = strcspn(piece, ",");

		wrong = piece_add(piece, len, &found);
		if (wrong != NULL)
			return err_set(err, EINVAL, "bad-cpu-list",
				       "\"%.*s\" in the CPU list \"%.100s\" %s",
				       len > 40 ? 40 : (int)len, piece, text, wrong);
		if (piece[len] == '\0')
			break;
		piece += len + 1;
	}
	*set = found;
	return 0;
}

int
cpulist_format(const cpu_set_t *set, char *buf, size_t size)
{
	size_t used = 0;

	if (size == 0)
		return -ENOSPC;
	buf[0] = '\0';
	for (int first = 0; first < CPU_SETSIZE; first++) {
		const char *comma = used > 0 ? "," : "";
		char piece[16];
		int last, len;

		if (!CPU_ISSET(first, set))
			continue;
		last = first;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		if (first == last)
			len = snprintf(piece, sizeof(piece), "%s%d", comma, first);
		else
			len = snprintf(piece, sizeof(piece), "%s%d-%d", comma, first, last);
		if (used + len >= size)
			return -ENOSPC;
		memcpy(buf + used, piece, len + 1);
		used += len;
		first = last;
	}
	return used;
}
