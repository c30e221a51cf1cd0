/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/dp.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>

#include "datapath/capture.h"
#include "datapath/doze.h"
#include "datapath/eal.h"
#include "datapath/event.h"
#include "datapath/inbox.h"
#include "datapath/memory.h"
#include "datapath/mempool.h"
#include "datapath/migration.h"
#include "datapath/port_vhost.h"
#include "datapath/rcu.h"
#include "datapath/stats.h"
#include "datapath/table.h"
#include "datapath/uplink_device.h"
#include "datapath/worker.h"

static int
dp_create_inboxes(const struct dp_config *config)
{
	int node_of_lcore[DP_LCORES_MAX + 1];
	unsigned int i;

	for (i = 0; i < config->n_lcores; i++)
		node_of_lcore[i + 1] = memory_node(config->lcore[i].node);
	return inbox_create(config->n_lcores, node_of_lcore);
}

static int
dp_start_dpdk(const struct dp_config *config, struct err *err)
{
	int ret;

	ret = eal_start(config, err);
	if (ret < 0)
		return ret;
	ret = memory_start(config, err);
	if (ret < 0)
		eal_stop();
	else
		uplink_device_start();
	return ret;
}

static int
dp_no_memory(int ret, struct err *err)
{
	if (ret == -ENOMEM && err->message[0] == '\0')
		err_set_param(err, ENOMEM, "no-hugepages", "memory",
			      "the hugepages do not hold the switch's own tables; give more "
			      "with --memory");
	return ret;
}

int
dp_start(const struct dp_config *config, struct err *err)
{
	int ret;

	ret = dp_start_dpdk(config, err);
	if (ret < 0)
		return ret;
	ret = rcu_create(config->n_lcores);
	if (ret < 0)
		goto err_eal;
	ret = mempool_create(config, err);
	if (ret < 0)
		goto err_rcu;
	ret = event_create();
	if (ret < 0)
		goto err_mempool;
	ret = dp_create_inboxes(config);
	if (ret < 0)
		goto err_event;
	ret = park_create(config->park_mib);
	if (ret < 0)
		goto err_inbox;
	ret = doze_create(config->n_lcores, err);
	if (ret < 0)
		goto err_park;
	ret = table_publish();
	if (ret < 0)
		goto err_doze;
	ret = worker_start(config);
	if (ret < 0)
		goto err_snapshot;
	ret = vhost_start(config->doorbell_path, err);
	if (ret < 0)
		goto err_worker;
	memory_settled();
	return ret;

err_worker:
	worker_stop();
err_snapshot:
	snapshot_publish(NULL);
err_doze:
	doze_destroy();
err_park:
	park_destroy();
err_inbox:
	inbox_destroy();
err_event:
	event_destroy();
err_mempool:
	mempool_destroy();
err_rcu:
	rcu_destroy();
err_eal:
	eal_stop();
	return dp_no_memory(ret, err);
}

void
dp_stop(void)
{
	int id;

	/* Lcores first: without them no grace period takes time, and none can read what goes. */
	worker_stop();
	inbox_discard();
	park_discard();
	for (id = 0; id < DP_PORTS_MAX; id++) {
		if (table.port[id] != NULL)
			dp_port_del(id);
	}
	for (id = 0; id < DP_BRIDGES_MAX; id++) {
		fdb_destroy(table.fdb[id]);
		table.fdb[id] = NULL;
	}
	vhost_stop();
	snapshot_publish(NULL);
	doze_destroy();
	park_destroy();
	inbox_destroy();
	event_destroy();
	mempool_destroy();
	rcu_destroy();
	eal_stop();
}

int
dp_bridge_add(unsigned int mac_age_s, unsigned int mac_limit, struct err *err)
{
	int id;

	for (id = 0; id < DP_BRIDGES_MAX; id++) {
		if (table.fdb[id] != NULL)
			continue;
		table.fdb[id] = fdb_create(mac_limit, mac_age_s);
		if (table.fdb[id] == NULL)
			return err_set(err, ENOMEM, "no-memory",
				       "no memory for a bridge of %u MACs", mac_limit);
		return id;
	}
	return err_set(err, ENOSPC, "no-space", "there are %d bridges, the most that sluice has",
		       DP_BRIDGES_MAX);
}

