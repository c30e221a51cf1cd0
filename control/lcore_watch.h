/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_LCORE_WATCH_H
#define CONTROL_LCORE_WATCH_H

#include "datapath/dp.h"
#include "numa/placement.h"

/*
 * Is each lcore's thread on its CPU, and on no other? The kernel is asked, as it has the last word:
 * it moves threads when their CPU goes offline or a cpuset shrinks, and anybody may with taskset.
 *
 * A thread that was moved is put back, at once or as soon as that is possible again. Until then it
 * floats on the CPUs that do not forward, those of its node if there are any, so that it does not
 * take half of another lcore's. All other threads are kept off the lcores' CPUs. Thread: control.
 */

enum lcore_away {
	LCORE_HOME,
	LCORE_CPU_OFFLINE,
	LCORE_CPU_FORBIDDEN, /* by its cgroup's cpuset */
	LCORE_CPU_TAKEN, /* it was moved, and there was nothing to keep us from moving it back */
};

struct lcore_spot {
	enum lcore_away away;
	cpu_set_t cpus; /* on which it may run, as the kernel said last */
};

struct lcore_watch {
	/* Set by whoever starts it. */
	const char *sysfs;
	const struct topology *topology;
	const struct placement_lcore *lcore;
	unsigned int n_lcores;
	cpu_set_t control_cpus;

	cpu_set_t online; /* as of the last look */
	struct lcore_spot spot[DP_LCORES_MAX]; /* of lcore i + 1 */
};

/* Errors: -EINVAL (code "bad-lcores", param "lcores"): a thread is not where it should be. */
int lcore_watch_start(struct lcore_watch *w, struct err *err);

/*
 * To be called once a second. Calls `tell` for an lcore that has left its CPU (spot->away says
 * why), and for one that is back (LCORE_HOME). One that could be put back at once has both.
 */
void lcore_watch_look(struct lcore_watch *w,
		      void (*tell)(unsigned int lcore, const struct lcore_spot *spot, void *arg),
		      void *arg);

/* "offline", "forbidden", "taken"; NULL: it is at home. */
const char *lcore_watch_reason(enum lcore_away away);

/* A sentence about an lcore that is away, without its full stop; it is cut to `size`. */
#define LCORE_WATCH_NOTE_SIZE 320
void lcore_watch_note(const struct lcore_watch *w, unsigned int lcore,
		      const struct lcore_spot *spot, char *buf, size_t size);

/* The memory node where the lcore runs now: its own, if one of the CPUs that it may have is there. */
int lcore_watch_node(const struct lcore_watch *w, unsigned int lcore);

/* The CPU on which the thread has run last: one that sleeps shows it only when it wakes. -1: not
 * known. */
int lcore_watch_cpu(unsigned int lcore);

#endif
