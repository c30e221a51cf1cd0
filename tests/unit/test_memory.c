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

static struct memory_plan plan;
static const struct memory_ports no_ports;
static const struct options defaults;

static int
plan_for(const struct placement_lcore *lcore, unsigned int n, const struct memory_ports *ports)
{
	return memory_plan(&defaults, &machine, lcore, n, ports, &plan, NULL);
}

/* As fake_dp.c reckons. */
static unsigned int
need(unsigned int here, unsigned int elsewhere, unsigned int ports, unsigned int queues)
{
	return 1000 * here + 100 * elsewhere + ports + queues + 2 * MEMORY_SPARE_PORTS;
}

static void
auto_serves_the_nodes_of_the_lcores(void **state)
{
	const struct placement_lcore lcores[] = {{.cpu = 0, .node = 0}, {.cpu = 2, .node = 1}};

	(void)state;
	assert_int_equal(plan_for(lcores, 1, &no_ports), 0);
	assert_int_equal(plan.n_nodes, 1);
	assert_int_equal(plan.mib[0], need(1, 0, 0, 0));
	assert_int_equal(plan.node[1], 0);
	assert_true(plan.grows);
	assert_int_equal(plan_for(lcores, 2, &no_ports), 0);
	assert_int_equal(plan.n_nodes, 2);
	assert_int_equal(plan.mib[0], need(1, 1, 0, 0));
	assert_int_equal(plan.mib[1], need(1, 1, 0, 0));
	assert_int_equal(plan.node[1], 1);
	assert_int_equal(plan_for(&lcores[1], 1, &no_ports), 0);
	assert_int_equal(plan.n_nodes, 2);
	assert_int_equal(plan.mib[0], 0);
	assert_int_equal(plan.mib[1], need(1, 0, 0, 0));
	assert_int_equal(plan.node[0], 1);
}

/* On their node, or on the node that stands in for it; who asks for none is spread as the lcores are. */
static void
auto_has_room_for_the_ports(void **state)
{
	const struct placement_lcore lcores[] = {{.cpu = 0, .node = 0},
						 {.cpu = 2, .node = 1},
						 {.cpu = 3, .node = 1}};
	struct memory_ports ports = {0};

	(void)state;
	ports.on[0].ports = 5;
	ports.on[0].queues = 20;
	ports.on[1].ports = 7;
	ports.on[1].queues = 7;
	ports.on[DP_NODES_MAX].ports = 10;
	ports.on[DP_NODES_MAX].queues = 30;
	assert_int_equal(plan_for(lcores, 3, &ports), 0);
	assert_int_equal(plan.mib[0], need(1, 2, 5 + 4, 20 + 10));
	assert_int_equal(plan.mib[1], need(2, 1, 7 + 7, 7 + 20));
	assert_int_equal(plan_for(lcores, 1, &ports), 0);
	assert_int_equal(plan.mib[0], need(1, 0, 5 + 7 + 10, 20 + 7 + 30));
}

static void
auto_passes_over_nodes_without_memory(void **state)
{
	const struct placement_lcore lcore = {.cpu = 0, .node = 0};

	(void)state;
	machine.node[0].mem_kib = 0;
	assert_int_equal(plan_for(&lcore, 1, &no_ports), 0);
	assert_int_equal(plan.n_nodes, 2);
	assert_int_equal(plan.mib[0], 0);
	assert_int_equal(plan.mib[1], need(1, 0, 0, 0));
	assert_int_equal(plan.node[0], 1);
}

/* They have memory, and DPDK cannot use it. */
static void
nodes_without_cpus_are_not_used(void **state)
{
	const struct placement_lcore lcore = {.cpu = 0, .node = 0};
	const struct options o = {.n_memory = 2, .memory_mib = {64, 64}};
	struct err err = {0};

	(void)state;
	assert_int_equal(topology_parse("0,1,2", &machine, NULL), 0);
	machine.node_of_cpu[1] = -1;
	machine.node[0].mem_kib = 0;
	assert_int_equal(plan_for(&lcore, 1, &no_ports), 0);
	assert_int_equal(plan.mib[1], 0);
	assert_int_equal(plan.mib[2], need(1, 0, 0, 0));
	machine.node[0].mem_kib = 1;
	assert_int_equal(memory_plan(&o, &machine, &lcore, 1, &no_ports, &plan, &err), -EINVAL);
	assert_string_equal(err.param, "memory");
	assert_non_null(strstr(err.message, "node 1, which has no CPU"));
}

/* The firmware knows which way is short. */
static void
the_nearest_node_stands_in(void **state)
{
	const struct placement_lcore lcores[] = {{.cpu = 0, .node = 0}, {.cpu = 1, .node = 1}};

	(void)state;
	assert_int_equal(topology_parse("0,1,2,3", &machine, NULL), 0);
	machine.node[1].mem_kib = 0;
	for (unsigned int node = 0; node < 4; node++)
		machine.node[1].distance[node] = node == 3 ? 12 : 20;
	assert_int_equal(plan_for(lcores, 2, &no_ports), 0);
	assert_int_equal(plan.n_nodes, 4);
	assert_int_equal(plan.mib[0], need(1, 1, 0, 0));
	assert_int_equal(plan.mib[2], 0);
	assert_int_equal(plan.mib[3], need(1, 1, 0, 0));
	assert_int_equal(plan.node[1], 3);
}

