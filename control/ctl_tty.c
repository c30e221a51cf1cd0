/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_tty.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static struct ctl_tty *taken; /* what exit() must give back; the only thread */

static void
signal_set(sigset_t *set)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(set, signals[i]);
}

/* The other screen, cleared; no cursor; no new line where one is too long. */
static void
take(struct ctl_tty *tty)
{
	struct termios raw = tty->before;

	raw.c_lflag &= ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tty->input >= 0)
		tcsetattr(tty->input, TCSADRAIN, &raw);
	fputs("\033[?1049h\033[?25l\033[?7l\033[2J", stdout);
	fflush(stdout);
}

static void
give_back(struct ctl_tty *tty)
{
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (tty->input >= 0)
		tcsetattr(tty->input, TCSADRAIN, &tty->before);
}

static void
at_exit(void)
{
	if (taken)
		give_back(taken);
}

int
ctl_tty_open(struct ctl_tty *tty, struct err *err)
{
	sigset_t set;

	signal_set(&set);
	*tty = (struct ctl_tty){.input = STDIN_FILENO};
	tty->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (tty->signals < 0)
		return err_set(err, errno, "signalfd", "cannot watch for signals: %s",
			       strerror(errno));
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (tcgetattr(tty->input, &tty->before) < 0)
		tty->input = -1;
	atexit(at_exit);
	taken = tty;
	take(tty);
	return 0;
}

void
ctl_tty_close(struct ctl_tty *tty)
{
	sigset_t set;

	give_back(tty);
	taken = NULL;
	close(tty->signals);
	signal_set(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* ^Z: stops as any program does, with the terminal as it was. */
static void
stop_until_continued(struct ctl_tty *tty)
{
	sigset_t set;

	give_back(tty);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here */
	sigprocmask(SIG_BLOCK, &set, NULL);
	take(tty);
}

enum ctl_tty_event
ctl_tty_wait(struct ctl_tty *tty, int timeout_ms)
{
	struct pollfd fds[] = {{tty->signals, POLLIN, 0}, {tty->input, POLLIN, 0}};
	struct signalfd_siginfo info;
	char key;

	if (poll(fds, 2, timeout_ms) <= 0)
		return CTL_TTY_TIMEOUT;
	if (read(tty->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTSTP)
			stop_until_continued(tty);
		else if (info.ssi_signo != SIGWINCH)
			return CTL_TTY_QUIT;
		return CTL_TTY_REDRAW;
	}
	if (fds[1].revents) {
		if (read(tty->input, &key, 1) <= 0)
			return CTL_TTY_QUIT; /* the terminal is gone */
		if (key == 'q' || key == 'Q')
			return CTL_TTY_QUIT;
	}
	return CTL_TTY_REDRAW;
}
