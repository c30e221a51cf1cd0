/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "numa/hugepages.h"
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
		cmocka_unit_test(kernel_without_numa_has_the_machines_pools),
		cmocka_unit_test(kernel_without_hugepages_has_none),
		cmocka_unit_test(pool_that_cannot_be_read_is_an_error),
		cmocka_unit_test(sum_is_what_meminfo_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
