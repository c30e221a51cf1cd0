/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "control/follow.h"

/* By bit number, as the virtio specification and Linux's headers name them. */
/* clang-format off */
static const char *const feature_names[] = {
	[0] = "csum", [1] = "guest_csum", [3] = "mtu", [5] = "mac", [6] = "gso",
	[7] = "guest_tso4", [8] = "guest_tso6", [9] = "guest_ecn", [10] = "guest_ufo",
	[11] = "host_tso4", [12] = "host_tso6", [13] = "host_ecn", [14] = "host_ufo",
	[15] = "mrg_rxbuf", [16] = "status", [17] = "ctrl_vq", [18] = "ctrl_rx", [19] = "ctrl_vlan",
	[21] = "guest_announce", [22] = "mq", [23] = "ctrl_mac_addr", [24] = "notify_on_empty",
	[26] = "log_all", [27] = "any_layout", [28] = "indirect_desc", [29] = "event_idx",
	[30] = "protocol_features", [32] = "version_1", [33] = "access_platform",
	[34] = "ring_packed", [35] = "in_order", [36] = "order_platform", [37] = "sr_iov",
	[38] = "notification_data", [40] = "ring_reset", [56] = "host_uso", [57] = "hash_report",
	[60] = "rss",
};
/* clang-format on */

json_t *
report_features(uint64_t features)
{
	json_t *list = json_array();

	for (unsigned int bit = 0; bit < 64; bit++) {
		const char *name = NULL;

		if (!(features >> bit & 1))
			continue;
		if (bit < sizeof(feature_names) / sizeof(feature_names[0]))
			name = feature_names[bit];
		json_array_append_new(list, name ? json_string(name) : json_sprintf("bit_%u", bit));
	}
	return list;
}

const char *
report_state(const struct model_port *port, const struct dp_port_info *info)
{
	if (port->id < 0)
		return "failed";
	if (port->is_uplink)
		return info->up && info->connected ? "up" : "down";
	if (info->drain != DP_DRAIN_NONE)
		return info->drain == DP_DRAINED ? "drained" : "draining";
	if (info->incoming)
		return "incoming";
	return info->up ? "up" : "waiting";
}

static void
add_drops(json_t *o, const char *total_name, const char *by_name, const uint64_t *drop,
	  unsigned int n, const char *(*name)(unsigned int))
{
	json_t *by = json_object();
	uint64_t total = 0;

	for (unsigned int i = 0; i < n; i++) {
		json_object_set_new(by, name(i), json_integer(drop[i]));
		total += drop[i];
	}
	json_object_set_new(o, total_name, json_integer(total));
	json_object_set_new(o, by_name, by);
}

static const char *
out_name(unsigned int reason)
{
	return dp_out_drop_name(reason);
}

static const char *
in_name(unsigned int reason)
{
	return dp_in_drop_name(reason);
}

/*
 * A guest's rx is what goes out of sluice; an uplink's rx is what comes in from the wire: each from
 * its own side.
 */
static void
add_stats(json_t *o, const struct dp_stats *s, bool is_uplink)
{
	const char *in = is_uplink ? "rx" : "tx", *out = is_uplink ? "tx" : "rx";
	const struct {
		const char *side, *what;
		uint64_t value;
	} counters[] = {
		{in, "packets", s->in_packets},	   {in, "bytes", s->in_bytes},
		{out, "packets", s->out_packets},  {out, "bytes", s->out_bytes},
		{"", "parked", s->parked},	   {"", "unparked", s->unparked},
		{"", "redirected", s->redirected},
	};

	for (unsigned int i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		const char *side = counters[i].side;
		char name[32];

		snprintf(name, sizeof(name), "%s%s%s", side, *side ? "_" : "", counters[i].what);
		json_object_set_new(o, name, json_integer(counters[i].value));
	}
	add_drops(o, is_uplink ? "tx_dropped" : "rx_dropped",
		  is_uplink ? "tx_dropped_by" : "rx_dropped_by", s->out_drop, DP_OUT_DROPS,
		  out_name);
	add_drops(o, is_uplink ? "rx_dropped" : "tx_dropped",
		  is_uplink ? "rx_dropped_by" : "tx_dropped_by", s->in_drop, DP_IN_DROPS, in_name);
}

static json_t *
total_stats(const struct model_port *port, const struct dp_port_info *info)
{
	json_t *o = json_object();
	struct dp_stats stats = {0};

	if (port->id >= 0)
		dp_port_stats(port->id, -1, &stats);
	add_stats(o, &stats, port->is_uplink);
	json_object_set_new(o, "reconnects", json_integer(info->reconnects));
	return o;
}

static void
read_info(const struct model_port *port, struct dp_port_info *info)
{
	*info = (struct dp_port_info){.is_uplink = port->is_uplink, .node = -1};
	if (port->id >= 0)
		dp_port_info(port->id, info);
}

json_t *
report_stats(const struct model_port *port)
{
	struct dp_port_info info;
	json_t *o, *queues = json_array();

	read_info(port, &info);
	o = total_stats(port, &info);
	for (unsigned int i = 0; i < info.n_queues; i++) {
		json_t *queue = json_pack("{s:i}", "queue", (int)i);
		struct dp_stats stats;

		dp_port_stats(port->id, i, &stats);
		add_stats(queue, &stats, port->is_uplink);
		json_array_append_new(queues, queue);
	}
	json_object_set_new(o, "name", json_string(port->set.name));
	json_object_set_new(o, "queues", queues);
	return o;
}

