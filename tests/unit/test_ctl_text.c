/* SPDX-License-Identifier: BSD-3-Clause */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl_text.h"

static void
assert_safe(const char *text, const char *expected)
{
	char *safe = ctl_text_safe(text);

	assert_string_equal(safe, expected);
	free(safe);
}

static void
safe_escapes_what_steers_a_terminal(void **state)
{
	(void)state;
	assert_safe("", "");
	assert_safe("vm1 Größe 端口", "vm1 Größe 端口");
	assert_safe("a\033[31mb\r\n\t\177", "a\\x1b[31mb\\x0d\\x0a\\x09\\x7f");
	assert_safe("csi \xc2\x9b!", "csi \\xc2\\x9b!");
	assert_safe("\xe2\x80\xae"
		    "evil",
		    "\\u202eevil");
	assert_safe("\xff\xc3", "\\xff\\xc3");
}

static void
width_counts_columns(void **state)
{
	(void)state;
	assert_int_equal(ctl_text_width(""), 0);
	assert_int_equal(ctl_text_width("vm1"), 3);
	assert_int_equal(ctl_text_width("Größe"), 5);
	assert_int_equal(ctl_text_width("端口"), 4);
	assert_int_equal(ctl_text_width("e\xcc\x81"), 1); /* e and a combining accent */
}

static void
assert_cut(const char *text, size_t width, const char *expected)
{
	char buf[64];

	strcpy(buf, text);
	ctl_text_cut(buf, width);
	assert_string_equal(buf, expected);
	assert_true(ctl_text_width(buf) <= width);
}

static void
cut_keeps_the_width(void **state)
{
	(void)state;
	assert_cut("abcdef", 6, "abcdef");
	assert_cut("abcdef", 5, "abc..");
	assert_cut("abcdef", 2, "..");
	assert_cut("端口端口", 7, "端口..");
	assert_cut("端口端口", 5, "端..");
}

static void
count_groups_thousands(void **state)
{
	char buf[CTL_TEXT_SIZE];

	(void)state;
	assert_string_equal(ctl_text_count(buf, 0), "0");
	assert_string_equal(ctl_text_count(buf, 999), "999");
	assert_string_equal(ctl_text_count(buf, 1000), "1,000");
	assert_string_equal(ctl_text_count(buf, 1234567), "1,234,567");
	assert_string_equal(ctl_text_count(buf, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void
scaled_has_three_digits(void **state)
{
	char buf[CTL_TEXT_SIZE];

	(void)state;
	assert_string_equal(ctl_text_scaled(buf, 0), "0");
	assert_string_equal(ctl_text_scaled(buf, 0.2), "1");
	assert_string_equal(ctl_text_scaled(buf, 999), "999");
	assert_string_equal(ctl_text_scaled(buf, 999.4), "999");
	assert_string_equal(ctl_text_scaled(buf, 999.7), "1k");
	assert_string_equal(ctl_text_scaled(buf, 1000), "1k");
	assert_string_equal(ctl_text_scaled(buf, 1234), "1.23k");
	assert_string_equal(ctl_text_scaled(buf, 12345), "12.3k");
	assert_string_equal(ctl_text_scaled(buf, 999499), "999k");
	assert_string_equal(ctl_text_scaled(buf, 999500), "1M");
	assert_string_equal(ctl_text_scaled(buf, 9.999e6), "10.0M");
	assert_string_equal(ctl_text_scaled(buf, 14.88e6), "14.9M");
	assert_string_equal(ctl_text_scaled(buf, 18446744073709551615.0), "18.4E");
}

static void
sizes_and_ages_have_units(void **state)
{
	char buf[CTL_TEXT_SIZE];

	(void)state;
	assert_string_equal(ctl_text_bytes(buf, 0), "0 B");
	assert_string_equal(ctl_text_bytes(buf, 1500), "1.50 kB");
	assert_string_equal(ctl_text_memory(buf, 2 << 20), "2 MiB");
	assert_string_equal(ctl_text_memory(buf, 1 << 30), "1 GiB");
	assert_string_equal(ctl_text_age(buf, -1), "0 s");
	assert_string_equal(ctl_text_age(buf, 59), "59 s");
	assert_string_equal(ctl_text_age(buf, 61), "1 min 01 s");
	assert_string_equal(ctl_text_age(buf, 3725), "1 h 02 min");
	assert_string_equal(ctl_text_age(buf, 90000), "1 d 01 h");
}

static void
assert_ids(const char *json, const char *expected)
{
	json_t *array = json_loads(json, 0, NULL);
	char *text = ctl_text_ids(array);

	assert_string_equal(text, expected);
	free(text);
	json_decref(array);
}

static void
ids_are_ranges(void **state)
{
	(void)state;
	assert_ids("[]", "");
	assert_ids("[7]", "7");
	assert_ids("[1,2]", "1,2");
	assert_ids("[1,2,3,7,9,10,11]", "1-3,7,9-11");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(safe_escapes_what_steers_a_terminal),
		cmocka_unit_test(width_counts_columns),
		cmocka_unit_test(cut_keeps_the_width),
		cmocka_unit_test(count_groups_thousands),
		cmocka_unit_test(scaled_has_three_digits),
		cmocka_unit_test(sizes_and_ages_have_units),
		cmocka_unit_test(ids_are_ranges),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
