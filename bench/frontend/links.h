/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_LINKS_H
#define FRONTEND_LINKS_H

#include "bench/frontend/guest.h"

/*
 * Keeps the guests connected: what QEMU does with `reconnect`, only every millisecond.
 * Thread: control.
 */

/*
 * Brings all guests to a connection, or fails after `wait_s`.
 * Returns 0 or -errno with *err naming the first socket that is not there. May wait: wait_s.
 */
int links_connect(struct guest *guests, unsigned int count, double wait_s, const _Atomic bool *stop,
		  struct err *err);

/* Serves all connections once: notices lost ones, renews them. May wait: timeout_ms. */
void links_serve(struct guest *guests, unsigned int count, int timeout_ms);

/* Seconds of a clock that only goes forward. Thread: any. */
double links_now_s(void);

#endif
