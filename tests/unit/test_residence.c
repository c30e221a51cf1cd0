/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <numaif.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "numa/residence.h"

static bool fake; /* else the kernel's own answer */
static int fake_status, fake_errno;

long __real_move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
		       int flags);
long __wrap_move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
		       int flags);

long
__wrap_move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
		  int flags)
{
	assert_null(nodes); /* it only asks */
	if (!fake)
		return __real_move_pages(pid, count, pages, nodes, status, flags);
	assert_int_equal(count, 1);
	errno = fake_errno;
	*status = fake_status;
	return fake_errno ? -1 : 0;
}

static int
answer(int status, int error, struct err *err)
{
	char page;

	*err = (struct err){0};
	fake = true;
	fake_status = status;
	fake_errno = error;
	return residence_check(&page, 1, err);
}

static void
memory_on_its_node_is_well(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(answer(1, 0, &err), 0);
}

static void
memory_elsewhere_names_both_nodes(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(answer(3, 0, &err), -EXDEV);
	assert_string_equal(err.code, "wrong-node");
	assert_non_null(strstr(err.message, "node 1 was asked for"));
	assert_non_null(strstr(err.message, "gave some of node 3"));
}

static void
memory_that_is_not_there_is_an_error(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(answer(-ENOENT, 0, &err), -EXDEV);
	assert_string_equal(err.code, "wrong-node");
}

static void
a_kernel_that_does_not_tell_is_believed(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(answer(0, ENOSYS, &err), 0);
	assert_int_equal(answer(0, EPERM, &err), 0);
}

/* The kernel itself: a page that was written is somewhere, and so not on a node that cannot be. */
static void
this_machine_tells_where_a_page_is(void **state)
{
	long size = sysconf(_SC_PAGESIZE);
	int node, found = -1, status;
	void *page;

	(void)state;
	fake = false;
	assert_int_equal(posix_memalign(&page, size, size), 0);
	memset(page, 1, size);
	if (__real_move_pages(0, 1, &page, NULL, &status, 0) < 0) {
		free(page);
		skip();
	}
	for (node = 0; node < 64 && found < 0; node++)
		found = residence_check(page, node, NULL) == 0 ? node : -1;
	assert_int_equal(found, status);
	assert_int_equal(residence_check(page, 1000, NULL), -EXDEV);
	free(page);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_on_its_node_is_well),
		cmocka_unit_test(memory_elsewhere_names_both_nodes),
		cmocka_unit_test(memory_that_is_not_there_is_an_error),
		cmocka_unit_test(a_kernel_that_does_not_tell_is_believed),
		cmocka_unit_test(this_machine_tells_where_a_page_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
