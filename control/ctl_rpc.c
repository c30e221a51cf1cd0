/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_rpc.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Far more than the counters of all ports and queues take; a line without end stops here. */
#define LINE_SIZE_MAX (64 * 1024 * 1024)

#define UNREACHABLE(err, err_no, ...) err_set(err, err_no, "unreachable", __VA_ARGS__)

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Why the socket can't be opened by this user, and who could. */
static int
say_no_permission(const char *path, struct err *err)
{
	struct stat st;
	const struct group *group = stat(path, &st) == 0 ? getgrgid(st.st_gid) : NULL;

	if (group && st.st_gid != 0)
		return UNREACHABLE(err, EACCES,
				   "no permission for the control socket %s: run sluicectl as root,"
				   " or join the group %s",
				   path, group->gr_name);
	return UNREACHABLE(err, EACCES,
			   "no permission for the control socket %s: run sluicectl as root, or as"
			   " a member of the group that sluiced was given with --group",
			   path);
}

static int
say_no_connection(const char *path, int err_no, struct err *err)
{
	struct stat st;

	switch (err_no) {
	case EACCES:
	case EPERM:
		return say_no_permission(path, err);
	case ENOENT:
	case ENOTDIR:
		return UNREACHABLE(err, err_no,
				   "there is no control socket %s: start sluiced (systemctl start"
				   " sluiced), or name the socket with -s or SLUICE_CONTROL",
				   path);
	case ECONNREFUSED:
		if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
			return UNREACHABLE(err, err_no,
					   "%s is no socket: name sluiced's control socket with -s"
					   " or SLUICE_CONTROL",
					   path);
		return UNREACHABLE(err, err_no,
				   "nobody listens on the control socket %s: sluiced is not"
				   " running; start it (systemctl start sluiced)",
				   path);
	case EAGAIN:
		return UNREACHABLE(err, err_no,
				   "sluiced accepts no connection on %s: it hangs or is"
				   " overloaded; look at its log (journalctl -u sluiced)",
				   path);
	}
	return UNREACHABLE(err, err_no, "cannot connect to the control socket %s: %s", path,
			   strerror(err_no));
}

