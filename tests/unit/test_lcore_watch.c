/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/lcore_watch.h"
#include "numa/cpulist.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/fake_sysfs.h"

#define N_LCORES 2 /* as many as fake_dp.c has; their threads are FIRST_TID, ... */

/* ---- the kernel, as it may be -------------------------------------------------------------- */

static struct {
	cpu_set_t open; /* CPUs that are online and in our cpuset */
	cpu_set_t of[N_LCORES]; /* on which each thread may run */
	cpu_set_t of_us; /* the same for the test itself, as a thread that is no lcore */
	unsigned int asked, asked_us; /* how often it was asked to move an lcore's thread, and us */
} kernel;

int __wrap_sched_getaffinity(pid_t tid, size_t size, cpu_set_t *set);
int __wrap_sched_setaffinity(pid_t tid, size_t size, const cpu_set_t *set);

int
__wrap_sched_getaffinity(pid_t tid, size_t size, cpu_set_t *set)
{
	assert_int_equal(size, sizeof(*set));
	if (tid == getpid()) {
		*set = kernel.of_us;
		return 0;
	}
	if (tid < FAKE_TID || tid >= FAKE_TID + N_LCORES) {
		errno = ESRCH;
		return -1;
	}
	*set = kernel.of[tid - FAKE_TID];
	return 0;
}

int
__wrap_sched_setaffinity(pid_t tid, size_t size, const cpu_set_t *set)
{
	cpu_set_t granted;

	assert_int_equal(size, sizeof(*set));
	if (tid == getpid()) {
		kernel.of_us = *set;
		kernel.asked_us++;
		return 0;
	}
	assert_in_range(tid, FAKE_TID, FAKE_TID + N_LCORES - 1);
	kernel.asked++;
	CPU_AND(&granted, set, &kernel.open);
	if (CPU_COUNT(&granted) == 0) {
		errno = EINVAL;
		return -1;
	}
	kernel.of[tid - FAKE_TID] = granted;
	return 0;
}

static void
list_parse(const char *list, cpu_set_t *set)
{
	assert_int_equal(cpulist_parse(list, set, NULL), 0);
}

/* From now on only these CPUs are open; threads that are on none of them may run on all. */
static void
kernel_opens(const char *list)
{
	list_parse(list, &kernel.open);
	for (unsigned int i = 0; i < N_LCORES; i++) {
		cpu_set_t left;

		CPU_AND(&left, &kernel.of[i], &kernel.open);
		kernel.of[i] = CPU_COUNT(&left) > 0 ? left : kernel.open;
	}
}

/* ---- a machine of two nodes, an lcore on each ---------------------------------------------- */

static struct topology topo;
static struct placement_lcore lcores[N_LCORES];
static struct lcore_watch watch;

static struct {
	unsigned int n;
	struct told {
		unsigned int lcore;
		enum lcore_away away;
		char cpus[32];
	} it[8];
} told;

static void
on_spot(unsigned int lcore, const struct lcore_spot *spot, void *arg)
{
	struct told *t = &told.it[told.n++];

	assert_ptr_equal(arg, &told);
	assert_true(told.n <= 8);
	t->lcore = lcore;
	t->away = spot->away;
	cpulist_format(&spot->cpus, t->cpus, sizeof(t->cpus));
}

static void
look(void)
{
	told.n = 0;
	kernel.asked = kernel.asked_us = 0;
	lcore_watch_look(&watch, on_spot, &told);
}

static void
assert_told(unsigned int at, unsigned int lcore, enum lcore_away away, const char *cpus)
{
	assert_true(at < told.n);
	assert_int_equal(told.it[at].lcore, lcore);
	assert_int_equal(told.it[at].away, away);
	assert_string_equal(told.it[at].cpus, cpus);
}

static void
assert_on(unsigned int lcore, const char *want)
{
	char list[64];

	cpulist_format(&kernel.of[lcore - 1], list, sizeof(list));
	assert_string_equal(list, want);
}

static void
note_holds(unsigned int lcore, const char *piece)
{
	char note[LCORE_WATCH_NOTE_SIZE];

	lcore_watch_note(&watch, lcore, &watch.spot[lcore - 1], note, sizeof(note));
	if (!strstr(note, piece))
		fail_msg("\"%s\" is not in: %s", piece, note);
}

