/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_malloc.h>

#include "datapath/event.h"
#include "datapath/memory.h"
#include "datapath/mempool.h"
#include "datapath/stats.h"
#include "datapath/uplink_device.h"
#include "datapath/uplink_wake.h"
#include "datapath/vnet_hdr.h"

/*
 * An uplink: an ethdev that DPDK makes of "devargs", probed when it is added and removed with it.
 *
 * Towards the device a frame's request (vnet_hdr.h) is either all the device's or all software's:
 * what the device can't do, or refuses in its prepare function, is finished before it is sent. A
 * frame that had to be cut is still one frame in the counters: sent if all its segments were.
 */

#define UPLINK_DESCRIPTORS 1024 /* of a queue, */
#define UPLINK_DESCRIPTORS_TOTAL 2048 /* and of all queues of a direction: mempool.c has room */
#define UPLINK_DESCRIPTORS_MIN 256

/* What a frame of an MTU may have besides: header, two tags, and a CRC on its way in. */
#define UPLINK_OVERHEAD_BYTES (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN + RTE_ETHER_CRC_LEN)

#define UPLINK_MTU_ONE_MBUF (uint32_t)(MEMPOOL_DATA_BYTES - UPLINK_OVERHEAD_BYTES)

struct uplink {
	struct port port;
	uint16_t dev; /* DPDK's port id */
	uint16_t n_rx, n_tx; /* queues */
	unsigned int can; /* enum vnet_can */
	bool sends_chains; /* takes frames of several mbufs */
	uint16_t mtu_min, mtu_max; /* that it takes as it is set up */
	struct rte_mempool *pool;
	int node; /* of the device */
	unsigned int claimed; /* descriptors, of the pool */
	struct uplink_wake wake;
};

static struct uplink *
uplink_of(struct port *p)
{
	return container_of(p, struct uplink, port);
}

/* ---- lcore ------------------------------------------------------------------------------- */

static void
uplink_rx(struct port_queue *q, struct burst *b)
{
	const uint64_t keep = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	struct uplink *u = uplink_of(q->port);
	struct rte_mbuf *in[BURST_MAX];
	uint16_t i, n, kept = 0;

	if (unlikely(q->index >= u->n_rx))
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
	return uplink_wake_arm(&uplink_of(q->port)->wake, q->index, lcore);
}

