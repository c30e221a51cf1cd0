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

#include "numa/cpulist.h"
#include "numa/placement.h"

#define LCORES_MAX 64
#define CPUS_MAX 256

/* Choosing forwarding CPUs on machines of all kinds, up to 8 nodes and 256 CPUs. */

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

/* ---- "auto" on any machine ----------------------------------------------------------------- */

static void
machine_invent(void)
{
	unsigned int n_cpus = 1 + random() % (random() % 4 == 0 ? CPUS_MAX : 24);
	unsigned int n_nodes = 1 + random() % TOPOLOGY_NODES_MAX;
	unsigned int threads = 1 + random() % 2;
	unsigned int isolated = random() % 4, nohz_full = random() % 4; /* one CPU of so many */
	char text[2 * CPUS_MAX];

	for (unsigned int cpu = 0; cpu < n_cpus; cpu++) {
		text[2 * cpu] = '0' + random() % n_nodes;
		text[2 * cpu + 1] = cpu + 1 < n_cpus ? ',' : '\0';
	}
	assert_int_equal(topology_parse(text, &topo, NULL), 0);
	for (unsigned int cpu = 0; cpu < n_cpus; cpu++) {
		topo.core_of_cpu[cpu] = cpu - cpu % threads;
		topo.node_of_cpu[cpu] = topo.node_of_cpu[topo.core_of_cpu[cpu]];
		if (random() % 4 == 0)
			CPU_CLR(cpu, &topo.allowed);
		if (isolated > 0 && random() % isolated == 0)
			CPU_SET(cpu, &topo.isolated);
		if (nohz_full > 0 && random() % nohz_full == 0)
			CPU_SET(cpu, &topo.nohz_full);
	}
	CPU_SET(random() % n_cpus, &topo.allowed);
	for (unsigned int node = 0; node < n_nodes; node++)
		if (random() % 5 == 0)
			topo.node[node].mem_kib = 0;
}

/* How good a CPU is to forward: isolated, else without a tick, else neither. */
static unsigned int
kind_of(unsigned int cpu)
{
	if (CPU_ISSET(cpu, &topo.isolated))
		return 0;
	return CPU_ISSET(cpu, &topo.nohz_full) ? 1 : 2;
}

/* What holds for every choice that nobody made by hand. */
static void
check_choice(int n, unsigned int max, const cpu_set_t *forward)
{
	unsigned int allowed_on[TOPOLOGY_NODES_MAX] = {0}, shared_left_on[TOPOLOGY_NODES_MAX] = {0};
	unsigned int shared_on[TOPOLOGY_NODES_MAX] = {0};
	cpu_set_t both;

	assert_in_range(n, 1, max);
	assert_int_equal(CPU_COUNT(forward), n); /* no CPU twice */
	for (int i = 0; i < n; i++) {
		assert_true(CPU_ISSET(lcores[i].cpu, &topo.allowed));
		assert_int_equal(lcores[i].node, topo.node_of_cpu[lcores[i].cpu]);
		if (i > 0)
			assert_true(lcores[i - 1].node < lcores[i].node ||
				    (lcores[i - 1].node == lcores[i].node &&
				     lcores[i - 1].cpu < lcores[i].cpu));
		for (int j = 0; j < i; j++)
			assert_int_not_equal(topo.core_of_cpu[lcores[i].cpu],
					     topo.core_of_cpu[lcores[j].cpu]);
	}
	for (unsigned int cpu = 0; cpu < topo.n_cpus; cpu++) {
		if (!CPU_ISSET(cpu, &topo.allowed))
			continue;
		allowed_on[topo.node_of_cpu[cpu]]++;
		if (kind_of(cpu) < 2)
			continue;
		if (CPU_ISSET(cpu, forward))
			shared_on[topo.node_of_cpu[cpu]]++;
		else
			shared_left_on[topo.node_of_cpu[cpu]]++;
	}
	for (int node = 0; node < TOPOLOGY_NODES_MAX; node++)
		if (shared_on[node] > 0 && allowed_on[node] > 1)
			assert_true(shared_left_on[node] > 0);

	/* Somebody is left for the rest where two could be had. */
	assert_true(CPU_COUNT(&control_cpus) > 0);
	CPU_AND(&both, &control_cpus, &topo.allowed);
	assert_true(CPU_EQUAL(&both, &control_cpus));
	CPU_AND(&both, &control_cpus, forward);
	assert_int_equal(CPU_COUNT(&both), CPU_COUNT(&topo.allowed) == 1 ? 1 : 0);
}

