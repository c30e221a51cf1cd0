/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/uplink_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "datapath/event.h"

/* For each of its answers; the driver would wait for ever. What control waits for is limited as a whole: port_uplink.c. */
#define ANSWER_TIMEOUT_MS 2000

#define GET_FEATURES 1
static const uint32_t question[3] = {GET_FEATURES, 1, 0}; /* request, version, size */

static int
uplink_socket_new(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

static void
uplink_socket_address(struct sockaddr_un *un, const char *path)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(un->sun_path, path, strlen(path) + 1);
}

static int
uplink_socket_listen(struct uplink_socket *s, const struct dp_socket_access *access,
		     struct err *err)
{
	struct sockaddr_un un;
	mode_t old_umask;
	int fd, ret;

	fd = uplink_socket_new();
	if (fd < 0)
		return err_set(err, -fd, "too-many-files", "sluice gets no more sockets (%s)",
			       strerror(-fd));
	uplink_socket_address(&un, s->file.bound);
	/* As in port_vhost.c: the mode is right from the beginning. */
	old_umask = umask(~access->mode & 0777);
	ret = bind(fd, (const struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, 1) < 0 ? -errno :
											    0;
	umask(old_umask);
	if (ret < 0)
		err_set_param(err, -ret, "socket-dir", "devargs", "cannot listen on %s: %s",
			      s->file.path, strerror(-ret));
	else
		ret = vhost_socket_publish(&s->file, access, err);
	if (ret < 0) {
		unlink(s->file.bound);
		close(fd);
		return ret;
	}
	s->listen_fd = fd;
	event_watch(fd, EPOLLIN);
	return 0;
}

int
uplink_socket_open(struct uplink_socket *s, const char *path, bool listens,
		   const struct dp_socket_access *access, struct err *err)
{
	int ret;

	ret = listens ? vhost_socket_init_server(&s->file, path, err) :
			vhost_socket_init_client(&s->file, path, err);
	if (ret < 0)
		return ret;
	s->listens = listens;
	s->answers = false;
	s->listen_fd = s->fd = -1;
	return listens ? uplink_socket_listen(s, access, err) : 0;
}

void
uplink_socket_close(struct uplink_socket *s)
{
	uplink_socket_hang_up(s);
	if (s->listen_fd < 0)
		return;
	event_ignore(s->listen_fd);
	close(s->listen_fd);
	vhost_socket_unlink(&s->file);
}

/* There is a connection. Takes ownership of it. */
static int
uplink_socket_ask(struct uplink_socket *s, int fd)
{
	if (send(fd, question, sizeof(question), MSG_NOSIGNAL) != sizeof(question)) {
		close(fd);
		return -ECONNRESET;
	}
	s->fd = fd;
	s->answers = false;
	event_watch(fd, EPOLLIN | EPOLLRDHUP);
	return 0;
}

int
uplink_socket_connect(struct uplink_socket *s)
{
	struct sockaddr_un un;
	int fd, ret;

	if (s->listens)
		return -EINVAL;
	if (s->fd >= 0)
		return -EALREADY;
	fd = uplink_socket_new();
	if (fd < 0)
		return fd;
	uplink_socket_address(&un, s->file.path);
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return uplink_socket_ask(s, fd);
}

/* Who comes takes the place of one that has not answered yet; while the device lives nobody is let in. */
static void
uplink_socket_accept(struct uplink_socket *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	uplink_socket_hang_up(s);
	uplink_socket_ask(s, fd);
}

static enum uplink_socket_news
uplink_socket_read(struct uplink_socket *s)
{
	uint32_t reply[5]; /* and 64 bits of features */
	ssize_t n = recv(s->fd, reply, sizeof(reply), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return UPLINK_SOCKET_QUIET;
	if (n != sizeof(reply) || reply[0] != GET_FEATURES) {
		uplink_socket_hang_up(s);
		return UPLINK_SOCKET_GONE;
	}
	s->answers = true;
	/* From here on what there is to read is the driver's, and only the end is ours to see. */
	event_watch(s->fd, EPOLLRDHUP);
	if (s->listen_fd >= 0)
		event_ignore(s->listen_fd);
	return UPLINK_SOCKET_ANSWERS;
}

enum uplink_socket_news
uplink_socket_look(struct uplink_socket *s)
{
	ssize_t n;
	char byte;

	if (s->listen_fd >= 0 && !s->answers)
		uplink_socket_accept(s);
	if (s->fd < 0)
		return UPLINK_SOCKET_QUIET;
	if (!s->answers)
		return uplink_socket_read(s);
	n = recv(s->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
	return n > 0 || (n < 0 && errno == EAGAIN) ? UPLINK_SOCKET_QUIET : UPLINK_SOCKET_GONE;
}

int
uplink_socket_take(struct uplink_socket *s)
{
	const struct timeval limit = {ANSWER_TIMEOUT_MS / 1000, ANSWER_TIMEOUT_MS % 1000 * 1000};

	setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) & ~O_NONBLOCK);
	return s->fd;
}

void
uplink_socket_hang_up(struct uplink_socket *s)
{
	if (s->fd < 0)
		return;
	event_ignore(s->fd);
	/* The driver has a descriptor of the same connection. */
	shutdown(s->fd, SHUT_RDWR);
	close(s->fd);
	s->fd = -1;
	if (s->answers && s->listen_fd >= 0)
		event_watch(s->listen_fd, EPOLLIN);
	s->answers = false;
}