/* Lcore 1 is on CPU 3 of node 0, lcore 2 on CPU 7 of node 1; all else on 0, 1 and 4, 5. */
static int
setup(void **state)
{
	char *root = fake_sysfs_add();

	*state = root;
	fake_dp = (struct fake_dp){0};
	topology_parse("0,0,0,0,1,1,1,1", &topo, NULL);
	watch = (struct lcore_watch){.sysfs = root,
				     .topology = &topo,
				     .lcore = lcores,
				     .n_lcores = N_LCORES};
	assert_int_equal(placement_lcores(&topo, "3,7", lcores, N_LCORES, &watch.control_cpus,
					  NULL),
			 N_LCORES);
	list_parse("0-1,4-5", &watch.control_cpus);
	fake_sysfs_write(root, "devices/system/cpu/online", "0-7\n");
	list_parse("0-7", &kernel.open);
	list_parse("3", &kernel.of[0]);
	list_parse("7", &kernel.of[1]);
	kernel.of_us = kernel.open;
	assert_int_equal(lcore_watch_start(&watch, NULL), 0);
	return 0;
}

static int
teardown(void **state)
{
	fake_sysfs_del(*state);
	return 0;
}

/* ---- the start ----------------------------------------------------------------------------- */

static void
start_refuses_what_is_not_pinned(void **state)
{
	struct err err;

	(void)state;
	list_parse("2-3", &kernel.of[0]);
	assert_int_equal(lcore_watch_start(&watch, &err), -EINVAL);
	assert_string_equal(err.code, "bad-lcores");
	assert_string_equal(err.param, "lcores");
	assert_non_null(strstr(err.message, "lcore 1 should run on CPU 3 alone"));
	assert_non_null(strstr(err.message, "the CPUs 2-3"));
	assert_non_null(strstr(err.message, "cpuset"));
	list_parse("3", &kernel.of[0]);
	list_parse("6", &kernel.of[1]);
	assert_int_equal(lcore_watch_start(&watch, &err), -EINVAL);
	assert_non_null(strstr(err.message, "lcore 2 should run on CPU 7 alone"));
}

/* ---- later --------------------------------------------------------------------------------- */

static void
nothing_is_told_or_done_where_all_is_well(void **state)
{
	(void)state;
	look();
	assert_int_equal(told.n, 0);
	assert_int_equal(kernel.asked, 0);
	assert_int_equal(kernel.asked_us, 0);
	assert_true(watch.spot[0].away == LCORE_HOME);
	assert_null(lcore_watch_reason(LCORE_HOME));
}

static void
a_thread_that_was_taken_is_put_back(void **state)
{
	(void)state;
	list_parse("0-1", &kernel.of[1]);
	look();
	assert_int_equal(told.n, 2);
	assert_told(0, 2, LCORE_CPU_TAKEN, "0-1");
	assert_told(1, 2, LCORE_HOME, "7");
	assert_on(2, "7");
	look();
	assert_int_equal(told.n, 0);
	/* More CPUs than its own is as wrong as another. */
	list_parse("6-7", &kernel.of[1]);
	look();
	assert_int_equal(told.n, 2);
	assert_on(2, "7");
}

/* It shares the CPUs of its node that do not forward, which is told once; every second it is tried to
 * put it back. */
static void
a_thread_without_its_cpu_floats(void **state)
{
	(void)state;
	kernel_opens("0-6");
	fake_sysfs_write(*state, "devices/system/cpu/online", "0-6\n");
	look();
	assert_int_equal(told.n, 1);
	assert_told(0, 2, LCORE_CPU_OFFLINE, "4-5");
	assert_on(2, "4-5");
	assert_on(1, "3");
	note_holds(2, "lcore 2 is not on its CPU 7, which is offline");
	note_holds(2, "it shares CPUs 4-5 with other work, which is slower, until CPU 7 is back");
	look();
	assert_int_equal(told.n, 0);
	assert_int_equal(kernel.asked, 1);
	assert_string_equal(lcore_watch_reason(watch.spot[1].away), "offline");

	/* The CPU is back. */
	kernel_opens("0-7");
	fake_sysfs_write(*state, "devices/system/cpu/online", "0-7\n");
	look();
	assert_int_equal(told.n, 1);
	assert_told(0, 2, LCORE_HOME, "7");
	assert_on(2, "7");
}

