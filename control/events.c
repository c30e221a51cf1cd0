/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/events.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/follow.h"
#include "control/log.h"
#include "control/report.h"
#include "numa/cpulist.h"

#define PORT_LINES_MAX 10 /* in the log, a second */

enum topic {
	PORT_UP,
	PORT_DOWN,
	PORT_RECONNECTED,
	UPLINK_UP,
	UPLINK_DOWN,
	MAC_LIMIT,
	LCORE_OVERLOAD,
	QUEUE_MOVED,
	PORT_REMOTE,
	LCORE_MOVED,
	LCORE_RETURNED,
	PEER_REFUSED,
	PEER_BAD_MESSAGE,
	PORT_RING_STOPPED,
	PORT_MEMORY_GONE,
	CAPTURE_STOPPED,
	PORT_DRAINING,
	PORT_DRAINED,
	PORT_RESUMED,
	PORT_PARKING,
	PORT_UNPARKED,
	PORT_MOVED,
	PORT_REDIRECTED,
	PORT_PARK_EXPIRED,
	PORT_INCOMING_UP,
	PORT_ANNOUNCED,
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
	[QUEUE_MOVED] = "queue.moved",
	[PORT_REMOTE] = "port.remote",
	[LCORE_MOVED] = "lcore.moved",
	[LCORE_RETURNED] = "lcore.returned",
	[PEER_REFUSED] = "peer.refused",
	[PEER_BAD_MESSAGE] = "peer.bad_message",
	[PORT_RING_STOPPED] = "port.ring_stopped",
	[PORT_MEMORY_GONE] = "port.memory_gone",
	[CAPTURE_STOPPED] = "capture.stopped",
	[PORT_DRAINING] = "port.draining",
	[PORT_DRAINED] = "port.drained",
	[PORT_RESUMED] = "port.resumed",
	[PORT_PARKING] = "port.parking",
	[PORT_UNPARKED] = "port.unparked",
	[PORT_MOVED] = "port.moved",
	[PORT_REDIRECTED] = "port.redirected",
	[PORT_PARK_EXPIRED] = "port.park_expired",
	[PORT_INCOMING_UP] = "port.incoming_up",
	[PORT_ANNOUNCED] = "port.announced",
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

int64_t
events_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void
events_capture_stopped(struct daemon *d, const struct recording *recording)
{
	send_event(d, CAPTURE_STOPPED, events_now_ns(), recording->name,
		   report_recording(recording));
}

void
events_overload(struct daemon *d, const struct load_lcore *lcore)
{
	log_warning("lcore %u on CPU %u is overloaded: %.0f cycles a packet and no idle round",
		    lcore->stats.lcore, lcore->stats.cpu, lcore->cycles_per_packet);
	send_event(d, LCORE_OVERLOAD, events_now_ns(), NULL,
		   json_pack("{s:i, s:i, s:f, s:f}", "lcore", (int)lcore->stats.lcore, "cpu",
			     (int)lcore->stats.cpu, "busy_percent", lcore->busy_percent,
			     "cycles_per_packet", lcore->cycles_per_packet));
}

void
events_lcore_spot(struct daemon *d, unsigned int lcore, const struct lcore_spot *spot)
{
	unsigned int cpu = d->model.lcore[lcore - 1].cpu;
	char note[LCORE_WATCH_NOTE_SIZE], list[CPULIST_SIZE];

	if (spot->away == LCORE_HOME) {
		log_notice("lcore %u is back on CPU %u", lcore, cpu);
		send_event(d, LCORE_RETURNED, events_now_ns(), NULL,
			   json_pack("{s:i, s:i}", "lcore", (int)lcore, "cpu", (int)cpu));
		return;
	}
	lcore_watch_note(&d->lcore_watch, lcore, spot, note, sizeof(note));
	log_warning("%s", note);
	cpulist_format(&spot->cpus, list, sizeof(list));
	send_event(d, LCORE_MOVED, events_now_ns(), NULL,
		   json_pack("{s:i, s:i, s:s, s:s, s:s}", "lcore", (int)lcore, "cpu", (int)cpu,
			     "affinity", list, "reason", lcore_watch_reason(spot->away), "note",
			     note));
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

static const char *
kind(const struct model_port *port)
{
	return port->is_uplink ? "uplink" : "port";
}

static void port_log(struct daemon *d, const struct model_port *port, int level, const char *fmt,
		     ...) __attribute__((format(printf, 4, 5)));

/* A guest may come and go in a loop, which must not fill the log. */
static void
port_log(struct daemon *d, const struct model_port *port, int level, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (d->event_lines[port->id]++ >= PORT_LINES_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_line(level, "%s %s: %s", kind(port), port->set.name, text);
}

void
events_log_second(struct daemon *d)
{
	for (int id = 0; id < DP_PORTS_MAX; id++) {
		const struct model_port *port = d->model.port_of_id[id];

		if (port && d->event_lines[id] > PORT_LINES_MAX)
			log_warning("%s %s: %u more lines withheld", kind(port), port->set.name,
				    d->event_lines[id] - PORT_LINES_MAX);
		d->event_lines[id] = 0;
	}
}

static void
on_connected(struct daemon *d, const struct model_port *port, const struct dp_event *event)
{
	struct dp_port_info info;

	dp_port_info(port->id, &info);
	port_log(d, port, LOG_INFO, "front-end connected, pid %d, uid %" PRIu64, (int)info.peer_pid,
		 event->value);
	if (info.reconnects)
		send_event(d, PORT_RECONNECTED, event->time_ns, port->set.name,
			   json_pack("{s:I, s:I}", "uid", (json_int_t)event->value, "reconnects",
				     (json_int_t)info.reconnects));
}

/* vhost-user's rings alternate: the even ones lead to the guest. */
static void
on_ring_stopped(struct daemon *d, const struct model_port *port, const struct dp_event *event)
{
	unsigned int queue = event->value / 2;
	bool from_guest = event->value % 2;
	const char *reason = NULL;
	struct dp_port_info info;

	dp_port_info(port->id, &info);
	if (queue < info.n_queues)
		reason = from_guest ? info.queue[queue].stopped_from_guest :
				      info.queue[queue].stopped_to_guest;
	port_log(d, port, LOG_WARNING, "the ring of queue %u %s the guest was stopped: %s", queue,
		 from_guest ? "from" : "to", reason ? reason : "it is set up again by now");
	send_event(d, PORT_RING_STOPPED, event->time_ns, port->set.name,
		   json_pack("{s:i, s:s, s:s?}", "queue", (int)queue, "direction",
			     from_guest ? "from_guest" : "to_guest", "reason", reason));
}

void
events_draining(struct daemon *d, const struct model_port *port, int64_t time_ns, bool park,
		unsigned int timeout_ms)
{
	port_log(d, port, LOG_INFO, "draining");
	send_event(d, PORT_DRAINING, time_ns, port->set.name,
		   json_pack("{s:s, s:i}", "then", park ? "park" : "drop", "timeout_ms",
			     (int)timeout_ms));
}

void
events_resumed(struct daemon *d, const struct model_port *port, int64_t time_ns, const char *why)
{
	port_log(d, port, LOG_INFO, "resumed: %s", why);
	send_event(d, PORT_RESUMED, time_ns, port->set.name, json_pack("{s:s}", "reason", why));
}

void
events_announced(struct daemon *d, const struct model_port *port, unsigned int round)
{
	send_event(d, PORT_ANNOUNCED, events_now_ns(), port->set.name,
		   json_pack("{s:o, s:i, s:i}", "mac", settings_macs_json(&port->set.rules),
			     "round", (int)round, "rounds", ARRIVAL_ROUNDS));
}

void
events_queue_moved(struct daemon *d, const struct model_port *port, unsigned int queue,
		   unsigned int from, const char *why)
{
	struct dp_port_info info;

	dp_port_info(port->id, &info);
	port_log(d, port, LOG_INFO, "queue %u goes from lcore %u to lcore %u: %s", queue, from,
		 port->lcore[queue], why);
	send_event(d, QUEUE_MOVED, events_now_ns(), port->set.name,
		   json_pack("{s:i, s:i, s:i, s:s, s:i}", "queue", (int)queue, "from", (int)from,
			     "to", (int)port->lcore[queue], "reason", why, "pause_us",
			     (int)info.queue[queue].pause_us));
}

void
events_port_remote(struct daemon *d, const struct model_port *port, const char *placement)
{
	port_log(d, port, LOG_WARNING, "%s", placement);
	send_event(d, PORT_REMOTE, events_now_ns(), port->set.name,
		   json_pack("{s:s}", "placement", placement));
}

static void
on_up(struct daemon *d, struct model_port *port, const struct dp_event *event)
{
	port->guest_failure.message[0] = '\0';
	port_log(d, port, LOG_INFO, "up, features 0x%" PRIx64, event->value);
	reconnect_up(d->model.reconnect, port->id);
	send_event(d, PORT_UP, event->time_ns, port->set.name,
		   json_pack("{s:o}", "features", report_features(event->value)));
	follow_port(d, port);
}

static void
on_arrived(struct daemon *d, struct model_port *port, const struct dp_event *event)
{
	bool was_awaited = port->set.incoming;

	if (was_awaited) {
		port_log(d, port, LOG_INFO, "its guest has come from another host");
		send_event(d, PORT_INCOMING_UP, event->time_ns, port->set.name,
			   json_pack("{s:o}", "mac", settings_macs_json(&port->set.rules)));
	}
	/* First the network, then the disk. */
	arrival_begin(d, port);
	if (was_awaited || port->guest_left)
		model_port_arrived(&d->model, port);
}

static void
on_drained(struct daemon *d, const struct model_port *port, const struct dp_event *event)
{
	struct dp_port_info info;

	dp_port_info(port->id, &info);
	port_log(d, port, LOG_INFO, "drained, %" PRIu64 " frames of its guest forwarded",
		 event->value);
	send_event(d, PORT_DRAINED, event->time_ns, port->set.name,
		   json_pack("{s:I, s:i}", "forwarded", (json_int_t)event->value, "parked",
			     (int)info.parked));
}

/* Mostly to an uplink; but a guest may move from one port of this host to another, too. */
static void
on_moved(struct daemon *d, struct model_port *port, const struct dp_event *event)
{
	const struct model_port *to =
		event->value < DP_PORTS_MAX ? d->model.port_of_id[event->value] : NULL;
	json_t *facts = json_pack("{s:o}", "mac", settings_macs_json(&port->set.rules));

	if (to)
		json_object_set_new(facts, to->is_uplink ? "uplink" : "to",
				    json_string(to->set.name));
	port_log(d, port, LOG_INFO, "its guest has moved to %s", to ? to->set.name : "elsewhere");
	send_event(d, PORT_MOVED, event->time_ns, port->set.name, facts);
	model_port_left(&d->model, port);
}

/* Parked frames left, and that is all that there is to say. */
static void
on_frames(struct daemon *d, enum topic topic, const struct model_port *port,
	  const struct dp_event *event, int level, const char *what)
{
	if (!event->value)
		return;
	port_log(d, port, level, "%" PRIu64 " parked frames %s", event->value, what);
	send_event(d, topic, event->time_ns, port->set.name,
		   json_pack("{s:I}", "frames", (json_int_t)event->value));
}

static void
on_migration_event(struct daemon *d, struct model_port *port, const struct dp_event *event)
{
	switch (event->type) {
	case DP_EVENT_PORT_DRAINED:
		on_drained(d, port, event);
		break;
	case DP_EVENT_PORT_PARKING:
		port_log(d, port, LOG_INFO, "its guest is away: frames for it are parked");
		send_event(d, PORT_PARKING, event->time_ns, port->set.name,
			   json_pack("{s:I, s:I}", "park_ms", (json_int_t)port->set.rules.park_ms,
				     "park_frames", (json_int_t)port->set.rules.park_frames));
		break;
	case DP_EVENT_PORT_UNPARKED:
		on_frames(d, PORT_UNPARKED, port, event, LOG_INFO, "went to its guest");
		break;
	case DP_EVENT_PORT_MOVED:
		on_moved(d, port, event);
		break;
	case DP_EVENT_PORT_REDIRECTED:
		on_frames(d, PORT_REDIRECTED, port, event, LOG_INFO, "went after its guest");
		break;
	case DP_EVENT_PARK_EXPIRED:
		on_frames(d, PORT_PARK_EXPIRED, port, event, LOG_WARNING,
			  "were dropped: its guest was not heard of in time");
		break;
	default:
		return;
	}
}

static void
on_disconnected(struct daemon *d, struct model_port *port)
{
	if (dp_memory_lacks(port->set.name, &port->guest_failure))
		port_log(d, port, LOG_WARNING, "%s", port->guest_failure.message);
	port_log(d, port, LOG_INFO, "%s gone", port->is_uplink ? "its other end is" : "front-end");
	reconnect_lost(d->model.reconnect, port->id);
}

static void
on_uplink_up(struct daemon *d, struct model_port *port, const struct dp_event *event)
{
	port_log(d, port, LOG_INFO, "up");
	reconnect_up(d->model.reconnect, port->id);
	send_event(d, UPLINK_UP, event->time_ns, port->set.name, json_object());
	follow_port(d, port);
}

static void
on_uplink_refused(struct daemon *d, const struct model_port *port)
{
	struct dp_port_info info;

	dp_port_info(port->id, &info);
	if (info.failure)
		port_log(d, port, LOG_WARNING, "%s", info.failure);
	reconnect_lost(d->model.reconnect, port->id);
}

static void
on_port_event(struct daemon *d, struct model_port *port, const struct dp_event *event)
{
	const char *name = port->set.name;

	switch (event->type) {
	case DP_EVENT_PORT_CONNECTED:
		on_connected(d, port, event);
		break;
	case DP_EVENT_PORT_DISCONNECTED:
		on_disconnected(d, port);
		break;
	case DP_EVENT_PORT_UP:
		on_up(d, port, event);
		break;
	case DP_EVENT_PORT_ARRIVED:
		on_arrived(d, port, event);
		break;
	case DP_EVENT_PORT_DOWN:
		port_log(d, port, LOG_INFO, "down");
		arrival_end(d, port->id);
		send_event(d, PORT_DOWN, event->time_ns, name, json_object());
		break;
	case DP_EVENT_PEER_REFUSED:
		port_log(d, port, LOG_WARNING, "a front-end of uid %" PRIu64 " was refused",
			 event->value);
		send_event(d, PEER_REFUSED, event->time_ns, name,
			   json_pack("{s:I}", "uid", (json_int_t)event->value));
		break;
	case DP_EVENT_PEER_BAD_MESSAGE:
		port_log(d, port, LOG_WARNING,
			 "the front-end was cut off for a bad vhost-user message"
			 " (request %" PRIu64 ")",
			 event->value);
		send_event(d, PEER_BAD_MESSAGE, event->time_ns, name,
			   json_pack("{s:I}", "request", (json_int_t)event->value));
		break;
	case DP_EVENT_RING_STOPPED:
		on_ring_stopped(d, port, event);
		break;
	case DP_EVENT_MEMORY_GONE:
		port_log(d, port, LOG_WARNING,
			 "the guest's memory went away under us; the front-end was cut off");
		send_event(d, PORT_MEMORY_GONE, event->time_ns, name, json_object());
		break;
	case DP_EVENT_UPLINK_UP:
		on_uplink_up(d, port, event);
		break;
	case DP_EVENT_UPLINK_REFUSED:
		on_uplink_refused(d, port);
		break;
	case DP_EVENT_UPLINK_DOWN:
		port_log(d, port, LOG_WARNING, "down");
		send_event(d, UPLINK_DOWN, event->time_ns, name, json_object());
		break;
	default:
		on_migration_event(d, port, event);
	}
	drain_look(d, port, event);
}

void
events_pump_removed(struct daemon *d, int id, const char *name)
{
	struct dp_event event;

	while (dp_poll(&event)) {
		struct model_port *port = NULL;

		if (event.type == DP_EVENT_MAC_LIMIT) {
			on_mac_limit(d, &event);
			continue;
		}
		if (event.port >= 0 && event.port < DP_PORTS_MAX)
			port = d->model.port_of_id[event.port];
		/* Nobody waits for a port that is gone, but its guest's end is still to be told. */
		if (port) {
			on_port_event(d, port, &event);
			ovsdb_tell_soon(d->ovsdb);
		} else if (event.port == id && event.type == DP_EVENT_PORT_DOWN)
			send_event(d, PORT_DOWN, event.time_ns, name, json_object());
	}
}

void
events_pump(struct daemon *d)
{
	events_pump_removed(d, -1, NULL);
}