void
dp_bridge_del(int bridge)
{
	struct fdb *fdb = table.fdb[bridge];

	table.fdb[bridge] = NULL;
	rcu_synchronize();
	fdb_destroy(fdb);
}

void
dp_bridge_macs(int bridge, void (*visit)(const struct dp_mac_entry *entry, void *arg), void *arg)
{
	fdb_visit(table.fdb[bridge], visit, arg);
}

static int
dp_free_id(struct err *err)
{
	int id = table_free_id();

	if (id < 0)
		return err_set(err, ENOSPC, "no-space",
			       "there are %d ports and uplinks, the most that sluice has",
			       DP_PORTS_MAX);
	return id;
}

/* The last steps of every new port, whatever its kind. */
static int
dp_add(struct port *p, int bridge, const struct dp_rules *rules, bool incoming, struct err *err)
{
	int ret;

	p->bridge_ctl = (uint16_t)bridge;
	p->rules_ctl = *rules;
	p->mtu = rules->mtu;
	p->tx_retries = rules->tx_retries;
	migration_init(p, rules, incoming);
	ret = table_add(p, err);
	if (ret < 0) {
		p->ops->close(p);
		return ret;
	}
	return p->id;
}

int
dp_port_add(const struct dp_port_config *config, struct err *err)
{
	struct port *p;
	unsigned int i;
	int ret = dp_free_id(err);

	if (ret < 0)
		return ret;
	memory_watch();
	ret = port_vhost_open(config, (uint16_t)ret, &p, err);
	if (ret == -ENOMEM)
		memory_lacks("port", config->name, err);
	if (ret < 0)
		return ret;
	for (i = 0; i < p->n_queues; i++)
		port_queue_give(&p->queue[i], config->lcore[i]);
	return dp_add(p, config->bridge, &config->rules, config->incoming, err);
}

int
dp_port_connect(int port)
{
	return table.port[port]->ops->connect(table.port[port]);
}

int
dp_uplink_add(const struct dp_uplink_config *config, struct err *err)
{
	struct dp_lcore_stats unused;
	unsigned int n_lcores = 0, i;
	struct port *p;
	int ret = dp_free_id(err);

	if (ret < 0)
		return ret;
	while (worker_stats(n_lcores + 1, &unused) == 0)
		n_lcores++;
	memory_watch();
	ret = port_uplink_open(config, (uint16_t)ret, n_lcores, &p, err);
	/* Drivers have many errors for it. */
	if (ret < 0 && memory_lacks("uplink", config->name, err))
		return -ENOMEM;
	if (ret < 0)
		return ret;
	for (i = 0; i < p->n_queues; i++)
		port_queue_give(&p->queue[i], config->lcore[i % config->n_lcore]);
	return dp_add(p, config->bridge, &config->rules, false, err);
}

int
dp_port_del(int port)
{
	struct port *p = table.port[port];
	int ret = table_del(p);

	if (ret < 0)
		return ret;
	migration_forget(port);
	capture_destroy(p->capture_ctl);
	p->ops->close(p);
	return 0;
}

int
dp_port_move(int port, unsigned int queue, unsigned int lcore, struct err *err)
{
	struct port_queue *q = &table.port[port]->queue[queue];

	if (q->lcore_ctl == lcore)
		return 0;
	if (table_move(q, (uint8_t)lcore) < 0)
		return err_set(err, ENOMEM, "no-memory", "no memory to move a queue");
	return 0;
}

int
dp_port_set_rules(int port, const struct dp_rules *rules, struct err *err)
{
	struct port *p = table.port[port];
	struct dp_rules old = p->rules_ctl;
	int ret;

	if (p->ops->set_rules != NULL) {
		ret = p->ops->set_rules(p, rules, err);
		if (ret < 0)
			return ret;
	}
	ret = table_set_rules(p, rules, err);
	if (ret < 0 && p->ops->set_rules != NULL)
		p->ops->set_rules(p, &old, NULL);
	if (ret == 0)
		migration_retry();
	return ret;
}