static void
a_cpuset_that_shrinks_is_followed(void **state)
{
	(void)state;
	kernel_opens("0-3,5");
	look();
	assert_int_equal(told.n, 1);
	assert_told(0, 2, LCORE_CPU_FORBIDDEN, "5");
	note_holds(2, "which the cgroup's cpuset does not hold: it shares CPU 5 with");
	/* Nothing of its node is left: any CPU that does not forward. */
	kernel_opens("0-3");
	look();
	assert_int_equal(told.n, 0);
	assert_on(2, "0-1");
	note_holds(2,
		   "it shares CPUs 0-1 with other work, and polls its queues from node 0 instead of 1,"
		   " which is slower, until CPU 7 is back");
	/* Nor such a CPU: where the kernel puts it. */
	kernel_opens("2-3");
	look();
	assert_int_equal(told.n, 0);
	assert_on(2, "2-3");
	assert_string_equal(lcore_watch_reason(watch.spot[1].away), "forbidden");
	kernel_opens("0-7");
	look();
	assert_int_equal(told.n, 1);
	assert_told(0, 2, LCORE_HOME, "7");
}

/* A kernel before 6.2 gives all threads all CPUs of a new cpuset. */
static void
other_threads_are_kept_off(void **state)
{
	(void)state;
	kernel.of[0] = kernel.of[1] = kernel.open;
	look();
	assert_on(1, "3");
	assert_on(2, "7");
	assert_true(CPU_EQUAL(&kernel.of_us, &watch.control_cpus));
	/* Any kernel does when the last of a thread's CPUs goes offline. */
	kernel.of_us = kernel.open;
	look();
	assert_int_equal(told.n, 0);
	assert_true(CPU_EQUAL(&kernel.of_us, &watch.control_cpus));
}

static void
threads_of_libraries_are_kept_off_from_the_start(void **state)
{
	(void)state;
	assert_true(CPU_EQUAL(&kernel.of_us, &watch.control_cpus));
}

/* What was online last is what it goes by. */
static void
a_sysfs_that_is_gone_is_survived(void **state)
{
	(void)state;
	watch.sysfs = "/nowhere";
	kernel_opens("0-3");
	look();
	assert_int_equal(told.n, 1);
	assert_told(0, 2, LCORE_CPU_FORBIDDEN, "0-1");
}

static void
the_kernel_may_bring_it_back_itself(void **state)
{
	(void)state;
	kernel_opens("0-3");
	look();
	assert_told(0, 2, LCORE_CPU_FORBIDDEN, "0-1");
	kernel_opens("0-7");
	list_parse("7", &kernel.of[1]);
	look();
	assert_int_equal(told.n, 1);
	assert_told(0, 2, LCORE_HOME, "7");
	assert_int_equal(kernel.asked, 0);
}

static void
all_lcores_may_lose_their_cpus(void **state)
{
	(void)state;
	kernel_opens("0");
	look();
	assert_int_equal(told.n, 2);
	assert_told(0, 1, LCORE_CPU_FORBIDDEN, "0");
	assert_told(1, 2, LCORE_CPU_FORBIDDEN, "0");
	/* One comes back alone. */
	kernel_opens("0,3");
	look();
	assert_int_equal(told.n, 1);
	assert_told(0, 1, LCORE_HOME, "3");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(start_refuses_what_is_not_pinned),
		CASE(nothing_is_told_or_done_where_all_is_well),
		CASE(a_thread_that_was_taken_is_put_back),
		CASE(a_thread_without_its_cpu_floats),
		CASE(a_cpuset_that_shrinks_is_followed),
		CASE(other_threads_are_kept_off),
		CASE(threads_of_libraries_are_kept_off_from_the_start),
		CASE(a_sysfs_that_is_gone_is_survived),
		CASE(the_kernel_may_bring_it_back_itself),
		CASE(all_lcores_may_lose_their_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
