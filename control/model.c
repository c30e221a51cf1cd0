/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/log.h"
#include "control/schema.h"
#include "control/store.h"

void
model_init(struct model *m)
{
	*m = (struct model){0};
	TAILQ_INIT(&m->bridges);
	TAILQ_INIT(&m->ports);
}

void
model_clear(struct model *m)
{
	struct model_bridge *bridge;
	struct model_port *port;

	while ((port = TAILQ_FIRST(&m->ports))) {
		TAILQ_REMOVE(&m->ports, port, link);
		free(port);
	}
	while ((bridge = TAILQ_FIRST(&m->bridges))) {
		TAILQ_REMOVE(&m->bridges, bridge, link);
		free(bridge);
	}
	sockpath_dirs_free(&m->socket_dirs);
}

struct model_bridge *
model_bridge_find(const struct model *m, const char *name)
{
	struct model_bridge *bridge;

	TAILQ_FOREACH(bridge, &m->bridges, link)
		if (!strcmp(bridge->set.name, name))
			return bridge;
	return NULL;
}

struct model_port *
model_port_find(const struct model *m, const char *name)
{
	struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link)
		if (!strcmp(port->set.name, name))
			return port;
	return NULL;
}

/* Bridges. */

/* Makes the bridge known; the datapath does not have it yet. */
static int
bridge_insert(struct model *m, const struct bridge_settings *set, struct model_bridge **bridge,
	      struct err *err)
{
	struct model_bridge *b;

	if (model_bridge_find(m, set->name))
		return err_set_param(err, EEXIST, "bridge-exists", "name",
				     "there is a bridge %s already; choose another name",
				     set->name);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(err, ENOMEM, "no-memory", "no memory for a bridge");
	b->id = -1;
	b->set = *set;
	TAILQ_INSERT_TAIL(&m->bridges, b, link);
	*bridge = b;
	return 0;
}

static void
bridge_remove(struct model *m, struct model_bridge *bridge)
{
	TAILQ_REMOVE(&m->bridges, bridge, link);
	free(bridge);
}

static int
bridge_open(struct model_bridge *bridge, struct err *err)
{
	int id = dp_bridge_add(bridge->set.mac_age_s, bridge->set.mac_limit, err);

	if (id < 0)
		return id;
	bridge->id = id;
	return 0;
}

int
model_bridge_add(struct model *m, const struct bridge_settings *set, struct err *err)
{
	struct model_bridge *bridge;
	int rc = bridge_insert(m, set, &bridge, err);

	if (rc < 0)
		return rc;
	rc = bridge_open(bridge, err);
	if (rc < 0)
		goto remove;
	rc = model_save(m, err);
	if (rc < 0)
		goto close;
	log_info("bridge %s: added", set->name);
	return 0;

close:
	dp_bridge_del(bridge->id);
remove:
	bridge_remove(m, bridge);
	return rc;
}

int
model_bridge_del(struct model *m, const char *name, struct err *err)
{
	struct model_bridge *bridge = model_bridge_find(m, name), *next;
	int rc;

	if (!bridge)
		return err_set_param(
			err, ENOENT, "no-such-bridge", "name",
			"there is no bridge %s; `sluicectl bridge list` shows those there are",
			name);
	if (bridge->n_ports)
		return err_set_param(err, EBUSY, "bridge-busy", "name",
				     "bridge %s has %u ports or uplinks; remove them first", name,
				     bridge->n_ports);
	/* First the disk, which may refuse; the datapath cannot. */
	next = TAILQ_NEXT(bridge, link);
	TAILQ_REMOVE(&m->bridges, bridge, link);
	rc = model_save(m, err);
	if (next)
		TAILQ_INSERT_BEFORE(next, bridge, link);
	else
		TAILQ_INSERT_TAIL(&m->bridges, bridge, link);
	if (rc < 0)
		return rc;
	log_info("bridge %s: removed", name);
	dp_bridge_del(bridge->id);
	bridge_remove(m, bridge);
	return 0;
}

