/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "datapath/dp.h"

/*
 * Theory of operation
 *
 * Who calls a guest notes before whose guest it is, and clears the note after. A note has a number
 * that grows, so that two equal notes are one and the same call.
 *
 * That a call takes long proves nothing: the CPU may have been taken from the lcore. So the watcher
 * asks the kernel where the thread is (/proc/self/task/ID/syscall; it names a system call only of a
 * thread that sleeps in it). A write to an eventfd sleeps only if the counter is full and the flag is
 * gone, and neither comes about by accident: a counter takes 2^64 - 2 calls that nobody reads. If
 * the note is the same before and after the question, the answer is about that call. A write to
 * standard error is librte_vhost's log, which may have to wait for its reader.
 *
 * The signal ends the write with EINTR, and nothing else: it has a handler that does nothing, without
 * SA_RESTART. Should it come late it ends a nap early. (Emptying the eventfd instead would let the
 * peer fill it again first, and would need the descriptor to be still the same one.) The watcher is
 * a thread of its own: those that wait for grace periods, control and vhost-events, wait for the
 * very lcore that is caught.
 *
 * While nobody calls the watcher is not woken: it says `asleep`, looks once more and waits for who
 * calls next. A caller stores its note and then reads `asleep`; both are sequentially consistent, so
 * one of the two sees the other.
 */

#define CALLERS_MAX (DP_LCORES_MAX + 16)
#define LOOK_AGAIN_MS 1 /* after a catch: the same guest may have more rings */
#define CALL_SIGNAL SIGURG /* does nothing to who does not expect it */

struct caller {
	_Atomic uint64_t note; /* number << 32 | vid + 1; lower half 0: calls nobody */
	_Atomic pid_t tid; /* 0: not yet */
} __attribute__((aligned(64)));

static struct caller callers[CALLERS_MAX]; /* each written by its thread */
static _Atomic unsigned int n_callers;
static struct caller crowd; /* shared by threads that found no place; nobody looks */
static _Thread_local struct caller *self;

static struct {
	void (*blocked)(int vid); /* set before the thread starts */
	pthread_t thread;
	int wake_fd;
	atomic_bool asleep; /* until somebody writes to wake_fd */
	atomic_bool stop;
	uint64_t seen[CALLERS_MAX]; /* notes at the last look; watcher */
} watcher = {.wake_fd = -1};

static struct caller *
caller_add(void)
{
	unsigned int i = atomic_fetch_add(&n_callers, 1);
	sigset_t set;

	if (i >= CALLERS_MAX)
		return &crowd;
	sigemptyset(&set);
	sigaddset(&set, CALL_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	atomic_store(&callers[i].tid, gettid());
	return &callers[i];
}

void
call_begin(int vid)
{
	uint64_t number;

	if (__builtin_expect(self == NULL, 0))
		self = caller_add();
	number = (atomic_load_explicit(&self->note, memory_order_relaxed) >> 32) + 1;
	atomic_store(&self->note, number << 32 | (uint32_t)(vid + 1));
	if (__builtin_expect(atomic_load(&watcher.asleep), 0) &&
	    atomic_exchange(&watcher.asleep, false))
		eventfd_write(watcher.wake_fd, 1);
}

void
call_end(void)
{
	uint64_t note = atomic_load_explicit(&self->note, memory_order_relaxed);

	atomic_store_explicit(&self->note, note & ~(uint64_t)UINT32_MAX, memory_order_release);
}

void
call_guest(int vid, int fd)
{
	call_begin(vid);
	eventfd_write(fd, 1);
	call_end();
}

/* Does the thread sleep in a write, but for one to standard error? */
static bool
sleeps_in_write(pid_t tid)
{
	char path[64], line[64] = "";
	unsigned int file;
	long number;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, line, sizeof(line) - 1) < 0)
		line[0] = '\0';
	close(fd);
	return sscanf(line, "%ld %x", &number, &file) == 2 && number == SYS_write &&
	       file > STDERR_FILENO;
}

enum sight {
	SIGHT_QUIET, /* has not called since the last look */
	SIGHT_CALLS,
	SIGHT_CAUGHT,
};

static enum sight
watcher_look_at(unsigned int i)
{
	struct caller *c = &callers[i];
	uint64_t note = atomic_load(&c->note);
	pid_t tid = atomic_load(&c->tid);

	if (note != watcher.seen[i]) {
		watcher.seen[i] = note;
		return SIGHT_CALLS;
	}
	if ((uint32_t)note == 0)
		return SIGHT_QUIET;
	if (!sleeps_in_write(tid) || atomic_load(&c->note) != note)
		return SIGHT_CALLS;
	watcher.blocked((int)(uint32_t)note - 1);
	syscall(SYS_tgkill, getpid(), tid, CALL_SIGNAL);
	return SIGHT_CAUGHT;
}

/* The most that there was to see. */
static enum sight
watcher_look(void)
{
	unsigned int i, n = atomic_load(&n_callers);
	enum sight most = SIGHT_QUIET;

	for (i = 0; i < n && i < CALLERS_MAX; i++) {
		enum sight sight = watcher_look_at(i);

		if (sight > most)
			most = sight;
	}
	return most;
}

static void *
watcher_main(void *arg)
{
	struct pollfd wake = {.fd = watcher.wake_fd, .events = POLLIN};
	int wait_ms = 0;
	eventfd_t n;

	(void)arg;
	pthread_setname_np(pthread_self(), "sluice/calls");
	while (!atomic_load(&watcher.stop)) {
		if (poll(&wake, 1, wait_ms) > 0)
			eventfd_read(watcher.wake_fd, &n);
		switch (watcher_look()) {
		case SIGHT_CAUGHT:
			wait_ms = LOOK_AGAIN_MS;
			break;
		case SIGHT_CALLS:
			wait_ms = CALL_LOOK_MS;
			break;
		case SIGHT_QUIET:
			/* Who calls after the next look wakes us. */
			atomic_store(&watcher.asleep, true);
			wait_ms = watcher_look() == SIGHT_QUIET ? -1 : CALL_LOOK_MS;
			break;
		}
	}
	return NULL;
}

static void
do_nothing(int number)
{
	(void)number;
}

int
call_start(void (*blocked)(int vid))
{
	struct sigaction action = {.sa_handler = do_nothing};
	int ret;

	watcher.blocked = blocked;
	atomic_store(&watcher.stop, false);
	watcher.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watcher.wake_fd < 0)
		return -errno;
	sigemptyset(&action.sa_mask);
	sigaction(CALL_SIGNAL, &action, NULL);
	/* It inherits the control thread's CPUs: those that no lcore has. */
	ret = -pthread_create(&watcher.thread, NULL, watcher_main, NULL);
	if (ret != 0) {
		close(watcher.wake_fd);
		watcher.wake_fd = -1;
	}
	return ret;
}

void
call_stop(void)
{
	if (watcher.wake_fd < 0)
		return;
	atomic_store(&watcher.stop, true);
	atomic_store(&watcher.asleep, false);
	eventfd_write(watcher.wake_fd, 1);
	pthread_join(watcher.thread, NULL);
	signal(CALL_SIGNAL, SIG_DFL);
	close(watcher.wake_fd);
	watcher.wake_fd = -1;
}
