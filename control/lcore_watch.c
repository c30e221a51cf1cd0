/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/lcore_watch.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/cpulist.h"
#include "numa/sysfs.h"

#define LIST_SIZE 128 /* of CPUs in a message; a longer one is cut */

static pid_t
tid_of(unsigned int lcore)
{
	struct dp_lcore_stats stats;

	return dp_lcore_stats(lcore, &stats) == 0 ? stats.tid : 0;
}

static bool
is_alone_on(const cpu_set_t *cpus, unsigned int cpu)
{
	return CPU_COUNT(cpus) == 1 && CPU_ISSET(cpu, cpus);
}

/* Where the kernel lets the thread run, once it was asked for `wanted`; it grants what it can of
 * that, or nothing. False: nothing, or the thread is gone. */
static bool
affinity_ask(pid_t tid, const cpu_set_t *wanted, cpu_set_t *granted)
{
	return sched_setaffinity(tid, sizeof(*wanted), wanted) == 0 &&
	       sched_getaffinity(tid, sizeof(*granted), granted) == 0;
}

static bool
is_lcore(const struct lcore_watch *w, pid_t tid)
{
	for (unsigned int i = 0; i < w->n_lcores; i++)
		if (tid_of(i + 1) == tid)
			return true;
	return false;
}

/* All other threads belong on the control CPUs. A library starts its own where it likes; and the kernel lets
 * them have any CPU when all of theirs go offline or, before 6.2, when a cpuset comes or changes. */
static void
others_keep_off(const struct lcore_watch *w)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;

	while (tasks && (task = readdir(tasks))) {
		pid_t tid = atoi(task->d_name);
		cpu_set_t now;

		if (tid > 0 && !is_lcore(w, tid) &&
		    sched_getaffinity(tid, sizeof(now), &now) == 0 &&
		    !CPU_EQUAL(&now, &w->control_cpus))
			sched_setaffinity(tid, sizeof(w->control_cpus), &w->control_cpus);
	}
	if (tasks)
		closedir(tasks);
}

int
lcore_watch_start(struct lcore_watch *w, struct err *err)
{
	w->online = w->topology->online;
	for (unsigned int i = 0; i < w->n_lcores; i++) {
		unsigned int cpu = w->lcore[i].cpu;
		cpu_set_t *cpus = &w->spot[i].cpus;
		char list[LIST_SIZE];

		w->spot[i].away = LCORE_HOME;
		if (sched_getaffinity(tid_of(i + 1), sizeof(*cpus), cpus) < 0)
			return err_set_param(err, EINVAL, "bad-lcores", "lcores",
					     "the kernel does not say on which CPUs lcore %u runs: "
					     "%s",
					     i + 1, strerror(errno));
		if (is_alone_on(cpus, cpu))
			continue;
		cpulist_format(cpus, list, sizeof(list));
		return err_set_param(err, EINVAL, "bad-lcores", "lcores",
				     "lcore %u should run on CPU %u alone, but the kernel has it on "
				     "the CPUs %s: see that the cgroup's cpuset (systemd: "
				     "AllowedCPUs=) holds CPU %u and that nothing else sets the "
				     "affinity of sluiced's threads, or choose another with --lcores",
				     i + 1, cpu, list, cpu);
	}
	others_keep_off(w);
	return 0;
}

/* Its CPU is not to be had: to where it disturbs no other lcore. Where that is forbidden, too, it
 * stays where the kernel has put it. */
static void
spot_seek(const struct lcore_watch *w, unsigned int i, pid_t tid, struct lcore_spot *spot)
{
	cpu_set_t near;

	CPU_ZERO(&near);
	for (unsigned int cpu = 0; cpu < w->topology->n_cpus; cpu++)
		if (CPU_ISSET(cpu, &w->control_cpus) &&
		    w->topology->node_of_cpu[cpu] == w->lcore[i].node)
			CPU_SET(cpu, &near);
	if (affinity_ask(tid, &near, &spot->cpus))
		return;
	affinity_ask(tid, &w->control_cpus, &spot->cpus);
}

/* `now` is not its CPU alone. Returns whether it is put back. */
static bool
spot_mend(const struct lcore_watch *w, unsigned int i, pid_t tid, const cpu_set_t *now,
	  struct lcore_spot *spot)
{
	unsigned int cpu = w->lcore[i].cpu;
	bool is_news = spot->away == LCORE_HOME || !CPU_EQUAL(now, &spot->cpus);
	cpu_set_t own, granted;

