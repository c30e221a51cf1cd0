/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_TABLE_H
#define CONTROL_CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Where people's output goes, and what it can show. */
struct ctl_screen {
	FILE *out;
	size_t width; /* columns, 0: no end (a pipe) */
	size_t height; /* lines, 0: no end */
	bool colour;
};

/* A terminal has a size, and colours unless NO_COLOR or TERM=dumb says otherwise. */
void ctl_screen_open(struct ctl_screen *screen, FILE *out);

/* Prints text from column `indent` on, where the cursor is, with line breaks at blanks where it
 * would pass column `width` (0: never), and ends the line. */
void ctl_screen_wrap(const struct ctl_screen *screen, size_t indent, size_t width,
		     const char *text);

enum ctl_colour {
	CTL_PLAIN,
	CTL_BOLD,
	CTL_DIM,
	CTL_RED,
	CTL_GREEN,
	CTL_YELLOW
};

/* The escape sequences around coloured text; "" where the screen has no colours. */
const char *ctl_colour_on(const struct ctl_screen *screen, enum ctl_colour colour);
const char *ctl_colour_off(const struct ctl_screen *screen, enum ctl_colour colour);

/*
 * Aligned columns that fit the screen. When they don't, first the gaps shrink, then the columns
 * marked `cut`, then columns go, the highest `drop` first, and a line below names them.
 */
struct ctl_column {
	const char *title;
	bool right;
	unsigned int drop; /* 0: never dropped */
	bool cut;
};

struct ctl_table;

/* `columns` ends with a NULL title and must outlive the table. */
struct ctl_table *ctl_table_create(const struct ctl_column *columns);
void ctl_table_destroy(struct ctl_table *table);

/* The next cell, row by row; what is not printable in it is escaped. */
void ctl_table_cell(struct ctl_table *table, enum ctl_colour colour, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

void ctl_table_print(const struct ctl_table *table, const struct ctl_screen *screen);

/* Both, which is what most callers end with. */
void ctl_table_finish(struct ctl_table *table, const struct ctl_screen *screen);

#endif