/* "auto" takes CPUs of one kind of a node, and one alone of those that are not set apart. */
static void
check_kinds(int n)
{
	unsigned int of_kind[TOPOLOGY_NODES_MAX][3] = {0};

	for (int i = 0; i < n; i++)
		of_kind[lcores[i].node][kind_of(lcores[i].cpu)]++;
	for (int node = 0; node < TOPOLOGY_NODES_MAX; node++) {
		const unsigned int *k = of_kind[node];

		assert_true((k[0] > 0) + (k[1] > 0) + (k[2] > 0) <= 1);
		assert_true(k[2] <= 1);
	}
}

/* Every node with memory and a CPU for it has an lcore; at most one node had to do without, since
 * a CPU was to be left. */
static void
check_nodes_served(int n)
{
	unsigned int unserved = 0;

	for (unsigned int node = 0; node < topo.n_nodes; node++) {
		bool could = false, served = false;

		for (unsigned int cpu = 0; cpu < topo.n_cpus; cpu++)
			could |=
				CPU_ISSET(cpu, &topo.allowed) && topo.node_of_cpu[cpu] == (int)node;
		for (int i = 0; i < n; i++)
			served |= lcores[i].node == (int)node;
		unserved += topo.node[node].mem_kib > 0 && could && !served;
	}
	assert_true(unserved <= (n + 1 == CPU_COUNT(&topo.allowed)));
}

/* So many on each node as were asked for, and none where a better one was to be had. */
static void
check_counts(int n, const unsigned int *wanted)
{
	unsigned int got[TOPOLOGY_NODES_MAX] = {0};

	for (int i = 0; i < n; i++)
		got[lcores[i].node]++;
	for (int node = 0; node < TOPOLOGY_NODES_MAX; node++)
		assert_int_equal(got[node], wanted[node]);
	for (unsigned int cpu = 0; cpu < topo.n_cpus; cpu++) {
		bool core_forwards = false;

		for (int i = 0; i < n; i++)
			core_forwards |= topo.core_of_cpu[lcores[i].cpu] == topo.core_of_cpu[cpu];
		for (int i = 0; i < n && !core_forwards && CPU_ISSET(cpu, &topo.allowed); i++)
			if (lcores[i].node == topo.node_of_cpu[cpu] && kind_of(cpu) < 2)
				assert_true(kind_of(lcores[i].cpu) <= kind_of(cpu));
	}
}

static void
auto_on_any_machine(void **state)
{
	static struct placement_lcore again[LCORES_MAX];

	(void)state;
	srandom(2);
	for (int round = 0; round < 2000; round++) {
		unsigned int max = random() % 4 == 0 ? 8 + random() % 8 : LCORES_MAX;
		cpu_set_t forward, control_again;
		int n;

		machine_invent();
		n = placement_lcores(&topo, "auto", lcores, max, &control_cpus, NULL);
		forward_fill(n, &forward);
		check_choice(n, max, &forward);
		check_kinds(n);
		check_nodes_served(n);

		assert_int_equal(placement_lcores(&topo, "auto", again, max, &control_again, NULL),
				 n);
		assert_memory_equal(again, lcores, n * sizeof(lcores[0]));
		assert_true(CPU_EQUAL(&control_again, &control_cpus));
	}
}

/* ---- a count for each node ----------------------------------------------------------------- */

