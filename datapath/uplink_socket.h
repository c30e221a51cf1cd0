/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_UPLINK_SOCKET_H
#define DATAPATH_UPLINK_SOCKET_H

#include <stdint.h>

#include "datapath/vhost_socket.h"

/*
 * The socket of an uplink whose device is the front-end of somebody's vhost-user back-end:
 * net_virtio_user, the end of a trunk into OVS-DPDK.
 *
 * The driver of DPDK 22.11 connects once in its life, or waits for a connection with the whole process. So
 * listening and connecting are done here, without waiting, and the driver gets a connection on which the
 * back-end has answered already. The device lives as long as the connection.
 *
 * Thread: control.
 */
struct uplink_socket {
	bool listens;
	bool answers; /* the back-end has answered; the connection may go to the driver, or has gone */
	int listen_fd, fd; /* -1: none */
	struct vhost_socket file;
};

/* Makes the socket where we are to listen, else only notes the path. Errors: as vhost_socket_init_server()
 * and vhost_socket_publish(). */
int uplink_socket_open(struct uplink_socket *s, const char *path, bool listens,
		       const struct dp_socket_access *access, struct err *err);

void uplink_socket_close(struct uplink_socket *s);

/* Connects, and asks what a front-end asks first. Errors: -EINVAL (we listen), -EALREADY, and
 * connect()'s. */
int uplink_socket_connect(struct uplink_socket *s);

enum uplink_socket_news {
	UPLINK_SOCKET_QUIET,
	UPLINK_SOCKET_ANSWERS, /* the driver may have uplink_socket_take() */
	UPLINK_SOCKET_GONE, /* the connection is lost, or was none */
};

/* Looks what has happened. To be called when event_fd() is readable. */
enum uplink_socket_news uplink_socket_look(struct uplink_socket *s);

/* The connection, with a limit to how long its reader waits for each answer. It stays ours to close. */
int uplink_socket_take(struct uplink_socket *s);

/* Ends the connection. */
void uplink_socket_hang_up(struct uplink_socket *s);

#endif
