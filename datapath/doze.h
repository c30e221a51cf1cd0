/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_DOZE_H
#define DATAPATH_DOZE_H

#include <stdbool.h>

#include "numa/err.h"

/*
 * An lcore that has nothing to do sleeps until something is there for it: a descriptor that it watches (a
 * guest's kick, a device's interrupt), or somebody who has made work for it and wakes it.
 *
 * No work may be lost between the last look and the sleep. The lcore says that it dozes, then looks once more,
 * then waits; who makes work makes it first, and then looks whether the lcore dozes. Both sides have a
 * full barrier in between, so one of the two sees the other. A descriptor keeps what came since it
 * was last waited for (edge-triggered: nobody needs to read it).
 */

/* Before the lcores start, and after they have ended. Errors: -EMFILE. Thread: control. */
int doze_create(unsigned int n_lcores, struct err *err);
void doze_destroy(void);

/* Wakes the lcore if it dozes, or is about to; to be called after what it is to see was written.
 * Thread: any. May wait: no. */
void doze_wake(unsigned int lcore);
void doze_wake_all(void);

/* The lcore will be woken from here on; it looks once more at all that there is to do. */
void doze_begin(unsigned int lcore);

/* Sleeps until it is woken. Thread: the lcore, offline (rcu.h). */
void doze_wait(unsigned int lcore);

/* It is awake. */
void doze_end(unsigned int lcore);

/* Has fd wake the lcore whenever something comes there, from now on. Returns false where it is none that can
 * be waited for. Thread: the lcore. */
bool doze_watch(unsigned int lcore, int fd);

/* Ends that. The descriptor must be open still: closed before, it would wake the lcore for ever. Thread: any. */
void doze_ignore(unsigned int lcore, int fd);

#endif
