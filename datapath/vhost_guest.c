/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_guest.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "datapath/announce.h"
#include "datapath/doze.h"
#include "datapath/event.h"
#include "datapath/memory_fault.h"
#include "datapath/rcu.h"
#include "datapath/vhost_conn.h"
#include "datapath/vhost_peer.h"
#include "datapath/vhost_rings.h"

/*
 * Theory of operation
 *
 * Three kinds of threads meet here. The control thread opens and closes ports. librte_vhost's one
 * "vhost-events" thread serves the connections of all guests and calls the functions that end in
 * _cb; a client port's new_connection_cb and, inside rte_vhost_driver_unregister(), destroy_device_cb
 * run on the control thread instead, never both for one port at a time. Lcores read what port_vhost.h
 * and vring.h say they may.
 *
 * Guest life does not pass through the control thread. new_device_cb makes the rings live;
 * destroy_device_cb takes them away and waits one grace period, after which no lcore is in there, and
 * librte_vhost may free them. That wait is short (lcores report every round) and safe: librte_vhost
 * holds none of the queues' locks around these two callbacks, and lcores wait for nobody.
 *
 * Messages that change a running port without either callback (memory table, log, ring addresses,
 * descriptors for calls) are seen by pre_message_cb, with the locks of all queues of the port held.
 *
 * Lcores never want those locks for a direct port, so there it waits, too. What the message is about
 * is taken away, no more: one ring, or for the memory table all of them; the descriptor for calls, or
 * the log, while the ring goes on. A SET_VRING_ADDR that names the same ring again (QEMU sends it when
 * logging begins) takes nothing away. post_message_cb reads what has changed, and gives the rings back.
 * How far a ring has come is told to librte_vhost whenever it is taken away, and read again when it
 * is given back: so it is right in every answer to GET_VRING_BASE.
 *
 * For a library port it must NOT wait: rte_vhost_enqueue_burst() spins on the locks, and the grace
 * period would never end. It stores -1 for the vid so that no further lcore comes to spin, and
 * post_message_cb gives it back. An lcore that had read the vid before works under the queue's lock.
 *
 * Where the message fails the rings stay away and the next message ends the connection; destroy_device_cb
 * waits in any case, since -1 was stored without.
 *
 * One port has one connection. A second one is refused while the first lives; when the first has hung
 * up, and the library does not know yet, it takes over: the old vid belongs to no port from then on.
 *
 * A port is found by vid in port_by_vid[], without a lock. Entries are set and cleared by whoever
 * runs the callbacks of that vid. Only new_connection_cb has to look for its port by name, under
 * ports_lock, which nobody holds across a call of librte_vhost. A port is freed after
 * rte_vhost_driver_unregister() has returned: that waits until no callback of it is running.
 */

static const struct timeval message_patience = {.tv_usec = 2000};
/* NULL: the port has another connection, or is gone. */
static _Atomic(struct port_vhost *) port_by_vid[RTE_MAX_VHOST_DEVICE];

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