/* The state on disk: {"bridges": [...], "ports": [...], "uplinks": [...]}, where each entry holds
 * the parameters that would make it anew, and a port its virtio features, and whether its guest left; of
 * a bridge and an uplink, whose parameters lack it, the owner. */

static json_t *
owner_json(const char *owner)
{
	return *owner ? json_string(owner) : NULL;
}

static void
load_owner(const json_t *entry, char owner[SETTINGS_USER_SIZE])
{
	const char *text = json_string_value(json_object_get(entry, "owner"));

	snprintf(owner, SETTINGS_USER_SIZE, "%s", text ? text : "");
}

static json_t *
port_entry(const struct model_port *port)
{
	if (port->is_uplink)
		return json_pack("{s:o, s:o*}", "add", settings_uplink_json(&port->set), "owner",
				 owner_json(port->set.owner));
	return json_pack("{s:o, s:o, s:o*}", "attach", settings_port_json(&port->set), "features",
			 json_sprintf("0x%" PRIx64, port->features), "guest_left",
			 port->guest_left ? json_true() : NULL);
}

static json_t *
state_json(const struct model *m)
{
	json_t *bridges = json_array(), *ports = json_array(), *uplinks = json_array();
	const struct model_bridge *bridge;
	const struct model_port *port;

	TAILQ_FOREACH(bridge, &m->bridges, link)
		json_array_append_new(bridges, json_pack("{s:o, s:o*}", "add",
							 settings_bridge_json(&bridge->set),
							 "owner", owner_json(bridge->set.owner)));
	TAILQ_FOREACH(port, &m->ports, link)
		json_array_append_new(port->is_uplink ? uplinks : ports, port_entry(port));
	return json_pack("{s:o, s:o, s:o}", "bridges", bridges, "ports", ports, "uplinks", uplinks);
}

int
model_save(struct model *m, struct err *err)
{
	json_t *document;
	int rc;

	if (!m->state_dir)
		return 0;
	if (m->saves_wait) {
		m->save_is_due = true;
		return 0;
	}
	document = state_json(m);
	if (!document)
		return err_set(err, ENOMEM, "no-memory", "no memory to write the state");
	rc = store_save(m->state_dir, document, err);
	json_decref(document);
	return rc;
}

void
model_hold_saves(struct model *m)
{
	m->saves_wait = true;
}

int
model_release_saves(struct model *m, struct err *err)
{
	bool due = m->save_is_due;

	m->saves_wait = m->save_is_due = false;
	return due ? model_save(m, err) : 0;
}

/* Reads an entry's parameters, as the method would. NULL: they are not what was written. */
static const json_t *
entry_params(const json_t *entry, const char *member, const char *method, struct err *err)
{
	const json_t *params = json_object_get(entry, member);

	if (!params) {
		err_set(err, EINVAL, "bad-state-file", "an entry for %s has no \"%s\"", method,
			member);
		return NULL;
	}
	return schema_check(schema_find(method), params, err) < 0 ? NULL : params;
}

static int
load_bridge(struct model *m, const json_t *entry, struct err *err)
{
	const json_t *params = entry_params(entry, "add", "bridge.add", err);
	struct bridge_settings set;
	struct model_bridge *bridge;

	if (!params)
		return -EINVAL;
	settings_of_bridge(params, &set);
	load_owner(entry, set.owner);
	return bridge_insert(m, &set, &bridge, err);
}

/* The features that the port had before, as far as this build still has them. */
static int
load_features(struct model_port *port, const json_t *entry, struct err *err)
{
	const char *text = json_string_value(json_object_get(entry, "features"));
	uint64_t lacking;

	if (!text || sscanf(text, "0x%" SCNx64, &port->features) != 1)
		return err_set(err, EINVAL, "bad-state-file", "port %s has no \"features\"",
			       port->set.name);
	lacking = port->features & ~dp_vhost_features();
	if (lacking)
		log_warning("port %s: this version lacks virtio features 0x%" PRIx64
			    " which the port had; a guest that uses them must restart",
			    port->set.name, lacking);
	port->features &= ~lacking;
	port->guest_left = json_is_true(json_object_get(entry, "guest_left"));
	return 0;
}