static void
uplink_rx_disarm(struct port_queue *q)
{
	uplink_wake_disarm(&uplink_of(q->port)->wake, q->index);
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
	stats_add(&q->stats.out_drop[DP_OUT_RING_FULL], n - uplink_tx_try(q, m, n));
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
	struct rte_eth_dev_info dev;
	struct rte_eth_link link;
	uint16_t i;

	info->up = true;
	info->connected = uplink_link(u->dev, &link);
	if (info->connected && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
		info->link_mbps = link.link_speed;
	info->node = rte_eth_dev_socket_id(u->dev);
	for (i = 0; i < p->n_queues; i++) {
		info->queue[i].node = info->node;
		info->queue[i].enabled_to_guest = i < u->n_tx;
		info->queue[i].enabled_from_guest = i < u->n_rx;
	}
	if (rte_eth_dev_info_get(u->dev, &dev) == 0)
		snprintf(info->driver, sizeof(info->driver), "%s", dev.driver_name);
}

/* What the device lost on its own account, before it came to us or after we had given it away. */
static void
uplink_add_stats(struct port *p, struct dp_stats *sum)
{
	struct rte_eth_stats device;
	uint64_t lost;

	if (rte_eth_stats_get(uplink_of(p)->dev, &device) != 0)
		return;
	sum->in_drop[DP_IN_NO_MBUF] += device.imissed + device.rx_nombuf;
	lost = RTE_MIN(device.oerrors, sum->out_packets);
	sum->out_packets -= lost;
	sum->out_drop[DP_OUT_RING_FULL] += lost;
}

static int
uplink_check_mtu(const struct uplink *u, uint16_t mtu, struct err *err)
{
	if (mtu >= u->mtu_min && mtu <= u->mtu_max)
		return 0;
	return err_set_param(err, ENOTSUP, "mtu-refused", "mtu",
			     "the device of uplink \"%s\" takes an mtu of %u to %u%s, not %u",
			     u->port.name, u->mtu_min, u->mtu_max,
			     u->port.queue == NULL ? "" : " while it runs", mtu);
}

/* A device without an MTU of its own is content with any. */
static int
uplink_set_mtu(const struct uplink *u, uint16_t mtu, struct err *err)
{
	int ret = rte_eth_dev_set_mtu(u->dev, mtu);

	if (ret == 0 || ret == -ENOTSUP)
		return 0;
	return err_set_param(err, ENOTSUP, "mtu-refused", "mtu",
			     "the device of uplink \"%s\" refuses mtu %u (%s)", u->port.name, mtu,
			     rte_strerror(-ret));
}

static int
uplink_set_rules(struct port *p, const struct dp_rules *rules, struct err *err)
{
	const struct uplink *u = uplink_of(p);
	int ret;

	if (rules->mtu == p->mtu)
		return 0;
	ret = uplink_check_mtu(u, rules->mtu, err);
	return ret < 0 ? ret : uplink_set_mtu(u, rules->mtu, err);
}

static void
uplink_close(struct port *p)
{
	struct uplink *u = uplink_of(p);

	uplink_wake_close(&u->wake);
	uplink_device_close(u->dev);
	mempool_unclaim(u->node, u->claimed);
	rte_free(p->queue);
	free(u);
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
	.close = uplink_close,
};

/* ---- open -------------------------------------------------------------------------------- */

/* net_tap only emulates: less than ours, which knows TCP over IPv6. */
static uint64_t
uplink_tx_offloads(const struct rte_eth_dev_info *dev)
{
	const uint64_t l4 = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	uint64_t chains = dev->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	uint64_t use = chains;

	if (strcmp(dev->driver_name, "net_tap") == 0 || (dev->tx_offload_capa & l4) != l4)
		return use;
	use |= l4 | (dev->tx_offload_capa & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	if (chains)
		use |= dev->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO;
	return use;
}

static unsigned int
uplink_can(uint64_t tx_offloads)
{
	unsigned int can = 0;

	if (tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
		can |= VNET_CAN_CSUM;
	/* An ethdev can't say whether it knows what to do with CWR. */
	if (tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO)
		can |= VNET_CAN_TSO4 | VNET_CAN_TSO6;
	return can;
}

/* As ethdev itself reckons. */
static uint32_t
uplink_device_mtu_max(const struct rte_eth_dev_info *dev)
{
	uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;

	if (dev->max_mtu != UINT16_MAX && dev->max_rx_pktlen > dev->max_mtu)
		overhead = dev->max_rx_pktlen - dev->max_mtu;
	return RTE_MIN(dev->max_mtu, dev->max_rx_pktlen - overhead);
}

/* Decides on all that depends on what the device can. */
static void
uplink_plan(struct uplink *u, const struct rte_eth_dev_info *dev, unsigned int n_lcores,
	    uint16_t mtu, struct rte_eth_conf *conf)
{
	bool is_long = mtu > UPLINK_MTU_ONE_MBUF;
	bool scatters = dev->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	uint32_t mtu_max = RTE_MIN(uplink_device_mtu_max(dev), (uint32_t)DP_MTU_MAX);

	n_lcores = RTE_MIN(n_lcores, (unsigned int)DP_QUEUES_MAX);
	u->n_rx = RTE_MIN(n_lcores, dev->max_rx_queues);
	u->n_tx = RTE_MIN(n_lcores, dev->max_tx_queues);
	conf->txmode.offloads = uplink_tx_offloads(dev);
	u->can = uplink_can(conf->txmode.offloads);
	u->sends_chains = conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	/* Not asked for where it isn't needed: it costs drivers their fastest way. */
	if (scatters && is_long)
		conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
	if ((scatters && !is_long) || !u->sends_chains)
		mtu_max = RTE_MIN(mtu_max, UPLINK_MTU_ONE_MBUF);
	u->mtu_min = dev->min_mtu;
	u->mtu_max = (uint16_t)mtu_max;
	conf->rxmode.mtu = mtu;
	if (u->n_rx > 1 && dev->flow_type_rss_offloads != 0) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf =
			dev->flow_type_rss_offloads &
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	}
}

static int
uplink_setup_queues(struct uplink *u)
{
	uint16_t widest = RTE_MAX(u->n_rx, u->n_tx);
	uint16_t n_rx_desc = RTE_MIN(UPLINK_DESCRIPTORS, UPLINK_DESCRIPTORS_TOTAL / widest);
	uint16_t n_tx_desc, i;
	int ret;

	n_rx_desc = RTE_MAX(n_rx_desc, UPLINK_DESCRIPTORS_MIN);
	n_tx_desc = n_rx_desc;
	ret = rte_eth_dev_adjust_nb_rx_tx_desc(u->dev, &n_rx_desc, &n_tx_desc);
	if (ret != 0)
		return ret;
	u->claimed = u->n_rx * n_rx_desc + u->n_tx * n_tx_desc;
	ret = mempool_claim(u->node, u->claimed);
	if (ret != 0)
		u->claimed = 0;
	for (i = 0; i < u->n_rx && ret == 0; i++)
		ret = rte_eth_rx_queue_setup(u->dev, i, n_rx_desc, u->node, NULL, u->pool);
	for (i = 0; i < u->n_tx && ret == 0; i++)
		ret = rte_eth_tx_queue_setup(u->dev, i, n_tx_desc, u->node, NULL);
	return ret;
}

/* With receive interrupts, for idle lcores, where the device has them. */
static int
uplink_configure(const struct uplink *u, struct rte_eth_conf *conf)
{
	conf->intr_conf.rxq = 1;
	if (rte_eth_dev_configure(u->dev, u->n_rx, u->n_tx, conf) == 0)
		return 0;
	conf->intr_conf.rxq = 0;
	return rte_eth_dev_configure(u->dev, u->n_rx, u->n_tx, conf);
}

static int
uplink_start(struct uplink *u, uint16_t mtu, unsigned int n_lcores, struct err *err)
{
	struct rte_eth_conf conf = {0};
	const char *step = "questions";
	struct rte_eth_dev_info dev;
	int ret;

	ret = rte_eth_dev_info_get(u->dev, &dev);
	if (ret < 0)
		goto refused;
	uplink_plan(u, &dev, n_lcores, mtu, &conf);
	ret = uplink_check_mtu(u, mtu, err);
	if (ret < 0)
		return ret;
	step = "configuration";
	ret = u->n_tx == 0 ? -ENOTSUP : uplink_configure(u, &conf);
	if (ret < 0)
		goto refused;
	step = "queues";
	ret = uplink_setup_queues(u);
	if (ret == -ENOSPC)
		return err_set(err, ENOSPC, "no-space",
			       "the packet buffers of node %d are taken by other uplinks' queues; "
			       "remove one of them",
			       u->node);
	if (ret < 0)
		goto refused;
	ret = uplink_set_mtu(u, mtu, err);
	if (ret < 0)
		return ret;
	step = "promiscuous mode";
	ret = rte_eth_promiscuous_enable(u->dev);
	if (ret < 0 && ret != -ENOTSUP)
		goto refused;
	step = "start";
	ret = rte_eth_dev_start(u->dev);
	if (ret == 0) {
		uplink_wake_open(&u->wake, u->dev, u->n_rx, conf.intr_conf.rxq);
		return 0;
	}

refused:
	return err_set_param(err, EIO, "device-refused", "devargs",
			     "the device of uplink \"%s\" refuses its %s (%s); its driver's own "
			     "message is in the log",
			     u->port.name, step, rte_strerror(-ret));
}

static int
uplink_create_queues(struct uplink *u)
{
	uint16_t n = RTE_MAX(u->n_rx, u->n_tx), i;

	u->port.queue = rte_zmalloc_socket("uplink", n * sizeof(struct port_queue),
					   RTE_CACHE_LINE_SIZE, memory_node(u->node));
	if (u->port.queue == NULL)
		return -ENOMEM;
	u->port.n_queues = n;
	for (i = 0; i < n; i++) {
		u->port.queue[i].port = &u->port;
		u->port.queue[i].index = i;
	}
	return 0;
}

int
port_uplink_open(const struct dp_uplink_config *config, uint16_t id, unsigned int n_lcores,
		 struct port **port, struct err *err)
{
	struct uplink *u = calloc(1, sizeof(*u));
	int ret;

	if (u == NULL)
		return err_set(err, ENOMEM, "no-memory", "no memory for one more uplink");
	ret = uplink_device_open(config->devargs, err);
	if (ret < 0)
		goto err_free;
	u->dev = (uint16_t)ret;
	u->node = rte_eth_dev_socket_id(u->dev);
	u->pool = mempool_of_node(u->node);
	u->port.ops = &uplink_ops;
	u->port.id = id;
	u->port.is_uplink = true;
	u->port.mtu = config->rules.mtu;
	snprintf(u->port.name, sizeof(u->port.name), "%s", config->name);
	ret = uplink_start(u, config->rules.mtu, n_lcores, err);
	if (ret < 0)
		goto err_device;
	ret = uplink_create_queues(u);
	if (ret < 0) {
		err_set(err, ENOMEM, "no-memory", "no memory for the queues of one more uplink");
		goto err_device;
	}
	*port = &u->port;
	return 0;

err_device:
	uplink_device_close(u->dev);
	mempool_unclaim(u->node, u->claimed);
err_free:
	free(u);
	return ret;
}