static void
counts_on_known_machines(void **state)
{
	static const struct {
		const char *nodes, *isolated, *nohz_full, *spec, *forward;
		unsigned int threads;
	} machine[] = {
		{"0,0,0,0", "", "", "auto:2", "2-3", 1},
		{"0,0,1,1", "", "", "auto:1", "1,3", 1},
		{"0,0,0,1,1,1", "", "", "auto:2,1", "1-2,5", 1},
		{"0,0,0,1,1,1", "", "", "auto:0,2", "4-5", 1},
		{"0,0,0,1,1,1", "", "", "auto:2", "1-2,4-5", 1},
		{"2,2,2,0,0,0", "", "", "auto:1,0,2", "1-2,5", 1},
		/* Isolated ones first, then those without a tick, then the highest. */
		{"0,0,0,0,0,0", "3", "1", "auto:1", "3", 1},
		{"0,0,0,0,0,0", "3", "1", "auto:2", "1,3", 1},
		{"0,0,0,0,0,0", "3", "1", "auto:3", "1,3,5", 1},
		{"0,0,0,0,0,0", "3", "1", "auto:5", "1-5", 1},
		/* One hyperthread of a core. */
		{"0,0,0,0,0,0", "2-5", "", "auto:2", "2,4", 2},
		{"0,0,0,0,0,0", "2-5", "", "auto:3", "1-2,4", 2},
		/* The node's only CPU. */
		{"0,0,1", "", "", "auto:0,1", "2", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]); i++) {
		char text[CPULIST_SIZE];
		cpu_set_t forward;
		int n;

		assert_int_equal(topology_parse(machine[i].nodes, &topo, NULL), 0);
		cpus_set(machine[i].isolated, &topo.isolated);
		cpus_set(machine[i].nohz_full, &topo.nohz_full);
		for (unsigned int cpu = 0; cpu < topo.n_cpus; cpu++)
			topo.core_of_cpu[cpu] = cpu - cpu % machine[i].threads;
		n = placement_lcores(&topo, machine[i].spec, lcores, LCORES_MAX, &control_cpus,
				     NULL);
		assert_true(n > 0);
		forward_fill(n, &forward);
		cpulist_format(&forward, text, sizeof(text));
		assert_string_equal(text, machine[i].forward);
		check_choice(n, LCORES_MAX, &forward);
	}
}

/* How many CPUs of a node may forward, found in another way: a core gives one, and one that is not
 * set apart stays, if it is not all there is. */
static unsigned int
usable_on(int node)
{
	unsigned int n = 0, cores_apart = 0, shared = 0, allowed = 0, cores_shared = 0;

	for (unsigned int core = 0; core < topo.n_cpus; core++) {
		bool any_apart = false, any_shared = false;

		for (unsigned int cpu = 0; cpu < topo.n_cpus; cpu++) {
			if (topo.core_of_cpu[cpu] != core || topo.node_of_cpu[cpu] != node ||
			    !CPU_ISSET(cpu, &topo.allowed))
				continue;
			allowed++;
			shared += kind_of(cpu) == 2;
			any_apart |= kind_of(cpu) < 2;
			any_shared |= kind_of(cpu) == 2;
		}
		cores_apart += any_apart;
		cores_shared += !any_apart && any_shared;
	}
	n = cores_apart + cores_shared;
	if (shared > 0 && cores_shared == shared && allowed > 1)
		n--; /* every one of them would be taken */
	return n;
}

static void
counts_on_any_machine(void **state)
{
	unsigned int given = 0, refused = 0;

	(void)state;
	srandom(5);
	for (int round = 0; round < 2000; round++) {
		unsigned int wanted[TOPOLOGY_NODES_MAX], sum = 0, short_of = 0;
		char spec[64] = "auto:";
		struct err err;
		int n;

		machine_invent();
		for (int node = 0; node < TOPOLOGY_NODES_MAX; node++) {
			unsigned int usable = usable_on(node);

			wanted[node] = random() % 3 == 0 ? 0 : random() % (usable + 1);
			wanted[node] += random() % 40 == 0;
			short_of += wanted[node] > usable;
			sum += wanted[node];
			sprintf(strchr(spec, '\0'), "%s%u", node == 0 ? "" : ",", wanted[node]);
		}
		n = placement_lcores(&topo, spec, lcores, LCORES_MAX, &control_cpus, &err);
		if (short_of > 0 || sum == 0 || sum > LCORES_MAX ||
		    sum == (unsigned int)CPU_COUNT(&topo.allowed)) {
			assert_int_equal(n, -EINVAL);
			assert_string_equal(err.code, "bad-lcores");
			refused++;
		} else {
			cpu_set_t forward;

			assert_int_equal(n, sum);
			forward_fill(n, &forward);
			check_choice(n, LCORES_MAX, &forward);
			check_counts(n, wanted);
			given++;
		}
	}
	assert_true(given > 400 && refused > 200);
}

