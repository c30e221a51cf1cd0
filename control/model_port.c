/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/log.h"
#include "control/model.h"

/* Ports and uplinks of the desired state. */

static const char *
kind(const struct model_port *port)
{
	return port->is_uplink ? "uplink" : "port";
}

void
model_count_queues(const struct model *m, unsigned int queues_on[DP_LCORES_MAX])
{
	const struct model_port *port;

	memset(queues_on, 0, DP_LCORES_MAX * sizeof(*queues_on));
	TAILQ_FOREACH(port, &m->ports, link)
		for (unsigned int i = 0; port->id >= 0 && i < port->n_lcores; i++)
			queues_on[port->lcore[i] - 1]++;
}

bool
model_queue_is_pinned(const struct model *m, const struct model_port *port, unsigned int queue)
{
	return port->set.pin[queue] > 0 && port->set.pin[queue] <= m->n_lcores;
}

/* Chooses an lcore for each of n queue pairs. */
static void
place(const struct model *m, struct model_port *port, unsigned int n)
{
	unsigned int queues_on[DP_LCORES_MAX];

	model_count_queues(m, queues_on);
	for (unsigned int i = 0; i < n; i++) {
		unsigned int at =
			model_queue_is_pinned(m, port, i) ?
				port->set.pin[i] - 1U :
				placement_queue(m->lcore, m->n_lcores, queues_on, port->set.node);

		queues_on[at]++;
		port->lcore[i] = at + 1;
	}
	port->n_lcores = n;
}

/* Two ports of ours on one path, which a server could not notice of a client. */
static int
check_path_free(const struct model *m, const struct model_port *port, struct err *err)
{
	const struct model_port *other;

	TAILQ_FOREACH(other, &m->ports, link)
		if (other != port && port->set.socket[0] &&
		    !strcmp(other->set.socket, port->set.socket))
			return err_set_param(err, EEXIST, "socket-in-use", "socket",
					     "socket %s belongs to %s %s; choose another path",
					     port->set.socket, kind(other), other->set.name);
	return 0;
}

/* Makes the path of a port's socket canonical, and room for it where we listen. */
static int
prepare_socket(struct model *m, struct model_port *port, struct dp_socket_access *access,
	       struct err *err)
{
	char path[DP_PATH_SIZE];
	int rc;

	rc = sockpath_resolve(&m->socket_dirs, port->set.socket[0] ? port->set.socket : NULL,
			      port->set.name, path, err);
	if (rc < 0)
		return rc;
	memcpy(port->set.socket, path, sizeof(path));
	rc = check_path_free(m, port, err);
	if (rc == 0)
		rc = settings_access(&port->set, &m->socket_access, access, err);
	if (rc == 0 && !port->set.client)
		rc = sockpath_clear(port->set.socket, err);
	return rc;
}

/* Connects from now on, as soon as there is who listens; `id` is new. Returns it. */
static int
keep_connected(struct model *m, const struct model_port *port, int id, struct err *err)
{
	if (!port->set.client ||
	    reconnect_add(m->reconnect, id, port->set.socket, port->is_uplink) == 0)
		return id;
	dp_port_del(id);
	return err_set(err, ENOMEM, "no-memory", "no memory for a port");
}

static bool
uses_library(const struct model *m, const struct port_settings *set)
{
	return set->datapath == DATAPATH_STANDARD ? m->library : set->datapath == DATAPATH_LIBRARY;
}

/* Also an uplink that is such a port. */
static int
open_guest_port(struct model *m, struct model_port *port, unsigned int queues, struct err *err)
{
	struct dp_port_config config = {
		.bridge = port->bridge->id,
		.rules = port->set.rules,
		.queues = queues,
		.client = port->set.client,
		.library = uses_library(m, &port->set),
		.incoming = port->set.incoming || port->guest_left,
		.uplink = port->is_uplink,
		.features = port->features,
	};
	int rc;

	rc = prepare_socket(m, port, &config.access, err);
	if (rc < 0)
		return rc;
	place(m, port, queues);
	memcpy(config.lcore, port->lcore, sizeof(config.lcore));
	config.node = port->set.node >= 0 ? port->set.node : m->lcore[port->lcore[0] - 1].node;
	memcpy(config.name, port->set.name, sizeof(config.name));
	memcpy(config.path, port->set.socket, sizeof(config.path));
	rc = dp_port_add(&config, err);
	return rc < 0 ? rc : keep_connected(m, port, rc, err);
}

