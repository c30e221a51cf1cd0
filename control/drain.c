/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/drain.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/arrival.h"
#include "control/daemon.h"
#include "control/events.h"
#include "control/report.h"

/* A request that waits. */
struct drain_wait {
	LIST_ENTRY(drain_wait) link;
	struct daemon *daemon;
	int port; /* the datapath's id */
	bool leaves; /* until nothing is parked nor will be, then the port goes; else until it is drained */
	bool drained;
	uint64_t forwarded; /* frames of its guest, known when it is drained */
	const char *why; /* it will not be: for this reason */
	int64_t start_ns;
	struct event *over; /* the deadline, or what was waited for is there */
	struct rpc_answer *answer; /* NULL: nobody asked */
};

static struct drain_wait *
find(const struct daemon *d, const struct model_port *port, bool leaves)
{
	struct drain_wait *w;

	LIST_FOREACH(w, &d->drain_waits, link)
		if (w->port == port->id && w->leaves == leaves)
			return w;
	return NULL;
}

/* Answers with `result`, or with *err where that is NULL. */
static void
finish(struct drain_wait *w, json_t *result, const struct err *err)
{
	LIST_REMOVE(w, link);
	event_free(w->over);
	if (w->answer)
		rpc_answer(w->answer, result, err);
	else
		json_decref(result);
	free(w);
}

static json_t *
drained_json(const struct drain_wait *w, const struct dp_port_info *info)
{
	return json_pack("{s:s, s:I, s:I, s:I}", "state", "drained", "forwarded",
			 (json_int_t)w->forwarded, "parked", (json_int_t)info->parked, "waited_us",
			 (json_int_t)((daemon_now_ns() - w->start_ns) / 1000));
}

/* "queues 0, 3 are", of those that are looked at still. */
static void
list_busy(const struct dp_port_info *info, char *text, size_t size)
{
	size_t len = 0;

	for (unsigned int i = 0; i < info->n_queues; i++)
		if (!info->queue[i].drained)
			len += snprintf(text + len, size - len, "%s%u", len ? ", " : "queues ", i);
	snprintf(text + len, size - len, "%s", len ? " are" : "an lcore is");
}

/* The deadline came first: the port is up as it was. */
static void
time_out(struct drain_wait *w, const struct dp_port_info *info)
{
	const struct model_port *port = w->daemon->model.port_of_id[w->port];
	char busy[100];
	struct err err;

	list_busy(info, busy, sizeof(busy));
	err_set(&err, ETIMEDOUT, "drain-timeout",
		"port %s was not drained within %lld ms: %s still busy; it is up again. Give a longer"
		" timeout_ms, or have its guest send less",
		port->set.name, (long long)((daemon_now_ns() - w->start_ns) / 1000000), busy);
	events_resumed(w->daemon, port, events_now_ns(), "drain-timeout");
	dp_port_resume(w->port);
	finish(w, NULL, &err);
}

static void
leave(struct drain_wait *w)
{
	struct err err = {0};

	/* That answers all who wait, w too. */
	if (drain_detach(w->daemon, w->daemon->model.port_of_id[w->port], &err) < 0)
		finish(w, NULL, &err);
}

static void
over_cb(evutil_socket_t fd, short what, void *arg)
{
	struct drain_wait *w = arg;
	struct dp_port_info info;
	struct err err;

	(void)fd;
	(void)what;
	/* The deadline may have come with what it is for. */
	events_pump(w->daemon);
	dp_port_info(w->port, &info);
	if (w->leaves && !w->why) {
		leave(w);
	} else if (w->drained) {
		finish(w, drained_json(w, &info), NULL);
	} else if (!w->why && info.drain != DP_DRAIN_NONE) {
		time_out(w, &info);
	} else {
		err_set(&err, ECANCELED, "bad-state", "port %s was not %s: %s",
			w->daemon->model.port_of_id[w->port]->set.name,
			w->leaves ? "detached" : "drained",
			w->why ? w->why : "its guest went away");
		finish(w, NULL, &err);
	}
}

/* Owes the request of `connection` an answer, after `timeout_ms` at most. */
static int
wait_add(struct daemon *d, struct rpc_connection *connection, int port, bool leaves,
	 unsigned int timeout_ms, struct err *err)
{
	const struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	struct drain_wait *w = calloc(1, sizeof(*w));

	if (!w)
		goto no_memory;
	w->over = evtimer_new(d->base, over_cb, w);
	if (!w->over || evtimer_add(w->over, &timeout) < 0)
		goto no_timer;
	w->answer = connection ? rpc_answer_later(connection) : NULL;
	if (connection && !w->answer)
		goto no_timer;
	w->daemon = d;
	w->port = port;
	w->leaves = leaves;
	w->start_ns = daemon_now_ns();
	LIST_INSERT_HEAD(&d->drain_waits, w, link);
	return 0;

no_timer:
	if (w->over)
		event_free(w->over);
	free(w);
no_memory:
	return err_set(err, ENOMEM, "no-memory", "no memory for the request");
}

