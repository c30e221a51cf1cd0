/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/takeback.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon.h"
#include "control/drain.h"
#include "control/migration_map.h"
#include "control/ovsdb_apply.h"
#include "control/schema.h"

#define AGAIN_MS 10
#define GRACE_MS 500

/* A request that is looked at again. */
struct takeback {
	LIST_ENTRY(takeback) link;
	struct daemon *daemon;
	json_t *map;
	int64_t deadline_ns;
	struct event *again;
	struct rpc_answer *answer;
};

static bool
has_mac(const struct model_port *port, const char *mac)
{
	uint8_t bytes[6];

	schema_mac_parse(mac, bytes);
	for (unsigned int i = 0; i < port->set.rules.n_macs; i++)
		if (!memcmp(port->set.rules.mac[i].byte, bytes, sizeof(bytes)))
			return true;
	return false;
}

/* Whether an entry of a map may be taken back here: the port is the one that was prepared, and its
 * guest does not run here. */
static int
check_entry(const struct model_port *port, const char *mac, const json_t *entry, struct err *err)
{
	char *socket = migration_map_socket(entry);
	bool same = socket && !port->is_uplink && has_mac(port, mac) &&
		    !strcmp(port->set.socket, socket);
	struct dp_port_info info = {0};

	free(socket);
	if (!same)
		return err_set_key(err, EINVAL, "not-prepared", "map", mac,
				   "%s is not the port that was prepared for %s; the map is of"
				   " another host, or out of date",
				   port->set.name, mac);
	if (port->id >= 0)
		dp_port_info(port->id, &info);
	if (!port->set.incoming && info.up)
		return err_set_key(err, EINVAL, "bad-state", "map", mac,
				   "the guest of port %s runs here; to remove it nevertheless,"
				   " `sluicectl port detach %s --force`",
				   port->set.name, port->set.name);
	return 0;
}

static struct model_port *
port_of(const struct model *m, const json_t *entry)
{
	return model_port_find(m, json_string_value(json_object_get(entry, "port")));
}

static json_t *
take_back(struct daemon *d, json_t *map, struct err *err)
{
	json_t *entry, *detached;
	const char *mac;

	json_object_foreach(map, mac, entry)
	{
		struct model_port *port = port_of(&d->model, entry);

		if (port && (ovsdb_check_port(d, port, NULL, err) < 0 ||
			     check_entry(port, mac, entry, err) < 0))
			return NULL;
	}
	/* What is gone already is no mistake: an abort may be sent again. */
	detached = json_array();
	json_object_foreach(map, mac, entry)
	{
		struct model_port *port = port_of(&d->model, entry);

		if (port && drain_detach(d, port, err) < 0) {
			json_decref(detached);
			return NULL;
		}
		if (port)
			json_array_append(detached, json_object_get(entry, "port"));
	}
	return json_pack("{s:o}", "detached", detached);
}

/* Answers with `result`, or with *err where that is NULL. */
static void
finish(struct takeback *t, json_t *result, const struct err *err)
{
	LIST_REMOVE(t, link);
	event_free(t->again);
	json_decref(t->map);
	rpc_answer(t->answer, result, err);
	free(t);
}

static bool
may_change(const struct err *err)
{
	return !strcmp(err->code, "bad-state");
}

static void
again_cb(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = {0, AGAIN_MS * 1000};
	struct takeback *t = arg;
	struct err err = {0};
	json_t *result = take_back(t->daemon, t->map, &err);

	(void)fd;
	(void)what;
	if (result || !may_change(&err) || daemon_now_ns() >= t->deadline_ns ||
	    evtimer_add(t->again, &soon) < 0)
		finish(t, result, &err);
}

/* Owes the request an answer. False: no memory, and it is refused for the reason that there is. */
static bool
try_later(struct daemon *d, struct rpc_connection *connection, json_t *map)
{
	static const struct timeval soon = {0, AGAIN_MS * 1000};
	struct takeback *t = calloc(1, sizeof(*t));

	if (!t)
		return false;
	t->again = evtimer_new(d->base, again_cb, t);
	if (!t->again || evtimer_add(t->again, &soon) < 0)
		goto fail;
	t->answer = rpc_answer_later(connection);
	if (!t->answer)
		goto fail;
	t->daemon = d;
	t->map = json_incref(map);
	t->deadline_ns = daemon_now_ns() + GRACE_MS * INT64_C(1000000);
	LIST_INSERT_HEAD(&d->takebacks, t, link);
	return true;

fail:
	if (t->again)
		event_free(t->again);
	free(t);
	return false;
}

json_t *
takeback_start(struct daemon *d, struct rpc_connection *connection, json_t *map, struct err *err)
{
	json_t *result = NULL;

	if (migration_map_check(map, err) == 0) {
		result = take_back(d, map, err);
		if (!result && may_change(err))
			try_later(d, connection, map);
	}
	return result;
}

void
takeback_clear(struct daemon *d)
{
	struct err err;

	err_set(&err, ECANCELED, "stopping", "sluiced stops");
	while (!LIST_EMPTY(&d->takebacks))
		finish(LIST_FIRST(&d->takebacks), NULL, &err);
}
