/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_peer.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NO_NAME offsetof(struct sockaddr_un, sun_path)

/* The first descriptor of ours that `match` takes. */
static int
find_fd(bool (*match)(int fd, const void *arg), const void *arg)
{
	struct dirent *entry;
	int fd, ret = -ENOENT;
	DIR *dir;

	dir = opendir("/proc/self/fd");
	if (dir == NULL)
		return -errno;
	while (ret < 0 && (entry = readdir(dir)) != NULL) {
		fd = atoi(entry->d_name);
		if (entry->d_name[0] != '.' && fd != dirfd(dir) && match(fd, arg))
			ret = fd;
	}
	closedir(dir);
	return ret;
}

/* The name that a unix socket is bound to; false: not a unix socket. */
static bool
own_name(int fd, struct sockaddr_un *un, socklen_t *len)
{
	*len = sizeof(*un);
	return getsockname(fd, (struct sockaddr *)un, len) == 0 && un->sun_family == AF_UNIX;
}

static bool
has_peer(int fd)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);

	return getpeername(fd, (struct sockaddr *)&un, &len) == 0;
}

struct accepted {
	const char *path;
	bool (*known)(int fd);
};

static bool
is_accepted(int fd, const void *arg)
{
	const struct accepted *a = arg;
	size_t n = strlen(a->path);
	struct sockaddr_un un;
	socklen_t len;

	return own_name(fd, &un, &len) && len >= NO_NAME + n &&
	       memcmp(un.sun_path, a->path, n) == 0 &&
	       (len == NO_NAME + n || un.sun_path[n] == '\0') && has_peer(fd) && !a->known(fd);
}

int
vhost_peer_find_accepted(const char *path, bool (*known)(int fd))
{
	struct accepted a = {.path = path, .known = known};

	return find_fd(is_accepted, &a);
}

static bool
is_fresh(int fd, const void *arg)
{
	struct sockaddr_un un;
	socklen_t len, type_len = sizeof(int);
	int type;

	(void)arg;
	return own_name(fd, &un, &len) && len <= NO_NAME &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
	       !has_peer(fd);
}

int
vhost_peer_find_fresh(void)
{
	return find_fd(is_fresh, NULL);
}

int
vhost_peer_of(int fd, struct vhost_peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return -errno;
	*peer = (struct vhost_peer){.pid = cred.pid, .uid = cred.uid};
	return 0;
}

bool
vhost_peer_allowed(const struct dp_socket_access *access, uid_t uid)
{
	unsigned int i;

	for (i = 0; i < access->n_peer_uids; i++)
		if (access->peer_uid[i] == uid)
			return true;
	return access->n_peer_uids == 0;
}

bool
vhost_peer_gone(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}