static void
what_was_asked_for_is_planned(void **state)
{
	const struct placement_lcore lcore = {.cpu = 0, .node = 0};
	struct options o = {.n_memory = 2, .memory_mib = {64, 32}};

	(void)state;
	assert_int_equal(memory_plan(&o, &machine, &lcore, 1, &no_ports, &plan, NULL), 0);
	assert_int_equal(plan.n_nodes, 2);
	assert_int_equal(plan.mib[0], 64);
	assert_int_equal(plan.mib[1], 32);
	assert_int_equal(plan.node[1], 1);
	assert_false(plan.grows);
	o.memory_mib[1] = 0;
	assert_int_equal(memory_plan(&o, &machine, &lcore, 1, &no_ports, &plan, NULL), 0);
	assert_int_equal(plan.n_nodes, 1);
	assert_int_equal(plan.node[1], 0);
}

static void
what_cannot_be_is_refused(void **state)
{
	const struct placement_lcore lcore = {.cpu = 0, .node = 0};
	const struct options refused[] = {
		{.n_memory = 3, .memory_mib = {64, 64, 64}}, /* the machine has two nodes */
		{.n_memory = 1}, /* nothing at all */
		{.n_memory = 2, .memory_mib = {64, 64}}, /* the second has no memory */
	};

	(void)state;
	machine.node[1].mem_kib = 0;
	for (unsigned int i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct err err = {0};

		assert_int_equal(memory_plan(&refused[i], &machine, &lcore, 1, &no_ports, &plan,
					     &err),
				 -EINVAL);
		assert_string_equal(err.param, "memory");
		if (i == 2)
			assert_non_null(strstr(err.message, "node 1, which has no memory"));
	}
}

static void
missing_pages_are_counted(void **state)
{
	const struct memory_plan wanted = {.n_nodes = 2, .mib = {64, 128}};
	struct hugepages pages = {
		.n = 3,
		.entry = {{0, 2048, 100, 32, 0}, {1, 2048, 80, 60, 0}, {1, 1048576, 0, 0, 0}},
	};
	struct err err = {0};

	(void)state;
	assert_int_equal(memory_check(&wanted, &pages, &err), -ENOMEM);
	assert_string_equal(err.code, "no-hugepages");
	assert_non_null(strstr(err.message, "4 pages of 2048 kB are missing"));
	/* What is there, and what lacks. */
	assert_non_null(strstr(err.message, "echo 84 > /sys/devices/system/node/node1/hugepages/"
					    "hugepages-2048kB/nr_hugepages"));
	pages.entry[1].free = 64;
	assert_int_equal(memory_check(&wanted, &pages, NULL), 0);
	pages.entry[1].promised = 1;
	assert_int_equal(memory_check(&wanted, &pages, &err), -ENOMEM);
	assert_non_null(strstr(err.message, "1 pages of 2048 kB are missing"));
	pages.entry[1].free = pages.entry[1].promised = 0;
	pages.entry[2].total = pages.entry[2].free = 1;
	assert_int_equal(memory_check(&wanted, &pages, NULL), 0);
}

/* Two nodes cannot both count on the pages that the kernel could give another process of either. */
static void
what_was_promised_is_missing_once(void **state)
{
	const struct memory_plan wanted = {.n_nodes = 2, .mib = {64, 64}};
	struct hugepages pages = {
		.n = 2,
		.entry = {{0, 2048, 40, 40, 16}, {1, 2048, 40, 40, 16}},
	};
	struct err err = {0};

	(void)state;
	assert_int_equal(memory_check(&wanted, &pages, NULL), 0);
	pages.entry[0].promised = pages.entry[1].promised = 17;
	assert_int_equal(memory_check(&wanted, &pages, &err), -ENOMEM);
	assert_non_null(strstr(err.message, "node 1 has 62 MiB"));
}

static void
a_kernel_without_hugepages_is_told_apart(void **state)
{
	const struct memory_plan wanted = {.n_nodes = 1, .mib = {63}};
	const struct hugepages none = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(memory_check(&wanted, &none, &err), -ENOMEM);
	assert_non_null(strstr(err.message, "32 pages"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(auto_serves_the_nodes_of_the_lcores, setup),
		cmocka_unit_test_setup(auto_has_room_for_the_ports, setup),
		cmocka_unit_test_setup(the_nearest_node_stands_in, setup),
		cmocka_unit_test_setup(what_cannot_be_is_refused, setup),
		cmocka_unit_test_setup(auto_passes_over_nodes_without_memory, setup),
		cmocka_unit_test_setup(nodes_without_cpus_are_not_used, setup),
		cmocka_unit_test_setup(what_was_asked_for_is_planned, setup),
		cmocka_unit_test(missing_pages_are_counted),
		cmocka_unit_test(what_was_promised_is_missing_once),
		cmocka_unit_test(a_kernel_without_hugepages_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
