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

#include "numa/cpulist.h"
#include "numa/topology.h"
#include "tests/unit/fake_sysfs.h"

static struct topology topo; /* too large for a stack */

static void
assert_list(const cpu_set_t *set, const char *want)
{
	char text[CPULIST_SIZE];

	assert_true(cpulist_format(set, text, sizeof(text)) >= 0);
	assert_string_equal(text, want);
}

/* ---- text ---------------------------------------------------------------------------------- */

static void
parse_two_nodes(void **state)
{
	(void)state;
	assert_int_equal(topology_parse("0,0,1,1", &topo, NULL), 0);
	assert_int_equal(topo.n_nodes, 2);
	assert_int_equal(topo.n_cpus, 4);
	for (int cpu = 0; cpu < 4; cpu++) {
		assert_int_equal(topo.node_of_cpu[cpu], cpu / 2);
		assert_int_equal(topo.core_of_cpu[cpu], cpu);
	}
	assert_int_equal(topo.node_of_cpu[4], -1);
	assert_list(&topo.present, "0-3");
	assert_list(&topo.online, "0-3");
	assert_list(&topo.allowed, "0-3");
	assert_list(&topo.isolated, "");
	assert_true(topo.node[0].present && topo.node[0].mem_kib > 0);
	assert_true(topo.node[1].present && topo.node[1].mem_kib > 0);
	assert_false(topo.node[2].present);
	assert_true(topo.node[0].distance[0] < topo.node[0].distance[1]);
}

static void
parse_nodes_with_a_gap(void **state)
{
	(void)state;
	assert_int_equal(topology_parse("7,2,7", &topo, NULL), 0);
	assert_int_equal(topo.n_nodes, 8);
	assert_int_equal(topo.n_cpus, 3);
	assert_false(topo.node[0].present);
	assert_true(topo.node[2].present);
	assert_int_equal(topo.node_of_cpu[1], 2);
}

static void
parse_up_to_256_cpus(void **state)
{
	char text[2 * 257 + 1];
	struct err err;

	(void)state;
	for (int cpu = 0; cpu < 257; cpu++) {
		text[2 * cpu] = '0' + cpu % 8;
		text[2 * cpu + 1] = ',';
	}
	text[2 * 257 - 1] = '\0';
	assert_int_equal(topology_parse(text, &topo, &err), -EINVAL);
	assert_non_null(strstr(err.message, "256"));
	text[2 * 256 - 1] = '\0';
	assert_int_equal(topology_parse(text, &topo, NULL), 0);
	assert_int_equal(topo.n_cpus, 256);
	assert_int_equal(topo.n_nodes, 8);
}

