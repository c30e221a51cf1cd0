/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/uplink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "datapath/doze.h"
#include "datapath/mempool.h"
#include "datapath/rcu.h"
#include "datapath/uplink_device.h"
#include "datapath/vnet_hdr.h"

#define UPLINK_DESCRIPTORS 1024 /* of a queue, */
#define UPLINK_DESCRIPTORS_TOTAL 2048 /* and of all queues of a direction: mempool.c has room */
#define UPLINK_DESCRIPTORS_MIN 256

/* What a frame of an MTU may have besides: header, two tags, and a CRC on its way in. */
#define UPLINK_OVERHEAD_BYTES (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN + RTE_ETHER_CRC_LEN)

#define UPLINK_MTU_ONE_MBUF (uint32_t)(MEMPOOL_DATA_BYTES - UPLINK_OVERHEAD_BYTES)

int
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
int
uplink_set_mtu(const struct uplink *u, uint16_t mtu, struct err *err)
{
	int ret = rte_eth_dev_set_mtu(u->dev, mtu);

	if (ret == 0 || ret == -ENOTSUP)
		return 0;
	return err_set_param(err, ENOTSUP, "mtu-refused", "mtu",
			     "the device of uplink \"%s\" refuses mtu %u (%s)", u->port.name, mtu,
			     rte_strerror(-ret));
}

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

/* Its frames are for all queues that it was made with, looked at or not. */
static bool
uplink_needs_all_queues(const struct rte_eth_dev_info *dev)
{
	return strcmp(dev->driver_name, "net_af_packet") == 0;
}

static uint16_t
uplink_n_rx(const struct uplink *u, const struct rte_eth_dev_info *dev)
{
	if (u->n_asked != 0)
		return u->n_asked;
	return RTE_MIN(uplink_needs_all_queues(dev) ? DP_QUEUES_MAX : u->n_lcores,
		       dev->max_rx_queues);
}

static int
uplink_check_queues(const struct uplink *u, const struct rte_eth_dev_info *dev, struct err *err)
{
	const char *s = dev->max_rx_queues == 1 ? "" : "s";

	if (u->n_asked > dev->max_rx_queues)
		return err_set_param(err, ENOTSUP, "queues-refused", "queues",
				     "the device of uplink \"%s\" has %u receive queue%s, not %u",
				     u->port.name, dev->max_rx_queues, s, u->n_asked);
	if (u->n_asked != 0 && u->n_asked < dev->max_rx_queues && uplink_needs_all_queues(dev))
		return err_set_param(err, ENOTSUP, "queues-refused", "queues",
				     "the device of uplink \"%s\" was made with %u receive queues "
				     "and needs all of them: queues must be that, not %u",
				     u->port.name, dev->max_rx_queues, u->n_asked);
	return 0;
}

/* Decides on all that depends on what the device can. */
static void
uplink_plan(struct uplink *u, const struct rte_eth_dev_info *dev, uint16_t mtu,
	    struct rte_eth_conf *conf)
{
	bool is_long = mtu > UPLINK_MTU_ONE_MBUF;
	bool scatters = dev->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	uint32_t mtu_max = RTE_MIN(uplink_device_mtu_max(dev), (uint32_t)DP_MTU_MAX);

	u->n_rx = uplink_n_rx(u, dev);
	u->n_tx = RTE_MIN(u->n_lcores, dev->max_tx_queues);
	/* It has pairs, and what we did not look at would be sent to, too. */
	if (strncmp(dev->driver_name, "net_virtio", 10) == 0)
		u->n_tx = RTE_MIN(u->n_tx, u->n_rx);
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

/* Everything between a device that is there and one that runs. */
static int
uplink_set_up(struct uplink *u, struct err *err)
{
	struct rte_eth_conf conf = {0};
	const char *step = "questions";
	uint16_t mtu = u->port.mtu;
	struct rte_eth_dev_info dev;
	int ret;

	ret = rte_eth_dev_info_get(u->dev, &dev);
	if (ret < 0)
		goto refused;
	snprintf(u->driver, sizeof(u->driver), "%s", dev.driver_name);
	ret = uplink_check_queues(u, &dev, err);
	if (ret < 0)
		return ret;
	uplink_plan(u, &dev, mtu, &conf);
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

/* The device goes, and with it what was claimed for it. */
static void
uplink_close_device(struct uplink *u)
{
	uplink_device_close(u->dev);
	mempool_unclaim(u->node, u->claimed);
	u->claimed = 0;
}

int
uplink_start(struct uplink *u, int connection, struct err *err)
{
	int ret = uplink_device_open(u->devargs, connection, err);

	if (ret < 0)
		return ret;
	u->dev = (uint16_t)ret;
	u->node = rte_eth_dev_socket_id(u->dev);
	u->pool = mempool_of_node(u->node);
	ret = uplink_set_up(u, err);
	if (ret < 0) {
		uplink_close_device(u);
		return ret;
	}
	atomic_store_explicit(&u->live, true, memory_order_release);
	/* Who sleeps is to be woken by this device, too. */
	doze_wake_all();
	return 0;
}

void
uplink_stop(struct uplink *u)
{
	struct rte_eth_stats device;

	if (rte_eth_stats_get(u->dev, &device) == 0)
		u->lost_in += device.imissed + device.rx_nombuf;
	uplink_wake_close(&u->wake);
	uplink_close_device(u);
}
