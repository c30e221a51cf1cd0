/* SPDX-License-Identifier: BSD-3-Clause */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl_table.h"

static const struct ctl_column columns[] = {
	{.title = "NAME"},
	{.title = "PATH", .cut = true},
	{.title = "NODE", .right = true, .drop = 2},
	{.title = "RX", .right = true, .drop = 1},
	{.title = NULL},
};

/* The table on a screen of that width; freed by the caller. */
static char *
printed(size_t width, bool colour)
{
	struct ctl_table *table = ctl_table_create(columns);
	struct ctl_screen screen = {.width = width, .colour = colour};
	char *text;
	size_t size;

	ctl_table_cell(table, CTL_PLAIN, "vm%d", 1);
	ctl_table_cell(table, CTL_PLAIN, "/run/sluice/vm1");
	ctl_table_cell(table, CTL_PLAIN, "0");
	ctl_table_cell(table, CTL_RED, "12");
	ctl_table_cell(table, CTL_PLAIN, "größer");
	ctl_table_cell(table, CTL_PLAIN, "\033[2J");
	ctl_table_cell(table, CTL_PLAIN, "1");
	ctl_table_cell(table, CTL_PLAIN, "%s", "");
	screen.out = open_memstream(&text, &size);
	ctl_table_finish(table, &screen);
	fclose(screen.out);
	return text;
}

static void
assert_printed(size_t width, bool colour, const char *expected)
{
	char *text = printed(width, colour);

	assert_string_equal(text, expected);
	free(text);
}

static void
columns_are_aligned(void **state)
{
	(void)state;
	assert_printed(0, false,
		       "NAME    PATH             NODE  RX\n"
		       "vm1     /run/sluice/vm1     0  12\n"
		       "größer  \\x1b[2J             1\n");
}

static void
gaps_shrink_first(void **state)
{
	(void)state;
	assert_printed(32, false,
		       "NAME   PATH            NODE RX\n"
		       "vm1    /run/sluice/vm1    0 12\n"
		       "größer \\x1b[2J            1\n");
}

static void
then_columns_are_cut(void **state)
{
	(void)state;
	assert_printed(28, false,
		       "NAME   PATH          NODE RX\n"
		       "vm1    /run/sluice..    0 12\n"
		       "größer \\x1b[2J          1\n");
}

static void
then_columns_go_and_are_named(void **state)
{
	(void)state;
	assert_printed(24, false,
		       "NAME   PATH         RX\n"
		       "vm1    /run/sluic.. 12\n"
		       "größer \\x1b[2J\n"
		       "(no room for: NODE)\n");
}

static void
colour_is_outside_of_the_width(void **state)
{
	char *text = printed(0, true);

	(void)state;
	assert_non_null(strstr(text, "/run/sluice/vm1     0  \033[1;31m12\033[0m\n"));
	free(text);
}

static void
screen_has_no_colour_off_a_terminal(void **state)
{
	struct ctl_screen screen;
	FILE *file = tmpfile();

	(void)state;
	ctl_screen_open(&screen, file);
	assert_false(screen.colour);
	assert_int_equal(screen.width, 0);
	fclose(file);
}

static void
assert_wrapped(size_t indent, size_t width, const char *text, const char *expected)
{
	struct ctl_screen screen = {0};
	char *wrapped;
	size_t size;

	screen.out = open_memstream(&wrapped, &size);
	ctl_screen_wrap(&screen, indent, width, text);
	fclose(screen.out);
	assert_string_equal(wrapped, expected);
	free(wrapped);
}

static void
wrap_breaks_at_blanks(void **state)
{
	(void)state;
	assert_wrapped(0, 0, "a bb ccc", "a bb ccc\n");
	assert_wrapped(2, 6, "a bb ccc", "a bb\n  ccc\n");
	assert_wrapped(2, 4, "longer is", "longer\n  is\n");
	assert_wrapped(2, 10, "", "\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_aligned),
		cmocka_unit_test(gaps_shrink_first),
		cmocka_unit_test(then_columns_are_cut),
		cmocka_unit_test(then_columns_go_and_are_named),
		cmocka_unit_test(colour_is_outside_of_the_width),
		cmocka_unit_test(screen_has_no_colour_off_a_terminal),
		cmocka_unit_test(wrap_breaks_at_blanks),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