static struct port_vhost *
port_of_vid(int vid)
{
	return atomic_load(&port_by_vid[vid]);
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

/* A ring is about to stop; with the first pair the guest does. */
static void
park_if_logging(struct port_vhost *v, uint32_t vring)
{
	if (v->running_cb && vhost_rings_are_logged(v)) {
		park_begin(&v->base, true);
		if (vring < 2)
			park_tell(&v->base);
	}
}

/* ---- life --------------------------------------------------------------------------------- */

/* Takes the rings away from the lcores; when it returns none of them is in there. */
static void
stop_rings(struct port_vhost *v)
{
	int conn = atomic_load(&v->conn_vid), vid;

	if (v->running_cb && (vhost_rings_are_logged(v) || vhost_peer_gone(vhost_conn_fd(conn))))
		park_begin(&v->base, vhost_rings_are_logged(v));
	vid = atomic_exchange(&v->vid, -1);
	vhost_rings_detach(v, vid < 0 ? conn : vid, VHOST_RINGS_ALL);
	rcu_synchronize();
	if (!v->running_cb)
		return;
	v->running_cb = false;
	v->withdrawn_cb = false;
	v->resume_cb = 0;
	event_post(DP_EVENT_PORT_DOWN, v->base.id, 0);
	park_tell(&v->base);
}

/* The port has no connection any more. */
static void
disconnect(struct port_vhost *v)
{
	struct port_vhost *own = v;
	unsigned int i;

	for (i = 0; i < 2 * DP_QUEUES_MAX; i++)
		atomic_store(&v->enabled[i], 0);
	vhost_rings_exchange_log(v, NULL);
	announce_clear(&v->base);
	atomic_compare_exchange_strong(&port_by_vid[atomic_load(&v->conn_vid)], &own, NULL);
	atomic_store(&v->conn_vid, -1);
	atomic_store(&v->connected_ns, 0);
	vhost_rings_forget(v);
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
	if (v->library) {
		n = rte_vhost_get_vring_num(vid);
		for (i = 0; i < n; i++)
			rte_vhost_enable_guest_notification(vid, i, 0);
	} else if (guestmem_read(&v->mem, vid) < 0) {
		return -1;
	}
	vhost_rings_locate(v, vid, VHOST_RINGS_ALL);
	atomic_store(&v->negotiated, features);
	v->running_cb = true;
	vhost_rings_log(v);
	park_end(&v->base, atomic_load(&v->connections), atomic_load(&v->peer_pid));
	vhost_rings_attach(v, vid, VHOST_RINGS_ALL);
	/* Who sees the port up may rely on its rings. */
	atomic_store(&v->vid, vid);
	doze_wake_all();
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

/* Never waits for a library port: the locks of the queues are held. */
static int
vring_state_changed_cb(int vid, uint16_t vring, int enable)
{
	struct port_vhost *v = port_of_vid(vid);

	if (v == NULL || vring >= 2 * v->base.n_queues)
		return 0;
	/* Another descriptor for calls or kicks: of that the ring needs not know. */
	if (!enable && v->exchanges_fd_cb)
		return 0;
	if (!enable)
		park_if_logging(v, vring);
	else if (vring < 2)
		atomic_store(&v->base.park.away, false);
	atomic_store(&v->enabled[vring], enable != 0);
	if (!enable) {
		vhost_rings_detach(v, vid, 1U << vring);
	} else if (v->running_cb) {
		vhost_rings_locate(v, vid, 1U << vring);
		vhost_rings_attach(v, vid, 1U << vring);
	}
	doze_wake_all();
	return 0;
}

/* Dirty logging is turned on or off. Never waits, as above. */
static int
features_changed_cb(int vid, uint64_t features)
{
	struct port_vhost *v = port_of_vid(vid);

	if (v == NULL)
		return 0;
	atomic_store(&v->negotiated, features);
	vhost_rings_log(v);
	/* The front-end may rely on the log as soon as it has our answer. */
	if (!v->library)
		rcu_synchronize();
	return 0;
}

/* Takes away what the message will change, while frames that come are kept. The guard has seen it.
 * Returns false where it can't be carried out, and nothing was changed. */
static bool
before_message(struct port_vhost *v, int vid, const struct vhost_message *msg)
{
	struct dirty_log *log;

	v->exchanges_fd_cb = msg->request == VU_SET_VRING_CALL || msg->request == VU_SET_VRING_KICK;
	if (v->running_cb && vhost_message_withdraws(msg->request))
		park_begin(&v->base, false);
	switch (msg->request) {
	case VU_SET_LOG_BASE:
		/* The library answers before post_message_cb. */
		if (v->library)
			break;
		log = dirty_log_open(msg->fd[0], msg->payload.log.size);
		if (log == NULL)
			return false;
		vhost_rings_exchange_log(v, log);
		break;
	case VU_SET_FEATURES:
		if (!(msg->payload.u64 & 1ULL << VIRTIO_NET_F_MQ) &&
		    !vhost_rings_give_up_further(v, vid))
			return false;
		break;
	case VU_SET_VRING_CALL:
		vhost_rings_drop_call(v, msg->payload.u64 & VHOST_MESSAGE_RING_MASK);
		break;
	case VU_SET_VRING_KICK:
		vhost_rings_drop_kick(v, msg->payload.u64 & VHOST_MESSAGE_RING_MASK);
		break;
	case VU_SET_VRING_ENABLE:
		if (msg->payload.ring.num == 0) {
			park_if_logging(v, msg->payload.ring.index);
			vhost_rings_detach(v, vid, 1U << msg->payload.ring.index);
		}
		break;
	case VU_SET_MEM_TABLE:
		v->resume_cb = vhost_rings_detach(v, vid, VHOST_RINGS_ALL);
		break;
	case VU_SET_VRING_ADDR:
		if (vhost_guard_same_addr(&v->guard, msg))
			break;
		/* fall through */
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_BASE:
		v->resume_cb = vhost_rings_detach(v, vid, 1U << msg->payload.ring.index);
		break;
	default:
		break;
	}
	if (v->library && v->running_cb && vhost_message_withdraws(msg->request)) {
		atomic_store(&v->vid, -1);
		v->withdrawn_cb = true;
	}
	return true;
}

/* Refuses a message: the connection ends. */
static enum rte_vhost_msg_result
refuse(const struct port_vhost *v, struct vhost_message *msg)
{
	vhost_message_drop(msg);
	/* With a reply the library would keep the connection. */
	msg->flags &= ~VHOST_MESSAGE_NEED_REPLY;
	if (v != NULL)
		event_post(DP_EVENT_PEER_BAD_MESSAGE, v->base.id, msg->request);
	return RTE_VHOST_MSG_RESULT_ERR;
}

/* Gives back what before_message() took, as it is now. */
static void
after_message(struct port_vhost *v, int vid, const struct vhost_message *msg)
{
	struct rte_vhost_vring vring;
	uint32_t resume = v->resume_cb, i;

	v->resume_cb = 0;
	if (v->withdrawn_cb) {
		v->withdrawn_cb = false;
		vhost_rings_locate(v, vid, VHOST_RINGS_ALL);
		atomic_store(&v->vid, vid);
		doze_wake_all();
	}
	/* Often before the rings run: kept until they do. */
	if (msg->request == VU_SEND_RARP && !v->library)
		announce_put(&v->base, 0, (const uint8_t *)&msg->payload.u64, 0);
	if (v->library || !v->running_cb)
		return;
	i = msg->payload.ring.index;
	switch (msg->request) {
	case VU_SET_VRING_CALL:
		vhost_rings_take_call(v, vid, msg->payload.u64 & VHOST_MESSAGE_RING_MASK);
		break;
	case VU_SET_VRING_KICK:
		vhost_rings_take_kick(v, vid, msg->payload.u64 & VHOST_MESSAGE_RING_MASK);
		break;
	case VU_SET_VRING_ADDR:
		if (resume == 0 && rte_vhost_get_vhost_vring(vid, (uint16_t)i, &vring) == 0)
			atomic_store(&v->ring[i].log_addr, vring.log_guest_addr);
		break;
	case VU_SET_MEM_TABLE:
		if (guestmem_read(&v->mem, vid) < 0)
			resume = 0;
		break;
	default:
		break;
	}
	vhost_rings_locate(v, vid, resume);
	vhost_rings_attach(v, vid, resume);
	doze_wake_all();
}

/* Never waits for a library port, as above; see the theory of operation. */
static enum rte_vhost_msg_result
pre_message_cb(int vid, void *message)
{
	struct port_vhost *v = port_of_vid(vid);
	struct vhost_message *msg = message;

	memory_fault_owner(vid);
	if (v == NULL || !vhost_conn_can_answer(vid))
		return refuse(v, msg);
	switch (vhost_guard_before(&v->guard, msg)) {
	case VHOST_ANSWERED:
		return RTE_VHOST_MSG_RESULT_REPLY;
	case VHOST_IGNORED:
		return RTE_VHOST_MSG_RESULT_OK;
	case VHOST_CUT:
		return refuse(v, msg);
	case VHOST_PASS:
		break;
	}
	if (!before_message(v, vid, msg))
		return refuse(v, msg);
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
	after_message(v, vid, message);
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
			 vhost_peer_find_accepted(v->socket.bound, vhost_conn_is_known);
	if (fd < 0)
		return fd;
	ret = vhost_peer_of(fd, peer);
	if (ret != 0)
		return ret;
	if (!vhost_peer_allowed(&v->access, peer->uid) || vhost_conn_refused(v->base.id) ||
	    (old_vid >= 0 && !vhost_peer_gone(vhost_conn_fd(old_vid)))) {
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
	uint16_t i;
	int fd;

	if (v == NULL)
		return -1;
	fd = admit(v, &peer);
	if (v->client)
		v->attempt_ctl = fd < 0 ? fd : 0;
	if (fd < 0 || rte_vhost_extern_callback_register(vid, &message_ops, NULL) != 0)
		return -1;

	vhost_guard_init(&v->guard, v->base.n_queues);
	for (i = 0; i < 2 * v->base.n_queues && !v->library; i++)
		atomic_store(&v->ring[i].fault, VRING_RUNS);
	atomic_store(&v->peer_pid, peer.pid);
	atomic_store(&v->peer_uid, peer.uid);
	atomic_store(&v->connected_ns, now_ns());
	atomic_fetch_add(&v->connections, 1);
	vhost_conn_open(vid, v->base.id, fd);
	atomic_store(&port_by_vid[vid], v);
	atomic_store(&v->conn_vid, vid);
	event_post(DP_EVENT_PORT_CONNECTED, v->base.id, peer.uid);
	return 0;
}

static void
destroy_connection_cb(int vid)
{
	struct port_vhost *v = port_of_vid(vid);

	vhost_conn_close(vid);
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

/* ---- for other threads --------------------------------------------------------------------- */

void
vhost_guest_memory_gone(int vid)
{
	vhost_conn_cut(vid, DP_EVENT_MEMORY_GONE, 0);
}

void
vhost_guest_call_blocked(int vid)
{
	vhost_conn_cut(vid, DP_EVENT_PEER_BAD_MESSAGE, VU_SET_VRING_CALL);
}

/* ---- for the control thread --------------------------------------------------------------- */

void
vhost_guest_enlist(struct port_vhost *v)
{
	vhost_conn_forgive(v->base.id);
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
	vhost_conn_close_port(v->base.id);
	if (atomic_load(&v->conn_vid) >= 0)
		disconnect(v);
}
