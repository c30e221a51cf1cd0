/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/memory.h"

static struct topology machine;

static int
setup(void **state)
{
	(void)state;
	return topology_parse("0,0,1,1", &machine, NULL);
}

static void
auto_serves_the_nodes_of_the_lcores(void **state)
{
	const struct placement_lcore lcores[] = {{.cpu = 0, .node = 0}, {.cpu = 2, .node = 1}};
	struct options o = {0};
	unsigned int mib[DP_NODES_MAX];

	(void)state;
	assert_int_equal(memory_plan(&o, &machine, lcores, 1, mib, NULL), 1);
	assert_int_equal(mib[0], MEMORY_AUTO_MIB);
	assert_int_equal(memory_plan(&o, &machine, lcores, 2, mib, NULL), 2);
	assert_int_equal(mib[1], MEMORY_AUTO_MIB);
	assert_int_equal(memory_plan(&o, &machine, &lcores[1], 1, mib, NULL), 2);
	assert_int_equal(mib[0], 0);
	assert_int_equal(mib[1], MEMORY_AUTO_MIB);
}

static void
auto_passes_over_nodes_without_memory(void **state)
{
	const struct placement_lcore lcore = {.cpu = 0, .node = 0};
	struct options o = {0};
	unsigned int mib[DP_NODES_MAX];

	(void)state;
	machine.node[0].mem_kib = 0;
	assert_int_equal(memory_plan(&o, &machine, &lcore, 1, mib, NULL), 2);
	assert_int_equal(mib[0], 0);
	assert_int_equal(mib[1], MEMORY_AUTO_MIB);
}

static void
what_was_asked_for_is_planned(void **state)
{
	const struct placement_lcore lcore = {.cpu = 0, .node = 0};
	struct options o = {.n_memory = 2, .memory_mib = {64, 32}};
	unsigned int mib[DP_NODES_MAX];
	struct err err;

	(void)state;
	assert_int_equal(memory_plan(&o, &machine, &lcore, 1, mib, NULL), 2);
	assert_int_equal(mib[0], 64);
	assert_int_equal(mib[1], 32);
	o.n_memory = 3;
	assert_int_equal(memory_plan(&o, &machine, &lcore, 1, mib, &err), -EINVAL);
	assert_string_equal(err.param, "memory");
	o = (struct options){.n_memory = 1};
	assert_int_equal(memory_plan(&o, &machine, &lcore, 1, mib, &err), -EINVAL);
	assert_string_equal(err.param, "memory");
}

static void
missing_pages_are_counted(void **state)
{
	const unsigned int mib[DP_NODES_MAX] = {64, 128};
	struct hugepages pages = {
		.n = 3,
		.entry = {{0, 2048, 100, 32}, {1, 2048, 80, 60}, {1, 1048576, 0, 0}},
	};
	struct err err = {0};

	(void)state;
	assert_int_equal(memory_check(mib, 2, &pages, &err), -ENOMEM);
	assert_string_equal(err.code, "no-hugepages");
	assert_non_null(strstr(err.message, "4 pages of 2048 kB are missing"));
	/* What is there, and what lacks. */
	assert_non_null(strstr(err.message, "echo 84 > /sys/devices/system/node/node1/hugepages/"
					    "hugepages-2048kB/nr_hugepages"));
	pages.entry[1].free = 64;
	assert_int_equal(memory_check(mib, 2, &pages, NULL), 0);
	pages.entry[1].free = 0;
	pages.entry[2].total = pages.entry[2].free = 1;
	assert_int_equal(memory_check(mib, 2, &pages, NULL), 0);
}

static void
a_kernel_without_hugepages_is_told_apart(void **state)
{
	const unsigned int mib[DP_NODES_MAX] = {63};
	const struct hugepages none = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(memory_check(mib, 1, &none, &err), -ENOMEM);
	assert_non_null(strstr(err.message, "32 pages"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(auto_serves_the_nodes_of_the_lcores, setup),
		cmocka_unit_test_setup(auto_passes_over_nodes_without_memory, setup),
		cmocka_unit_test_setup(what_was_asked_for_is_planned, setup),
		cmocka_unit_test(missing_pages_are_counted),
		cmocka_unit_test(a_kernel_without_hugepages_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