/* Says what the port is and what it is not: for a drain that cannot begin. */
static int
refuse_drain(const struct model_port *port, struct err *err)
{
	struct dp_port_info info = {0};
	const char *state;

	if (port->id >= 0)
		dp_port_info(port->id, &info);
	state = report_state(port, &info);
	if (info.drain != DP_DRAIN_NONE)
		return err_set_param(err, EINVAL, "bad-state", "name",
				     "port %s is %s already; `sluicectl port resume %s` ends that",
				     port->set.name, state, port->set.name);
	return err_set_param(err, EINVAL, "bad-state", "name",
			     "port %s is %s: no guest drives it, so there is nothing to drain",
			     port->set.name, state);
}

int
drain_start(struct daemon *d, struct rpc_connection *connection, struct model_port *port,
	    unsigned int timeout_ms, bool park, struct err *err)
{
	int64_t time_ns = events_now_ns();
	int rc;

	if (find(d, port, true))
		return err_set_param(err, EINVAL, "bad-state", "name",
				     "port %s is being detached; there is no use in draining it",
				     port->set.name);
	rc = port->id < 0 ? -ENOTCONN : dp_port_drain(port->id, park);
	if (rc < 0)
		return refuse_drain(port, err);
	rc = wait_add(d, connection, port->id, false, timeout_ms, err);
	if (rc < 0) {
		dp_port_resume(port->id);
		return rc;
	}
	events_draining(d, port, time_ns, park, timeout_ms);
	return 0;
}

int
drain_resume(struct daemon *d, struct model_port *port, struct err *err)
{
	struct drain_wait *const waits[] = {find(d, port, false), find(d, port, true)};
	int64_t time_ns = events_now_ns();
	struct dp_port_info info = {0};

	if (port->id < 0 || dp_port_resume(port->id) < 0) {
		if (port->id >= 0)
			dp_port_info(port->id, &info);
		return err_set_param(err, EINVAL, "bad-state", "name",
				     "port %s is %s, neither draining nor drained: there is nothing"
				     " to resume",
				     port->set.name, report_state(port, &info));
	}
	events_resumed(d, port, time_ns, "asked");
	for (unsigned int i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		if (!waits[i])
			continue;
		waits[i]->why = "it was resumed meanwhile";
		event_active(waits[i]->over, EV_TIMEOUT, 0);
	}
	return 0;
}

int
drain_leave(struct daemon *d, struct rpc_connection *connection, struct model_port *port,
	    bool force, bool *later, struct err *err)
{
	struct dp_port_info info = {0};

	if (port->id >= 0)
		dp_port_info(port->id, &info);
	*later = (info.parked || info.park_left_ms) && !force;
	if (!*later)
		return drain_detach(d, port, err);
	if (find(d, port, true))
		return err_set_param(err, EINVAL, "bad-state", "name",
				     "port %s is being detached, and waits for its guest to be heard of"
				     " elsewhere, with %u parked frames; with --force it goes at once"
				     " and they are dropped",
				     port->set.name, info.parked);
	return wait_add(d, connection, port->id, true,
			info.park_left_ms ? info.park_left_ms : port->set.rules.park_ms, err);
}

bool
drain_is_leaving(const struct daemon *d, const struct model_port *port)
{
	return find(d, port, true) != NULL;
}

int
drain_detach(struct daemon *d, struct model_port *port, struct err *err)
{
	struct drain_wait *w, *next;
	struct err gone;
	char name[DP_NAME_SIZE];
	int id = port->id, rc;

	memcpy(name, port->set.name, sizeof(name));
	recorder_port_goes(&d->recorder, id);
	rc = model_port_del(&d->model, port, err);
	if (rc < 0)
		return rc;
	events_pump_removed(d, id, name);
	arrival_end(d, id);
	err_set(&gone, ECANCELED, "bad-state", "port %s was not drained: it was detached meanwhile",
		name);
	for (w = LIST_FIRST(&d->drain_waits); w; w = next) {
		next = LIST_NEXT(w, link);
		if (w->port == id)
			finish(w, w->leaves ? json_object() : NULL, &gone);
	}
	return 0;
}

void
drain_look(struct daemon *d, const struct model_port *port, const struct dp_event *event)
{
	struct dp_port_info info;
	struct drain_wait *w;

	if (LIST_EMPTY(&d->drain_waits))
		return;
	dp_port_info(port->id, &info);
	LIST_FOREACH(w, &d->drain_waits, link) {
		bool over = w->leaves ? !info.parked && !info.park_left_ms :
					info.drain == DP_DRAIN_NONE;

		/* A drain that was resumed does not end with what the next one comes to. */
		if (w->port != port->id || w->why)
			continue;
		if (!w->leaves && event->type == DP_EVENT_PORT_DRAINED) {
			over = w->drained = true;
			w->forwarded = event->value;
		}
		/* Not now: who takes in events must not find the port gone. */
		if (over)
			event_active(w->over, EV_TIMEOUT, 0);
	}
}

void
drain_clear(struct daemon *d)
{
	struct err err;

	err_set(&err, ECANCELED, "stopping", "sluiced stops; the port is as it was");
	while (!LIST_EMPTY(&d->drain_waits))
		finish(LIST_FIRST(&d->drain_waits), NULL, &err);
}
