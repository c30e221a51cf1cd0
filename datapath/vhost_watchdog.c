/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WATCHDOG_PERIOD_MS 80
#define WATCHDOG_LOOKS 3

/* Set before the thread starts, then only read by it. */
static struct {
	pthread_t thread;
	int syscall_fd; /* /proc/self/task/TID/syscall */
	int stop_fd; /* eventfd */
	bool (*cut)(int fd);
} watchdog = {.syscall_fd = -1, .stop_fd = -1};

int
vhost_watchdog_parse(const char *line)
{
	unsigned long fd;
	long number;

	/* A thread that runs, or waits for a CPU, reads "running". */
	if (sscanf(line, "%ld 0x%lx", &number, &fd) != 2)
		return -1;
	switch (number) {
	case SYS_recvmsg:
	case SYS_sendmsg:
	case SYS_read:
	case SYS_write:
		return (int)fd;
	default:
		return -1;
	}
}

static int
watchdog_look(void)
{
	char line[256];
	ssize_t n = pread(watchdog.syscall_fd, line, sizeof(line) - 1, 0);

	if (n <= 0)
		return -1;
	line[n] = '\0';
	return vhost_watchdog_parse(line);
}

static void *
watchdog_main(void *arg)
{
	struct pollfd stop = {.fd = watchdog.stop_fd, .events = POLLIN};
	int fd, last_fd = -1, looks = 0;

	(void)arg;
	while (poll(&stop, 1, WATCHDOG_PERIOD_MS) <= 0) {
		fd = watchdog_look();
		looks = fd >= 0 && fd == last_fd ? looks + 1 : 1;
		last_fd = fd;
		if (fd >= 0 && looks >= WATCHDOG_LOOKS && watchdog.cut(fd))
			last_fd = -1;
	}
	return NULL;
}

int
vhost_watchdog_start(pid_t tid, bool (*cut)(int fd))
{
	char path[64];
	char line[64];

	watchdog.cut = cut;
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
	watchdog.syscall_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (watchdog.syscall_fd < 0 || pread(watchdog.syscall_fd, line, sizeof(line), 0) <= 0) {
		vhost_watchdog_stop();
		return -ENOTSUP;
	}
	watchdog.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watchdog.stop_fd < 0 ||
	    pthread_create(&watchdog.thread, NULL, watchdog_main, NULL) != 0) {
		if (watchdog.stop_fd >= 0)
			close(watchdog.stop_fd);
		watchdog.stop_fd = -1;
		vhost_watchdog_stop();
		return -EAGAIN;
	}
	pthread_setname_np(watchdog.thread, "vhost-watchdog");
	return 0;
}

void
vhost_watchdog_stop(void)
{
	if (watchdog.stop_fd >= 0) {
		eventfd_write(watchdog.stop_fd, 1);
		pthread_join(watchdog.thread, NULL);
		close(watchdog.stop_fd);
		watchdog.stop_fd = -1;
	}
	if (watchdog.syscall_fd >= 0)
		close(watchdog.syscall_fd);
	watchdog.syscall_fd = -1;
}
