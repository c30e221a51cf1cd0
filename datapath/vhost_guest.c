/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_guest.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "datapath/event.h"
#include "datapath/rcu.h"
#include "datapath/vhost_peer.h"

/*
 * Theory of operation
 *
 * Three kinds of threads meet here. The control thread opens and closes ports. librte_vhost's one
 * "vhost-events" thread serves the connections of all guests and calls the functions that end in
 * _cb; a client port's new_connection_cb and, inside rte_vhost_driver_unregister(), destroy_device_cb
 * run on the control thread instead, never both for one port at a time. Lcores only read `vid`,
 * `negotiated` and `enabled`.
 *
 * Guest life does not pass through the control thread. new_device_cb stores the vid last;
 * destroy_device_cb stores -1 and waits one grace period, after which no lcore is in the rings, and
 * librte_vhost may free them. That wait is short (lcores report every round) and safe: librte_vhost
 * holds none of the queues' locks around these two callbacks, and lcores wait for nobody.
 *
 * Messages that change a running port without either callback (memory table, log, ring addresses)
 * are seen by pre_message_cb. There it must NOT wait: librte_vhost holds the locks of all queues by
 * then, rte_vhost_enqueue_burst() spins on them, and the grace period would never end. It stores -1
 * so that no further lcore comes to spin, and post_message_cb gives the vid back. An lcore that had
 * read the vid before is safe as it works under the queue's lock. Where the message fails the vid
 * stays away and the next message ends the connection (vhost_message.c); destroy_device_cb waits in
 * any case, since the -1 of pre_message_cb was stored without.
 *
 * One port has one connection. A second one is refused while the first lives; when the first has
 * hung up and the vhost-events thread just has not come to it yet, the second takes over: the port
 * is detached from the old vid, which from then on belongs to no port, so what is still called for
 * it has no effect.
 *
 * A port is found by vid in conn_of_vid[], without a lock. Entries are set and cleared by whoever
 * runs the callbacks of that vid. Only new_connection_cb has to look for its port by name, under
 * ports_lock, which nobody holds across a call of librte_vhost. A port is freed after
 * rte_vhost_driver_unregister() has returned: that waits until no callback of it is running.
 */

#define SOCKET_NONE UINT64_MAX

static const struct timeval message_patience = {.tv_usec = 2000};

/*
 * The connections, by vid. An entry is set and cleared by whoever runs the callbacks of its vid, and
 * cleared by the control thread when librte_vhost has forgotten the port; a vid may be somebody
 * else's by then, so that the latter takes out only what it knows to be its own.
 */
static struct {
	_Atomic(struct port_vhost *) port; /* NULL: its port has another connection, or is gone */
	_Atomic uint64_t socket; /* port id and descriptor; also where port is NULL */
} conn_of_vid[RTE_MAX_VHOST_DEVICE] = {
	[0 ... RTE_MAX_VHOST_DEVICE - 1] = {.socket = SOCKET_NONE},
};

/* Open ports; written by the control thread. */
static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;
static struct port_vhost *ports;

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint64_t
conn_socket(uint16_t port_id, int fd)
{
	return (uint64_t)port_id << 32 | (uint32_t)fd;
}

static int
conn_fd(uint64_t socket)
{
	return (int)(uint32_t)socket;
}

/* The port whose connection `vid` is, or NULL. */
static struct port_vhost *
port_of_vid(int vid)
{
	return atomic_load(&conn_of_vid[vid].port);
}

static struct port_vhost *
port_of_vid_by_name(int vid)
{
	char name[DP_PATH_SIZE];
	struct port_vhost *v;

	if (rte_vhost_get_ifname(vid, name, sizeof(name)) != 0)
		return NULL;
	pthread_mutex_lock(&ports_lock);
	for (v = ports; v != NULL; v = v->next)
		if (strcmp(v->socket.bound, name) == 0)
			break;
	pthread_mutex_unlock(&ports_lock);
	return v;
}

/* Is fd one of the connections of the port that we know already? */
static bool
is_known_fd(int fd, const void *arg)
{
	const struct port_vhost *v = arg;
	uint64_t socket = conn_socket(v->base.id, fd);
	int vid;

	for (vid = 0; vid < RTE_MAX_VHOST_DEVICE; vid++)
		if (atomic_load(&conn_of_vid[vid].socket) == socket)
			return true;
	return false;
}