static int
open_uplink(struct model *m, struct model_port *port, struct err *err)
{
	struct dp_uplink_config config = {
		.bridge = port->bridge->id,
		.rules = port->set.rules,
		.queues = port->set.queues,
	};
	struct dp_port_info info;
	int id;

	if (dp_uplink_parse(port->set.devargs, &config.socket, err) < 0)
		return -EINVAL;
	memcpy(port->set.socket, config.socket.path, sizeof(port->set.socket));
	port->set.client = port->set.socket[0] && !config.socket.listens;
	if (config.socket.kind != DP_UPLINK_DEVICE && config.queues > config.socket.queues)
		return err_set_param(err, ENOTSUP, "queues-refused", "queues",
				     "devargs make uplink %s with %u queue pair%s, not %u: say"
				     " queues=%u there, too",
				     port->set.name, config.socket.queues,
				     config.socket.queues == 1 ? "" : "s", config.queues,
				     config.queues);
	if (config.socket.kind == DP_UPLINK_BACK_END)
		return open_guest_port(m, port,
				       config.queues ? config.queues : config.socket.queues, err);
	/* Where others listen is theirs to say. */
	if (config.socket.listens) {
		if (prepare_socket(m, port, &config.access, err) < 0)
			return -EINVAL;
		memcpy(config.socket.path, port->set.socket, sizeof(config.socket.path));
	}
	/* How many queues it has, with those to send on, is known when it is open; the lcores in the
	 * order in which they should get one serve any number. */
	config.n_lcore = m->n_lcores < DP_QUEUES_MAX ? m->n_lcores : DP_QUEUES_MAX;
	if (config.n_lcore < config.queues)
		config.n_lcore = config.queues;
	place(m, port, config.n_lcore);
	memcpy(config.lcore, port->lcore, sizeof(config.lcore));
	memcpy(config.name, port->set.name, sizeof(config.name));
	memcpy(config.devargs, port->set.devargs, sizeof(config.devargs));
	id = dp_uplink_add(&config, err);
	if (id < 0)
		return id;
	dp_port_info(id, &info);
	port->n_lcores = info.n_queues;
	for (unsigned int i = 0; i < info.n_queues; i++)
		port->lcore[i] = info.queue[i].lcore;
	return keep_connected(m, port, id, err);
}

int
model_port_open(struct model *m, struct model_port *port, struct err *err)
{
	int id = port->is_uplink ? open_uplink(m, port, err) :
				   open_guest_port(m, port, port->set.queues, err);

	if (id < 0)
		return id;
	port->id = id;
	m->port_of_id[id] = port;
	return 0;
}

/* The way back from model_port_open(). Errors: dp_port_del()'s. */
static int
port_close(struct model *m, struct model_port *port)
{
	int rc;

	if (port->id < 0)
		return 0;
	/* Before the datapath: from there on the id may be another port's. */
	if (port->set.client)
		reconnect_del(m->reconnect, port->id);
	rc = dp_port_del(port->id);
	if (rc < 0) {
		if (port->set.client)
			reconnect_add(m->reconnect, port->id, port->set.socket, port->is_uplink);
		return rc;
	}
	m->port_of_id[port->id] = NULL;
	port->id = -1;
	return 0;
}

/* Makes a port in the datapath and the list; the disk does not know. */
static int
port_make(struct model *m, const struct port_settings *set, bool is_uplink,
	  struct model_port **result, struct err *err)
{
	struct model_port *port = model_port_find(m, set->name);
	struct model_bridge *bridge = model_bridge_find(m, set->bridge);
	int rc;

	if (port)
		return err_set_param(err, EEXIST, port->is_uplink ? "uplink-exists" : "port-exists",
				     "name", "there is %s %s already; choose another name",
				     port->is_uplink ? "an uplink" : "a port", set->name);
	if (!bridge)
		return err_set_param(err, ENOENT, "no-such-bridge", "bridge",
				     "there is no bridge %s; make it with `sluicectl bridge add %s`",
				     set->bridge, set->bridge);
	port = calloc(1, sizeof(*port));
	if (!port)
		return err_set(err, ENOMEM, "no-memory", "no memory for a port");
	port->id = -1;
	port->set = *set;
	port->bridge = bridge;
	port->is_uplink = is_uplink;
	port->features = is_uplink ? 0 : dp_vhost_features();
	rc = model_port_open(m, port, err);
	if (rc < 0) {
		free(port);
		return rc;
	}
	TAILQ_INSERT_TAIL(&m->ports, port, link);
	bridge->n_ports++;
	*result = port;
	return 0;
}

/* The way back from port_make(). */
static void
port_unmake(struct model *m, struct model_port *port)
{
	TAILQ_REMOVE(&m->ports, port, link);
	port->bridge->n_ports--;
	if (port_close(m, port) < 0) {
		log_error("%s cannot be closed: no memory; restart sluiced", port->set.name);
		m->port_of_id[port->id] = NULL;
	}
	free(port);
}

/* Makes n ports, or none: they reach the disk together, so that a full one cannot keep a part of them
 * there. */
static int
ports_add(struct model *m, const struct port_settings *set, unsigned int n, bool is_uplink,
	  struct model_port **result, struct err *err)
{
	unsigned int made;
	int rc = 0;