	spot->cpus = *now;
	CPU_ZERO(&own);
	CPU_SET(cpu, &own);
	if (affinity_ask(tid, &own, &granted) && is_alone_on(&granted, cpu)) {
		spot->away = LCORE_CPU_TAKEN;
		return true;
	}
	spot->away = CPU_ISSET(cpu, &w->online) ? LCORE_CPU_FORBIDDEN : LCORE_CPU_OFFLINE;
	if (is_news)
		spot_seek(w, i, tid, spot);
	return false;
}

void
lcore_watch_look(struct lcore_watch *w,
		 void (*tell)(unsigned int lcore, const struct lcore_spot *spot, void *arg),
		 void *arg)
{
	cpu_set_t online;

	if (topology_read_online(&online, w->sysfs, NULL) == 0)
		w->online = online;
	for (unsigned int i = 0; i < w->n_lcores; i++) {
		struct lcore_spot *spot = &w->spot[i];
		pid_t tid = tid_of(i + 1);
		enum lcore_away before = spot->away;
		bool is_back;
		cpu_set_t now;

		if (sched_getaffinity(tid, sizeof(now), &now) < 0)
			continue;
		is_back = is_alone_on(&now, w->lcore[i].cpu);
		if (is_back && before == LCORE_HOME)
			continue;
		if (!is_back)
			is_back = spot_mend(w, i, tid, &now, spot);
		/* Also why it is, once that is known better: a CPU that goes is first forbidden, then offline. */
		if (before == LCORE_HOME || (!is_back && spot->away != before))
			tell(i + 1, spot, arg);
		if (!is_back)
			continue;
		spot->away = LCORE_HOME;
		CPU_ZERO(&spot->cpus);
		CPU_SET(w->lcore[i].cpu, &spot->cpus);
		tell(i + 1, spot, arg);
	}
	others_keep_off(w);
}

const char *
lcore_watch_reason(enum lcore_away away)
{
	static const char *const reasons[] = {
		[LCORE_CPU_OFFLINE] = "offline",
		[LCORE_CPU_FORBIDDEN] = "forbidden",
		[LCORE_CPU_TAKEN] = "taken",
	};

	return reasons[away];
}

static int
node_of_spot(const struct lcore_watch *w, unsigned int lcore, const struct lcore_spot *spot)
{
	int home = w->lcore[lcore - 1].node, node = -1;

	for (unsigned int cpu = 0; cpu < w->topology->n_cpus; cpu++) {
		int here = w->topology->node_of_cpu[cpu];

		if (!CPU_ISSET(cpu, &spot->cpus))
			continue;
		if (here == home)
			return home;
		if (node < 0)
			node = here;
	}
	return node < 0 ? home : node;
}

int
lcore_watch_node(const struct lcore_watch *w, unsigned int lcore)
{
	return node_of_spot(w, lcore, &w->spot[lcore - 1]);
}

void
lcore_watch_note(const struct lcore_watch *w, unsigned int lcore, const struct lcore_spot *spot,
		 char *buf, size_t size)
{
	int home = w->lcore[lcore - 1].node, node = node_of_spot(w, lcore, spot);
	unsigned int cpu = w->lcore[lcore - 1].cpu;
	char list[LIST_SIZE], far[64] = "";
	const char *plural = CPU_COUNT(&spot->cpus) > 1 ? "s" : "";

	cpulist_format(&spot->cpus, list, sizeof(list));
	if (node != home)
		snprintf(far, sizeof(far), " and polls its queues from node %d instead of %d,",
			 node, home);
	if (spot->away == LCORE_CPU_TAKEN)
		snprintf(buf, size,
			 "lcore %u belongs on CPU %u, and somebody had moved it to CPU%s %s", lcore,
			 cpu, plural, list);
	else
		snprintf(buf, size,
			 "lcore %u is not on its CPU %u, which %s: it shares CPU%s %s with other "
			 "work,%s which is slower, until CPU %u is back",
			 lcore, cpu,
			 spot->away == LCORE_CPU_OFFLINE ? "is offline" :
							   "the cgroup's cpuset does not hold",
			 plural, list, far, cpu);
}

int
lcore_watch_cpu(unsigned int lcore)
{
	char path[64], text[1024], *at;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid_of(lcore));
	file = fopen(path, "re");
	if (!file)
		return -1;
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	/* The name in field 2 ends with the last ')'; the CPU is field 39. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 39; field++)
		at = strchr(at + 1, ' ');
	return at ? atoi(at) : -1;
}
