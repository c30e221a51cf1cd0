/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "numa/cpulist.h"

static void
assert_cpus(const cpu_set_t *set, const int *cpus, int n)
{
	assert_int_equal(CPU_COUNT(set), n);
	for (int i = 0; i < n; i++)
		assert_true(CPU_ISSET(cpus[i], set));
}

static void
parse_takes_numbers_and_ranges(void **state)
{
	cpu_set_t set;

	(void)state;
	assert_int_equal(cpulist_parse("0", &set, NULL), 0);
	assert_cpus(&set, (int[]){0}, 1);
	assert_int_equal(cpulist_parse("2-5,8", &set, NULL), 0);
	assert_cpus(&set, (int[]){2, 3, 4, 5, 8}, 5);
	assert_int_equal(cpulist_parse("8,7-7,1023,0-1", &set, NULL), 0);
	assert_cpus(&set, (int[]){0, 1, 7, 8, 1023}, 5);
	assert_int_equal(cpulist_parse("0-1023", &set, NULL), 0);
	assert_int_equal(CPU_COUNT(&set), 1024);
}

static void
parse_refuses_and_quotes_the_piece(void **state)
{
	static const struct {
		const char *text, *quoted;
	} bad[] = {
		{"", "\"\""},
		{",", "\"\""},
		{"1,", "\"\""},
		{"1,,2", "\"\""},
		{"a", "\"a\""},
		{"1,x,3", "\"x\""},
		{"1, 2", "\" 2\""},
		{"1-", "\"1-\""},
		{"-1", "\"-1\""},
		{"1-2-3", "\"1-2-3\""},
		{"5-2", "\"5-2\""},
		{"1024", "\"1024\""},
		{"0-1024", "\"0-1024\""},
		{"99999999999999999999", "\"99999999999999999999\""},
		{"4294967296", "\"4294967296\""},
		{"0x1", "\"0x1\""},
		{"1\n", "\"1?\""},
		{"2,2", "\"2\""},
		{"2-5,4-8", "\"4-8\""},
		{"+1", "\"+1\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {.code = ""};
		cpu_set_t set, before;

		memset(&before, 0x5a, sizeof(before));
		set = before;
		assert_int_equal(cpulist_parse(bad[i].text, &set, &err), -EINVAL);
		assert_string_equal(err.code, "bad-cpu-list");
		assert_non_null(strstr(err.message, bad[i].quoted));
		assert_memory_equal(&set, &before, sizeof(set));
	}
}

static void
format_is_the_shortest_list(void **state)
{
	char buf[CPULIST_SIZE];
	cpu_set_t set;

	(void)state;
	CPU_ZERO(&set);
	assert_int_equal(cpulist_format(&set, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	cpulist_parse("8,5,4,3,2", &set, NULL);
	assert_int_equal(cpulist_format(&set, buf, sizeof(buf)), 5);
	assert_string_equal(buf, "2-5,8");
	cpulist_parse("1023,0-1021", &set, NULL);
	cpulist_format(&set, buf, sizeof(buf));
	assert_string_equal(buf, "0-1021,1023");
}

static void
format_needs_its_room(void **state)
{
	char buf[8];
	cpu_set_t set;

	(void)state;
	cpulist_parse("2-5,8", &set, NULL);
	assert_int_equal(cpulist_format(&set, buf, 0), -ENOSPC);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(cpulist_format(&set, buf, 5), -ENOSPC);
	assert_string_equal(buf, "2-5");
	assert_int_equal(buf[5], 'x');
	assert_int_equal(cpulist_format(&set, buf, 6), 5);
	assert_string_equal(buf, "2-5,8");
}

/* Any set, written and read, is the same set, and CPULIST_SIZE is enough for it. */
static void
format_and_parse_are_inverse(void **state)
{
	char buf[CPULIST_SIZE];
	cpu_set_t set, again;

	(void)state;
	srandom(1);
	for (int round = 0; round < 2000; round++) {
		int percent = 1 + random() % 100, len;

		CPU_ZERO(&set);
		CPU_SET(random() % CPU_SETSIZE, &set);
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (random() % 100 < percent)
				CPU_SET(cpu, &set);
		len = cpulist_format(&set, buf, sizeof(buf));
		assert_int_equal(len, strlen(buf));
		assert_int_equal(cpulist_parse(buf, &again, NULL), 0);
		assert_true(CPU_EQUAL(&set, &again));
	}
	/* The longest text: pairs. */
	CPU_ZERO(&set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (cpu % 3 != 2)
			CPU_SET(cpu, &set);
	assert_true(cpulist_format(&set, buf, sizeof(buf)) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_takes_numbers_and_ranges),
		cmocka_unit_test(parse_refuses_and_quotes_the_piece),
		cmocka_unit_test(format_is_the_shortest_list),
		cmocka_unit_test(format_needs_its_room),
		cmocka_unit_test(format_and_parse_are_inverse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
