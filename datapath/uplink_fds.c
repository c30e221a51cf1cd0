/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/uplink_fds.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "datapath/dp.h"

#define FDS_MAX (4 * DP_QUEUES_MAX + 1) /* two of each ring, and the connection */

static _Thread_local struct {
	bool opens, closes;
	int connection;
	unsigned int n;
	struct {
		int fd;
		bool closed;
	} of[FDS_MAX];
} fds = {.connection = -1};

int __real_connect(int fd, const struct sockaddr *addr, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t size);
int __real_eventfd(unsigned int value, int flags);
int __wrap_eventfd(unsigned int value, int flags);
int __real_close(int fd);
int __wrap_close(int fd);

static void
fds_note(int fd)
{
	if (fd < 0 || fds.n == FDS_MAX)
		return;
	fds.of[fds.n].fd = fd;
	fds.of[fds.n++].closed = false;
}

int
__wrap_connect(int fd, const struct sockaddr *addr, socklen_t size)
{
	int connection = fds.connection;

	if (connection < 0)
		return __real_connect(fd, addr, size);
	fds.connection = -1;
	if (dup3(connection, fd, O_CLOEXEC) < 0)
		return -1;
	fds_note(fd);
	return 0;
}

int
__wrap_eventfd(unsigned int value, int flags)
{
	int fd = __real_eventfd(value, flags);

	if (fds.opens)
		fds_note(fd);
	return fd;
}

int
__wrap_close(int fd)
{
	unsigned int i;

	for (i = 0; i < fds.n; i++) {
		if (fds.of[i].fd != fd)
			continue;
		if (fds.closes && !fds.of[i].closed) {
			fds.of[i].closed = true;
			return 0;
		}
		fds.of[i].fd = -1;
		break;
	}
	return __real_close(fd);
}

void
uplink_fds_open_begin(int connection)
{
	fds.opens = true;
	fds.connection = connection;
}

void
uplink_fds_open_end(bool made)
{
	unsigned int i;

	for (i = 0; i < fds.n; i++)
		if (!made && fds.of[i].fd >= 0)
			__real_close(fds.of[i].fd);
	fds.n = 0;
	fds.opens = false;
	fds.connection = -1;
}

void
uplink_fds_close_begin(uint16_t dev)
{
	struct rte_eth_dev_info info;
	uint16_t i;

	if (rte_eth_dev_info_get(dev, &info) != 0)
		return;
	for (i = 0; i < info.nb_rx_queues; i++)
		fds_note(rte_eth_dev_rx_intr_ctl_q_get_fd(dev, i));
	fds.closes = true;
}

void
uplink_fds_close_end(void)
{
	unsigned int i;

	for (i = 0; i < fds.n; i++)
		if (fds.of[i].fd >= 0 && fds.of[i].closed)
			__real_close(fds.of[i].fd);
	fds.n = 0;
	fds.closes = false;
}
