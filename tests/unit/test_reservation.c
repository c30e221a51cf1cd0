/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/reservation.h"
#include "numa/sysfs.h"
#include "tests/unit/fake_sysfs.h"

/*
 * The kernel is a fake sysfs with two nodes. What the tests add to a pool is free, as far as the node
 * has memory for it.
 */
static char *root;
static char path[PATH_MAX];
static struct reservation r;
static int node_has; /* pages that each node still has memory for */
static int refusal; /* of the kernel: -errno */
static int killed_at; /* the page, of those that the kernel is to make; 0: not */
static char record_of_killed[PATH_MAX + 8];

int __real_hugepages_resize(const char *sysfs, int node, unsigned int size_kib, int pages,
			    int *done);
int __wrap_hugepages_resize(const char *sysfs, int node, unsigned int size_kib, int pages,
			    int *done);

static unsigned int
pool_get(int node, const char *file)
{
	char text[16];

	assert_true(sysfs_read(root, text, sizeof(text),
			       "devices/system/node/node%d/hugepages/hugepages-2048kB/%s", node,
			       file) > 0);
	return atoi(text);
}

static void
pool_set(int node, const char *file, unsigned int count)
{
	char name[128], text[16];

	snprintf(name, sizeof(name), "devices/system/node/node%d/hugepages/hugepages-2048kB/%s",
		 node, file);
	snprintf(text, sizeof(text), "%u\n", count);
	fake_sysfs_write(root, name, text);
}

static void
pool_make(int node, unsigned int total, unsigned int free)
{
	pool_set(node, "nr_hugepages", total);
	pool_set(node, "free_hugepages", free);
}

static void
assert_pool(int node, unsigned int total, unsigned int free)
{
	assert_int_equal(pool_get(node, "nr_hugepages"), total);
	assert_int_equal(pool_get(node, "free_hugepages"), free);
}

/* Somebody takes pages of the pool, or lets them go. */
static void
pool_use(int node, int pages)
{
	pool_set(node, "free_hugepages", pool_get(node, "free_hugepages") - pages);
}

int
__wrap_hugepages_resize(const char *sysfs, int node, unsigned int size_kib, int pages, int *done)
{
	int rc;

	if (refusal) {
		*done = 0;
		return refusal;
	}
	if (pages > node_has)
		pages = node_has;
	if (killed_at > 0) {
		/* What follows, of which the killed knows nothing, is of no account. */
		snprintf(record_of_killed, sizeof(record_of_killed), "%s.killed", path);
		assert_int_equal(rename(path, record_of_killed), 0);
		pages = killed_at;
	}
	rc = __real_hugepages_resize(sysfs, node, size_kib, pages, done);
	pool_use(node, -*done);
	return rc;
}

static int
setup(void **state)
{
	(void)state;
	root = fake_sysfs_add();
	node_has = 1000;
	refusal = killed_at = 0;
	pool_make(0, 10, 4);
	pool_make(1, 0, 0);
	snprintf(path, sizeof(path), "%s/record", root);
	reservation_open(&r, root, path);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	fake_sysfs_del(root);
	return 0;
}

static int
take(unsigned int mib0, unsigned int mib1, struct err *err)
{
	const unsigned int mib[DP_NODES_MAX] = {mib0, mib1};

	return reservation_take(&r, mib, 2, err);
}

static void
what_lacks_is_reserved_and_given_back(void **state)
{
	(void)state;
	assert_int_equal(take(20, 7, NULL), 0);
	assert_pool(0, 16, 10);
	assert_pool(1, 4, 4);
	assert_int_equal(reservation_give_back(&r), 0);
	assert_pool(0, 10, 4);
	assert_pool(1, 0, 0);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void
what_is_there_is_not_reserved(void **state)
{
	(void)state;
	assert_int_equal(take(8, 0, NULL), 0);
	assert_int_equal(r.n, 0);
	assert_pool(0, 10, 4);
	assert_int_equal(reservation_give_back(&r), 0);
	assert_pool(0, 10, 4);
}

/* A kill and a new start: the pages are there, and still known to be ours. */
static void
what_a_killed_run_reserved_is_used_and_given_back(void **state)
{
	(void)state;
	assert_int_equal(take(20, 0, NULL), 0);
	reservation_open(&r, root, path);
	assert_int_equal(take(24, 0, NULL), 0);
	assert_pool(0, 18, 12);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.entry[0].pages, 8);
	reservation_open(&r, root, path);
	assert_int_equal(reservation_give_back(&r), 0);
	assert_pool(0, 10, 4);
}

/* The pages are in the record before there are any, and only those count that the kernel has made. */
static void
a_kill_while_the_kernel_makes_pages(void **state)
{
	(void)state;
	killed_at = 2;
	take(20, 0, NULL);
	killed_at = 0;
	assert_pool(0, 12, 6);
	reservation_open(&r, root, record_of_killed);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.entry[0].pages, 2);
	assert_int_equal(reservation_give_back(&r), 0);
	assert_pool(0, 10, 4);
}