/* Takes the rings away from the lcores; when it returns none of them is in there. */
static void
stop_rings(struct port_vhost *v)
{
	atomic_store(&v->vid, -1);
	rcu_synchronize();
	if (!v->running_cb)
		return;
	v->running_cb = false;
	v->withdrawn_cb = false;
	event_post(DP_EVENT_PORT_DOWN, v->base.id, 0);
}

/* The port has no connection any more. */
static void
disconnect(struct port_vhost *v)
{
	struct port_vhost *own = v;
	unsigned int i;

	for (i = 0; i < 2 * DP_QUEUES_MAX; i++)
		atomic_store(&v->enabled[i], 0);
	atomic_compare_exchange_strong(&conn_of_vid[atomic_load(&v->conn_vid)].port, &own, NULL);
	atomic_store(&v->conn_vid, -1);
	atomic_store(&v->connected_ns, 0);
	atomic_store(&v->node, -1);
	event_post(DP_EVENT_PORT_DISCONNECTED, v->base.id, 0);
}

static int
new_device_cb(int vid)
{
	struct port_vhost *v = port_of_vid(vid);
	uint64_t features;
	uint16_t i, n;

	if (v == NULL || vhost_guard_broken(&v->guard) ||
	    rte_vhost_get_negotiated_features(vid, &features) != 0)
		return -1;
	/* We poll: the guest need not tell of what it sends. */
	n = rte_vhost_get_vring_num(vid);
	for (i = 0; i < n; i++)
		rte_vhost_enable_guest_notification(vid, i, 0);
	atomic_store(&v->node, rte_vhost_get_numa_node(vid));
	atomic_store(&v->negotiated, features);
	v->running_cb = true;
	atomic_store(&v->vid, vid);
	event_post(DP_EVENT_PORT_UP, v->base.id, features);
	return 0;
}

static void
destroy_device_cb(int vid)
{
	struct port_vhost *v = port_of_vid(vid);

	if (v != NULL)
		stop_rings(v);
}

/* Never waits: the locks of the queues are held. */
static int
vring_state_changed_cb(int vid, uint16_t vring, int enable)
{
	struct port_vhost *v = port_of_vid(vid);

	if (v != NULL && vring < 2 * v->base.n_queues)
		atomic_store(&v->enabled[vring], enable != 0);
	return 0;
}

/* Dirty logging is turned on or off. Never waits, as above. */
static int
features_changed_cb(int vid, uint64_t features)
{
	struct port_vhost *v = port_of_vid(vid);

	if (v != NULL)
		atomic_store(&v->negotiated, features);
	return 0;
}

/* librte_vhost writes its answer with the locks of all queues held, and lcores spin on those: a peer
 * that does not read answers must be gone before there is one that does not fit. */
static bool
can_answer(int vid)
{
	struct pollfd room = {
		.fd = conn_fd(atomic_load(&conn_of_vid[vid].socket)),
		.events = POLLOUT,
	};

	return poll(&room, 1, 0) == 1 && (room.revents & POLLOUT);
}

