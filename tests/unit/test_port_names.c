/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/port_names.h"
#include "control/schema.h"

static void
assert_next(const char *names, const char *expected)
{
	json_t *list = json_loads(names, 0, NULL);
	char name[PORT_NAMES_SIZE];

	assert_non_null(list);
	assert_int_equal(port_names_next(list, name, NULL), 0);
	assert_string_equal(name, expected);
	assert_true(schema_name_ok(name));
	json_decref(list);
}

static void
the_highest_and_one(void **state)
{
	(void)state;
	assert_next("[]", "csdpdk-1");
	assert_next("[\"csdpdk-9\", \"csdpdk-10\", \"csdpdk-2\"]", "csdpdk-11");
	assert_next("[\"csdpdk-1\", \"csdpdk-3\"]", "csdpdk-4");
	assert_next("[\"csdpdk-3\", \"csdpdk-3\", \"vm1\"]", "csdpdk-4");
	assert_next("[\"csdpdk-99\"]", "csdpdk-100");
	assert_next("[\"csdpdk-0\"]", "csdpdk-1");
	assert_next("[\"csdpdk-007\", \"csdpdk-5\"]", "csdpdk-8");
	assert_next("[\"csdpdk-18446744073709551615\"]", "csdpdk-18446744073709551616");
}

static void
names_that_look_alike_do_not_count(void **state)
{
	(void)state;
	assert_next("[\"csdpdk-abc\", \"csdpdk-\", \"csdpdk-02x\"]", "csdpdk-1");
	assert_next("[\"xcsdpdk-5\", \"CSDPDK-5\", \"csdpdk--5\", \"csdpdk-5 \", \"csdpdk-5.0\"]",
		    "csdpdk-1");
	assert_next("[\"\", 5, null]", "csdpdk-1");
	/* No port can have a name that long. */
	assert_next("[\"csdpdk-1234567890123456789012345678901234567890123456789012345678901\"]",
		    "csdpdk-1");
}

static void
the_sequence_ends_where_names_do(void **state)
{
	char names[128] = "[\"csdpdk-", name[PORT_NAMES_SIZE];
	struct err err = {0};
	json_t *list;

	(void)state;
	memset(names + strlen(names), '9', 56);
	strcat(names, "\"]");
	list = json_loads(names, 0, NULL);
	assert_int_equal(port_names_next(list, name, &err), -ENOSPC);
	assert_string_equal(err.code, "no-name-left");
	json_decref(list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_highest_and_one),
		cmocka_unit_test(names_that_look_alike_do_not_count),
		cmocka_unit_test(the_sequence_ends_where_names_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