static int
load_settings(struct model *m, struct model_port *port, const json_t *entry, struct err *err)
{
	const json_t *params = port->is_uplink ? entry_params(entry, "add", "uplink.add", err) :
						 entry_params(entry, "attach", "port.attach", err);

	if (!params)
		return -EINVAL;
	if (port->is_uplink ? settings_of_uplink(params, &port->set, err) :
			      settings_of_port(params, &port->set, err))
		return -EINVAL;
	if (port->is_uplink)
		load_owner(entry, port->set.owner);
	if (!port->is_uplink && load_features(port, entry, err) < 0)
		return -EINVAL;
	port->bridge = model_bridge_find(m, port->set.bridge);
	if (!port->bridge || model_port_find(m, port->set.name))
		return err_set(err, EINVAL, "bad-state-file", "%s has no bridge, or is there twice",
			       port->set.name);
	return 0;
}

static int
load_port(struct model *m, const json_t *entry, bool is_uplink, struct err *err)
{
	struct model_port *port = calloc(1, sizeof(*port));
	int rc;

	if (!port)
		return err_set(err, ENOMEM, "no-memory", "no memory for a port");
	port->id = -1;
	port->is_uplink = is_uplink;
	rc = load_settings(m, port, entry, err);
	if (rc < 0) {
		free(port);
		return rc;
	}
	port->bridge->n_ports++;
	TAILQ_INSERT_TAIL(&m->ports, port, link);
	return 0;
}

static int
load_document(struct model *m, const json_t *document, struct err *err)
{
	const json_t *bridges = json_object_get(document, "bridges");
	const json_t *uplinks = json_object_get(document, "uplinks");
	const json_t *ports = json_object_get(document, "ports");
	size_t i;
	json_t *entry;

	if (!json_is_array(bridges) || !json_is_array(uplinks) || !json_is_array(ports))
		return err_set(err, EINVAL, "bad-state-file",
			       "it has no lists \"bridges\", \"uplinks\" and \"ports\"");
	json_array_foreach(bridges, i, entry) if (load_bridge(m, entry, err) < 0) return -EINVAL;
	/* Uplinks first: a guest that is there at once finds its way out. */
	json_array_foreach(uplinks, i,
			   entry) if (load_port(m, entry, true, err) < 0) return -EINVAL;
	json_array_foreach(ports, i, entry) if (load_port(m, entry, false, err) < 0) return -EINVAL;
	return 0;
}

int
model_load(struct model *m, struct err *err)
{
	struct err why = {0};
	json_t *document;
	int rc;

	if (!m->state_dir)
		return 0;
	rc = store_load(m->state_dir, &document, err);
	if (rc < 0 || !document)
		return rc;
	rc = load_document(m, document, &why);
	json_decref(document);
	if (rc < 0)
		return err_set(err, rc, "bad-state-file",
			       "%s/" STORE_FILE " is damaged (%s); " STORE_REMEDY, m->state_dir,
			       why.message);
	return 0;
}

/*
 * A guest that moved from one port of this host to another has left its MAC with both, and which of them
 * it drives is not known yet. The first has the MAC till then; the other is incoming, and so takes it
 * over if the guest is there.
 */
static int
restore_port(struct model *m, struct model_port *port)
{
	int rc = model_port_open(m, port, &port->failure);

	if (rc != -EEXIST || strcmp(port->failure.code, "mac-in-use") != 0)
		return rc;
	port->set.incoming = true;
	return model_port_open(m, port, &port->failure);
}

int
model_open(struct model *m, struct err *err)
{
	struct model_bridge *bridge;
	struct model_port *port;

	TAILQ_FOREACH(bridge, &m->bridges, link) {
		int rc = bridge_open(bridge, err);

		if (rc < 0)
			return rc;
	}
	TAILQ_FOREACH(port, &m->ports, link)
		if (restore_port(m, port) < 0)
			log_error("%s could not be restored: %s", port->set.name,
				  port->failure.message);
	return 0;
}