static int
node_of_lcore(unsigned int lcore)
{
	struct dp_lcore_stats stats;

	return dp_lcore_stats(lcore, &stats) == 0 ? stats.node : -1;
}

/* A ring that its guest broke; nobody looks at it until the guest sets it up again. */
static void
set_stopped(json_t *queue, const char *name, const char *reason)
{
	if (reason)
		json_object_set_new(queue, name, json_string(reason));
}

static json_t *
int_or_null(int value)
{
	return value < 0 ? json_null() : json_integer(value);
}

static json_t *
queues_json(const struct model *m, const struct model_port *port, const struct dp_port_info *info)
{
	json_t *queues = json_array();

	for (unsigned int i = 0; i < info->n_queues; i++) {
		const struct dp_queue_info *q = &info->queue[i];
		json_t *queue = json_pack("{s:i, s:i, s:i, s:b}", "queue", (int)i, "lcore",
					  (int)q->lcore, "node", node_of_lcore(q->lcore), "enabled",
					  info->is_uplink ||
						  (q->enabled_to_guest && q->enabled_from_guest));

		json_object_set_new(queue, "memory_node", int_or_null(q->node));
		json_object_set_new(queue, "pinned",
				    json_boolean(model_queue_is_pinned(m, port, i)));
		if (info->drain != DP_DRAIN_NONE)
			json_object_set_new(queue, "drained", json_boolean(q->drained));
		set_stopped(queue, "stopped_to_guest", q->stopped_to_guest);
		set_stopped(queue, "stopped_from_guest", q->stopped_from_guest);
		json_array_append_new(queues, queue);
	}
	return queues;
}

/* What ports and uplinks show alike. */
static void
add_common(json_t *o, const struct daemon *d, const struct model_port *port,
	   const struct dp_port_info *info)
{
	if (!json_object_get(o, "vlan"))
		json_object_set_new(o, "vlan", json_null());
	if (!json_object_get(o, "trunks"))
		json_object_set_new(o, "trunks", json_null());
	if (!json_object_get(o, "vlan_mode"))
		json_object_set_new(o, "vlan_mode",
				    json_string(port->set.rules.vlans.vlan ? "access" : "trunk"));
	json_object_set_new(o, "state", json_string(report_state(port, info)));
	if (port->id < 0)
		json_object_set_new(o, "failure", json_string(port->failure.message));
	json_object_set_new(o, "queues", queues_json(&d->model, port, info));
	json_object_set_new(o, "placement", follow_placement(d, port, info));
	json_object_set_new(o, "stats", total_stats(port, info));
}

json_t *
report_port(const struct daemon *d, const struct model_port *port)
{
	json_t *o = settings_port_json(&port->set);
	struct dp_port_info info;
	json_t *peer = json_null(), *connected = json_null();

	read_info(port, &info);
	add_common(o, d, port, &info);
	json_object_set_new(o, "datapath", json_string(info.library ? "library" : "direct"));
	if (info.connected)
		peer = json_pack("{s:i, s:I}", "pid", (int)info.peer_pid, "uid",
				 (json_int_t)info.peer_uid);
	if (info.connected_ns)
		connected = json_real((daemon_now_ns() - info.connected_ns) / 1000000 / 1000.0);
	if (port->guest_failure.message[0] && !info.up)
		json_object_set_new(o, "failure", json_string(port->guest_failure.message));
	json_object_set_new(o, "peer", peer);
	json_object_set_new(o, "connected_s", connected);
	json_object_set_new(o, "guest_node", int_or_null(info.node));
	json_object_set_new(o, "memory_bytes", json_integer((json_int_t)info.memory_bytes));
	json_object_set_new(o, "features", report_features(info.negotiated));
	json_object_set_new(o, "features_offered", json_sprintf("0x%" PRIx64, port->features));
	if (!port->set.owner[0])
		json_object_set_new(o, "owner", json_string("rpc"));
	return o;
}

json_t *
report_recording(const struct recording *rec)
{
	bool runs = rec->out.fd >= 0;
	json_t *o = json_pack("{s:s, s:s, s:b, s:I, s:I}", "port", rec->name, "file", rec->file,
			      "running", runs, "packets", (json_int_t)rec->packets, "bytes",
			      (json_int_t)rec->out.bytes);

	if (!runs)
		json_object_set_new(o, "lost", json_integer(rec->lost));
	if (rec->why[0])
		json_object_set_new(o, "reason", json_string(rec->why));
	return o;
}

json_t *
report_uplink(const struct daemon *d, const struct model_port *port)
{
	json_t *o = settings_uplink_json(&port->set);
	struct dp_port_info info;

	read_info(port, &info);
	add_common(o, d, port, &info);
	json_object_set_new(o, "owner", json_string(*port->set.owner ? port->set.owner : "rpc"));
	json_object_set_new(o, "driver", json_string(info.driver));
	if (info.failure)
		json_object_set_new(o, "failure", json_string(info.failure));
	json_object_set_new(o, "node", int_or_null(info.node));
	json_object_set_new(o, "link_mbps",
			    info.link_mbps ? json_integer(info.link_mbps) : json_null());
	return o;
}
