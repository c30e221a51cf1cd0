/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VHOST_SOCKET_H
#define DATAPATH_VHOST_SOCKET_H

#include "datapath/dp.h"

/*
 * The socket file of a server port.
 *
 * librte_vhost binds a temporary name beside the one that guests know; the socket gets its owner
 * there and is renamed to its place only when it is ready, and only if that place is free. So
 * whoever sees the socket may connect at once, nobody ever sees it with other rights, and
 * librte_vhost, which unlinks the name it bound without a look at what is there (also after a bind
 * that failed), can never remove the socket of somebody else.
 *
 * Thread: control.
 */
struct vhost_socket {
	char path[DP_PATH_SIZE]; /* what guests know */
	char bound[DP_PATH_SIZE]; /* what librte_vhost knows; a client port's: the path */
	dev_t dev; /* of the socket in its place; ino 0: not there */
	ino_t ino;
};

/*
 * Fills in the names and checks that a socket can be made in the path's directory.
 * Errors: -ENAMETOOLONG, -ENOENT, -EACCES ... (code "socket-dir"), -EEXIST (code "socket-in-use"
 * where somebody listens on the path, else "socket-exists").
 */
int vhost_socket_init_server(struct vhost_socket *s, const char *path, struct err *err);

/* A socket that somebody else makes: both names are the path. Errors: -ENAMETOOLONG. */
int vhost_socket_init_client(struct vhost_socket *s, const char *path, struct err *err);

/* The name `bound` is bound now: gives it its owner and moves it to its place. Errors: -EPERM ...
 * (code "socket-access"), -EEXIST as above, and what rename says ("socket-dir"). */
int vhost_socket_publish(struct vhost_socket *s, const struct dp_socket_access *access,
			 struct err *err);

/* Unlinks the path if our socket is still what is there. */
void vhost_socket_unlink(struct vhost_socket *s);

/* 0 if somebody listens on the path, else -ECONNREFUSED, -ENOENT ... Never waits. */
int vhost_socket_probe(const char *path);

#endif
