/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/port_vhost.h"

#include <errno.h>
#include <numaif.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_malloc.h>
#include <rte_vhost.h>

#include <linux/virtio_config.h>

#include "datapath/call.h"
#include "datapath/memory.h"
#include "datapath/memory_fault.h"
#include "datapath/vhost_doorbell.h"
#include "datapath/vhost_guest.h"
#include "datapath/vhost_peer.h"
#include "datapath/vring_direct.h"
#include "datapath/vring_library.h"

#define PROTOCOL_FEATURES                                                               \
	(1ULL << VHOST_USER_PROTOCOL_F_MQ | 1ULL << VHOST_USER_PROTOCOL_F_LOG_SHMFD |   \
	 1ULL << VHOST_USER_PROTOCOL_F_RARP | 1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK | \
	 1ULL << VHOST_USER_PROTOCOL_F_NET_MTU | 1ULL << VHOST_USER_PROTOCOL_F_STATUS)

uint64_t
dp_vhost_features(void)
{
	/* What librte_vhost 22.11 offers, but for UFO, which nothing here can finish in software
	 * for an output that lacks it, and IOMMU_PLATFORM, which nobody asked for. */
	return 1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM |
	       1ULL << VIRTIO_NET_F_MTU | 1ULL << VIRTIO_NET_F_GSO |
	       1ULL << VIRTIO_NET_F_GUEST_TSO4 | 1ULL << VIRTIO_NET_F_GUEST_TSO6 |
	       1ULL << VIRTIO_NET_F_GUEST_ECN | 1ULL << VIRTIO_NET_F_HOST_TSO4 |
	       1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_ECN |
	       1ULL << VIRTIO_NET_F_MRG_RXBUF | 1ULL << VIRTIO_NET_F_CTRL_VQ |
	       1ULL << VIRTIO_NET_F_CTRL_RX | 1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE |
	       1ULL << VIRTIO_NET_F_MQ | 1ULL << VHOST_F_LOG_ALL | 1ULL << VIRTIO_F_ANY_LAYOUT |
	       1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_RING_F_EVENT_IDX |
	       1ULL << VHOST_USER_F_PROTOCOL_FEATURES | 1ULL << VIRTIO_F_VERSION_1 |
	       1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_F_IN_ORDER;
}

static void
unregister(struct port_vhost *v)
{
	if (!v->registered_ctl)
		return;
	rte_vhost_driver_unregister(v->socket.bound);
	v->registered_ctl = false;
	vhost_guest_forget(v);
}

/* Makes the socket known to librte_vhost; nothing listens or connects yet. */
static int
register_socket(struct port_vhost *v, struct err *err)
{
	uint64_t flags = RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
	uint64_t library = 0;

	if (v->client)
		flags |= RTE_VHOST_USER_CLIENT | RTE_VHOST_USER_NO_RECONNECT;
	if (rte_vhost_driver_register(v->socket.bound, flags) != 0)
		return err_set(err, EMFILE, "too-many-ports",
			       "librte_vhost cannot take another socket (it has room for 1024); "
			       "raise the limit of open files, or detach a port");
	v->registered_ctl = true;
	if (rte_vhost_driver_get_features(v->socket.bound, &library) != 0 ||
	    (v->offered & ~library) != 0)
		return err_set(err, ENOTSUP, "features-refused",
			       "librte_vhost cannot offer virtio features %#llx",
			       (unsigned long long)(v->offered & ~library));
	/* Not _set_features(): that turns librte_vhost's own ring functions off. */
	if (rte_vhost_driver_disable_features(v->socket.bound, ~v->offered) != 0 ||
	    rte_vhost_driver_set_protocol_features(v->socket.bound, PROTOCOL_FEATURES) != 0 ||
	    rte_vhost_driver_callback_register(v->socket.bound, &vhost_guest_ops) != 0)
		return err_set(err, EIO, "vhost-start-failed", "librte_vhost lost the socket %s",
			       v->socket.path);
	return 0;
}