	for (made = 0; made < n; made++) {
		rc = port_make(m, &set[made], is_uplink, &result[made], err);
		if (rc < 0)
			goto fail;
	}
	rc = model_save(m, err);
	if (rc < 0)
		goto fail;
	for (unsigned int i = 0; i < n; i++)
		log_info("%s %s: added to bridge %s, %s", kind(result[i]), set[i].name,
			 set[i].bridge, is_uplink ? set[i].devargs : result[i]->set.socket);
	return 0;

fail:
	while (made > 0)
		port_unmake(m, result[--made]);
	return rc;
}

int
model_port_attach(struct model *m, const struct port_settings *set, struct model_port **port,
		  struct err *err)
{
	return ports_add(m, set, 1, false, port, err);
}

int
model_ports_attach(struct model *m, const struct port_settings *set, unsigned int n,
		   struct model_port **ports, struct err *err)
{
	return ports_add(m, set, n, false, ports, err);
}

int
model_uplink_add(struct model *m, const struct port_settings *set, struct model_port **port,
		 struct err *err)
{
	return ports_add(m, set, 1, true, port, err);
}

json_t *
model_port_names(const struct model *m)
{
	json_t *names = json_array();
	const struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link)
		json_array_append_new(names, json_string(port->set.name));
	return names;
}

int
model_port_del(struct model *m, struct model_port *port, struct err *err)
{
	struct model_port *next = TAILQ_NEXT(port, link);
	int rc;

	/* First the disk, which is likelier to refuse and easier to put right. */
	TAILQ_REMOVE(&m->ports, port, link);
	rc = model_save(m, err);
	if (rc < 0)
		goto back;
	rc = port_close(m, port);
	if (rc < 0) {
		err_set(err, rc, "no-memory", "no memory to take %s out of the switch; try again",
			port->set.name);
		goto back;
	}
	log_info("%s %s: removed", kind(port), port->set.name);
	port->bridge->n_ports--;
	free(port);
	return 0;

back:
	if (next)
		TAILQ_INSERT_BEFORE(next, port, link);
	else
		TAILQ_INSERT_TAIL(&m->ports, port, link);
	if (rc == -ENOMEM && model_save(m, NULL) < 0)
		log_error("%s lives on, but the state on disk lacks it", port->set.name);
	return rc;
}

int
model_queue_move(struct model_port *port, unsigned int queue, unsigned int lcore, struct err *err)
{
	int rc = port->lcore[queue] == lcore ? 0 : dp_port_move(port->id, queue, lcore, err);

	if (rc == 0)
		port->lcore[queue] = lcore;
	return rc;
}

/* The way back from whatever model_port_change() has done. */
static void
change_back(struct model_port *port, const struct port_settings *old, const uint8_t *lcore)
{
	int rc = dp_port_set_rules(port->id, &old->rules, NULL);

	for (unsigned int i = 0; i < port->n_lcores; i++)
		rc |= model_queue_move(port, i, lcore[i], NULL);
	if (rc != 0)
		log_error("%s keeps a part of its new settings until sluiced restarts",
			  port->set.name);
	port->set = *old;
}

int
model_port_change(struct model *m, struct model_port *port, const struct port_settings *set,
		  struct err *err)
{
	struct port_settings old = port->set;
	uint8_t lcore[DP_QUEUES_MAX];
	int rc;

	if (port->id < 0)
		return err_set(err, EINVAL, "bad-state",
			       "%s could not be restored (%s); remove it and make it anew",
			       port->set.name, port->failure.message);
	memcpy(lcore, port->lcore, sizeof(lcore));
	rc = dp_port_set_rules(port->id, &set->rules, err);
	if (rc < 0)
		return rc;
	port->set.rules = set->rules;
	memcpy(port->set.pin, set->pin, sizeof(set->pin));
	for (unsigned int i = 0; rc == 0 && i < port->n_lcores; i++)
		if (model_queue_is_pinned(m, port, i))
			rc = model_queue_move(port, i, set->pin[i], err);
	if (rc == 0)
		rc = model_save(m, err);
	if (rc == 0)
		log_info("%s %s: new settings", kind(port), port->set.name);
	else
		change_back(port, &old, lcore);
	return rc;
}

void
model_port_arrived(struct model *m, struct model_port *port)
{
	struct err err;

	port->set.incoming = false;
	port->guest_left = false;
	if (model_save(m, &err) < 0)
		log_error("port %s: its guest runs, but not on disk: %s", port->set.name,
			  err.message);
}

void
model_port_left(struct model *m, struct model_port *port)
{
	struct err err;

	port->guest_left = true;
	if (model_save(m, &err) < 0)
		log_error("port %s: its guest is gone, but not on disk: %s", port->set.name,
			  err.message);
}
