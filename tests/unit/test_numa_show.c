/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/methods.h"
#include "numa/cpulist.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/fake_sysfs.h"

#define NIC "0000:3b:00.0"

/*
 * Three nodes of four CPUs, two hyperthreads a core; lcore 1 on CPU 3 of node 0, lcore 2 on CPU 7 of
 * node 1, none on node 2, which is far from 0 and a little nearer to 1.
 */
static struct daemon daemon_here;
static struct model_port ports[8];
static json_t *shown;
static cpu_set_t cpuset, affinity; /* of our cgroup, and of the thread that asks */

int __wrap_sched_getaffinity(pid_t tid, size_t size, cpu_set_t *set);
int __wrap_sched_setaffinity(pid_t tid, size_t size, const cpu_set_t *set);

int
__wrap_sched_getaffinity(pid_t tid, size_t size, cpu_set_t *set)
{
	(void)size;
	assert_int_equal(tid, 0);
	*set = affinity;
	return 0;
}

int
__wrap_sched_setaffinity(pid_t tid, size_t size, const cpu_set_t *set)
{
	(void)size;
	assert_int_equal(tid, 0);
	CPU_AND(&affinity, set, &cpuset);
	return 0;
}

static void
list_parse(const char *list, cpu_set_t *set)
{
	assert_int_equal(cpulist_parse(list, set, NULL), 0);
}

