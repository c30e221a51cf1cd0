/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/sockpath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REFUSE(err, ...) err_set_param(err, EINVAL, "socket-path-refused", "socket", __VA_ARGS__)

/* Makes a file and removes it: access() says nothing of file systems that bear no files, nor of
 * what security modules forbid root. Returns 0 or -errno. */
static int
try_to_write(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/.sluice-XXXXXX", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	close(fd);
	return 0;
}

int
sockpath_dirs_add(struct sockpath_dirs *dirs, const char *dir, struct err *err)
{
	char *canonical;
	struct stat st;
	int rc;

	if (dirs->n == SOCKPATH_DIRS_MAX)
		return err_set_param(err, ENOSPC, "bad-option", "socket-dir",
				     "more than %d socket directories", SOCKPATH_DIRS_MAX);
	canonical = realpath(dir, NULL);
	if (!canonical)
		return err_set_param(err, errno, "bad-option", "socket-dir",
				     "socket directory %s: %s; make it with mkdir, or name another"
				     " with socket-dir",
				     dir, strerror(errno));
	if (stat(canonical, &st) < 0 || !S_ISDIR(st.st_mode)) {
		free(canonical);
		return err_set_param(err, ENOTDIR, "bad-option", "socket-dir",
				     "socket directory %s is not a directory", dir);
	}
	rc = try_to_write(canonical);
	if (rc < 0) {
		free(canonical);
		return err_set_param(err, rc, "bad-option", "socket-dir",
				     "socket directory %s is not writable for sluiced: %s; change"
				     " its owner or mode, or name another with socket-dir",
				     dir, strerror(-rc));
	}
	dirs->dir[dirs->n++] = canonical;
	return 0;
}

void
sockpath_dirs_free(struct sockpath_dirs *dirs)
{
	while (dirs->n)
		free(dirs->dir[--dirs->n]);
}

static bool
is_beneath(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	/* "/" alone ends with the separator. */
	return !strncmp(path, dir, len) && (path[len] == '/' || path[len] == '\0' || len == 1);
}

static bool
is_beneath_any(const struct sockpath_dirs *dirs, const char *path)
{
	for (unsigned int i = 0; i < dirs->n; i++)
		if (is_beneath(path, dirs->dir[i]))
			return true;
	return false;
}

/* Also refuses what realpath() would bear: "..", though harmless here, names nothing that could
 * not be named without. */
static bool
has_dot_dot(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
			return true;
	return false;
}

static bool
has_control_character(const char *path)
{
	for (; *path; path++)
		if ((unsigned char)*path < 0x20 || *path == 0x7f)
			return true;
	return false;
}

/* "DIR/FILE" -> `parent`, canonical, and `file`, which points into `full`. */
static int
split(char *full, char parent[PATH_MAX], const char **file, struct err *err)
{
	char *slash = strrchr(full, '/');

	*file = slash + 1;
	if (!**file || !strcmp(*file, "."))
		return REFUSE(err, "socket %s names a directory; name a file in it", full);
	if (slash == full)
		strcpy(parent, "/");
	*slash = '\0';
	if (slash != full && !realpath(full, parent))
		return REFUSE(err, "socket directory %s: %s", full, strerror(errno));
	return 0;
}

int
sockpath_resolve(const struct sockpath_dirs *dirs, const char *text, const char *name,
		 char path[DP_PATH_SIZE], struct err *err)
{
	char given[2 * PATH_MAX], parent[PATH_MAX], full[DP_PATH_SIZE];
	const char *file;
	struct stat st;
	int n;

	if (!text)
		text = name;
	if (!*text || strlen(text) >= PATH_MAX || has_control_character(text))
		return REFUSE(err, "socket must be a path without control characters");
	if (has_dot_dot(text))
		return REFUSE(err, "socket %s contains \"..\"; give the plain path", text);
	snprintf(given, sizeof(given), "%s%s%s", text[0] == '/' ? "" : dirs->dir[0],
		 text[0] == '/' ? "" : "/", text);
	if (split(given, parent, &file, err) < 0)
		return -EINVAL;
	if (!is_beneath_any(dirs, parent))
		return REFUSE(err,
			      "socket %s lies in %s, which is in no socket directory; choose a"
			      " path beneath %s, or add a socket-dir to the configuration",
			      text, parent, dirs->dir[0]);
	n = snprintf(full, sizeof(full), "%s/%s", strcmp(parent, "/") ? parent : "", file);
	if (n >= DP_PATH_SIZE)
		return REFUSE(err,
			      "socket must have 1 to %d bytes, with its directory it has %d;"
			      " choose a shorter name or directory",
			      DP_PATH_SIZE - 1, n);
	if (lstat(full, &st) == 0 && !S_ISSOCK(st.st_mode))
		return REFUSE(err,
			      "%s is there and is not a socket%s; remove it or choose another path",
			      full, S_ISLNK(st.st_mode) ? " but a symbolic link" : "");
	memcpy(path, full, n + 1);
	return 0;
}

/* 0: somebody listens; else -errno, -ECONNREFUSED where nobody does. */
static int
probe(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, rc = 0;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		rc = errno == EAGAIN ? 0 : -errno; /* EAGAIN: a listener with a full queue */
	close(fd);
	return rc;
}

int
sockpath_clear(const char *path, struct err *err)
{
	struct stat st;
	int rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 :
					 err_set_param(err, errno, "socket-path-refused", "socket",
						       "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set_param(err, EEXIST, "socket-path-refused", "socket",
				     "%s is there and is not a socket; remove it or choose another"
				     " path",
				     path);
	rc = probe(path);
	if (rc == -ENOENT)
		return 0;
	if (rc != -ECONNREFUSED)
		return err_set_param(err, EEXIST, "socket-in-use", "socket",
				     "somebody uses the socket %s%s%s; stop that process or choose"
				     " another path",
				     path, rc ? ": " : "", rc ? strerror(-rc) : "");
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set_param(err, errno, "socket-path-refused", "socket",
				     "cannot remove the stale socket %s: %s", path,
				     strerror(errno));
	return 0;
}