static void
counts_refuse_with_the_remedy(void **state)
{
	static const struct {
		const char *spec, *cause, *remedy;
	} bad[] = {
		{"auto:", "\"auto:\"", "\"auto:2,0,1\""},
		{"auto:2,", "\"auto:2,\"", "a number of CPUs"},
		{"auto:-1", "\"auto:-1\"", "a number of CPUs"},
		{"auto:two", "\"auto:two\"", "a number of CPUs"},
		{"auto:99999", "\"auto:99999\"", "a number of CPUs"},
		{"auto:1,1,1,1,1,1,1,1,1", "at most 8", "a number of CPUs"},
		{"auto 2", "auto 2", "\"auto:2\""},
		{"auto:0", "no CPU at all", "one that forwards"},
		{"auto:0,0,0", "no CPU at all", "one that forwards"},
		{"auto:4", "4 CPUs of memory node 0, which has 3 that may forward (CPU 1-3; one",
		 "\"auto:2,1\""},
		{"auto:3", "3 CPUs of memory node 1, which has 2 that may forward (CPU 5-6; one",
		 "widen the cgroup's cpuset"},
		{"auto:0,0,1", "1 CPU of memory node 2, which has 0 that may forward (one", "list"},
		{"auto:1,0,0,1", "memory node 3, which this machine does not have", "write 0"},
		{"auto:1,0,0,0,1", "1 CPU of memory node 4, which has no CPU", "with 0 for it"},
		{"auto:3,2", "5 CPUs, but at most 4", "fewer"},
	};

	(void)state;
	topology_parse("0,0,0,0,1,1,1,2", &topo, NULL);
	topo.node[2].mem_kib = 0;
	topo.node[4].present = true;
	CPU_CLR(7, &topo.allowed);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err;

		assert_int_equal(placement_lcores(&topo, bad[i].spec, lcores, 4, &control_cpus,
						  &err),
				 -EINVAL);
		assert_string_equal(err.code, "bad-lcores");
		assert_string_equal(err.param, "lcores");
		if (!strstr(err.message, bad[i].cause) || !strstr(err.message, bad[i].remedy))
			fail_msg("%s: %s", bad[i].spec, err.message);
	}
	/* Nothing would be left. */
	topology_parse("0,1", &topo, NULL);
	assert_int_equal(placement_lcores(&topo, "auto:1", lcores, 4, &control_cpus, NULL),
			 -EINVAL);
	/* Nobody has memory. */
	topo.node[0].mem_kib = topo.node[1].mem_kib = 0;
	assert_int_equal(placement_lcores(&topo, "auto:1", lcores, 4, &control_cpus, NULL),
			 -EINVAL);
}

/* "auto:1" leaves it out; whoever names it gets it. */
static void
counts_on_a_node_without_memory(void **state)
{
	(void)state;
	topology_parse("0,0,1,1", &topo, NULL);
	topo.node[1].mem_kib = 0;
	assert_int_equal(placement_lcores(&topo, "auto:1", lcores, LCORES_MAX, &control_cpus, NULL),
			 1);
	assert_int_equal(lcores[0].node, 0);
	assert_int_equal(placement_lcores(&topo, "auto:1,1", lcores, LCORES_MAX, &control_cpus,
					  NULL),
			 2);
	assert_int_equal(lcores[1].node, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(auto_on_any_machine),
		cmocka_unit_test(counts_on_known_machines),
		cmocka_unit_test(counts_on_any_machine),
		cmocka_unit_test(counts_refuse_with_the_remedy),
		cmocka_unit_test(counts_on_a_node_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
