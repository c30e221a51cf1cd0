/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/uplink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <rte_alarm.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>

#include "datapath/event.h"
#include "datapath/memory.h"
#include "datapath/rcu.h"
#include "datapath/stats.h"
#include "datapath/uplink_device.h"
#include "datapath/vnet_hdr.h"

/*
 * An uplink: an ethdev that DPDK makes of "devargs", probed when it is added and removed with it.
 *
 * Towards the device a frame's request (vnet_hdr.h) is either all the device's or all software's:
 * what the device can't do, or refuses in its prepare function, is finished before it is sent. A
 * frame that had to be cut is still one frame in the counters: sent if all its segments were.
 */

static struct uplink *
uplink_of(struct port *p)
{
	return container_of(p, struct uplink, port);
}

/* How long all questions may take that the driver asks a back-end while its device is made, or ended: control waits. */
#define UPLINK_TALK_LIMIT_US 1000000

/* The uplinks with a socket. Thread: control. */
static LIST_HEAD(, uplink) uplink_sockets = LIST_HEAD_INITIALIZER(uplink_sockets);

/* Whether there is a device to be used, until the end of the round. */
static inline bool
uplink_is_live(const struct uplink *u)
{
	return likely(atomic_load_explicit(&u->live, memory_order_acquire));
}

/* ---- lcore ------------------------------------------------------------------------------- */

static void
uplink_rx(struct port_queue *q, struct burst *b)
{
	const uint64_t keep = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	struct uplink *u = uplink_of(q->port);
	struct rte_mbuf *in[BURST_MAX];
	uint16_t i, n, kept = 0;

	if (!uplink_is_live(u) || unlikely(q->index >= u->n_rx))
		return;
	n = rte_eth_rx_burst(u->dev, q->index, in, BURST_MAX);
	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = in[i];

		/* Some drivers take the tag out though nobody asked them to. */
		if (unlikely(m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) &&
		    rte_vlan_insert(&m) < 0) {
			rte_pktmbuf_free(m);
			stats_add(&q->stats.in_drop[DP_IN_BAD_FRAME], 1);
			continue;
		}
		m->ol_flags &= keep; /* no request, whatever the device noted */
		in[kept++] = m;
	}
	n = burst_of_mbufs(b, in, kept);
	if (unlikely(n < kept)) {
		rte_pktmbuf_free_bulk(&in[n], kept - n);
		stats_add(&q->stats.in_drop[DP_IN_BAD_FRAME], kept - n);
	}
}

static bool
uplink_rx_arm(struct port_queue *q, unsigned int lcore)
{
	struct uplink *u = uplink_of(q->port);

	/* Without a device nothing comes; who makes one wakes all lcores. */
	return !uplink_is_live(u) || uplink_wake_arm(&u->wake, q->index, lcore);
}

static void
uplink_rx_disarm(struct port_queue *q)
{
	struct uplink *u = uplink_of(q->port);

	if (uplink_is_live(u))
		uplink_wake_disarm(&u->wake, q->index);
}

/* Sends m[0..n-1], frees what the device does not take. Returns how many it took. */
static uint16_t
uplink_send(struct uplink *u, uint16_t txq, struct rte_mbuf **m, uint16_t n)
{
	uint16_t sent = 0, k;

	/* Some drivers take a part at a time; one that takes nothing is full. */
	do {
		k = rte_eth_tx_burst(u->dev, txq, &m[sent], n - sent);
		sent += k;
	} while (k > 0 && sent < n);
	if (unlikely(sent < n))
		rte_pktmbuf_free_bulk(&m[sent], n - sent);
	return sent;
}

/* Frames that leave as they are. Their lengths stand apart: a sent mbuf is the device's. */
struct uplink_batch {
	uint16_t n;
	struct rte_mbuf *mbuf[BURST_MAX];
	uint32_t bytes[BURST_MAX];
};

/* Returns how many were sent. */
static uint16_t
uplink_flush(struct uplink *u, struct port_queue *q, struct uplink_batch *batch)
{
	uint64_t bytes = 0;
	uint16_t sent, i;

	if (batch->n == 0)
		return 0;
	sent = uplink_send(u, q->index, batch->mbuf, batch->n);
	for (i = 0; i < sent; i++)
		bytes += batch->bytes[i];
	stats_add(&q->stats.out_packets, sent);
	stats_add(&q->stats.out_bytes, bytes);
	batch->n = 0;
	return sent;
}

/* Replaces a frame that others hold too, or in more mbufs than the device takes, by a copy. */
static int
uplink_own(struct uplink *u, struct rte_mbuf **m)
{
	struct rte_mbuf *copy;

	if (rte_mbuf_refcnt_read(*m) == 1 && RTE_MBUF_DIRECT(*m) &&
	    (u->sends_chains || (*m)->nb_segs == 1))
		return 0;
	copy = rte_pktmbuf_copy(*m, u->pool, 0, UINT32_MAX);
	if (copy == NULL)
		return -ENOMEM;
	rte_pktmbuf_free(*m);
	*m = copy;
	return 0;
}