static void
record_write(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
a_record_of_another_boot_is_nothing(void **state)
{
	(void)state;
	record_write("boot 00000000-0000-0000-0000-000000000000\nnode 0 kib 2048 pages 3\n");
	reservation_open(&r, root, path);
	assert_int_equal(r.n, 0);
	assert_int_equal(reservation_give_back(&r), 0);
	assert_pool(0, 10, 4);
}

static void
a_record_that_is_nonsense_is_nothing(void **state)
{
	static const char *const texts[] = {"", "boot", "\xff\xff", "node 0 kib 2048 pages 3\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		record_write(texts[i]);
		reservation_open(&r, root, path);
		assert_int_equal(r.n, 0);
	}
}

/* Others have come to use what we reserved: the rest goes back, and the next time that. */
static void
pages_that_others_use_stay(void **state)
{
	(void)state;
	assert_int_equal(take(20, 0, NULL), 0);
	pool_use(0, 7);
	assert_int_equal(reservation_give_back(&r), 3);
	assert_pool(0, 13, 0);
	pool_use(0, -7);
	reservation_open(&r, root, path);
	assert_int_equal(reservation_give_back(&r), 0);
	assert_pool(0, 10, 4);
}

static void
pages_that_others_were_promised_stay(void **state)
{
	(void)state;
	assert_int_equal(take(20, 0, NULL), 0);
	fake_sysfs_write(root, "kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "8\n");
	assert_int_equal(reservation_give_back(&r), 4);
	assert_pool(0, 14, 8);
}

/* A guest that has mapped its memory takes its pages from any node, later. */
static void
promises_are_kept_by_any_node(void **state)
{
	(void)state;
	pool_make(1, 10, 10);
	fake_sysfs_write(root, "kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "12\n");
	assert_int_equal(take(8, 20, NULL), 0);
	assert_pool(0, 12, 6);
	assert_pool(1, 20, 20);
}

/* While we ran somebody else has made the pool larger, or smaller. */
static void
others_may_change_the_pool(void **state)
{
	(void)state;
	assert_int_equal(take(20, 0, NULL), 0);
	pool_make(0, 116, 110);
	assert_int_equal(reservation_give_back(&r), 0);
	assert_pool(0, 110, 104);

	pool_make(0, 10, 4);
	assert_int_equal(take(20, 0, NULL), 0);
	pool_make(0, 2, 2);
	assert_int_equal(reservation_give_back(&r), 4);
	assert_pool(0, 0, 0);
}

static void
a_kernel_without_memory_says_how_much_it_has(void **state)
{
	struct err err = {0};

	(void)state;
	node_has = 2;
	assert_int_equal(take(20, 0, &err), -ENOMEM);
	assert_string_equal(err.code, "no-hugepages");
	assert_string_equal(err.param, "reserve-hugepages");
	assert_non_null(strstr(err.message, "2 of 6 hugepages of 2048 kB that node 0 lacks"));
	assert_int_equal(reservation_give_back(&r), 0);
	assert_pool(0, 10, 4);
}

static void
who_may_not_reserve_is_told_so(void **state)
{
	struct err err = {0};

	(void)state;
	refusal = -EACCES;
	assert_int_equal(take(20, 0, &err), -ENOMEM);
	assert_non_null(strstr(err.message, "Permission denied"));
	assert_int_equal(r.n, 0);
}

/* The kernel would give the last page, and then end processes. */
static void
the_rest_of_the_machine_keeps_its_memory(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(take(1U << 30, 0, &err), -ENOMEM);
	assert_non_null(strstr(err.message, "of memory available"));
	assert_pool(0, 10, 4);
}

static void
a_record_that_cannot_be_written_is_an_error(void **state)
{
	struct err err = {0};

	(void)state;
	snprintf(path, sizeof(path), "%s/missing/record", root);
	reservation_open(&r, root, path);
	assert_int_equal(take(20, 0, &err), -ENOMEM);
	assert_non_null(strstr(err.message, path));
	reservation_give_back(&r);
	assert_pool(0, 10, 4);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_lacks_is_reserved_and_given_back),
		T(what_is_there_is_not_reserved),
		T(what_a_killed_run_reserved_is_used_and_given_back),
		T(a_kill_while_the_kernel_makes_pages),
		T(a_record_of_another_boot_is_nothing),
		T(a_record_that_is_nonsense_is_nothing),
		T(pages_that_others_use_stay),
		T(pages_that_others_were_promised_stay),
		T(promises_are_kept_by_any_node),
		T(others_may_change_the_pool),
		T(a_kernel_without_memory_says_how_much_it_has),
		T(who_may_not_reserve_is_told_so),
		T(the_rest_of_the_machine_keeps_its_memory),
		T(a_record_that_cannot_be_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
