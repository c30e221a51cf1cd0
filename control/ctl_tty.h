/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_TTY_H
#define CONTROL_CTL_TTY_H

#include <termios.h>

#include "numa/err.h"

/*
 * A terminal taken over for a live display: the other screen, no cursor, no echo. It is given back
 * by ctl_tty_close(), by exit() from anywhere, and while the process is stopped with ^Z.
 */
struct ctl_tty {
	struct termios before; /* of standard input */
	int input; /* -1 where standard input is no terminal */
	int signals; /* signalfd: no handler runs in the middle of anything */
};

/* Errors: -errno. One at a time. */
int ctl_tty_open(struct ctl_tty *tty, struct err *err);
void ctl_tty_close(struct ctl_tty *tty);

enum ctl_tty_event {
	CTL_TTY_TIMEOUT,
	CTL_TTY_REDRAW,
	CTL_TTY_QUIT
};

/* Waits for a key, a signal or the end of timeout_ms. Keys without a meaning are eaten, and then
 * it returns CTL_TTY_REDRAW too. */
enum ctl_tty_event ctl_tty_wait(struct ctl_tty *tty, int timeout_ms);

#endif