int
ctl_rpc_open(struct ctl_rpc *rpc, const char *path, int timeout_ms, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval wait = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	int rc;

	*rpc = (struct ctl_rpc){.fd = -1, .stop_fd = -1, .path = path};
	if (strlen(path) >= sizeof(addr.sun_path))
		return UNREACHABLE(err, ENAMETOOLONG,
				   "the control socket's path has more than %zu bytes: %s",
				   sizeof(addr.sun_path) - 1, path);
	strcpy(addr.sun_path, path);
	rpc->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (rpc->fd < 0)
		return UNREACHABLE(err, errno, "cannot make a socket: %s", strerror(errno));
	/* The kernel heeds it in connect() too, where it waits while the backlog is full. */
	setsockopt(rpc->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(rpc->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = say_no_connection(path, errno, err);
		ctl_rpc_close(rpc);
		return rc;
	}
	return 0;
}

void
ctl_rpc_close(struct ctl_rpc *rpc)
{
	if (rpc->fd >= 0)
		close(rpc->fd);
	free(rpc->buf);
	rpc->buf = NULL;
	rpc->len = rpc->size = 0;
	rpc->fd = -1;
}

static int
send_line(struct ctl_rpc *rpc, const char *line, size_t len, struct err *err)
{
	while (len > 0) {
		ssize_t n = send(rpc->fd, line, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		/* It may have said why before it hung up: the reader finds out. */
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (n < 0)
			return UNREACHABLE(err, errno, "sluiced on %s takes no request: %s",
					   rpc->path,
					   errno == EAGAIN ? "it reads nothing" : strerror(errno));
		line += n;
		len -= n;
	}
	return 0;
}

/* Waits for more bytes until `deadline_ms` (-1: no end) and appends them to the buffer. */
static int
receive(struct ctl_rpc *rpc, int64_t deadline_ms, struct err *err)
{
	struct pollfd fds[] = {{rpc->fd, POLLIN, 0}, {rpc->stop_fd, POLLIN, 0}};
	int64_t left_ms = deadline_ms < 0 ? -1 : deadline_ms - now_ms();
	ssize_t n;

	if (deadline_ms >= 0 && left_ms < 0)
		left_ms = 0;
	if (rpc->size - rpc->len < 4096) {
		size_t size = rpc->size ? rpc->size * 2 : 65536;
		char *buf = size <= LINE_SIZE_MAX ? realloc(rpc->buf, size) : NULL;

		if (!buf)
			return UNREACHABLE(err, EMSGSIZE, "an answer on %s is too long", rpc->path);
		rpc->buf = buf;
		rpc->size = size;
	}
	n = poll(fds, 2, left_ms);
	if (n == 0)
		return UNREACHABLE(err, ETIMEDOUT,
				   "sluiced on %s does not answer in time: it hangs or is"
				   " overloaded, and may still carry out the request; look at its"
				   " log (journalctl -u sluiced)",
				   rpc->path);
	if (n > 0 && fds[1].revents)
		return err_set(err, EINTR, "stopped", "stopped");
	if (n > 0)
		n = recv(rpc->fd, rpc->buf + rpc->len, rpc->size - rpc->len, 0);
	if (n < 0 && errno != EINTR)
		return UNREACHABLE(err, errno, "cannot read from %s: %s", rpc->path,
				   strerror(errno));
	if (n == 0)
		return UNREACHABLE(err, ECONNRESET,
				   "sluiced closed the connection on %s: it stopped, or its log"
				   " says why (journalctl -u sluiced)",
				   rpc->path);
	if (n > 0)
		rpc->len += n;
	return 0;
}

/* Takes the next line off the buffer as JSON, waiting for it where it is not whole yet. */
static int
take_line(struct ctl_rpc *rpc, int64_t deadline_ms, json_t **message, struct err *err)
{
	size_t seen = 0;
	char *end;
	json_error_t why;

	for (;;) {
		int rc;

		end = rpc->len > seen ? memchr(rpc->buf + seen, '\n', rpc->len - seen) : NULL;
		if (end)
			break;
		seen = rpc->len;
		rc = receive(rpc, deadline_ms, err);
		if (rc < 0)
			return rc;
	}
	*message = json_loadb(rpc->buf, end - rpc->buf, 0, &why);
	rpc->len -= end + 1 - rpc->buf;
	memmove(rpc->buf, end + 1, rpc->len);
	if (!json_is_object(*message)) {
		json_decref(*message);
		return UNREACHABLE(err, EPROTO,
				   "what listens on %s does not speak sluiced's language: name"
				   " sluiced's control socket with -s or SLUICE_CONTROL",
				   rpc->path);
	}
	return 0;
}

int
ctl_rpc_call(struct ctl_rpc *rpc, const char *method, json_t *params, int timeout_ms,
	     json_t **answer, struct err *err)
{
	int64_t deadline_ms = now_ms() + timeout_ms;
	json_t *request =
		json_pack("{ss sI ss}", "jsonrpc", "2.0", "id", ++rpc->last_id, "method", method);
	char *line;
	size_t len;
	int rc;

	if (params)
		json_object_set(request, "params", params);
	line = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!line)
		return UNREACHABLE(err, ENOMEM, "out of memory");
	len = strlen(line);
	line[len] = '\n'; /* in the place of the NUL: it is sent by its length */
	rc = send_line(rpc, line, len + 1, err);
	free(line);
	while (rc == 0) {
		const json_t *id;

		rc = take_line(rpc, deadline_ms, answer, err);
		if (rc < 0)
			break;
		/* An error without an id is sluiced's answer to what it could not read. */
		id = json_object_get(*answer, "id");
		if (json_integer_value(id) == rpc->last_id ||
		    (json_object_get(*answer, "error") && !json_is_integer(id)))
			return 0;
		json_decref(*answer);
	}
	*answer = NULL;
	return rc;
}

int
ctl_rpc_result(struct ctl_rpc *rpc, const char *method, json_t *params, int timeout_ms,
	       json_t **result, struct err *err)
{
	const char *message, *code;
	const json_t *error;
	json_t *answer;
	int rc = ctl_rpc_call(rpc, method, params, timeout_ms, &answer, err);

	if (rc < 0)
		return rc;
	*result = json_incref(json_object_get(answer, "result"));
	if (!*result) {
		error = json_object_get(answer, "error");
		message = json_string_value(json_object_get(error, "message"));
		code = json_string_value(json_object_get(json_object_get(error, "data"), "code"));
		rc = err_set(err, EREMOTEIO, code ? code : "refused", "%s",
			     message ? message : "refused");
	}
	json_decref(answer);
	return rc;
}

int
ctl_rpc_next(struct ctl_rpc *rpc, json_t **message, struct err *err)
{
	int rc;

	while ((rc = take_line(rpc, -1, message, err)) == 0) {
		if (json_object_get(*message, "method"))
			return 0;
		json_decref(*message);
	}
	return rc;
}
