/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int
lockfile_take(const char *path, struct err *err)
{
	char pid[16] = "";
	int fd, rc;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_set(err, errno, "bad-option", "lock file %s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		rc = -errno;
		if (rc != -EWOULDBLOCK) {
			err_set(err, rc, "bad-option", "lock file %s: %s", path, strerror(-rc));
		} else {
			rc = -EBUSY;
			if (read(fd, pid, sizeof(pid) - 1) <= 0)
				pid[0] = '\0';
			err_set(err, rc, "another-instance",
				"another instance runs (pid %ld) and holds %s; stop it, or give"
				" this one other --control, --socket-dir and --state-dir",
				strtol(pid, NULL, 10), path);
		}
		close(fd);
		return rc;
	}
	/* For people only, so a full disk may not stop us. */
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%ld\n", (long)getpid());
	return fd;
}
