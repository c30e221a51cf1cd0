/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/events.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "control/log.h"
#include "control/report.h"

enum topic {
	PORT_UP,
	PORT_DOWN,
	PORT_RECONNECTED,
	UPLINK_UP,
	UPLINK_DOWN,
	MAC_LIMIT,
	LCORE_OVERLOAD,
	PEER_REFUSED,
	PEER_BAD_MESSAGE,
	N_TOPICS,
};

/* SCHEMA_EVENT_TYPES has them all, too. */
static const char *const topic_names[N_TOPICS] = {
	[PORT_UP] = "port.up",
	[PORT_DOWN] = "port.down",
	[PORT_RECONNECTED] = "port.reconnected",
	[UPLINK_UP] = "uplink.up",
	[UPLINK_DOWN] = "uplink.down",
	[MAC_LIMIT] = "mac.limit",
	[LCORE_OVERLOAD] = "lcore.overload",
	[PEER_REFUSED] = "peer.refused",
	[PEER_BAD_MESSAGE] = "peer.bad_message",
};

uint32_t
events_topics(const json_t *types)
{
	uint32_t topics = 0;
	size_t i;
	json_t *type;

	if (!types)
		return (1U << N_TOPICS) - 1;
	json_array_foreach(types, i,
			   type) for (unsigned int t = 0; t < N_TOPICS;
				      t++) if (!strcmp(topic_names[t], json_string_value(type)))
		topics |= 1U << t;
	return topics;
}

json_t *
events_types(uint32_t topics)
{
	json_t *types = json_array();

	for (unsigned int t = 0; t < N_TOPICS; t++)
		if (topics >> t & 1)
			json_array_append_new(types, json_string(topic_names[t]));
	return types;
}

/* Sends the event with the facts given; takes ownership of `facts`. `port` may be NULL. */
static void
send_event(struct daemon *d, enum topic topic, int64_t time_ns, const char *port, json_t *facts)
{
	json_object_set_new(facts, "type", json_string(topic_names[topic]));
	json_object_set_new(facts, "seq", json_integer(++d->event_seq));
	json_object_set_new(facts, "time_ns", json_integer(time_ns));
	json_object_set_new(facts, "port", port ? json_string(port) : json_null());
	rpc_notify(d->rpc, 1U << topic,
		   json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", "event", "params",
			     facts));
}

void
events_overload(struct daemon *d, const struct load_lcore *lcore)
{
	struct timespec now;

	log_warning("lcore %u on CPU %u is overloaded: %.0f cycles a packet and no idle round",
		    lcore->stats.lcore, lcore->stats.cpu, lcore->cycles_per_packet);
	clock_gettime(CLOCK_REALTIME, &now);
	send_event(d, LCORE_OVERLOAD, now.tv_sec * INT64_C(1000000000) + now.tv_nsec, NULL,
		   json_pack("{s:i, s:i, s:f, s:f}", "lcore", (int)lcore->stats.lcore, "cpu",
			     (int)lcore->stats.cpu, "busy_percent", lcore->busy_percent,
			     "cycles_per_packet", lcore->cycles_per_packet));
}

static void
on_mac_limit(struct daemon *d, const struct dp_event *event)
{
	const struct model_bridge *bridge;

	TAILQ_FOREACH(bridge, &d->model.bridges, link) {
		if (bridge->id != event->port)
			continue;
		log_warning("bridge %s knows %u addresses, its limit; it learns no more",
			    bridge->set.name, bridge->set.mac_limit);
		send_event(d, MAC_LIMIT, event->time_ns, NULL,
			   json_pack("{s:s, s:i}", "bridge", bridge->set.name, "mac_limit",
				     (int)bridge->set.mac_limit));
		return;
	}
}

static void
on_connected(struct daemon *d, const struct model_port *port, const struct dp_event *event)
{
	struct dp_port_info info;

	dp_port_info(port->id, &info);
	log_info("port %s: front-end connected, pid %d, uid %" PRIu64, port->set.name,
		 (int)info.peer_pid, event->value);
	if (info.reconnects)
		send_event(d, PORT_RECONNECTED, event->time_ns, port->set.name,
			   json_pack("{s:I, s:I}", "uid", (json_int_t)event->value, "reconnects",
				     (json_int_t)info.reconnects));
}

static void
on_port_event(struct daemon *d, const struct model_port *port, const struct dp_event *event)
{
	const char *name = port->set.name;

	switch (event->type) {
	case DP_EVENT_PORT_CONNECTED:
		on_connected(d, port, event);
		break;
	case DP_EVENT_PORT_DISCONNECTED:
		log_info("port %s: front-end gone", name);
		reconnect_lost(d->model.reconnect, port->id);
		break;
	case DP_EVENT_PORT_UP:
		log_info("port %s: up, features 0x%" PRIx64, name, event->value);
		reconnect_up(d->model.reconnect, port->id);
		send_event(d, PORT_UP, event->time_ns, name,
			   json_pack("{s:o}", "features", report_features(event->value)));
		break;
	case DP_EVENT_PORT_DOWN:
		log_info("port %s: down", name);
		send_event(d, PORT_DOWN, event->time_ns, name, json_object());
		break;
	case DP_EVENT_PEER_REFUSED:
		log_warning("port %s: a front-end of uid %" PRIu64 " was refused", name,
			    event->value);
		send_event(d, PEER_REFUSED, event->time_ns, name,
			   json_pack("{s:I}", "uid", (json_int_t)event->value));
		break;
	case DP_EVENT_PEER_BAD_MESSAGE:
		log_warning("port %s: the front-end was cut off for a bad vhost-user message"
			    " (request %" PRIu64 ")",
			    name, event->value);
		send_event(d, PEER_BAD_MESSAGE, event->time_ns, name,
			   json_pack("{s:I}", "request", (json_int_t)event->value));
		break;
	case DP_EVENT_UPLINK_UP:
		log_info("uplink %s: up", name);
		send_event(d, UPLINK_UP, event->time_ns, name, json_object());
		break;
	case DP_EVENT_UPLINK_DOWN:
		log_warning("uplink %s: down", name);
		send_event(d, UPLINK_DOWN, event->time_ns, name, json_object());
		break;
	case DP_EVENT_MAC_LIMIT:
		break; /* a bridge's */
	}
}

void
events_pump(struct daemon *d)
{
	struct dp_event event;

	while (dp_poll(&event)) {
		const struct model_port *port = NULL;

		if (event.type == DP_EVENT_MAC_LIMIT) {
			on_mac_limit(d, &event);
			continue;
		}
		if (event.port >= 0 && event.port < DP_PORTS_MAX)
			port = d->model.port_of_id[event.port];
		/* A port may be gone by the time its last events are read. */
		if (port)
			on_port_event(d, port, &event);
	}
}
