/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TMP_NAME STORE_FILE ".new"

int
store_load(const char *dir, json_t **document, struct err *err)
{
	int dir_fd, fd, rc = 0;
	json_error_t why;
	struct stat st;
	json_t *doc;

	*document = NULL;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_set(err, errno, "bad-state-file", "state directory %s: %s", dir,
			       strerror(errno));
	fd = openat(dir_fd, STORE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		if (errno != ENOENT)
			rc = err_set(err, errno, "bad-state-file", "%s/" STORE_FILE ": %s", dir,
				     strerror(errno));
		goto out;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		rc = err_set(err, EINVAL, "bad-state-file",
			     "%s/" STORE_FILE " is not a file; " STORE_REMEDY, dir);
		goto out;
	}
	doc = json_loadfd(fd, JSON_REJECT_DUPLICATES, &why);
	close(fd);
	if (!doc) {
		rc = err_set(err, EINVAL, "bad-state-file",
			     "%s/" STORE_FILE " is damaged (line %d: %s); " STORE_REMEDY, dir,
			     why.line, why.text);
		goto out;
	}
	if (json_integer_value(json_object_get(doc, "version")) != STORE_VERSION) {
		json_decref(doc);
		rc = err_set(err, EINVAL, "bad-state-file",
			     "%s/" STORE_FILE " is not of version %d; " STORE_REMEDY, dir,
			     STORE_VERSION);
		goto out;
	}
	*document = doc;
out:
	close(dir_fd);
	return rc;
}

/* Writes all of the document into a new file and on to the disk. Returns 0 or -errno. */
static int
write_file(int dir_fd, const char *text)
{
	size_t len = strlen(text), done = 0;
	int fd, rc = 0;

	/* What a crash left, or somebody put there: writing to a FIFO would hang. */
	if (unlinkat(dir_fd, TMP_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir_fd, TMP_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0 && errno != EINTR) {
			rc = -errno;
			goto out;
		}
		done += n > 0 ? n : 0;
	}
	if (fsync(fd) < 0)
		rc = -errno;
out:
	if (close(fd) < 0 && !rc)
		rc = -errno;
	return rc;
}

int
store_save(const char *dir, json_t *document, struct err *err)
{
	int dir_fd, rc;
	char *text;

	json_object_set_new(document, "version", json_integer(STORE_VERSION));
	text = json_dumps(document, JSON_INDENT(1) | JSON_SORT_KEYS);
	if (!text)
		return err_set(err, ENOMEM, "store-failed", "no memory to write the state");
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		rc = -errno;
		goto out;
	}
	rc = write_file(dir_fd, text);
	if (rc == 0 && renameat(dir_fd, TMP_NAME, dir_fd, STORE_FILE) < 0)
		rc = -errno;
	if (rc < 0)
		unlinkat(dir_fd, TMP_NAME, 0);
	else if (fsync(dir_fd) < 0)
		rc = -errno;
	close(dir_fd);
out:
	free(text);
	if (rc < 0)
		return err_set(err, rc, "store-failed",
			       "cannot write the state to %s: %s; nothing was changed", dir,
			       strerror(-rc));
	return 0;
}
