/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/fake_dp.h"

#include <errno.h>
#include <string.h>

#define N_PORTS (sizeof(fake_dp.port) / sizeof(fake_dp.port[0]))

struct fake_dp fake_dp;

static int
refused(struct err *err)
{
	return fake_dp.refuse ? err_set(err, ENOMEM, "fake", "refused by the test") : 0;
}

const char *
dp_dpdk_version(void)
{
	return "DPDK fake";
}

uint64_t
dp_vhost_features(void)
{
	return fake_dp.features;
}

int
dp_bridge_add(unsigned int mac_age_s, unsigned int mac_limit, struct err *err)
{
	int id = 0;

	(void)mac_age_s;
	(void)mac_limit;
	if (refused(err) < 0)
		return -ENOMEM;
	while (fake_dp.bridge[id])
		id++;
	fake_dp.bridge[id] = true;
	fake_dp.changes++;
	return id;
}

void
dp_bridge_del(int bridge)
{
	fake_dp.bridge[bridge] = false;
	fake_dp.changes++;
}

static int
open_port(const struct dp_port_config *config, bool is_uplink, unsigned int queues,
	  const uint8_t *lcore)
{
	for (size_t id = 0; id < N_PORTS; id++) {
		struct fake_port *p = &fake_dp.port[id];

		if (p->open)
			continue;
		*p = (struct fake_port){.open = true, .is_uplink = is_uplink, .config = *config};
		p->info.incoming = config->incoming;
		p->queues = queues;
		memcpy(p->lcore, lcore, queues);
		fake_dp.changes++;
		return id;
	}
	return -ENOSPC;
}

/* A port claims its MAC (its first) from the start, an incoming one does not. */
static bool
mac_is_claimed(const struct dp_port_config *config)
{
	for (size_t id = 0; id < N_PORTS; id++) {
		const struct fake_port *p = &fake_dp.port[id];

		if (p->open && !p->config.incoming && p->config.bridge == config->bridge &&
		    p->config.rules.n_macs > 0 && config->rules.n_macs > 0 &&
		    !memcmp(&p->config.rules.mac[0], &config->rules.mac[0], sizeof(struct dp_mac)))
			return true;
	}
	return false;
}

int
dp_port_add(const struct dp_port_config *config, struct err *err)
{
	if (refused(err) < 0)
		return -ENOMEM;
	if (!config->incoming && mac_is_claimed(config))
		return err_set_param(err, EEXIST, "mac-in-use", "mac", "another port has it");
	return open_port(config, config->uplink, config->queues, config->lcore);
}

int
dp_uplink_parse(const char *devargs, struct dp_uplink_socket *s, struct err *err)
{
	(void)devargs;
	(void)err;
	*s = fake_dp.uplink;
	return 0;
}

int
dp_uplink_add(const struct dp_uplink_config *config, struct err *err)
{
	struct dp_port_config port = {.bridge = config->bridge, .rules = config->rules};

	if (refused(err) < 0)
		return -ENOMEM;
	return open_port(&port, true, config->queues ? config->queues : 1, config->lcore);
}

int
dp_port_del(int port)
{
	if (refused(NULL) < 0)
		return -ENOMEM;
	fake_dp.port[port].open = false;
	fake_dp.changes++;
	return 0;
}

int
dp_port_move(int port, unsigned int queue, unsigned int lcore, struct err *err)
{
	if (refused(err) < 0)
		return -ENOMEM;
	if (++fake_dp.moves == fake_dp.move_refused)
		return err_set(err, ENOMEM, "fake", "refused by the test");
	fake_dp.port[port].lcore[queue] = lcore;
	fake_dp.changes++;
	return 0;
}

int
dp_port_connect(int port)
{
	(void)port;
	fake_dp.connects++;
	return fake_dp.connect_result;
}

int
dp_port_set_rules(int port, const struct dp_rules *rules, struct err *err)
{
	if (refused(err) < 0)
		return -ENOMEM;
	fake_dp.port[port].config.rules = *rules;
	fake_dp.changes++;
	return 0;
}

void
dp_port_info(int port, struct dp_port_info *info)
{
	const struct fake_port *p = &fake_dp.port[port];

	*info = p->info;
	info->is_uplink = p->is_uplink;
	info->node = p->has_nodes ? p->node[0] : -1;
	info->n_queues = p->queues;
	for (unsigned int i = 0; i < p->queues; i++) {
		info->queue[i].lcore = p->lcore[i];
		info->queue[i].node = p->has_nodes ? p->node[i] : -1;
	}
}

void
dp_port_locate(int port)
{
	struct fake_port *p = &fake_dp.port[port];

	p->located++;
	if (p->moved)
		memcpy(p->node, p->moved_to, sizeof(p->node));
}

