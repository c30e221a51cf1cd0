/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "numa/hugepages.h"
#include "numa/sysfs.h"
#include "tests/unit/fake_sysfs.h"

static void
pool_write(const char *root, const char *pools, unsigned int size_kib, const char *total,
	   const char *free)
{
	char name[256];

	snprintf(name, sizeof(name), "%s/hugepages-%ukB/nr_hugepages", pools, size_kib);
	fake_sysfs_write(root, name, total);
	snprintf(name, sizeof(name), "%s/hugepages-%ukB/free_hugepages", pools, size_kib);
	fake_sysfs_write(root, name, free);
}

static void
assert_entry(const struct hugepages_entry *entry, int node, unsigned int size_kib,
	     unsigned int total, unsigned int free)
{
	assert_int_equal(entry->node, node);
	assert_int_equal(entry->size_kib, size_kib);
	assert_int_equal(entry->total, total);
	assert_int_equal(entry->free, free);
}

static void
each_node_and_size_in_order(void **state)
{
	char *root = fake_sysfs_add();
	struct hugepages h;

	(void)state;
	pool_write(root, "devices/system/node/node1/hugepages", 2048, "512\n", "0\n");
	pool_write(root, "devices/system/node/node0/hugepages", 1048576, "4\n", "3\n");
	pool_write(root, "devices/system/node/node0/hugepages", 2048, "1024\n", "1000\n");
	pool_write(root, "devices/system/node/node1/hugepages", 1048576, "0\n", "0\n");
	assert_int_equal(hugepages_read_machine(&h, root, NULL), 0);
	assert_int_equal(h.n, 4);
	assert_entry(&h.entry[0], 0, 2048, 1024, 1000);
	assert_entry(&h.entry[1], 0, 1048576, 4, 3);
	assert_entry(&h.entry[2], 1, 2048, 512, 0);
	assert_entry(&h.entry[3], 1, 1048576, 0, 0);
	fake_sysfs_del(root);
}

