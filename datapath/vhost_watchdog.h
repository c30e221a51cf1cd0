/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VHOST_WATCHDOG_H
#define DATAPATH_VHOST_WATCHDOG_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Frees librte_vhost's thread from a peer that holds it up.
 *
 * One thread serves the connections of all guests, with calls that block: a peer that sends half a
 * message, or does not read its answers, stops it for everybody, and the control thread then spins
 * in rte_vhost_driver_unregister() for ever. The watchdog is a thread of its own; it looks every
 * 80 ms where the kernel says that thread is, and when it finds it blocked for three looks in one
 * transfer on one descriptor it has that connection cut.
 */

/*
 * Watches the thread `tid` of this process. `cut` ends the connection with that descriptor and
 * returns false if it is none; it is called on the watchdog's thread.
 * Errors: -ENOTSUP (the kernel does not tell where a thread is), -EAGAIN. Thread: control.
 */
int vhost_watchdog_start(pid_t tid, bool (*cut)(int fd));

/* Thread: control. May wait: for the thread to end. */
void vhost_watchdog_stop(void);

/* Reads a line of /proc/TID/syscall: the descriptor that a thread in a blocking transfer waits for,
 * or -1 for a thread that is elsewhere. */
int vhost_watchdog_parse(const char *line);

#endif
