/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VHOST_PEER_H
#define DATAPATH_VHOST_PEER_H

#include <stdbool.h>

#include "datapath/dp.h"

/*
 * Who is at the other end of a vhost-user connection.
 *
 * librte_vhost tells of a new connection by its vid only and keeps the descriptor to itself, so
 * the descriptor is looked for among our own (in /proc/self/fd).
 */

/*
 * The connection that was accepted on the socket bound to `path` and for which `known(fd)` says
 * no. Errors: -ENOENT (none), or why the look failed. Thread: any. May wait: no.
 */
int vhost_peer_find_accepted(const char *path, bool (*known)(int fd));

/*
 * The socket that rte_vhost_driver_register() has made for a client port and that is not connected
 * yet: the only one in that state, as the control thread makes it and connects it at once. Its peer
 * could not be told by name later, since who listens may have bound it under another one (another
 * mount namespace, a relative path). Errors as above. Thread: control.
 */
int vhost_peer_find_fresh(void);

struct vhost_peer {
	pid_t pid;
	uid_t uid;
};

/* Who had the other end when the connection was made. Errors: those of getsockopt(). */
int vhost_peer_of(int fd, struct vhost_peer *peer);

/* May this uid be the peer? */
bool vhost_peer_allowed(const struct dp_socket_access *access, uid_t uid);

/* True if the other end is closed, or as good as. May wait: no. */
bool vhost_peer_gone(int fd);

#endif
