/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int
vhost_socket_probe(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd, ret;

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0 ? 0 : -errno;
	close(fd);
	return ret == -EAGAIN ? 0 : ret; /* a full backlog is a live listener, too */
}

/* Says what occupies the path. */
static int
path_taken(const struct vhost_socket *s, struct err *err)
{
	if (vhost_socket_probe(s->path) == 0)
		return err_set_param(err, EEXIST, "socket-in-use", "socket",
				     "another process listens on %s; stop it or choose another path",
				     s->path);
	return err_set_param(err, EEXIST, "socket-exists", "socket",
			     "%s exists already; remove it or choose another path", s->path);
}

/* "dir/name" -> "dir/.RANDOM", a name that nobody has. */
static int
name_bound(struct vhost_socket *s)
{
	const char *slash = strrchr(s->path, '/');
	int dir_len = slash != NULL ? (int)(slash + 1 - s->path) : 0;
	struct stat st;
	uint32_t random;
	int len;

	if (s->path[dir_len] == '\0')
		return -ENAMETOOLONG;
	do {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -EIO;
		len = snprintf(s->bound, sizeof(s->bound), "%.*s.%08x", dir_len, s->path, random);
		if (len >= (int)sizeof(s->bound))
			return -ENAMETOOLONG;
	} while (lstat(s->bound, &st) == 0);
	return 0;
}

int
vhost_socket_init_client(struct vhost_socket *s, const char *path, struct err *err)
{
	memset(s, 0, sizeof(*s));
	if (strlen(path) >= sizeof(s->path))
		return err_set_param(err, ENAMETOOLONG, "socket-dir", "socket",
				     "the socket's path has %zu bytes, at most %zu are possible",
				     strlen(path), sizeof(s->path) - 1);
	strcpy(s->path, path);
	strcpy(s->bound, path);
	return 0;
}

int
vhost_socket_init_server(struct vhost_socket *s, const char *path, struct err *err)
{
	char dir[DP_PATH_SIZE];
	struct stat st;
	char *slash;
	int ret;

	ret = vhost_socket_init_client(s, path, err);
	if (ret != 0)
		return ret;
	if (name_bound(s) != 0)
		return err_set_param(err, ENAMETOOLONG, "socket-dir", "socket",
				     "%s leaves no room for a temporary name beside it; "
				     "choose a shorter directory",
				     path);

	/* Ask now what bind() would refuse: librte_vhost closes a descriptor twice when it fails. */
	strcpy(dir, s->bound);
	slash = strrchr(dir, '/');
	strcpy(slash != NULL ? slash + 1 : dir, ".");
	if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0)
		return err_set_param(err, errno, "socket-dir", "socket",
				     "cannot make a socket at %s: %s; create its directory and let "
				     "sluiced write there",
				     path, strerror(errno));
	if (lstat(path, &st) == 0)
		return path_taken(s, err);
	return 0;
}

int
vhost_socket_publish(struct vhost_socket *s, const struct dp_socket_access *access, struct err *err)
{
	struct stat st;

	if ((access->owner != (uid_t)-1 || access->group != (gid_t)-1) &&
	    fchownat(AT_FDCWD, s->bound, access->owner, access->group, AT_SYMLINK_NOFOLLOW) != 0)
		return err_set_param(err, errno, "socket-access", "socket",
				     "cannot give %s to user %d, group %d: %s; run sluiced as root "
				     "or as a member of that group",
				     s->path, (int)access->owner, (int)access->group,
				     strerror(errno));
	if (lstat(s->bound, &st) != 0 ||
	    renameat2(AT_FDCWD, s->bound, AT_FDCWD, s->path, RENAME_NOREPLACE) != 0) {
		if (errno == EEXIST)
			return path_taken(s, err);
		return err_set_param(err, errno, "socket-dir", "socket",
				     "cannot put the socket at %s: %s; choose another directory",
				     s->path, strerror(errno));
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

void
vhost_socket_unlink(struct vhost_socket *s)
{
	struct stat st;

	if (s->ino != 0 && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	s->ino = 0;
}