static void
parse_refuses(void **state)
{
	static const struct {
		const char *text, *quoted;
	} bad[] = {
		{"", "\"\""},	    {"0,", "\"\""},	{",0", "\"\""},	    {"0,8", "\"8\""},
		{"0,-1", "\"-1\""}, {"0,10", "\"10\""}, {"0 ,1", "\"0 \""}, {"x", "\"x\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err;

		assert_int_equal(topology_parse(bad[i].text, &topo, &err), -EINVAL);
		assert_string_equal(err.code, "bad-topology");
		assert_non_null(strstr(err.message, bad[i].quoted));
	}
}

/* ---- sysfs --------------------------------------------------------------------------------- */

/* Two sockets of two cores with two hyperthreads; CPU 3 offline; node 1 has no memory; node 9,
 * beyond what we know, has CPU 8. */
static char *
odd_machine_add(void)
{
	char *root = fake_sysfs_add();

	fake_sysfs_write(root, "devices/system/cpu/present", "0-8\n");
	fake_sysfs_write(root, "devices/system/cpu/online", "0-2,4-8\n");
	fake_sysfs_write(root, "devices/system/cpu/isolated", "2,6\n");
	fake_sysfs_write(root, "devices/system/cpu/nohz_full", "2,5-6\n");
	for (int cpu = 0; cpu < 8; cpu++) {
		char name[128], siblings[32];

		snprintf(name, sizeof(name),
			 "devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
		snprintf(siblings, sizeof(siblings), "%d,%d\n", cpu % 4, cpu % 4 + 4);
		if (cpu != 3)
			fake_sysfs_write(root, name, cpu == 7 ? "7\n" : siblings);
	}
	fake_sysfs_write(root, "devices/system/node/online", "0-1,9\n");
	fake_sysfs_write(root, "devices/system/node/node0/cpulist", "0-1,4-5\n");
	fake_sysfs_write(root, "devices/system/node/node0/meminfo",
			 "Node 0 MemTotal:        8192 kB\nNode 0 MemFree:  5 kB\n");
	fake_sysfs_write(root, "devices/system/node/node0/distance", "10 21 40\n");
	fake_sysfs_write(root, "devices/system/node/node1/cpulist", "2,6-7\n");
	fake_sysfs_write(root, "devices/system/node/node1/meminfo",
			 "Node 1 MemTotal:           0 kB\n");
	fake_sysfs_write(root, "devices/system/node/node1/distance", "21 10 40\n");
	fake_sysfs_write(root, "devices/system/node/node9/cpulist", "8\n");
	return root;
}

static void
machine_is_read_from_sysfs(void **state)
{
	char *root = odd_machine_add();
	struct err err;

	(void)state;
	assert_int_equal(topology_read_machine(&topo, root, &err), 0);
	assert_int_equal(topo.n_cpus, 9);
	assert_int_equal(topo.n_nodes, 2);
	assert_list(&topo.present, "0-8");
	assert_list(&topo.online, "0-2,4-8");
	assert_list(&topo.allowed, "0-2,4-8");
	assert_list(&topo.isolated, "2,6");
	assert_list(&topo.nohz_full, "2,5-6");
	assert_int_equal(topo.node_of_cpu[0], 0);
	assert_int_equal(topo.node_of_cpu[6], 1);
	assert_int_equal(topo.node_of_cpu[3], -1);
	assert_int_equal(topo.node_of_cpu[8], 9);
	assert_int_equal(topo.core_of_cpu[6], topo.core_of_cpu[2]);
	assert_int_not_equal(topo.core_of_cpu[1], topo.core_of_cpu[2]);
	assert_int_equal(topo.core_of_cpu[7], 7);
	assert_int_equal(topo.node[0].mem_kib, 8192);
	assert_int_equal(topo.node[1].mem_kib, 0);
	assert_true(topo.node[1].present);
	assert_int_equal(topo.node[0].distance[1], 21);
	assert_int_equal(topo.node[1].distance[1], 10);
	fake_sysfs_del(root);
}

/* The distance file has columns for online nodes only: 0 and 2 here. */
static void
distances_of_nodes_with_a_gap(void **state)
{
	char *root = fake_sysfs_add();

	(void)state;
	fake_sysfs_write(root, "devices/system/cpu/present", "0-1\n");
	fake_sysfs_write(root, "devices/system/cpu/online", "0-1\n");
	fake_sysfs_write(root, "devices/system/node/online", "0,2\n");
	fake_sysfs_write(root, "devices/system/node/node0/cpulist", "0-1\n");
	fake_sysfs_write(root, "devices/system/node/node0/distance", "10 17\n");
	fake_sysfs_write(root, "devices/system/node/node2/cpulist", "\n");
	fake_sysfs_write(root, "devices/system/node/node2/distance", "17 10\n");
	assert_int_equal(topology_read_machine(&topo, root, NULL), 0);
	assert_int_equal(topo.n_nodes, 3);
	assert_false(topo.node[1].present);
	assert_int_equal(topo.node[0].distance[2], 17);
	assert_int_equal(topo.node[2].distance[0], 17);
	assert_int_equal(topo.node[2].distance[2], 10);
	fake_sysfs_del(root);
}

static void
kernel_without_numa_has_one_node(void **state)
{
	char *root = fake_sysfs_add();

	(void)state;
	fake_sysfs_write(root, "devices/system/cpu/present", "0-1\n");
	fake_sysfs_write(root, "devices/system/cpu/online", "0\n");
	assert_int_equal(topology_read_machine(&topo, root, NULL), 0);
	assert_int_equal(topo.n_nodes, 1);
	assert_int_equal(topo.node_of_cpu[0], 0);
	assert_int_equal(topo.node_of_cpu[1], -1);
	assert_true(topo.node[0].mem_kib > 0);
	assert_list(&topo.isolated, "");
	assert_list(&topo.nohz_full, "");
	fake_sysfs_del(root);
}

/* A kernel that could, but was not told to, says so in words or with an empty line. */
static void
no_cpu_is_without_tick(void **state)
{
	static const char *const none[] = {"(null)\n", "  (null)\n", "\n"};
	char *root = odd_machine_add();

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		fake_sysfs_write(root, "devices/system/cpu/nohz_full", none[i]);
		assert_int_equal(topology_read_machine(&topo, root, NULL), 0);
		assert_list(&topo.nohz_full, "");
	}
	fake_sysfs_del(root);
}

static void
online_cpus_are_read_anew(void **state)
{
	char *root = odd_machine_add();
	cpu_set_t online;
	struct err err;

	(void)state;
	assert_int_equal(topology_read_online(&online, root, NULL), 0);
	assert_list(&online, "0-2,4-8");
	fake_sysfs_write(root, "devices/system/cpu/online", "0,3\n");
	assert_int_equal(topology_read_online(&online, root, NULL), 0);
	assert_list(&online, "0,3");
	fake_sysfs_del(root);
	root = fake_sysfs_add();
	assert_int_equal(topology_read_online(&online, root, &err), -ENOENT);
	assert_string_equal(err.code, "bad-topology");
	fake_sysfs_del(root);
}

static void
node_of_a_pci_device(void **state)
{
	static const struct {
		const char *address;
		int node;
	} cases[] = {
		{"0000:3b:00.1", 3},   {"0000:3b:00.1,txq=2", 3},
		{"3b:00.1", 3},	       {"10000:3b:00.1", -1},
		{"0000:3b:00.2", -1}, /* the kernel does not know */
		{"0000:3b:00.3", -1}, /* nothing there */
		{"0000:3b:00.1x", -1}, {"net_tap0", -1},
		{"/etc/passwd", -1},   {"", -1},
	};
	char *root = fake_sysfs_add();

	(void)state;
	fake_sysfs_write(root, "bus/pci/devices/0000:3b:00.1/numa_node", "3\n");
	fake_sysfs_write(root, "bus/pci/devices/0000:3b:00.2/numa_node", "-1\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(topology_pci_node(cases[i].address, root), cases[i].node);
	fake_sysfs_del(root);
}

static void
missing_sysfs_is_an_error(void **state)
{
	char *root = fake_sysfs_add();
	struct err err;

	(void)state;
	assert_int_equal(topology_read_machine(&topo, root, &err), -ENOENT);
	assert_string_equal(err.code, "bad-topology");
	assert_non_null(strstr(err.message, "devices/system/cpu/present"));
	fake_sysfs_del(root);
}

/* ---- this process -------------------------------------------------------------------------- */

static void
affinity_limits_what_is_allowed(void **state)
{
	cpu_set_t before, one, after;
	struct err err;
	int cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(topology_read(&topo, &err), 0);
	assert_true(CPU_EQUAL(&topo.allowed, &before) || CPU_COUNT(&topo.isolated) > 0);
	assert_true(topo.node[topo.node_of_cpu[sched_getcpu()]].present);

	while (!CPU_ISSET(cpu, &before) || CPU_ISSET(cpu, &topo.isolated))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(topology_read(&topo, &err), 0);
	sched_getaffinity(0, sizeof(after), &after);
	sched_setaffinity(0, sizeof(before), &before);
	assert_true(CPU_ISSET(cpu, &topo.allowed));
	CPU_CLR(cpu, &topo.allowed);
	for (unsigned int other = 0; other < topo.n_cpus; other++)
		if (CPU_ISSET(other, &topo.allowed))
			assert_true(CPU_ISSET(other, &topo.isolated));
	assert_true(CPU_EQUAL(&after, &one));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_two_nodes),
		cmocka_unit_test(parse_nodes_with_a_gap),
		cmocka_unit_test(parse_up_to_256_cpus),
		cmocka_unit_test(parse_refuses),
		cmocka_unit_test(machine_is_read_from_sysfs),
		cmocka_unit_test(distances_of_nodes_with_a_gap),
		cmocka_unit_test(kernel_without_numa_has_one_node),
		cmocka_unit_test(no_cpu_is_without_tick),
		cmocka_unit_test(online_cpus_are_read_anew),
		cmocka_unit_test(node_of_a_pci_device),
		cmocka_unit_test(missing_sysfs_is_an_error),
		cmocka_unit_test(affinity_limits_what_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