static enum dp_drain
dp_drain_of(const struct port *p, struct dp_port_info *info)
{
	enum park_hold hold = port_hold(p);
	enum dp_drain drain = DP_DRAINED;
	uint16_t i;

	if (hold != PARK_HOLD && hold != PARK_HOLD_DROP)
		return DP_DRAIN_NONE;
	for (i = 0; i < p->n_queues; i++) {
		info->queue[i].drained = port_queue_is_drained(&p->queue[i]);
		if (!info->queue[i].drained)
			drain = DP_DRAINING;
	}
	return drain;
}

void
dp_port_info(int port, struct dp_port_info *info)
{
	struct port *p = table.port[port];
	uint16_t i;

	memset(info, 0, sizeof(*info));
	info->is_uplink = p->is_uplink;
	info->n_queues = p->n_queues;
	for (i = 0; i < p->n_queues; i++) {
		info->queue[i].lcore = p->queue[i].lcore_ctl;
		info->queue[i].pause_us = (unsigned int)(atomic_load(&p->queue[i].pause_cycles) /
							 (rte_get_tsc_hz() / 1000000));
	}
	p->ops->info(p, info);
	if (p->is_uplink)
		return;
	info->incoming = p->incoming_ctl;
	info->parked = atomic_load(&p->park.n);
	info->park_left_ms = migration_left_ms(p);
	info->drain = dp_drain_of(p, info);
	info->drain_forwarded = migration_forwarded(p);
}

void
dp_port_locate(int port)
{
	if (table.port[port]->ops->locate != NULL)
		table.port[port]->ops->locate(table.port[port]);
}

void
dp_port_stats(int port, int queue, struct dp_stats *stats)
{
	struct port *p = table.port[port];
	uint16_t i;

	memset(stats, 0, sizeof(*stats));
	for (i = 0; i < p->n_queues; i++) {
		if (queue < 0 || queue == i)
			stats_sum(stats, &p->queue[i].stats);
	}
	if (queue >= 0)
		return;
	stats->out_drop[DP_OUT_RING_FULL] += worker_undelivered(p->id);
	if (p->ops->add_stats != NULL)
		p->ops->add_stats(p, stats);
}

int
dp_lcore_stats(unsigned int lcore, struct dp_lcore_stats *stats)
{
	return worker_stats(lcore, stats);
}

int
dp_pool_info(unsigned int index, struct dp_pool_info *info)
{
	return mempool_info(index, info);
}

bool
dp_memory_lacks(const char *port, struct err *err)
{
	bool lacks = memory_lacks("the guest of port", port, err);

	memory_watch();
	return lacks;
}

int
dp_memory_node(int node)
{
	return memory_node(node);
}

int
dp_memory_info(int node, struct dp_memory_info *info)
{
	return memory_info(node, info);
}

int
dp_memory_where(int node, uint64_t bytes[DP_NODES_MAX])
{
	return memory_where(node, bytes);
}

int
dp_event_fd(void)
{
	return event_fd();
}

/* Whether the uplink came up, or went down, since this was asked the last time. */
static bool
dp_link_changed(struct port *p)
{
	struct dp_port_info info;

	dp_port_info(p->id, &info);
	if ((info.up && info.connected) == p->link_ctl)
		return false;
	p->link_ctl = !p->link_ctl;
	return true;
}

static enum dp_event_type
dp_link_event(const struct port *p)
{
	return p->link_ctl ? DP_EVENT_UPLINK_UP : DP_EVENT_UPLINK_DOWN;
}

/* Few drivers tell of their link by themselves, so all are asked. */
static void
dp_check_links(void)
{
	int id;

	for (id = 0; id < DP_PORTS_MAX; id++) {
		struct port *p = table.port[id];

		if (p != NULL && p->is_uplink && dp_link_changed(p))
			event_post(dp_link_event(p), p->id, 0);
	}
}

/* Of an uplink that is a vhost-user port the front-end is the link. Returns whether there is something to tell. */
static bool
dp_uplink_event(struct port *p, struct dp_event *event)
{
	if (event->type != DP_EVENT_PORT_UP && event->type != DP_EVENT_PORT_DOWN)
		return true;
	if (!dp_link_changed(p))
		return false;
	event->type = dp_link_event(p);
	return true;
}

