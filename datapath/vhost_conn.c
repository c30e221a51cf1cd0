/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "datapath/event.h"

/* Written by whoever runs the callbacks of a vid, and by the control thread when librte_vhost has
 * forgotten a port; read by any thread. */
static struct conn {
	_Atomic uint64_t cookie; /* of its socket; 0: no connection. Stored last, cleared first */
	_Atomic int fd;
	_Atomic uint16_t port;
	atomic_bool cut; /* by us */
} conns[RTE_MAX_VHOST_DEVICE];

static _Atomic int64_t refuse_until_ms[DP_PORTS_MAX]; /* CLOCK_MONOTONIC */

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The socket's name for as long as the system runs, or 0: not a socket. */
static uint64_t
cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

void
vhost_conn_open(int vid, uint16_t port, int fd)
{
	struct conn *c = &conns[vid];

	atomic_store(&c->cookie, 0);
	atomic_store(&c->fd, fd);
	atomic_store(&c->port, port);
	atomic_store(&c->cut, false);
	atomic_store(&c->cookie, cookie_of(fd));
}

void
vhost_conn_close(int vid)
{
	atomic_store(&conns[vid].cookie, 0);
}

void
vhost_conn_close_port(uint16_t port)
{
	int vid;

	for (vid = 0; vid < RTE_MAX_VHOST_DEVICE; vid++) {
		uint64_t cookie = atomic_load(&conns[vid].cookie);

		/* The vid may be somebody else's by now. */
		if (atomic_load(&conns[vid].port) == port)
			atomic_compare_exchange_strong(&conns[vid].cookie, &cookie, 0);
	}
}

int
vhost_conn_fd(int vid)
{
	return atomic_load(&conns[vid].cookie) != 0 ? atomic_load(&conns[vid].fd) : -1;
}

bool
vhost_conn_is_known(int fd)
{
	uint64_t cookie = cookie_of(fd);
	int vid;

	for (vid = 0; cookie != 0 && vid < RTE_MAX_VHOST_DEVICE; vid++)
		if (atomic_load(&conns[vid].cookie) == cookie)
			return true;
	return false;
}

void
vhost_conn_cut(int vid, enum dp_event_type why, uint64_t value)
{
	struct conn *c = &conns[vid];
	uint64_t cookie = atomic_load(&c->cookie);
	uint16_t port = atomic_load(&c->port);
	int fd = atomic_load(&c->fd);
	int saved_errno = errno;
	int copy;

	if (cookie == 0 || atomic_load(&c->cookie) != cookie)
		return;
	/* A copy is not closed under our hands between the question and the deed. */
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0 && cookie_of(copy) == cookie && !atomic_exchange(&c->cut, true)) {
		atomic_store(&refuse_until_ms[port], now_ms() + VHOST_CONN_PENALTY_MS);
		shutdown(copy, SHUT_RDWR);
		event_post(why, port, value);
	}
	if (copy >= 0)
		close(copy);
	errno = saved_errno;
}

bool
vhost_conn_refused(uint16_t port)
{
	return now_ms() < atomic_load(&refuse_until_ms[port]);
}

void
vhost_conn_forgive(uint16_t port)
{
	atomic_store(&refuse_until_ms[port], 0);
}

bool
vhost_conn_can_answer(int vid)
{
	struct pollfd room = {
		.fd = vhost_conn_fd(vid),
		.events = POLLOUT,
	};

	return poll(&room, 1, 0) == 1 && (room.revents & POLLOUT);
}