/* The machine as it is now. */
static void
machine_is(const char *root, const char *online, const char *const cpus[3])
{
	fake_sysfs_write(root, "devices/system/cpu/present", "0-11\n");
	fake_sysfs_write(root, "devices/system/cpu/isolated", "2-3\n");
	fake_sysfs_write(root, "devices/system/cpu/nohz_full", "6-7\n");
	fake_sysfs_write(root, "devices/system/cpu/online", online);
	fake_sysfs_write(root, "devices/system/node/online", "0-2\n");
	for (unsigned int node = 0; node < 3; node++) {
		char name[64];

		snprintf(name, sizeof(name), "devices/system/node/node%u/cpulist", node);
		fake_sysfs_write(root, name, cpus[node]);
	}
	for (unsigned int cpu = 0; cpu < 12; cpu++) {
		char name[96], core[16];

		snprintf(name, sizeof(name),
			 "devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
		snprintf(core, sizeof(core), "%u-%u\n", cpu - cpu % 2, cpu - cpu % 2 + 1);
		fake_sysfs_write(root, name, core);
	}
}

static int
setup(void **state)
{
	struct daemon *d = &daemon_here;
	char *root = fake_sysfs_add();

	*state = root;
	fake_dp = (struct fake_dp){0};
	*d = (struct daemon){0};
	memset(ports, 0, sizeof(ports));
	TAILQ_INIT(&d->model.ports);
	topology_parse("0,0,0,0,1,1,1,1,2,2,2,2", &d->topology, NULL);
	for (unsigned int cpu = 0; cpu < 12; cpu++)
		d->topology.core_of_cpu[cpu] = cpu - cpu % 2;
	d->topology.node[0].distance[2] = 31;
	d->topology.node[1].distance[2] = 21;
	list_parse("0-10", &cpuset);
	list_parse("0", &affinity);
	machine_is(root, "0-8,10-11\n", (const char *[]){"0-3\n", "4-7\n", "8,10-11\n"});
	d->model.n_lcores = 2;
	d->lcore_watch = (struct lcore_watch){
		.sysfs = root,
		.topology = &d->topology,
		.lcore = d->model.lcore,
		.n_lcores = 2,
	};
	assert_int_equal(placement_lcores(&d->topology, "3,7", d->model.lcore, DP_LCORES_MAX,
					  &d->lcore_watch.control_cpus, NULL),
			 2);
	list_parse("3", &d->lcore_watch.spot[0].cpus);
	list_parse("7", &d->lcore_watch.spot[1].cpus);
	fake_sysfs_write(root, "bus/pci/devices/" NIC "/numa_node", "2\n");
	shown = NULL;
	return 0;
}

static int
teardown(void **state)
{
	json_decref(shown);
	fake_sysfs_del(*state);
	return 0;
}

/* A port with two queues, or an uplink; `node` -1: of no node that is known. */
static void
port_add(unsigned int id, const char *name, const char *devargs, const int node[2],
	 const uint8_t lcore[2])
{
	struct model_port *port = &ports[id];
	struct fake_port *fake = &fake_dp.port[id];

	port->id = id;
	port->is_uplink = devargs != NULL;
	snprintf(port->set.name, sizeof(port->set.name), "%s", name);
	if (devargs)
		snprintf(port->set.devargs, sizeof(port->set.devargs), "%s", devargs);
	TAILQ_INSERT_TAIL(&daemon_here.model.ports, port, link);
	fake->open = true;
	fake->is_uplink = port->is_uplink;
	fake->queues = port->n_lcores = 2;
	fake->has_nodes = true;
	memcpy(fake->node, node, 2 * sizeof(*node));
	memcpy(fake->lcore, lcore, 2);
	memcpy(port->lcore, lcore, 2);
}

static void
show(void)
{
	struct err err;

	shown = method_numa_show(&daemon_here, NULL, NULL, &err);
	assert_non_null(shown);
}

static const json_t *
node_shown(size_t node)
{
	return json_array_get(json_object_get(shown, "nodes"), node);
}

/* What a key of a node holds, as JSON. */
static void
assert_node(size_t node, const char *key, const char *want)
{
	char *text = json_dumps(json_object_get(node_shown(node), key),
				JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);

	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
}

static void
assert_far(size_t node, size_t at, const char *queue, const char *why)
{
	const json_t *list = json_object_get(node_shown(node), "queues_polled_from_another_node");
	const json_t *far = json_array_get(list, at);
	char text[128];

	assert_non_null(far);
	snprintf(text, sizeof(text), "%s:%lld", json_string_value(json_object_get(far, "port")),
		 json_integer_value(json_object_get(far, "queue")));
	assert_string_equal(text, queue);
	assert_string_equal(json_string_value(json_object_get(far, "why")), why);
}

static void
cpus_are_told_by_kind(void **state)
{
	(void)state;
	show();
	assert_int_equal(json_array_size(json_object_get(shown, "nodes")), 3);
	assert_node(0, "cpus", "\"0-3\"");
	assert_node(0, "cpus_isolated", "\"2-3\"");
	assert_node(0, "cpus_nohz_full", "\"\"");
	assert_node(1, "cpus_isolated", "\"\"");
	assert_node(1, "cpus_nohz_full", "\"6-7\"");
	assert_node(1, "cpus_offline", "\"\"");
	assert_node(2, "cpus_offline", "\"9\"");
	assert_node(2, "cpus_allowed", "\"8,10\"");
	assert_node(2, "siblings", "[\"8-9\",\"10-11\"]");
	assert_node(2, "lcores", "[]");
	assert_node(2, "memory_kib", "1048576");
	assert_node(1, "distances",
		    "[{\"distance\":20,\"node\":0},{\"distance\":10,\"node\":1},"
		    "{\"distance\":21,\"node\":2}]");
	assert_int_equal(json_array_size(json_object_get(node_shown(0), "lcores")), 1);
}

/* A cpuset shrinks, CPUs go and come. */
static void
cpus_are_as_they_are_now(void **state)
{
	struct daemon *d = &daemon_here;
	const json_t *notes;

	list_parse("0-1,11", &cpuset);
	/* When sluiced started: */
	d->topology.node_of_cpu[10] = d->topology.node_of_cpu[11] = -1;
	CPU_CLR(10, &d->topology.online);
	CPU_CLR(11, &d->topology.online);
	machine_is(*state, "0-8,11\n", (const char *[]){"0-3\n", "4-7\n", "8,11\n"});
	show();
	assert_node(0, "cpus_allowed", "\"0-1\"");
	assert_node(1, "cpus_allowed", "\"\"");
	assert_node(2, "cpus", "\"8-9,11\"");
	assert_node(2, "cpus_allowed", "\"11\"");
	assert_node(2, "cpus_offline", "\"9\"");
	notes = json_object_get(shown, "notes");
	assert_int_equal(json_array_size(notes), 1);
	assert_string_equal(json_string_value(json_array_get(notes, 0)),
			    "CPU 10: offline since before sluiced started, on a node that is not"
			    " known");
	/* Who asks is where it was. */
	assert_int_equal(CPU_COUNT(&affinity), 1);
	assert_true(CPU_ISSET(0, &affinity));
}

static void
queues_are_where_their_memory_is(void **state)
{
	(void)state;
	port_add(0, "a", NULL, (int[]){0, 0}, (uint8_t[]){1, 1});
	port_add(1, "b", NULL, (int[]){1, 0}, (uint8_t[]){2, 1});
	port_add(2, "w", NULL, (int[]){-1, -1}, (uint8_t[]){1, 2});
	show();
	assert_node(0, "ports", "[\"a\",\"b\"]");
	assert_node(1, "ports", "[\"b\"]");
	assert_node(2, "ports", "[]");
	assert_node(1, "queues", "[{\"lcore\":2,\"port\":\"b\",\"queue\":0}]");
	for (size_t node = 0; node < 3; node++)
		assert_node(node, "queues_polled_from_another_node", "[]");
	assert_string_equal(json_string_value(json_array_get(json_object_get(shown,
									     "ports_on_no_node"),
							     0)),
			    "w");
}

static void
far_queues_are_told_with_the_reason(void **state)
{
	(void)state;
	port_add(0, "a", NULL, (int[]){1, 2}, (uint8_t[]){1, 2});
	port_add(1, "up0", NIC ",txq=2", (int[]){0, 0}, (uint8_t[]){1, 2});
	show();
	assert_far(1, 0, "a:0",
		   "its guest's memory is on node 1, which has lcore 2, but lcore 1 of node 0 polls"
		   " it, at distance 20");
	assert_far(2, 0, "a:1",
		   "its guest's memory is on node 2, which has no lcore; lcore 2 of node 1 polls it,"
		   " at distance 21");
	/* Of a NIC the kernel's word counts. */
	assert_node(2, "uplinks", "[{\"devargs\":\"" NIC ",txq=2\",\"name\":\"up0\"}]");
	assert_far(2, 1, "up0:0",
		   "its device is on node 2, which has no lcore; lcore 1 of node 0 polls it, at"
		   " distance 31");
	assert_node(2, "ports", "[\"a\"]");
	assert_node(0, "uplinks", "[]");
}

/* An lcore that is away polls from where it runs. */
static void
an_lcore_on_another_node_is_told(void **state)
{
	struct lcore_spot *spot = &daemon_here.lcore_watch.spot[1];

	(void)state;
	port_add(0, "a", NULL, (int[]){1, 0}, (uint8_t[]){2, 2});
	spot->away = LCORE_CPU_FORBIDDEN;
	list_parse("0-1", &spot->cpus);
	show();
	assert_far(1, 0, "a:0",
		   "its guest's memory is on node 1, where lcore 2 belongs, but that runs on node 0"
		   " now, at distance 20");
	assert_node(0, "queues_polled_from_another_node", "[]");
}

/* One that no guest has set up is on no node, which is no news while others are. */
static void
a_queue_that_is_not_used_is_not_told(void **state)
{
	(void)state;
	port_add(0, "a", NULL, (int[]){1, -1}, (uint8_t[]){2, 1});
	show();
	assert_node(1, "queues", "[{\"lcore\":2,\"port\":\"a\",\"queue\":0}]");
	assert_node(1, "queues_polled_from_another_node", "[]");
	assert_int_equal(json_array_size(json_object_get(shown, "ports_on_no_node")), 0);
}

static void
a_pinned_queue_is_told_with_the_remedy(void **state)
{
	(void)state;
	port_add(0, "a", NULL, (int[]){1, 1}, (uint8_t[]){1, 2});
	ports[0].set.pin[0] = 1;
	show();
	assert_far(1, 0, "a:0",
		   "its guest's memory is on node 1, which has lcore 2, but it is pinned to lcore 1"
		   " of node 0, at distance 20: `sluicectl port set a --lcore auto` brings it home");
}

static void
an_uplink_without_an_address_is_where_the_driver_says(void **state)
{
	(void)state;
	port_add(0, "tap", "net_tap0,iface=x", (int[]){-1, -1}, (uint8_t[]){1, 1});
	port_add(1, "up0", "net_af_xdp0,iface=y", (int[]){1, 1}, (uint8_t[]){2, 2});
	show();
	assert_node(1, "uplinks", "[{\"devargs\":\"net_af_xdp0,iface=y\",\"name\":\"up0\"}]");
	assert_string_equal(json_string_value(json_array_get(json_object_get(shown,
									     "ports_on_no_node"),
							     0)),
			    "tap");
}

static void
a_port_that_failed_is_nowhere(void **state)
{
	(void)state;
	port_add(0, "a", NULL, (int[]){0, 0}, (uint8_t[]){1, 1});
	ports[0].id = -1;
	show();
	assert_node(0, "ports", "[]");
	assert_int_equal(json_array_size(json_object_get(shown, "ports_on_no_node")), 0);
}

static void
notes_tell_what_is_out_of_order(void **state)
{
	struct lcore_spot *spot = &daemon_here.lcore_watch.spot[1];
	const json_t *notes, *lcore;

	(void)state;
	spot->away = LCORE_CPU_OFFLINE;
	list_parse("4-5", &spot->cpus);
	fake_dp.memory_elsewhere[0] = 1 + 1;
	fake_dp.memory_elsewhere[2] = 1 + 1; /* without lcore, so of no interest */
	show();
	notes = json_object_get(shown, "notes");
	assert_int_equal(json_array_size(notes), 2);
	assert_non_null(strstr(json_string_value(json_array_get(notes, 0)),
			       "lcore 2 is not on its CPU 7, which is offline"));
	assert_string_equal(json_string_value(json_array_get(notes, 1)),
			    "memory of node 1 serves lcore 1 of node 0, which is slower: sluiced was"
			    " given none of node 0");
	lcore = json_array_get(json_object_get(node_shown(1), "lcores"), 0);
	assert_string_equal(json_string_value(json_object_get(lcore, "away")), "offline");
	assert_string_equal(json_string_value(json_object_get(lcore, "affinity")), "4-5");
}

static void
memory_that_was_moved_is_told(void **state)
{
	const json_t *notes;

	(void)state;
	fake_dp.memory_where[0][0] = 50 << 20;
	fake_dp.memory_where[1][1] = 30 << 20;
	fake_dp.memory_where[1][0] = 20 << 20;
	show();
	notes = json_object_get(shown, "notes");
	assert_int_equal(json_array_size(notes), 1);
	assert_string_equal(json_string_value(json_array_get(notes, 0)),
			    "20 MiB of sluiced's memory that belong on node 1 lie on node 0, which is"
			    " slower: somebody has moved them");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(cpus_are_told_by_kind),
		CASE(cpus_are_as_they_are_now),
		CASE(queues_are_where_their_memory_is),
		CASE(an_lcore_on_another_node_is_told),
		CASE(a_queue_that_is_not_used_is_not_told),
		CASE(far_queues_are_told_with_the_reason),
		CASE(a_pinned_queue_is_told_with_the_remedy),
		CASE(an_uplink_without_an_address_is_where_the_driver_says),
		CASE(a_port_that_failed_is_nowhere),
		CASE(notes_tell_what_is_out_of_order),
		CASE(memory_that_was_moved_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