static int
start_server(struct port_vhost *v, struct err *err)
{
	mode_t old_umask;
	int ret;

	ret = register_socket(v, err);
	if (ret != 0)
		return ret;
	/* The mode is set where the socket comes to life, not after, and without following a link.
	 * The umask is the process's, but no other thread of it creates files. */
	old_umask = umask(~v->access.mode & 0777);
	ret = rte_vhost_driver_start(v->socket.bound);
	umask(old_umask);
	if (ret != 0)
		return err_set(err, EIO, "vhost-start-failed",
			       "librte_vhost cannot listen on %s; it has room for 1024 sockets and "
			       "connections",
			       v->socket.path);
	ret = vhost_socket_publish(&v->socket, &v->access, err);
	if (ret == 0)
		vhost_doorbell_ring();
	return ret;
}

static const struct port_ops direct_ops, library_ops;

/* The rings, which no guest has yet. */
static int
port_create_rings(struct port_vhost *v, int node)
{
	unsigned int n = 2 * v->base.n_queues, i;

	v->ring =
		rte_zmalloc_socket("port_ring", n * sizeof(v->ring[0]), RTE_CACHE_LINE_SIZE, node);
	if (v->ring == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		v->ring[i].number = (uint16_t)i;
		v->ring[i].port = v->base.id;
		atomic_store(&v->ring[i].call_fd, -1);
		atomic_store(&v->ring[i].kick_fd, -1);
	}
	for (i = 0; i < v->base.n_queues; i++) {
		v->base.queue[i].to_guest = &v->ring[2 * i];
		v->base.queue[i].from_guest = &v->ring[2 * i + 1];
		v->ring[2 * i].attention = v->ring[2 * i + 1].attention =
			&v->base.queue[i].attention;
	}
	return 0;
}

static void
port_destroy(struct port_vhost *v)
{
	rte_free(v->ring);
	rte_free(v->base.queue);
	rte_free(v);
}

static struct port_vhost *
port_create(const struct dp_port_config *config, int node, uint16_t id)
{
	struct port_vhost *v;
	uint16_t q;

	v = rte_zmalloc_socket("port", sizeof(*v), 0, node);
	if (v == NULL)
		return NULL;
	v->base.queue = rte_zmalloc_socket("port_queue", config->queues * sizeof(*v->base.queue),
					   RTE_CACHE_LINE_SIZE, node);
	v->base.id = id;
	v->base.n_queues = (uint16_t)config->queues;
	if (v->base.queue == NULL || (!config->library && port_create_rings(v, node) < 0)) {
		port_destroy(v);
		return NULL;
	}
	v->base.ops = config->library ? &library_ops : &direct_ops;
	v->base.is_uplink = config->uplink;
	v->library = config->library;
	snprintf(v->base.name, sizeof(v->base.name), "%s", config->name);
	for (q = 0; q < v->base.n_queues; q++) {
		v->node[q] = -1;
		v->base.queue[q].port = &v->base;
		v->base.queue[q].index = q;
	}
	v->vid = -1;
	v->conn_vid = -1;
	v->client = config->client;
	v->offered = config->features != 0 ? config->features & dp_vhost_features() :
					     dp_vhost_features();
	v->access = config->access;
	return v;
}

int
port_vhost_open(const struct dp_port_config *config, uint16_t id, struct port **port,
		struct err *err)
{
	const struct port_vhost *other;
	struct port_vhost *v;
	int ret;

