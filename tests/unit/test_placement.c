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
#include "numa/placement.h"

#define LCORES_MAX 64

static struct topology topo; /* too large for a stack */
static struct placement_lcore lcores[LCORES_MAX];
static cpu_set_t control_cpus;

static void
cpus_set(const char *list, cpu_set_t *set)
{
	if (*list == '\0')
		CPU_ZERO(set);
	else
		assert_int_equal(cpulist_parse(list, set, NULL), 0);
}

static void
forward_fill(int n, cpu_set_t *forward)
{
	CPU_ZERO(forward);
	for (int i = 0; i < n; i++)
		CPU_SET(lcores[i].cpu, forward);
}

/* ---- "auto" on machines that one can check by eye ------------------------------------------ */

static void
auto_on_known_machines(void **state)
{
	static const struct {
		const char *nodes, *allowed, *isolated, *nohz_full;
		unsigned int threads; /* of a core; siblings are neighbours */
		const char *forward, *control;
	} machine[] = {
		{"0", "0", "", "", 1, "0", "0"},
		{"0,0", "0-1", "", "", 1, "1", "0"},
		{"0,0,0,0", "0-3", "", "", 1, "3", "0-2"},
		{"0,0,0,0", "0-2", "", "", 1, "2", "0-1"},
		{"0,0,0,0", "2", "", "", 1, "2", "2"},
		{"0,0,1,1", "0-3", "", "", 1, "1,3", "0,2"},
		{"0,1,0,1", "0-3", "", "", 1, "2-3", "0-1"},
		{"0,0,1,1", "0-1", "", "", 1, "1", "0"},
		/* A node's only CPU is taken, the machine's last is not. */
		{"0,1,1", "0-2", "", "", 1, "0,2", "1"},
		{"0,1", "0-1", "", "", 1, "1", "0"},
		/* Isolated ones first, all of them, and only allowed ones. */
		{"0,0,0,0", "0-3", "1-2", "", 1, "1-2", "0,3"},
		{"0,0,0,0", "0,2-3", "1-2", "", 1, "2", "0,3"},
		{"0,0,1,1", "0-3", "1", "", 1, "1,3", "0,2"},
		/* Everything that we may use is isolated: one is left all the same. */
		{"0,0,0,0", "2-3", "2-3", "", 1, "3", "2"},
		/* One hyperthread a core; its sibling is no place for the rest. */
		{"0,0,0,0,0,0", "0-5", "2-5", "", 2, "2,4", "0-1"},
		{"0,0,0,0", "2-3", "2-3", "", 2, "2", "3"},
		{"0,0,1,1,1,1", "0-5", "4-5", "", 2, "1,4", "0,2-3"},
		/* CPUs without a tick stand in for isolated ones, node by node. */
		{"0,0,0,0", "0-3", "", "1-2", 1, "1-2", "0,3"},
		{"0,0,0,0", "0-3", "2", "1-3", 1, "2", "0"},
		{"0,0,0,1,1,1", "0-5", "1", "2,4-5", 1, "1,4-5", "0,3"},
		{"0,0,0,0", "0-3", "", "2-3", 2, "2", "0-1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]); i++) {
		char text[CPULIST_SIZE];
		cpu_set_t forward;
		int n;

		assert_int_equal(topology_parse(machine[i].nodes, &topo, NULL), 0);
		cpus_set(machine[i].allowed, &topo.allowed);
		cpus_set(machine[i].isolated, &topo.isolated);
		cpus_set(machine[i].nohz_full, &topo.nohz_full);
		for (unsigned int cpu = 0; cpu < topo.n_cpus; cpu++)
			topo.core_of_cpu[cpu] = cpu - cpu % machine[i].threads;
		n = placement_lcores(&topo, "auto", lcores, LCORES_MAX, &control_cpus, NULL);
		assert_true(n > 0);
		forward_fill(n, &forward);
		cpulist_format(&forward, text, sizeof(text));
		assert_string_equal(text, machine[i].forward);
		cpulist_format(&control_cpus, text, sizeof(text));
		assert_string_equal(text, machine[i].control);
	}
}

static void
auto_leaves_a_node_without_memory_out(void **state)
{
	(void)state;
	topology_parse("0,0,1,1", &topo, NULL);
	topo.node[0].mem_kib = 0;
	assert_int_equal(placement_lcores(&topo, "auto", lcores, LCORES_MAX, &control_cpus, NULL),
			 1);
	assert_int_equal(lcores[0].cpu, 3);

	/* Unless there is nothing else. */
	cpus_set("0-1", &topo.allowed);
	assert_int_equal(placement_lcores(&topo, "auto", lcores, LCORES_MAX, &control_cpus, NULL),
			 1);
	assert_int_equal(lcores[0].cpu, 1);
	assert_int_equal(lcores[0].node, 0);
}

static void
auto_without_any_cpu_is_an_error(void **state)
{
	struct err err;

	(void)state;
	topology_parse("0,0", &topo, NULL);
	CPU_ZERO(&topo.allowed);
	assert_int_equal(placement_lcores(&topo, "auto", lcores, LCORES_MAX, &control_cpus, &err),
			 -EINVAL);
	assert_string_equal(err.code, "bad-lcores");
	assert_string_equal(err.param, "lcores");
}

/* ---- a list -------------------------------------------------------------------------------- */

static void
list_is_taken_as_it_is(void **state)
{
	(void)state;
	topology_parse("1,0,1,0", &topo, NULL);
	assert_int_equal(placement_lcores(&topo, "0-1,3", lcores, LCORES_MAX, &control_cpus, NULL),
			 3);
	assert_int_equal(lcores[0].cpu, 1);
	assert_int_equal(lcores[0].node, 0);
	assert_int_equal(lcores[1].cpu, 3);
	assert_int_equal(lcores[2].cpu, 0);
	assert_int_equal(lcores[2].node, 1);
	assert_int_equal(CPU_COUNT(&control_cpus), 1);
	assert_true(CPU_ISSET(2, &control_cpus));

	/* All of them: then everything else shares them. */
	assert_int_equal(placement_lcores(&topo, "0-3", lcores, LCORES_MAX, &control_cpus, NULL),
			 4);
	assert_true(CPU_EQUAL(&control_cpus, &topo.allowed));
}

static void
list_refuses_with_the_remedy(void **state)
{
	static const struct {
		const char *spec, *cause, *remedy;
	} bad[] = {
		{"", "CPU list", "auto"},
		{"all", "\"all\"", "auto"},
		{"1-", "\"1-\"", "auto"},
		{"1,64", "CPU 64", "only the CPUs 0-7: take it out"},
		{"2", "CPU 2", "offline: bring it up"},
		{"0-3", "CPU 2", "offline"},
		{"5", "CPU 5", "cpuset"},
		{"6", "CPU 6 of memory node 9", "nodes 0 to 7"},
		{"0,1,3,4", "4 CPUs", "at most 3"},
	};

	(void)state;
	topology_parse("0,0,0,0,0,0,0,0", &topo, NULL);
	CPU_CLR(2, &topo.online);
	topo.allowed = topo.online;
	CPU_CLR(5, &topo.allowed);
	topo.node_of_cpu[6] = 9;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err;

		assert_int_equal(placement_lcores(&topo, bad[i].spec, lcores, 3, &control_cpus,
						  &err),
				 -EINVAL);
		assert_string_equal(err.code, "bad-lcores");
		assert_string_equal(err.param, "lcores");
		assert_non_null(strstr(err.message, bad[i].cause));
		assert_non_null(strstr(err.message, bad[i].remedy));
	}
}