static void
promised_pages_are_not_usable(void **state)
{
	char *root = fake_sysfs_add();
	struct hugepages h;

	(void)state;
	pool_write(root, "devices/system/node/node0/hugepages", 2048, "10\n", "8\n");
	pool_write(root, "devices/system/node/node0/hugepages", 1048576, "1\n", "1\n");
	fake_sysfs_write(root, "kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "3\n");
	fake_sysfs_write(root, "kernel/mm/hugepages/hugepages-1048576kB/resv_hugepages", "2\n");
	assert_int_equal(hugepages_read_machine(&h, root, NULL), 0);
	assert_int_equal(hugepages_usable_kib(&h, 0), 5 * 2048);
	assert_int_equal(hugepages_usable_kib(&h, 1), 0);
	fake_sysfs_del(root);
}

/* Those of another node will do for a promise, while they are free. */
static void
promises_are_of_all_nodes(void **state)
{
	struct hugepages h = {
		.n = 3,
		.entry = {{0, 2048, 10, 8, 6}, {1, 2048, 10, 5, 6}, {1, 1048576, 2, 2, 0}},
	};

	(void)state;
	assert_int_equal(hugepages_usable_kib(&h, 0), 7 * 2048);
	assert_int_equal(hugepages_usable_kib(&h, 1), 5 * 2048 + 2 * 1048576);
	hugepages_use(&h, 0, 3 * 2048 - 1);
	assert_int_equal(hugepages_usable_kib(&h, 0), 4 * 2048);
	assert_int_equal(hugepages_usable_kib(&h, 1), 4 * 2048 + 2 * 1048576);
	hugepages_use(&h, 1, 1048576 + 2048);
	assert_int_equal(hugepages_usable_kib(&h, 1), 3 * 2048 + 1048576);
	hugepages_use(&h, 1, 1 << 30);
	assert_int_equal(hugepages_usable_kib(&h, 1), 0);
	assert_int_equal(hugepages_usable_kib(&h, 0), 0);
}

static void
kernel_without_numa_has_the_machines_pools(void **state)
{
	char *root = fake_sysfs_add();
	struct hugepages h;

	(void)state;
	pool_write(root, "kernel/mm/hugepages", 2048, "7\n", "6\n");
	assert_int_equal(hugepages_read_machine(&h, root, NULL), 0);
	assert_int_equal(h.n, 1);
	assert_entry(&h.entry[0], 0, 2048, 7, 6);
	fake_sysfs_del(root);
}

static void
kernel_without_hugepages_has_none(void **state)
{
	char *root = fake_sysfs_add();
	struct hugepages h;

	(void)state;
	assert_int_equal(hugepages_read_machine(&h, root, NULL), 0);
	assert_int_equal(h.n, 0);
	fake_sysfs_del(root);
}

static void
pool_that_cannot_be_read_is_an_error(void **state)
{
	char *root = fake_sysfs_add();
	struct hugepages h;
	struct err err;

	(void)state;
	fake_sysfs_write(root, "devices/system/node/node0/hugepages", "a file, no folder");
	assert_int_equal(hugepages_read_machine(&h, root, &err), -ENOTDIR);
	assert_string_equal(err.code, "no-hugepages");
	fake_sysfs_del(root);
}

static unsigned int
count_of(const char *root, const char *pool)
{
	char text[32];

	assert_true(sysfs_read(root, text, sizeof(text), "%s/nr_hugepages", pool) > 0);
	return atoi(text);
}

static void
a_pool_is_made_larger_and_smaller(void **state)
{
	static const char pool[] = "devices/system/node/node1/hugepages/hugepages-2048kB";
	char *root = fake_sysfs_add();
	int done;

	(void)state;
	pool_write(root, "devices/system/node/node1/hugepages", 2048, "10\n", "4\n");
	assert_int_equal(hugepages_resize(root, 1, 2048, 5, &done), 0);
	assert_int_equal(done, 5);
	assert_int_equal(count_of(root, pool), 15);
	assert_int_equal(hugepages_resize(root, 1, 2048, -6, &done), 0);
	assert_int_equal(done, -6);
	assert_int_equal(count_of(root, pool), 9);
	assert_int_equal(hugepages_resize(root, 1, 2048, -20, &done), 0);
	assert_int_equal(done, -9);
	assert_int_equal(count_of(root, pool), 0);
	fake_sysfs_del(root);
}

/* Pages in use beyond the pool's size go by themselves, and do not count. */
static void
surplus_pages_are_not_the_pools(void **state)
{
	static const char pool[] = "devices/system/node/node0/hugepages/hugepages-2048kB";
	char *root = fake_sysfs_add(), name[128];
	int done;

	(void)state;
	pool_write(root, "devices/system/node/node0/hugepages", 2048, "10\n", "0\n");
	snprintf(name, sizeof(name), "%s/surplus_hugepages", pool);
	fake_sysfs_write(root, name, "3\n");
	assert_int_equal(hugepages_resize(root, 0, 2048, 2, &done), 0);
	assert_int_equal(count_of(root, pool), 9);
	fake_sysfs_del(root);
}

static void
a_pool_that_is_not_there_cannot_be_resized(void **state)
{
	char *root = fake_sysfs_add();
	int done;

	(void)state;
	assert_int_equal(hugepages_resize(root, 0, 2048, 2, &done), -ENOENT);
	assert_int_equal(done, 0);
	pool_write(root, "kernel/mm/hugepages", 2048, "7\n", "6\n");
	assert_int_equal(hugepages_resize(root, 0, 2048, 2, &done), 0);
	assert_int_equal(count_of(root, "kernel/mm/hugepages/hugepages-2048kB"), 9);
	fake_sysfs_del(root);
}

/* What we say of this machine is what the kernel says in /proc/meminfo. */
static void
sum_is_what_meminfo_says(void **state)
{
	unsigned long size_kib = 0, total = 0, sum = 0, n;
	struct hugepages h;
	struct err err;
	char line[128];
	FILE *meminfo;

	(void)state;
	meminfo = fopen("/proc/meminfo", "r");
	assert_non_null(meminfo);
	while (fgets(line, sizeof(line), meminfo) != NULL) {
		if (sscanf(line, "HugePages_Total: %lu", &n) == 1)
			total = n;
		if (sscanf(line, "Hugepagesize: %lu", &n) == 1)
			size_kib = n;
	}
	fclose(meminfo);
	assert_int_equal(hugepages_read(&h, &err), 0);
	for (unsigned int i = 0; i < h.n; i++) {
		assert_true(h.entry[i].free <= h.entry[i].total);
		if (h.entry[i].size_kib == size_kib)
			sum += h.entry[i].total;
	}
	assert_int_equal(sum, total);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_node_and_size_in_order),
		cmocka_unit_test(promised_pages_are_not_usable),
		cmocka_unit_test(promises_are_of_all_nodes),
		cmocka_unit_test(kernel_without_numa_has_the_machines_pools),
		cmocka_unit_test(kernel_without_hugepages_has_none),
		cmocka_unit_test(pool_that_cannot_be_read_is_an_error),
		cmocka_unit_test(a_pool_is_made_larger_and_smaller),
		cmocka_unit_test(surplus_pages_are_not_the_pools),
		cmocka_unit_test(a_pool_that_is_not_there_cannot_be_resized),
		cmocka_unit_test(sum_is_what_meminfo_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