int
dp_port_drain(int port, bool park)
{
	struct fake_port *p = &fake_dp.port[port];

	if (p->info.drain != DP_DRAIN_NONE)
		return -EALREADY;
	if (!p->info.up)
		return -ENOTCONN;
	p->info.drain = DP_DRAINING;
	p->parks = park;
	return 0;
}

int
dp_port_resume(int port)
{
	struct fake_port *p = &fake_dp.port[port];

	if (p->info.drain == DP_DRAIN_NONE)
		return -EALREADY;
	p->info.drain = DP_DRAIN_NONE;
	return 0;
}

void
dp_port_announce(int port)
{
	fake_dp.port[port].announced++;
}

bool
dp_poll(struct dp_event *event)
{
	if (fake_dp.events_read == fake_dp.n_events)
		return false;
	*event = fake_dp.event[fake_dp.events_read++];
	return true;
}

void
dp_port_stats(int port, int queue, struct dp_stats *stats)
{
	const struct fake_port *p = &fake_dp.port[port];

	*stats = (struct dp_stats){.parked = queue > 0 ? 0 : p->info.parked};
	if (queue < 0)
		return;
	stats->busy_cycles = p->busy_cycles[queue];
	stats->out_packets = p->out_packets[queue];
}

const char *
dp_out_drop_name(enum dp_out_drop reason)
{
	static const char *const names[DP_OUT_DROPS] = {
		"ring_full", "queue_off", "no_guest", "park_full", "park_expired", "mtu", "offload",
	};

	return names[reason];
}

const char *
dp_in_drop_name(enum dp_in_drop reason)
{
	static const char *const names[DP_IN_DROPS] = {
		"bad_frame", "bad_ring", "vlan",    "spoof",	 "rate",
		"storm",     "mtu",	 "no_mbuf", "no_output",
	};

	return names[reason];
}

void
dp_bridge_macs(int bridge, void (*visit)(const struct dp_mac_entry *entry, void *arg), void *arg)
{
	(void)bridge;
	(void)visit;
	(void)arg;
}

int
dp_pool_info(unsigned int index, struct dp_pool_info *info)
{
	(void)index;
	(void)info;
	return -ENOENT;
}

/* In MiB: 1000 for each lcore here, 100 for each other, 1 for a port and for a queue pair. */
uint64_t
dp_memory_need(const struct dp_memory_need *need)
{
	unsigned int elsewhere = need->n_lcores - need->n_lcores_here;

	return (uint64_t)(1000 * need->n_lcores_here + 100 * elsewhere + need->n_ports +
			  need->n_queues)
	       << 20;
}

bool
dp_memory_lacks(const char *port, struct err *err)
{
	(void)port;
	return fake_dp.lacks && err_set(err, ENOMEM, "no-hugepages", "%s", fake_dp.lacks) < 0;
}

int
dp_memory_node(int node)
{
	return fake_dp.memory_elsewhere[node] ? fake_dp.memory_elsewhere[node] - 1 : node;
}

int
dp_memory_info(int node, struct dp_memory_info *info)
{
	(void)node;
	(void)info;
	return -ENOENT;
}

int
dp_memory_where(int node, uint64_t bytes[DP_NODES_MAX])
{
	memcpy(bytes, fake_dp.memory_where[node], sizeof(fake_dp.memory_where[node]));
	for (unsigned int on = 0; on < DP_NODES_MAX; on++)
		if (bytes[on] > 0)
			return 0;
	return -ENOENT;
}

int
dp_lcore_stats(unsigned int lcore, struct dp_lcore_stats *stats)
{
	if (lcore > (fake_dp.n_lcores ? fake_dp.n_lcores : 2))
		return -ENOENT;
	*stats = fake_dp.lcore[lcore - 1];
	stats->lcore = lcore;
	stats->tid = FAKE_TID + lcore - 1;
	return 0;
}

int
dp_capture_start(int port, unsigned int snaplen, struct err *err)
{
	if (refused(err) < 0)
		return -ENOMEM;
	fake_dp.port[port].captured = true;
	fake_dp.port[port].snaplen = snaplen;
	return 0;
}

bool
dp_capture_read(int port, struct dp_captured *frame)
{
	static uint8_t data[UINT16_MAX];
	unsigned int snaplen = fake_dp.port[port].snaplen;

	if (!fake_dp.port[port].captured || fake_dp.frames_read == fake_dp.frames)
		return false;
	memset(data, fake_dp.frames_read, sizeof(data));
	*frame = (struct dp_captured){
		.port = port,
		.to_guest = fake_dp.frames_read % 2,
		.time_ns = fake_dp.frame_time_ns,
		.frame_bytes = fake_dp.frame_bytes,
		.bytes = fake_dp.frame_bytes < snaplen ? fake_dp.frame_bytes : snaplen,
		.data = data,
	};
	fake_dp.frames_read++;
	return true;
}

uint64_t
dp_capture_stop(int port)
{
	fake_dp.port[port].captured = false;
	return fake_dp.frames_lost;
}
