/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Returns 0 or -errno. */
static int
lock(int fd, const char *path, struct err *err)
{
	char pid[16] = "";

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return err_set(err, errno, "bad-option", "lock file %s: %s", path, strerror(errno));
	if (read(fd, pid, sizeof(pid) - 1) <= 0)
		pid[0] = '\0';
	return err_set(err, EBUSY, "another-instance",
		       "another instance runs (pid %ld) and holds %s; stop it, or give this one other"
		       " --control, --socket-dir and --state-dir",
		       strtol(pid, NULL, 10), path);
}

int
lockfile_take(const char *path, const char *option, struct err *err)
{
	int fd, rc;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_set_param(err, errno, "bad-option", option,
				     "cannot make the lock file %s: %s; give it a directory where"
				     " sluiced may write, or name another place with --%s",
				     path, strerror(errno), option);
	rc = lock(fd, path, err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	/* For people only, so a full disk may not stop us. */
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%ld\n", (long)getpid());
	return fd;
}

int
lockfile_look(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc;

	if (fd < 0)
		return 0;
	rc = lock(fd, path, err);
	close(fd);
	return rc == -EBUSY ? rc : 0;
}