	v = port_create(config, memory_node(config->node), id);
	if (v == NULL)
		return err_set(err, ENOMEM, "no-memory", "no memory for port \"%s\"", config->name);
	ret = v->client ? vhost_socket_init_client(&v->socket, config->path, err) :
			  vhost_socket_init_server(&v->socket, config->path, err);
	if (ret != 0)
		goto destroy;
	other = vhost_guest_port_at(v->socket.path);
	if (other != NULL) {
		ret = err_set_param(err, EEXIST, "socket-in-use", "socket",
				    "port \"%s\" uses %s already; choose another path",
				    other->base.name, v->socket.path);
		goto destroy;
	}
	vhost_guest_enlist(v);
	if (!v->client) {
		ret = start_server(v, err);
		if (ret != 0)
			goto delist;
	}
	*port = &v->base;
	return 0;

delist:
	unregister(v);
	vhost_guest_delist(v);
destroy:
	port_destroy(v);
	return ret;
}

static int
port_vhost_connect(struct port *p)
{
	struct port_vhost *v = port_vhost_of(p);
	struct stat st;
	int ret;

	if (!v->client)
		return -EINVAL;
	if (atomic_load(&v->conn_vid) >= 0)
		return -EALREADY;
	if (lstat(v->socket.path, &st) != 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;

	/* librte_vhost cannot start a socket twice. */
	unregister(v);
	ret = register_socket(v, NULL);
	if (ret != 0)
		goto fail;
	v->fresh_fd_ctl = vhost_peer_find_fresh();
	v->attempt_ctl = -ECONNREFUSED;
	rte_vhost_driver_start(v->socket.bound);
	ret = v->attempt_ctl;
	if (ret != 0)
		goto fail;
	return 0;

fail:
	unregister(v);
	return ret;
}

static void
port_vhost_close(struct port *p)
{
	struct port_vhost *v = port_vhost_of(p);

	vhost_socket_unlink(&v->socket);
	unregister(v);
	/* librte_vhost's thread, asleep, holds a connection that was closed, and the front-end would not know. */
	vhost_doorbell_ring();
	vhost_guest_delist(v);
	port_destroy(v);
}

/* What port_create() has taken, and librte_vhost for its front-end. Of the rings that the library itself
 * handles the size is not known here. */
static uint64_t
port_vhost_bytes(const struct port_vhost *v, bool connected)
{
	unsigned int n = 2 * v->base.n_queues, i;
	uint64_t bytes =
		sizeof(*v) + v->base.n_queues * sizeof(v->base.queue[0]) + 2 * MEMORY_PIECE;

	if (connected)
		bytes += MEMORY_LIBRARY_PORT + n * MEMORY_LIBRARY_VRING;
	if (v->ring == NULL)
		return bytes;
	bytes += n * sizeof(v->ring[0]) + MEMORY_PIECE;
	for (i = 0; connected && i < n; i++)
		bytes += MEMORY_LIBRARY_ENTRY * v->ring[i].size;
	return bytes;
}

/* That of all rings; -1: they are on several, or nobody knows. */
static int
node_of_guest(const struct port_vhost *v)
{
	int node = -1;

	for (uint16_t q = 0; q < v->base.n_queues; q++) {
		int here = atomic_load(&v->node[q]);

		if (here < 0)
			continue;
		if (node >= 0 && node != here)
			return -1;
		node = here;
	}
	return node;
}

/* A page that is not mapped now has no node, and keeps the one that it had. A ring that the callbacks
 * find elsewhere meanwhile is where they say. */
static void
port_vhost_locate(struct port *p)
{
	struct port_vhost *v = port_vhost_of(p);
	int before[DP_QUEUES_MAX], now[DP_QUEUES_MAX];
	void *desc[DP_QUEUES_MAX];

	if (v->vid < 0)
		return;
	for (uint16_t q = 0; q < v->base.n_queues; q++) {
		before[q] = atomic_load(&v->node[q]);
		desc[q] = (void *)(uintptr_t)atomic_load(&v->desc[q]);
	}
	if (move_pages(0, v->base.n_queues, desc, NULL, now, 0) < 0)
		return;
	for (uint16_t q = 0; q < v->base.n_queues; q++)
		if (now[q] >= 0)
			atomic_compare_exchange_strong(&v->node[q], &before[q], now[q]);
}

static void
port_vhost_info(struct port *p, struct dp_port_info *info)
{
	struct port_vhost *v = port_vhost_of(p);
	uint32_t connections = atomic_load(&v->connections);
	uint16_t q;

	info->connected = atomic_load(&v->conn_vid) >= 0;
	info->up = v->vid >= 0;
	info->memory_bytes = port_vhost_bytes(v, info->connected);
	info->node = node_of_guest(v);
	snprintf(info->driver, sizeof(info->driver), "%s", v->base.is_uplink ? "vhost-user" : "");
	info->library = v->library;
	info->features = v->offered;
	info->negotiated = info->up ? atomic_load(&v->negotiated) : 0;
	info->connected_ns = atomic_load(&v->connected_ns);
	info->peer_pid = info->connected ? atomic_load(&v->peer_pid) : 0;
	info->peer_uid = info->connected ? atomic_load(&v->peer_uid) : 0;
	info->reconnects = connections > 1 ? connections - 1 : 0;
	info->n_queues = v->base.n_queues;
	for (q = 0; q < v->base.n_queues; q++) {
		info->queue[q].lcore = v->base.queue[q].lcore_ctl;
		info->queue[q].enabled_to_guest = atomic_load(&v->enabled[2 * q]);
		info->queue[q].enabled_from_guest = atomic_load(&v->enabled[2 * q + 1]);
		info->queue[q].node = atomic_load(&v->node[q]);
		if (v->library)
			continue;
		info->queue[q].stopped_to_guest = vring_fault_name(v->ring[2 * q].fault);
		info->queue[q].stopped_from_guest = vring_fault_name(v->ring[2 * q + 1].fault);
	}
}

/* Whether the guest takes frames on the pair. */
static bool
port_vhost_tx_ready(const struct port *p, uint16_t pair)
{
	const struct port_vhost *v = (const struct port_vhost *)p;

	return v->library ?
		       atomic_load_explicit(&v->vid, memory_order_relaxed) >= 0 &&
			       atomic_load_explicit(&v->enabled[2 * pair], memory_order_relaxed) :
		       atomic_load_explicit(&v->ring[2 * pair].live, memory_order_acquire);
}

static const struct port_ops direct_ops = {
	.rx = vring_direct_rx,
	.rx_done = vring_direct_rx_done,
	.rx_arm = vring_direct_rx_arm,
	.rx_disarm = vring_direct_rx_disarm,
	.tx_frames = vring_direct_tx_frames,
	.tx_copy = vring_direct_tx_copy,
	.tx_parked = vring_direct_tx_parked,
	.tx_ready = port_vhost_tx_ready,
	.info = port_vhost_info,
	.connect = port_vhost_connect,
	.locate = port_vhost_locate,
	.close = port_vhost_close,
};

static const struct port_ops library_ops = {
	.rx = vring_library_rx,
	.rx_arm = vring_library_rx_arm,
	.tx_copy = vring_library_tx_copy,
	.tx_parked = vring_library_tx_parked,
	.tx_ready = port_vhost_tx_ready,
	.info = port_vhost_info,
	.connect = port_vhost_connect,
	.locate = port_vhost_locate,
	.close = port_vhost_close,
};

/* ---- shared by all ports ----------------------------------------------------------------- */

int
vhost_start(const char *doorbell_path, struct err *err)
{
	int ret = call_start(vhost_guest_call_blocked);

	if (ret < 0)
		return err_set(err, -ret, "vhost-start-failed",
			       "the thread that watches calls of guests does not start: %s",
			       strerror(-ret));
	memory_fault_start(vhost_guest_memory_gone);
	ret = vhost_doorbell_start(doorbell_path, err);
	if (ret < 0)
		vhost_stop();
	return ret;
}

void
vhost_stop(void)
{
	vhost_doorbell_stop();
	memory_fault_stop();
	call_stop();
}