/* Once a second: what the lcores take for the time, what has not been seen for long, links. */
static void
dp_tick(void)
{
	struct timespec ts;
	int bridge;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	if ((uint32_t)ts.tv_sec == fdb_now_s)
		return;
	fdb_now_s = (uint32_t)ts.tv_sec;
	for (bridge = 0; bridge < DP_BRIDGES_MAX; bridge++) {
		if (table.fdb[bridge] != NULL)
			fdb_age(table.fdb[bridge]);
	}
	dp_check_links();
	if (event_were_lost())
		migration_recover();
}

/* What one guest may have of a bridge's table, so that it can't take all of it from the others. */
static unsigned int
dp_port_limit(const struct fdb *fdb, const struct port *p)
{
	unsigned int share = RTE_MAX(fdb->limit_ctl / 16, 64u);

	return p->is_uplink ? UINT_MAX : RTE_MIN(share, fdb->limit_ctl);
}

/* Returns true when a full table is to be told: once, until there is room again. */
static bool
dp_learn(const struct event_mac *mac)
{
	struct fdb *fdb = table.fdb[mac->bridge];
	int ret;

	/* What an lcore saw may be gone since. */
	if (fdb == NULL || table.port[mac->port] == NULL ||
	    table.port[mac->port]->bridge_ctl != mac->bridge ||
	    !table.port[mac->port]->rules_ctl.learn || migration_seen(mac))
		return false;
	ret = fdb_learn(fdb, mac->fdb_key, mac->port, dp_port_limit(fdb, table.port[mac->port]));
	if (ret == -EDQUOT && !fdb->quota_told_ctl) {
		fdb->quota_told_ctl = true;
		return true;
	}
	return ret == -ENOSPC && !atomic_exchange(&fdb->full, true);
}

#define DP_POLL_MACS 1024 /* learned in one call, so that a flood of senders leaves time for RPC */

bool
dp_poll(struct dp_event *event)
{
	struct event_mac mac;
	struct timespec ts;
	struct port *p;
	unsigned int i;

	dp_tick();
	port_uplink_poll();
	for (i = 0; i < DP_POLL_MACS; i++) {
		switch (event_take(event, &mac)) {
		case EVENT_UP:
			/* It has all that it needs; librte_vhost would have liked it on another node. */
			if (event->type == DP_EVENT_PORT_UP)
				memory_watch();
			p = table.port[event->port];
			if (p != NULL && p->is_uplink ? dp_uplink_event(p, event) :
							migration_event(event))
				return true;
			continue;
		case EVENT_NONE:
			return false;
		case EVENT_MAC:
			if (!dp_learn(&mac))
				continue;
			clock_gettime(CLOCK_REALTIME, &ts);
			*event = (struct dp_event){
				.type = DP_EVENT_MAC_LIMIT,
				.port = mac.bridge,
				.time_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec,
			};
			return true;
		}
	}
	return false;
}

/* ---- capture ----------------------------------------------------------------------------- */

int
dp_capture_start(int port, unsigned int snaplen, struct err *err)
{
	struct port *p = table.port[port];
	struct dp_lcore_stats unused;
	unsigned int n_lcores = 0;

	if (p->capture_ctl != NULL)
		return err_set(err, EBUSY, "capture-runs", "%s is being captured already", p->name);
	while (worker_stats(n_lcores + 1, &unused) == 0)
		n_lcores++;
	p->capture_ctl = capture_create(snaplen, n_lcores);
	if (p->capture_ctl != NULL && table_publish() == 0)
		return 0;
	capture_destroy(p->capture_ctl);
	p->capture_ctl = NULL;
	return err_set(err, ENOMEM, "no-memory", "no memory for a capture of %s", p->name);
}

bool
dp_capture_read(int port, struct dp_captured *frame)
{
	if (!capture_read(table.port[port]->capture_ctl, frame))
		return false;
	frame->port = port;
	return true;
}

uint64_t
dp_capture_stop(int port)
{
	struct capture *c = table.port[port]->capture_ctl;
	uint64_t lost;

	table.port[port]->capture_ctl = NULL;
	/* Without memory for a snapshot the lcores keep the one that they have, and so the capture. */
	if (table_publish() < 0)
		return capture_lost(c);
	lost = capture_lost(c);
	capture_destroy(c);
	return lost;
}