/* Has the device do what *m asks for. Returns false where software must, -ENOMEM included. */
static bool
uplink_offload(struct uplink *u, uint16_t txq, struct rte_mbuf **m)
{
	if (vnet_must_finish(*m, u->can) || uplink_own(u, m) < 0)
		return false;
	/* Every segment has a length, and so a header checksum, of its own. */
	if (((*m)->ol_flags & RTE_MBUF_F_TX_TCP_SEG) && ((*m)->ol_flags & RTE_MBUF_F_TX_IPV4))
		(*m)->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	if (likely(rte_eth_tx_prepare(u->dev, txq, m, 1) == 1))
		return true;
	(*m)->ol_flags &= ~RTE_MBUF_F_TX_IP_CKSUM;
	return false;
}

/* Sends one frame that asks for something, or that the device does not take as it is. Returns false where
 * nothing of it was sent, as there is no room. */
static bool
uplink_send_request(struct uplink *u, struct port_queue *q, struct rte_mbuf *m)
{
	struct rte_mbuf *seg[VNET_SEGS_MAX];
	uint32_t bytes = m->pkt_len;
	int n = 1, i, sent;

	if (uplink_offload(u, q->index, &m)) {
		seg[0] = m;
	} else {
		n = vnet_finish(m, 0, u->pool, seg, VNET_SEGS_MAX);
		rte_pktmbuf_free(m);
	}
	for (i = 0; i < n && !u->sends_chains; i++) {
		if (uplink_own(u, &seg[i]) < 0) {
			rte_pktmbuf_free_bulk(seg, (unsigned int)n);
			n = -ENOMEM;
		}
	}
	if (unlikely(n < 0)) {
		stats_add(&q->stats.out_drop[DP_OUT_OFFLOAD], 1);
		return true;
	}
	sent = uplink_send(u, q->index, seg, (uint16_t)n);
	if (likely(sent == n)) {
		stats_add(&q->stats.out_packets, 1);
		stats_add(&q->stats.out_bytes, bytes);
	} else if (sent > 0) {
		stats_add(&q->stats.out_drop[DP_OUT_RING_FULL], 1);
	}
	return sent > 0;
}

/* Sends frames until one finds no room; frees them all. Returns how many are done with, and counted. */
static uint16_t
uplink_tx_try(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	struct uplink *u = uplink_of(q->port);
	uint16_t mtu = __atomic_load_n(&q->port->mtu, __ATOMIC_RELAXED), i, from = 0;
	struct uplink_batch batch;

	if (!uplink_is_live(u)) {
		rte_pktmbuf_free_bulk(m, n);
		return 0;
	}
	batch.n = 0;
	for (i = 0; i < n; i++) {
		bool fits = !burst_exceeds_mtu(burst_l3_bytes(m[i]), mtu);

		if (likely(fits && !(m[i]->ol_flags & RTE_MBUF_F_TX_L4_MASK) &&
			   (m[i]->nb_segs == 1 || u->sends_chains))) {
			batch.bytes[batch.n] = m[i]->pkt_len;
			batch.mbuf[batch.n++] = m[i];
			continue;
		}
		/* What came before leaves before. */
		from += uplink_flush(u, q, &batch);
		if (from < i)
			break;
		if (unlikely(!fits)) {
			rte_pktmbuf_free(m[i]);
			stats_add(&q->stats.out_drop[DP_OUT_MTU], 1);
		} else if (!uplink_send_request(u, q, m[i])) {
			i++;
			break;
		}
		from = i + 1;
	}
	from += uplink_flush(u, q, &batch);
	rte_pktmbuf_free_bulk(&m[i], n - i);
	return from;
}

static void
uplink_tx(struct port_queue *q, struct rte_mbuf **m, uint16_t n)
{
	enum dp_out_drop why =
		uplink_is_live(uplink_of(q->port)) ? DP_OUT_RING_FULL : DP_OUT_NO_GUEST;

	stats_add(&q->stats.out_drop[why], n - uplink_tx_try(q, m, n));
}

static bool
uplink_tx_ready(const struct port *p, uint16_t pair)
{
	const struct uplink *u = (const struct uplink *)p;

	return pair < u->n_tx;
}

/* ---- control ----------------------------------------------------------------------------- */

static bool
uplink_link(uint16_t dev, struct rte_eth_link *link)
{
	return rte_eth_link_get_nowait(dev, link) == 0 && link->link_status == RTE_ETH_LINK_UP;
}