/* Never waits, as above; see the theory of operation. */
static enum rte_vhost_msg_result
pre_message_cb(int vid, void *message)
{
	struct port_vhost *v = port_of_vid(vid);
	struct vhost_message *msg = message;

	if (v == NULL || !can_answer(vid)) {
		vhost_message_drop(msg);
		msg->flags &= ~VHOST_MESSAGE_NEED_REPLY;
		if (v != NULL)
			event_post(DP_EVENT_PEER_BAD_MESSAGE, v->base.id, msg->request);
		return RTE_VHOST_MSG_RESULT_ERR;
	}
	switch (vhost_guard_before(&v->guard, msg)) {
	case VHOST_ANSWERED:
		return RTE_VHOST_MSG_RESULT_REPLY;
	case VHOST_IGNORED:
		return RTE_VHOST_MSG_RESULT_OK;
	case VHOST_CUT:
		event_post(DP_EVENT_PEER_BAD_MESSAGE, v->base.id, msg->request);
		return RTE_VHOST_MSG_RESULT_ERR;
	case VHOST_PASS:
		break;
	}
	if (v->running_cb && vhost_message_withdraws(msg->request)) {
		atomic_store(&v->vid, -1);
		v->withdrawn_cb = true;
	}
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

/* Called only where the message did not fail. */
static enum rte_vhost_msg_result
post_message_cb(int vid, void *message)
{
	struct port_vhost *v = port_of_vid(vid);

	if (v == NULL)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	vhost_guard_after(&v->guard, message);
	if (v->withdrawn_cb) {
		v->withdrawn_cb = false;
		atomic_store(&v->vid, vid);
	}
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static const struct rte_vhost_user_extern_ops message_ops = {
	.pre_msg_handle = pre_message_cb,
	.post_msg_handle = post_message_cb,
};

/* Who came on the new connection, and may they? Its descriptor, or -EPERM, or as vhost_peer.h. */
static int
admit(struct port_vhost *v, struct vhost_peer *peer)
{
	int old_vid = atomic_load(&v->conn_vid);
	int fd, ret;

	fd = v->client ? v->fresh_fd_ctl :
			 vhost_peer_find_accepted(v->socket.bound, is_known_fd, v);
	if (fd < 0)
		return fd;
	ret = vhost_peer_of(fd, peer);
	if (ret != 0)
		return ret;
	if (!vhost_peer_allowed(&v->access, peer->uid) ||
	    (old_vid >= 0 &&
	     !vhost_peer_gone(conn_fd(atomic_load(&conn_of_vid[old_vid].socket))))) {
		event_post(DP_EVENT_PEER_REFUSED, v->base.id, peer->uid);
		return -EPERM;
	}
	/* librte_vhost's reads block, and its one thread serves all guests. A front-end hands over
	 * a message whole, so who makes us wait in the middle of one is cut off. */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &message_patience, sizeof(message_patience));
	if (old_vid >= 0) {
		stop_rings(v);
		disconnect(v);
	}
	return fd;
}

static int
new_connection_cb(int vid)
{
	struct port_vhost *v = port_of_vid_by_name(vid);
	struct vhost_peer peer;
	int fd;

	if (v == NULL)
		return -1;
	fd = admit(v, &peer);
	if (v->client)
		v->attempt_ctl = fd < 0 ? fd : 0;
	if (fd < 0 || rte_vhost_extern_callback_register(vid, &message_ops, NULL) != 0)
		return -1;

	vhost_guard_init(&v->guard, v->base.n_queues);
	atomic_store(&v->peer_pid, peer.pid);
	atomic_store(&v->peer_uid, peer.uid);
	atomic_store(&v->connected_ns, now_ns());
	atomic_fetch_add(&v->connections, 1);
	atomic_store(&conn_of_vid[vid].socket, conn_socket(v->base.id, fd));
	atomic_store(&conn_of_vid[vid].port, v);
	atomic_store(&v->conn_vid, vid);
	event_post(DP_EVENT_PORT_CONNECTED, v->base.id, peer.uid);
	return 0;
}

static void
destroy_connection_cb(int vid)
{
	struct port_vhost *v = port_of_vid(vid);

	atomic_store(&conn_of_vid[vid].socket, SOCKET_NONE);
	if (v != NULL)
		disconnect(v);
}

const struct rte_vhost_device_ops vhost_guest_ops = {
	.new_device = new_device_cb,
	.destroy_device = destroy_device_cb,
	.vring_state_changed = vring_state_changed_cb,
	.features_changed = features_changed_cb,
	.new_connection = new_connection_cb,
	.destroy_connection = destroy_connection_cb,
};

/* ---- for the control thread --------------------------------------------------------------- */

void
vhost_guest_enlist(struct port_vhost *v)
{
	pthread_mutex_lock(&ports_lock);
	v->next = ports;
	ports = v;
	pthread_mutex_unlock(&ports_lock);
}

void
vhost_guest_delist(struct port_vhost *v)
{
	struct port_vhost **at;

	pthread_mutex_lock(&ports_lock);
	for (at = &ports; *at != NULL; at = &(*at)->next)
		if (*at == v) {
			*at = v->next;
			break;
		}
	pthread_mutex_unlock(&ports_lock);
}

const struct port_vhost *
vhost_guest_port_at(const char *path)
{
	const struct port_vhost *v;

	for (v = ports; v != NULL; v = v->next)
		if (strcmp(v->socket.path, path) == 0)
			break;
	return v;
}

void
vhost_guest_forget(struct port_vhost *v)
{
	int vid;

	for (vid = 0; vid < RTE_MAX_VHOST_DEVICE; vid++) {
		uint64_t socket = atomic_load(&conn_of_vid[vid].socket);

		if (socket != SOCKET_NONE && socket >> 32 == v->base.id)
			atomic_compare_exchange_strong(&conn_of_vid[vid].socket, &socket,
						       SOCKET_NONE);
	}
	if (atomic_load(&v->conn_vid) >= 0)
		disconnect(v);
}
