/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const request_names[] = {
	[VHOST_GET_FEATURES] = "GET_FEATURES",
	[VHOST_SET_FEATURES] = "SET_FEATURES",
	[VHOST_SET_OWNER] = "SET_OWNER",
	[VHOST_SET_MEM_TABLE] = "SET_MEM_TABLE",
	[VHOST_SET_LOG_BASE] = "SET_LOG_BASE",
	[VHOST_SET_VRING_NUM] = "SET_VRING_NUM",
	[VHOST_SET_VRING_ADDR] = "SET_VRING_ADDR",
	[VHOST_SET_VRING_BASE] = "SET_VRING_BASE",
	[VHOST_GET_VRING_BASE] = "GET_VRING_BASE",
	[VHOST_SET_VRING_KICK] = "SET_VRING_KICK",
	[VHOST_SET_VRING_CALL] = "SET_VRING_CALL",
	[VHOST_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
	[VHOST_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
	[VHOST_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
	[VHOST_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
	[VHOST_SEND_RARP] = "SEND_RARP",
};

const char *
proto_name(enum vhost_request request)
{
	if (request < sizeof(request_names) / sizeof(request_names[0]) && request_names[request])
		return request_names[request];
	return "unknown request";
}

int
proto_send_raw(const struct proto *proto, const struct vhost_msg *msg, const int *fds,
	       unsigned int fd_count)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * VHOST_MAX_FDS)];
		struct cmsghdr align;
	} control;
	size_t bytes = sizeof(msg->header) + msg->header.size;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = bytes};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;
	ssize_t sent;

	if (fd_count > 0) {
		memset(&control, 0, sizeof(control));
		hdr.msg_control = control.room;
		hdr.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
	}
	do {
		sent = sendmsg(proto->fd, &hdr, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	/* A few hundred bytes fit into a stream socket's buffer or not at all. */
	return (size_t)sent == bytes ? 0 : -EIO;
}

static int
receive_exactly(const struct proto *proto, void *buf, size_t bytes)
{
	size_t have = 0;

	while (have < bytes) {
		struct pollfd pfd = {.fd = proto->fd, .events = POLLIN};
		ssize_t got;
		int ret = poll(&pfd, 1, (int)proto->timeout_ms);

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return -errno;
		if (ret == 0)
			return -ETIMEDOUT;
		got = recv(proto->fd, (char *)buf + have, bytes - have, MSG_DONTWAIT);
		if (got == 0)
			return -EPIPE;
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (got > 0)
			have += (size_t)got;
	}
	return 0;
}

int
proto_receive(const struct proto *proto, enum vhost_request request, struct vhost_msg *msg)
{
	int ret = receive_exactly(proto, &msg->header, sizeof(msg->header));

	if (ret < 0)
		return ret;
	if (msg->header.request != (uint32_t)request || msg->header.size > sizeof(msg->payload) ||
	    !(msg->header.flags & VHOST_FLAG_REPLY))
		return -EPROTO;
	memset(&msg->payload, 0, sizeof(msg->payload));
	return receive_exactly(proto, &msg->payload, msg->header.size);
}

static int
proto_failed(enum vhost_request request, int err_no, struct err *err)
{
	const char *name = proto_name(request);

	switch (-err_no) {
	case ETIMEDOUT:
		return err_set(err, err_no, "no-answer", "The switch does not answer %s.", name);
	case EPIPE:
		return err_set(err, err_no, "closed", "The switch closed the connection at %s.",
			       name);
	case EREMOTEIO:
		return err_set(err, err_no, "refused", "The switch refused %s.", name);
	default:
		return err_set(err, err_no, "protocol", "%s failed: %s.", name, strerror(-err_no));
	}
}

static void
message_fill(struct vhost_msg *msg, enum vhost_request request, const void *payload, uint32_t bytes)
{
	memset(msg, 0, sizeof(*msg));
	msg->header.request = request;
	msg->header.flags = VHOST_FLAG_VERSION;
	msg->header.size = bytes;
	if (bytes > 0)
		memcpy(&msg->payload, payload, bytes);
}

int
proto_set(const struct proto *proto, enum vhost_request request, const void *payload,
	  uint32_t bytes, const int *fds, unsigned int fd_count, struct err *err)
{
	struct vhost_msg msg;
	int ret;

	message_fill(&msg, request, payload, bytes);
	if (proto->reply_ack)
		msg.header.flags |= VHOST_FLAG_NEED_REPLY;
	ret = proto_send_raw(proto, &msg, fds, fd_count);
	if (ret == 0 && proto->reply_ack) {
		ret = proto_receive(proto, request, &msg);
		if (ret == 0 && msg.payload.u64 != 0)
			ret = -EREMOTEIO;
	}
	return ret < 0 ? proto_failed(request, ret, err) : 0;
}

int
proto_set_u64(const struct proto *proto, enum vhost_request request, uint64_t value,
	      struct err *err)
{
	return proto_set(proto, request, &value, sizeof(value), NULL, 0, err);
}

int
proto_set_state(const struct proto *proto, enum vhost_request request, uint32_t index, uint32_t num,
		struct err *err)
{
	struct vhost_vring_state state = {.index = index, .num = num};

	return proto_set(proto, request, &state, sizeof(state), NULL, 0, err);
}

static int
proto_ask(const struct proto *proto, struct vhost_msg *msg, const int *fds, unsigned int fd_count,
	  struct err *err)
{
	enum vhost_request request = (enum vhost_request)msg->header.request;
	int ret = proto_send_raw(proto, msg, fds, fd_count);

	if (ret == 0)
		ret = proto_receive(proto, request, msg);
	return ret < 0 ? proto_failed(request, ret, err) : 0;
}

int
proto_get_u64(const struct proto *proto, enum vhost_request request, uint64_t *value,
	      struct err *err)
{
	struct vhost_msg msg;
	int ret;

	message_fill(&msg, request, NULL, 0);
	ret = proto_ask(proto, &msg, NULL, 0, err);
	*value = msg.payload.u64;
	return ret;
}

int
proto_get_vring_base(const struct proto *proto, uint32_t index, uint32_t *base, struct err *err)
{
	struct vhost_vring_state state = {.index = index};
	struct vhost_msg msg;
	int ret;

	message_fill(&msg, VHOST_GET_VRING_BASE, &state, sizeof(state));
	ret = proto_ask(proto, &msg, NULL, 0, err);
	*base = msg.payload.state.num;
	return ret;
}

int
proto_set_log_base(const struct proto *proto, const struct vhost_log *log, int fd, struct err *err)
{
	struct vhost_msg msg;

	message_fill(&msg, VHOST_SET_LOG_BASE, log, sizeof(*log));
	return proto_ask(proto, &msg, &fd, 1, err);
}

static int
address_fill(struct sockaddr_un *addr, const char *path)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	return 0;
}

int
proto_connect(const char *path)
{
	struct sockaddr_un addr;
	int ret = address_fill(&addr, path);
	int fd;

	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static void
remove_stale_socket(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = proto_connect(path);
	if (fd >= 0)
		close(fd);
	else if (fd == -ECONNREFUSED)
		unlink(path);
}

int
proto_listen(const char *path, struct err *err)
{
	struct sockaddr_un addr;
	int ret = address_fill(&addr, path);
	int fd;

	if (ret < 0)
		return err_set_param(err, ret, "bad-option", "socket",
				     "The socket path \"%.60s...\" is over 107 bytes.", path);
	remove_stale_socket(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, errno, "socket", "socket(): %s.", strerror(errno));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0) {
		ret = err_set_param(err, errno, "socket", "socket", "Cannot listen on %s: %s.",
				    path, strerror(errno));
		close(fd);
		return ret;
	}
	return fd;
}