static void
uplink_info(struct port *p, struct dp_port_info *info)
{
	struct uplink *u = uplink_of(p);
	bool live = uplink_is_live(u);
	struct rte_ether_addr mac;
	struct rte_eth_link link;
	uint16_t i;

	info->up = live;
	/* To ask a device for its link is to have it look after its connection, which EAL's thread does, too. */
	info->connected = live && (u->socket != NULL || uplink_link(u->dev, &link));
	if (info->connected && u->socket == NULL && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
		info->link_mbps = link.link_speed;
	info->node = live ? rte_eth_dev_socket_id(u->dev) : u->node;
	if (live && rte_eth_macaddr_get(u->dev, &mac) == 0)
		memcpy(info->mac.byte, mac.addr_bytes, sizeof(info->mac.byte));
	for (i = 0; i < p->n_queues; i++) {
		info->queue[i].node = info->node;
		info->queue[i].enabled_to_guest = live && i < u->n_tx;
		info->queue[i].enabled_from_guest = live && i < u->n_rx;
	}
	snprintf(info->driver, sizeof(info->driver), "%s", u->driver);
	info->failure = u->failure.message[0] != '\0' ? u->failure.message : NULL;
}

/* What the device lost on its own account, before it came to us or after we had given it away. */
static void
uplink_add_stats(struct port *p, struct dp_stats *sum)
{
	struct uplink *u = uplink_of(p);
	struct rte_eth_stats device;
	uint64_t lost;

	sum->in_drop[DP_IN_NO_MBUF] += u->lost_in;
	if (!uplink_is_live(u) || rte_eth_stats_get(u->dev, &device) != 0)
		return;
	sum->in_drop[DP_IN_NO_MBUF] += device.imissed + device.rx_nombuf;
	lost = RTE_MIN(device.oerrors, sum->out_packets);
	sum->out_packets -= lost;
	sum->out_drop[DP_OUT_RING_FULL] += lost;
}

static int
uplink_set_rules(struct port *p, const struct dp_rules *rules, struct err *err)
{
	const struct uplink *u = uplink_of(p);
	int ret;

	if (rules->mtu == p->mtu || !uplink_is_live(u))
		return 0;
	ret = uplink_check_mtu(u, rules->mtu, err);
	return ret < 0 ? ret : uplink_set_mtu(u, rules->mtu, err);
}

/* The back-end has kept control waiting for too long: whatever is asked now fails. Thread: EAL's interrupt thread. */
static void
uplink_talk_cb(void *fd)
{
	shutdown((int)(intptr_t)fd, SHUT_RDWR);
}

static void
uplink_talk_begin(const struct uplink *u)
{
	if (u->socket != NULL)
		rte_eal_alarm_set(UPLINK_TALK_LIMIT_US, uplink_talk_cb,
				  (void *)(intptr_t)u->socket->fd);
}

static void
uplink_talk_end(const struct uplink *u)
{
	if (u->socket != NULL)
		rte_eal_alarm_cancel(uplink_talk_cb, (void *)(intptr_t)u->socket->fd);
}

static void
uplink_end(struct uplink *u)
{
	uplink_talk_begin(u);
	uplink_stop(u);
	uplink_talk_end(u);
}

static void
uplink_close(struct port *p)
{
	struct uplink *u = uplink_of(p);

	if (uplink_is_live(u))
		uplink_end(u);
	if (u->socket != NULL) {
		LIST_REMOVE(u, link);
		uplink_socket_close(u->socket);
		free(u->socket);
	}
	rte_free(p->queue);
	free(u);
}

/* ---- with a socket ----------------------------------------------------------------------- */

static int
uplink_connect(struct port *p)
{
	struct uplink *u = uplink_of(p);

	return u->socket == NULL ? -EINVAL : uplink_socket_connect(u->socket);
}

static void
uplink_tell(struct uplink *u, enum dp_event_type type)
{
	u->port.link_ctl = type == DP_EVENT_UPLINK_UP;
	event_post(type, u->port.id, 0);
}

/* The back-end has answered: makes the device. */
static void
uplink_arrive(struct uplink *u)
{
	int ret;

	uplink_talk_begin(u);
	ret = uplink_start(u, uplink_socket_take(u->socket), &u->failure);
	uplink_talk_end(u);
	if (ret == 0) {
		u->failure.message[0] = '\0';
		uplink_tell(u, DP_EVENT_UPLINK_UP);
		return;
	}
	uplink_socket_hang_up(u->socket);
	event_post(DP_EVENT_UPLINK_REFUSED, u->port.id, 0);
}

/* The back-end is gone, and what lies in the rings with it. */
static void
uplink_leave(struct uplink *u)
{
	if (uplink_is_live(u)) {
		atomic_store(&u->live, false);
		rcu_synchronize();
		uplink_end(u);
		uplink_tell(u, DP_EVENT_UPLINK_DOWN);
	}
	uplink_socket_hang_up(u->socket);
	event_post(DP_EVENT_PORT_DISCONNECTED, u->port.id, 0);
}

void
port_uplink_poll(void)
{
	struct uplink *u;

	LIST_FOREACH(u, &uplink_sockets, link) {
		switch (uplink_socket_look(u->socket)) {
		case UPLINK_SOCKET_ANSWERS:
			uplink_arrive(u);
			break;
		case UPLINK_SOCKET_GONE:
			uplink_leave(u);
			break;
		case UPLINK_SOCKET_QUIET:
			break;
		}
	}
}

static const struct port_ops uplink_ops = {
	.rx = uplink_rx,
	.rx_arm = uplink_rx_arm,
	.rx_disarm = uplink_rx_disarm,
	.tx_own = uplink_tx,
	.tx_try = uplink_tx_try,
	.tx_ready = uplink_tx_ready,
	.info = uplink_info,
	.add_stats = uplink_add_stats,
	.set_rules = uplink_set_rules,
	.connect = uplink_connect,
	.close = uplink_close,
};

/* ---- open -------------------------------------------------------------------------------- */

static int
uplink_create_queues(struct uplink *u, uint16_t n, struct err *err)
{
	uint16_t i;

	u->port.queue = rte_zmalloc_socket("uplink", n * sizeof(struct port_queue),
					   RTE_CACHE_LINE_SIZE, memory_node(u->node));
	if (u->port.queue == NULL)
		return err_set(err, ENOMEM, "no-memory",
			       "no memory for the queues of one more uplink");
	u->port.n_queues = n;
	for (i = 0; i < n; i++) {
		u->port.queue[i].port = &u->port;
		u->port.queue[i].index = i;
	}
	return 0;
}

/* The device will come with the first connection; only how many queues it has is known. */
static int
uplink_open_socket(struct uplink *u, const struct dp_uplink_config *config, struct err *err)
{
	size_t name = strcspn(config->devargs, ",") + 1;
	const struct uplink *other;
	int ret;

	ret = uplink_device_args(config->devargs, config->socket.path, u->devargs, err);
	if (ret < 0)
		return ret;
	LIST_FOREACH(other, &uplink_sockets, link)
		if (strncmp(other->devargs, u->devargs, name) == 0)
			return err_set_param(err, EBUSY, "device-in-use", "devargs",
					     "device \"%.*s\" is that of uplink \"%s\"; a virtual "
					     "one takes another number",
					     (int)name - 1, config->devargs, other->port.name);
	u->node = -1;
	u->n_lcores = (uint16_t)(config->queues != 0 ? config->queues :
						       RTE_MIN(u->n_lcores, config->socket.queues));
	u->n_rx = u->n_tx = u->n_lcores;
	u->socket = calloc(1, sizeof(*u->socket));
	if (u->socket == NULL)
		return err_set(err, ENOMEM, "no-memory", "no memory for one more uplink");
	ret = uplink_create_queues(u, u->n_lcores, err);
	if (ret == 0)
		ret = uplink_socket_open(u->socket, config->socket.path, config->socket.listens,
					 &config->access, err);
	if (ret == 0) {
		LIST_INSERT_HEAD(&uplink_sockets, u, link);
		return 0;
	}
	rte_free(u->port.queue);
	free(u->socket);
	return ret;
}

static int
uplink_open_device(struct uplink *u, struct err *err)
{
	int ret = uplink_start(u, -1, err);

	if (ret < 0)
		return ret;
	ret = uplink_create_queues(u, RTE_MAX(u->n_rx, u->n_tx), err);
	if (ret < 0)
		uplink_stop(u);
	return ret;
}

int
port_uplink_open(const struct dp_uplink_config *config, uint16_t id, unsigned int n_lcores,
		 struct port **port, struct err *err)
{
	struct uplink *u = calloc(1, sizeof(*u));
	int ret;

	if (u == NULL)
		return err_set(err, ENOMEM, "no-memory", "no memory for one more uplink");
	u->port.ops = &uplink_ops;
	u->port.id = id;
	u->port.is_uplink = true;
	u->port.mtu = config->rules.mtu;
	u->n_lcores = (uint16_t)RTE_MIN(n_lcores, (unsigned int)DP_QUEUES_MAX);
	u->n_asked = (uint16_t)config->queues;
	snprintf(u->port.name, sizeof(u->port.name), "%s", config->name);
	memcpy(u->devargs, config->devargs, sizeof(u->devargs));
	ret = config->socket.kind == DP_UPLINK_FRONT_END ? uplink_open_socket(u, config, err) :
							   uplink_open_device(u, err);
	if (ret < 0) {
		free(u);
		return ret;
	}
	*port = &u->port;
	return 0;
}
