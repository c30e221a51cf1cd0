/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "control/ctl_print.h"

static void
print_moves(const struct ctl_screen *screen, const json_t *moves)
{
	static const struct ctl_column columns[] = {
		{.title = "PORT"},
		{.title = "QUEUE", .right = true},
		{.title = "FROM LCORE", .right = true},
		{.title = "TO LCORE", .right = true},
		{.title = NULL},
	};
	static const char *const keys[] = {"port", "queue", "from", "to"};
	struct ctl_table *table = ctl_table_create(columns);
	json_t *move;
	size_t i;

	json_array_foreach(moves, i, move)
	{
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			char *text = ctl_print_field(move, keys[k]);

			ctl_table_cell(table, CTL_PLAIN, "%s", text);
			free(text);
		}
	}
	ctl_table_finish(table, screen);
}

static void
print_lcores(const struct ctl_screen *screen, const json_t *before, const json_t *after)
{
	static const struct ctl_column columns[] = {
		{.title = "LCORE", .right = true},
		{.title = "BUSY NOW", .right = true},
		{.title = "BUSY THEN", .right = true},
		{.title = NULL},
	};
	struct ctl_table *table = ctl_table_create(columns);
	json_t *lcore;
	size_t i;

	json_array_foreach(before, i, lcore)
	{
		double now = ctl_print_number(lcore, "busy_percent");
		double then = ctl_print_number(json_array_get(after, i), "busy_percent");
		char *number = ctl_print_field(lcore, "lcore");

		ctl_table_cell(table, CTL_PLAIN, "%s", number);
		ctl_table_cell(table, ctl_print_busy_colour(now), "%.1f %%", now);
		ctl_table_cell(table, ctl_print_busy_colour(then), "%.1f %%", then);
		free(number);
	}
	ctl_table_finish(table, screen);
}

void
ctl_print_rebalance(const struct ctl_screen *screen, const struct ctl_request *request,
		    const json_t *result)
{
	const json_t *moves = json_object_get(result, "moves");
	size_t n = json_array_size(moves);

	(void)request;
	if (n == 0) {
		fprintf(screen->out,
			"nothing to move: no lcore has noticeably more than it must\n");
	} else if (json_is_true(json_object_get(result, "dry_run"))) {
		fprintf(screen->out, "%zu queue%s would move (a dry run: nothing has changed):\n\n",
			n, n == 1 ? "" : "s");
	} else {
		fprintf(screen->out, "%zu queue%s moved:\n\n", n, n == 1 ? "" : "s");
	}
	if (n > 0)
		print_moves(screen, moves);
	fputc('\n', screen->out);
	print_lcores(screen, json_object_get(result, "before"), json_object_get(result, "after"));
	if (n > 0)
		fprintf(screen->out, "\n\"now\" is the mean of the last 5 seconds, \"then\" an"
				     " estimate from it\n");
}