/* ---- queues -------------------------------------------------------------------------------- */

/* Nodes 0, 1 and 3 have lcores; node 2 is nearer to 3 than to 1. */
static void
queue_lcores_fill(void)
{
	topology_parse("0,0,1,1,3", &topo, NULL);
	topo.node[3].distance[2] = 12;
	assert_int_equal(placement_lcores(&topo, "0-4", lcores, LCORES_MAX, &control_cpus, NULL),
			 5);
}

static void
queue_goes_to_the_least_busy_of_its_node(void **state)
{
	(void)state;
	queue_lcores_fill();
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){0, 0, 0, 0, 0}, 0), 0);
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){1, 0, 0, 0, 0}, 0), 1);
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){9, 9, 0, 0, 0}, 0), 0);
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){0, 0, 3, 2, 0}, 1), 3);
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){0, 0, 0, 0, 7}, 3), 4);
}

static void
queue_of_a_node_without_lcore_goes_to_the_nearest(void **state)
{
	(void)state;
	queue_lcores_fill();
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){0, 0, 0, 0, 7}, 2), 4);
	/* As far from each: the least busy of all. */
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){2, 1, 3, 1, 7}, 5), 1);
}

static void
queue_of_any_node_goes_to_the_least_busy(void **state)
{
	(void)state;
	queue_lcores_fill();
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){1, 1, 1, 1, 0}, -1), 4);
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){1, 1, 1, 1, 1}, -1), 0);
	assert_int_equal(placement_queue(lcores, 5, (unsigned int[]){1, 0, 1, 1, 1}, 1000), 1);
	assert_int_equal(placement_queue(lcores, 1, (unsigned int[]){1}, -1), 0);
}

/* Queues that come one by one are never spread worse than one apart. */
static void
queues_are_spread_evenly(void **state)
{
	unsigned int queues_on[5] = {0};

	(void)state;
	srandom(3);
	queue_lcores_fill();
	for (int queue = 0; queue < 1000; queue++) {
		unsigned int chosen = placement_queue(lcores, 5, queues_on, random() % 2);

		queues_on[chosen]++;
		assert_true(abs((int)queues_on[0] - (int)queues_on[1]) <= 1);
		assert_true(abs((int)queues_on[2] - (int)queues_on[3]) <= 1);
		assert_int_equal(queues_on[4], 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(auto_on_known_machines),
		cmocka_unit_test(auto_leaves_a_node_without_memory_out),
		cmocka_unit_test(auto_without_any_cpu_is_an_error),
		cmocka_unit_test(list_is_taken_as_it_is),
		cmocka_unit_test(list_refuses_with_the_remedy),
		cmocka_unit_test(queue_goes_to_the_least_busy_of_its_node),
		cmocka_unit_test(queue_of_a_node_without_lcore_goes_to_the_nearest),
		cmocka_unit_test(queue_of_any_node_goes_to_the_least_busy),
		cmocka_unit_test(queues_are_spread_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
