/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_doorbell.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "datapath/vhost_message.h"
#include "datapath/vhost_socket.h"

/*
 * librte_vhost is the client of this connection, for two reasons: a client's connection does wake
 * its thread, so that not even the bell itself waits for a second; and nobody else can connect to
 * it, since the name goes as soon as both ends are there.
 *
 * A ring is SET_OWNER, a header without payload that changes nothing and wants no answer.
 */
static struct {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd; /* our end; control thread */
} doorbell = {.fd = -1};

static enum rte_vhost_msg_result
doorbell_heard_cb(int vid, void *msg)
{
	(void)vid;
	(void)msg;
	return RTE_VHOST_MSG_RESULT_OK;
}

static int
doorbell_connection_cb(int vid)
{
	static const struct rte_vhost_user_extern_ops ops = {.pre_msg_handle = doorbell_heard_cb};

	return rte_vhost_extern_callback_register(vid, &ops, NULL);
}

static const struct rte_vhost_device_ops doorbell_ops = {
	.new_connection = doorbell_connection_cb,
};

/* A listener that only we can connect to; takes the place of a dead one of the same name. */
static int
doorbell_listen(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	mode_t old_umask;
	int fd, ret;

	memcpy(un.sun_path, doorbell.path, sizeof(un.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (vhost_socket_probe(doorbell.path) == -ECONNREFUSED) {
		struct stat st;

		if (lstat(doorbell.path, &st) == 0 && S_ISSOCK(st.st_mode))
			unlink(doorbell.path);
	}
	old_umask = umask(0177);
	ret = bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0 ? 0 : -errno;
	umask(old_umask);
	if (ret == 0 && listen(fd, 1) != 0) {
		ret = -errno;
		unlink(doorbell.path);
	}
	if (ret == 0)
		return fd;
	close(fd);
	return ret;
}

/* Has librte_vhost connect to the listener. */
static int
doorbell_connect(void)
{
	if (rte_vhost_driver_register(doorbell.path,
				      RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT) != 0)
		return -EIO;
	if (rte_vhost_driver_callback_register(doorbell.path, &doorbell_ops) == 0 &&
	    rte_vhost_driver_start(doorbell.path) == 0)
		return 0;
	rte_vhost_driver_unregister(doorbell.path);
	return -EIO;
}

int
vhost_doorbell_start(const char *path, struct err *err)
{
	int listen_fd, ret;

	if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof(doorbell.path))
		return err_set(err, EINVAL, "vhost-start-failed",
			       "the doorbell's path must have 1 to %zu bytes",
			       sizeof(doorbell.path) - 1);
	snprintf(doorbell.path, sizeof(doorbell.path), "%s", path);
	listen_fd = doorbell_listen();
	ret = listen_fd;
	if (listen_fd < 0)
		goto fail;
	ret = doorbell_connect();
	if (ret == 0) {
		doorbell.fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (doorbell.fd < 0) {
			ret = -errno;
			rte_vhost_driver_unregister(doorbell.path);
		}
	}
	unlink(doorbell.path);
	close(listen_fd);
	if (ret == 0)
		return 0;
fail:
	return err_set(err, ret, "vhost-start-failed",
		       "cannot start librte_vhost with the socket %s: %s", path, strerror(-ret));
}

void
vhost_doorbell_ring(void)
{
	/* If there is no room the thread has rings enough to hear. */
	static const uint32_t header[3] = {VU_SET_OWNER, 1 /* version */, 0};

	send(doorbell.fd, header, sizeof(header), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
vhost_doorbell_stop(void)
{
	if (doorbell.fd >= 0) {
		rte_vhost_driver_unregister(doorbell.path);
		close(doorbell.fd);
		doorbell.fd = -1;
	}
}
