/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_CALL_H
#define DATAPATH_CALL_H

/*
 * Calling a guest: writing to the eventfd that its front-end gave for the interrupts of a ring.
 *
 * The eventfd is shared with the front-end, and so are its flags. We make it non-blocking, but a
 * hostile front-end can undo that and fill the counter; the next write then never returns, and stops
 * an lcore for all guests. Nothing writes to an eventfd without a say of its flags, so a thread watches
 * the writers: one that is found in the same write at two looks, CALL_LOOK_MS apart, is taken out of it
 * by a signal, and the connection is reported. The watcher sleeps while nobody calls.
 */
#define CALL_LOOK_MS 10

/*
 * Starts the watcher. It tells `blocked` whose eventfd a writer was caught in, before that writer goes
 * on; `blocked` must not wait for a grace period. Errors: -errno of what the system refused.
 * Thread: control.
 */
int call_start(void (*blocked)(int vid));

/* No lcore runs any more. Thread: control. */
void call_stop(void);

/* Interrupts the guest of connection `vid`. Thread: any but the watcher; mostly lcores.
 * May wait: for 2 * CALL_LOOK_MS at worst, if the front-end is hostile. */
void call_guest(int vid, int fd);

/* Around functions of librte_vhost that may call the guest of `vid` by themselves. Thread: as above. */
void call_begin(int vid);
void call_end(void);

#endif
