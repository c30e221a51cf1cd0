/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_table.h"

#include <assert.h>
#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control/ctl_text.h"

#define COLUMNS_MAX 24
#define CUT_WIDTH_MIN 12

struct cell {
	char *text;
	enum ctl_colour colour;
};

struct ctl_table {
	const struct ctl_column *columns;
	size_t n_columns;
	struct cell *cells;
	size_t n_cells;
};

/* How a table is laid out on one screen. */
struct layout {
	size_t width[COLUMNS_MAX]; /* 0: dropped */
	size_t gap;
};

void
ctl_screen_open(struct ctl_screen *screen, FILE *out)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");
	struct winsize size;

	*screen = (struct ctl_screen){.out = out};
	if (!isatty(fileno(out)))
		return;
	if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
		screen->width = size.ws_col;
		screen->height = size.ws_row;
	} else {
		screen->width = 80;
		screen->height = 24;
	}
	screen->colour = !(no_color && *no_color) && term && strcmp(term, "dumb");
}

void
ctl_screen_wrap(const struct ctl_screen *screen, size_t indent, size_t width, const char *text)
{
	size_t column = indent;

	while (*text) {
		size_t n = strcspn(text, " ");
		char *word = ctl_text_format("%.*s", (int)n, text);
		size_t word_width = ctl_text_width(word);

		if (width > 0 && column > indent && column + 1 + word_width > width) {
			fprintf(screen->out, "\n%*s", (int)indent, "");
			column = indent;
		}
		fprintf(screen->out, "%s%s", column > indent ? " " : "", word);
		column += word_width + (column > indent ? 1 : 0);
		free(word);
		text += n + strspn(text + n, " ");
	}
	fputc('\n', screen->out);
}

const char *
ctl_colour_on(const struct ctl_screen *screen, enum ctl_colour colour)
{
	static const char *const start[] = {
		[CTL_PLAIN] = "",	  [CTL_BOLD] = "\033[1m",   [CTL_DIM] = "\033[2m",
		[CTL_RED] = "\033[1;31m", [CTL_GREEN] = "\033[32m", [CTL_YELLOW] = "\033[33m",
	};

	return screen->colour ? start[colour] : "";
}

const char *
ctl_colour_off(const struct ctl_screen *screen, enum ctl_colour colour)
{
	return screen->colour && colour != CTL_PLAIN ? "\033[0m" : "";
}

struct ctl_table *
ctl_table_create(const struct ctl_column *columns)
{
	struct ctl_table *table = calloc(1, sizeof(*table));

	if (!table)
		errx(EXIT_FAILURE, "out of memory");
	table->columns = columns;
	while (columns[table->n_columns].title && table->n_columns < COLUMNS_MAX)
		table->n_columns++;
	return table;
}

void
ctl_table_destroy(struct ctl_table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

void
ctl_table_cell(struct ctl_table *table, enum ctl_colour colour, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		errx(EXIT_FAILURE, "out of memory");
	va_end(ap);
	table->cells = realloc(table->cells, (table->n_cells + 1) * sizeof(*table->cells));
	if (!table->cells)
		errx(EXIT_FAILURE, "out of memory");
	table->cells[table->n_cells++] = (struct cell){ctl_text_safe(text), colour};
	free(text);
}

static size_t
total_width(const struct ctl_table *table, const struct layout *layout)
{
	size_t width = 0;

	for (size_t c = 0; c < table->n_columns; c++)
		if (layout->width[c] > 0)
			width += layout->width[c] + (width > 0 ? layout->gap : 0);
	return width;
}

/* The column to go next: the one with the highest `drop`. n_columns: none may. */
static size_t
column_to_drop(const struct ctl_table *table, const struct layout *layout)
{
	size_t worst = table->n_columns;
	unsigned int drop = 0;

	for (size_t c = 0; c < table->n_columns; c++)
		if (layout->width[c] > 0 && table->columns[c].drop > drop) {
			drop = table->columns[c].drop;
			worst = c;
		}
	return worst;
}

static void
fit(const struct ctl_table *table, struct layout *layout, size_t screen_width)
{
	layout->gap = 2;
	if (screen_width == 0 || total_width(table, layout) <= screen_width)
		return;
	layout->gap = 1;
	for (size_t c = 0; c < table->n_columns; c++) {
		size_t excess = total_width(table, layout);

		excess -= excess < screen_width ? excess : screen_width;
		if (!table->columns[c].cut || layout->width[c] <= CUT_WIDTH_MIN)
			continue;
		if (layout->width[c] - CUT_WIDTH_MIN < excess)
			excess = layout->width[c] - CUT_WIDTH_MIN;
		layout->width[c] -= excess;
	}
	while (total_width(table, layout) > screen_width) {
		size_t c = column_to_drop(table, layout);

		if (c == table->n_columns)
			return;
		layout->width[c] = 0;
	}
}

static void
measure(const struct ctl_table *table, struct layout *layout)
{
	for (size_t c = 0; c < table->n_columns; c++)
		layout->width[c] = ctl_text_width(table->columns[c].title);
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t width = ctl_text_width(table->cells[i].text);
		size_t c = i % table->n_columns;

		if (layout->width[c] < width)
			layout->width[c] = width;
	}
}

/* One cell with the blanks before and behind it. *pending: blanks that only matter if text follows,
 * so that no line ends in blanks. */
static void
print_cell(const struct ctl_screen *screen, const char *text, enum ctl_colour colour, size_t width,
	   bool right, size_t *pending)
{
	char *fitted = ctl_text_format("%s", text);
	size_t pad;

	ctl_text_cut(fitted, width);
	pad = width - ctl_text_width(fitted);
	if (right)
		*pending += pad;
	if (*fitted) {
		fprintf(screen->out, "%*s%s%s%s", (int)*pending, "", ctl_colour_on(screen, colour),
			fitted, ctl_colour_off(screen, colour));
		*pending = 0;
	}
	if (!right)
		*pending += pad;
	free(fitted);
}

void
ctl_table_print(const struct ctl_table *table, const struct ctl_screen *screen)
{
	struct layout layout;
	bool hidden = false;

	assert(table->n_cells % table->n_columns == 0);
	measure(table, &layout);
	fit(table, &layout, screen->width);
	for (size_t i = 0; i < table->n_columns + table->n_cells; i += table->n_columns) {
		size_t pending = 0;

		for (size_t c = 0; c < table->n_columns; c++) {
			const struct ctl_column *column = &table->columns[c];
			const struct cell *cell =
				i ? &table->cells[i - table->n_columns + c] : NULL;

			if (layout.width[c] == 0)
				continue;
			print_cell(screen, cell ? cell->text : column->title,
				   cell ? cell->colour : CTL_BOLD, layout.width[c], column->right,
				   &pending);
			pending += layout.gap;
		}
		fputc('\n', screen->out);
	}
	for (size_t c = 0; c < table->n_columns; c++)
		if (layout.width[c] == 0) {
			fprintf(screen->out, "%s%s%s", ctl_colour_on(screen, CTL_DIM),
				hidden ? " " : "(no room for: ", table->columns[c].title);
			hidden = true;
		}
	if (hidden)
		fprintf(screen->out, ")%s\n", ctl_colour_off(screen, CTL_DIM));
}

void
ctl_table_finish(struct ctl_table *table, const struct ctl_screen *screen)
{
	ctl_table_print(table, screen);
	ctl_table_destroy(table);
}
