/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/events.h"
#include "control/follow.h"
#include "control/log.h"

bool
ovsdb_owns_port(const struct model_port *port)
{
	return !strcmp(port->set.owner, OVSDB_OWNER);
}

bool
ovsdb_owns_bridge(const struct model_bridge *bridge)
{
	return !strcmp(bridge->set.owner, OVSDB_OWNER);
}

struct model_port *
ovsdb_port_of(const struct model *m, const struct ovsdb_want_port *wanted)
{
	struct model_port *port = *wanted->name ? model_port_find(m, wanted->name) : NULL;

	return port && ovsdb_owns_port(port) && port->is_uplink == wanted->is_uplink ? port : NULL;
}

static void
set_failure(char **failure, const struct err *err)
{
	free(*failure);
	*failure = ovsdb_want_text(err->message);
}

static void
clear_failures(struct ovsdb_want *want)
{
	for (unsigned int i = 0; i < want->n_bridges; i++) {
		free(want->bridge[i].failure);
		want->bridge[i].failure = NULL;
	}
	for (unsigned int i = 0; i < want->n_ports; i++) {
		free(want->port[i].failure);
		want->port[i].failure = NULL;
	}
}

/* Bridges. */

static int
bridge_make(struct model *m, const struct bridge_settings *wanted, struct err *err)
{
	struct model_bridge *bridge = model_bridge_find(m, wanted->name);
	struct bridge_settings set = *wanted;

	if (bridge && !ovsdb_owns_bridge(bridge))
		return err_set(err, EEXIST, "bridge-exists",
			       "sluice has a bridge %s of its own: remove that with `sluicectl bridge"
			       " del %s`, or choose another name",
			       set.name, set.name);
	if (bridge &&
	    (bridge->set.mac_age_s != set.mac_age_s || bridge->set.mac_limit != set.mac_limit))
		return err_set(err, EBUSY, "bridge-busy",
			       "other_config:mac-aging-time and mac-table-size are fixed when a bridge"
			       " is made: delete bridge %s and add it again",
			       set.name);
	if (bridge)
		return 0;
	snprintf(set.owner, sizeof(set.owner), "%s", OVSDB_OWNER);
	return model_bridge_add(m, &set, err);
}

static void
bridges_make(struct model *m, struct ovsdb_want *want)
{
	struct err err;

	for (unsigned int i = 0; i < want->n_bridges; i++)
		if (!want->bridge[i].error && bridge_make(m, &want->bridge[i].set, &err) < 0)
			set_failure(&want->bridge[i].failure, &err);
}

static bool
bridge_is_wanted(const struct ovsdb_want *want, const char *name)
{
	for (unsigned int i = 0; i < want->n_bridges; i++)
		if (!strcmp(want->bridge[i].set.name, name))
			return true;
	return false;
}

/* One that still has ports, be it that they wait for a guest that moves, be it that somebody else gave
 * them to it, goes when they are gone. Returns whether there is one. */
static bool
bridges_remove(struct model *m, const struct ovsdb_want *want)
{
	struct model_bridge *bridge = TAILQ_FIRST(&m->bridges), *next;
	bool left = false;
	struct err err;

	for (; bridge; bridge = next) {
		next = TAILQ_NEXT(bridge, link);
		if (!ovsdb_owns_bridge(bridge) || bridge_is_wanted(want, bridge->set.name))
			continue;
		if (bridge->n_ports || model_bridge_del(m, bridge->set.name, &err) < 0)
			left = true;
	}
	return left;
}

/* Ports. */

/* Whether two spellings of a client's socket are one place; what cannot be resolved is not. */
static bool
is_same_socket(const struct model *m, const char *given, const char *canonical)
{
	char path[DP_PATH_SIZE];

	return !strcmp(given, canonical) ||
	       (sockpath_resolve(&m->socket_dirs, given, NULL, path, NULL) == 0 &&
		!strcmp(path, canonical));
}

/* Whether a port can become what is wanted without being made anew. The socket of a server stays where it
 * was made: vhost-sock-dir is for those to come, as it is in OVS until it restarts. */
static bool
can_change(const struct model *m, const struct model_port *port, const struct port_settings *set)
{
	if (strcmp(port->set.bridge, set->bridge) != 0 || port->set.queues != set->queues ||
	    port->id < 0)
		return false;
	if (port->is_uplink)
		return !strcmp(port->set.devargs, set->devargs);
	return port->set.client == set->client &&
	       (!set->client || is_same_socket(m, set->socket, port->set.socket));
}

/* What can be known of the place of a port before one that is there makes room for it. */
static int
check_place(const struct model *m, const struct port_settings *set, bool is_uplink, struct err *err)
{
	struct dp_uplink_socket socket;
	char path[DP_PATH_SIZE];

	return is_uplink ? dp_uplink_parse(set->devargs, &socket, err) :
			   sockpath_resolve(&m->socket_dirs, set->socket, set->name, path, err);
}

/* What the database describes of a port; all else is for `port set`. */
static void
take_settings(struct port_settings *set, const struct port_settings *wanted)
{
	set->rules.vlans = wanted->rules.vlans;
	set->rules.mtu = wanted->rules.mtu;
	set->rules.limits.rate_bps = wanted->rules.limits.rate_bps;
	set->rules.limits.burst_bits = wanted->rules.limits.burst_bits;
	memcpy(set->pin, wanted->pin, sizeof(set->pin));
}

static bool
is_changed(const struct port_settings *a, const struct port_settings *b)
{
	const struct dp_vlans *v = &a->rules.vlans, *w = &b->rules.vlans;

	return v->mode != w->mode || v->vlan != w->vlan || v->all != w->all ||
	       memcmp(v->trunks, w->trunks, sizeof(v->trunks)) != 0 ||
	       a->rules.mtu != b->rules.mtu ||
	       a->rules.limits.rate_bps != b->rules.limits.rate_bps ||
	       a->rules.limits.burst_bits != b->rules.limits.burst_bits ||
	       memcmp(a->pin, b->pin, sizeof(a->pin)) != 0;
}

static int
port_change(struct daemon *d, struct model_port *port, const struct port_settings *wanted,
	    struct err *err)
{
	struct port_settings set = port->set;
	uint8_t lcore[DP_QUEUES_MAX];
	int rc;

	take_settings(&set, wanted);
	if (!is_changed(&set, &port->set))
		return 0;
	memcpy(lcore, port->lcore, sizeof(lcore));
	rc = model_port_change(&d->model, port, &set, err);
	if (rc < 0)
		return rc;
	for (unsigned int i = 0; i < port->n_lcores; i++)
		if (port->lcore[i] != lcore[i])
			events_queue_moved(d, port, i, lcore[i], "asked");
	follow_port(d, port);
	return 0;
}

static int
port_make(struct daemon *d, const struct ovsdb_want_port *wanted, struct err *err)
{
	struct model_port *port = model_port_find(&d->model, wanted->set->name);
	struct port_settings set = *wanted->set;

	if (port && !ovsdb_owns_port(port))
		return err_set(err, EEXIST, port->is_uplink ? "uplink-exists" : "port-exists",
			       "sluice has %s %s of its own: remove that with `sluicectl %s %s`, or"
			       " choose another name",
			       port->is_uplink ? "an uplink" : "a port", set.name,
			       port->is_uplink ? "uplink del" : "port detach", set.name);
	/* One that only waits for its guest to be heard of elsewhere makes room. */
	if (port && drain_detach(d, port, err) < 0)
		return -EBUSY;
	snprintf(set.owner, sizeof(set.owner), "%s", OVSDB_OWNER);
	return wanted->is_uplink ? model_uplink_add(&d->model, &set, &port, err) :
				   model_port_attach(&d->model, &set, &port, err);
}

/* Makes or changes what an Interface asks for. */
static void
port_serve(struct daemon *d, struct ovsdb_want *want, struct ovsdb_want_port *wanted)
{
	struct model_port *port = ovsdb_port_of(&d->model, wanted);
	const char *bridge = want->bridge[wanted->bridge].failure;
	struct err err;
	int rc;

	if (!wanted->set)
		return;
	if (port && !drain_is_leaving(d, port) && can_change(&d->model, port, wanted->set))
		rc = port_change(d, port, wanted->set, &err);
	else if (port && check_place(&d->model, wanted->set, wanted->is_uplink, &err) < 0)
		rc = -EINVAL;
	else if (bridge && !model_bridge_find(&d->model, wanted->set->bridge))
		rc = err_set(&err, EINVAL, "no-such-bridge", "its bridge: %s", bridge);
	else
		rc = port_make(d, wanted, &err);
	if (rc < 0)
		set_failure(&wanted->failure, &err);
}

/* Whether the port of the database may stay: what is refused now was good before, and a guest must not
 * lose its port by a slip. */
static bool
is_kept(const struct model *m, const struct model_port *port, const struct ovsdb_want_port *wanted)
{
	if (!wanted || wanted->is_uplink != port->is_uplink)
		return false;
	if (!wanted->set)
		return wanted->is_ours;
	return can_change(m, port, wanted->set) ||
	       check_place(m, wanted->set, wanted->is_uplink, NULL) < 0;
}

/* First what goes, since its name, socket or device may be wanted by what comes. */
static bool
ports_remove(struct daemon *d, const struct ovsdb_want *want)
{
	struct model_port *port = TAILQ_FIRST(&d->model.ports), *next;
	bool later, left = false;
	struct err err;
	int rc;

	for (; port; port = next) {
		const struct ovsdb_want_port *wanted = ovsdb_want_find(want, port->set.name);

		next = TAILQ_NEXT(port, link);
		if (!ovsdb_owns_port(port) || is_kept(&d->model, port, wanted))
			continue;
		/* Somebody may end its wait, so it is looked at again. */
		if (drain_is_leaving(d, port)) {
			left = true;
			continue;
		}
		rc = drain_leave(d, NULL, port, wanted && wanted->set, &later, &err);
		if (rc < 0)
			log_error("%s cannot be removed: %s", port->set.name, err.message);
		left |= rc < 0 || later;
	}
	return left;
}

bool
ovsdb_apply(struct daemon *d, struct ovsdb_want *want)
{
	struct err err;
	bool left;

	clear_failures(want);
	model_hold_saves(&d->model);
	left = ports_remove(d, want);
	bridges_make(&d->model, want);
	for (unsigned int i = 0; i < want->n_ports; i++) {
		port_serve(d, want, &want->port[i]);
		left |= !!want->port[i].failure;
	}
	left |= bridges_remove(&d->model, want);
	for (unsigned int i = 0; i < want->n_bridges; i++)
		left |= !!want->bridge[i].failure;
	if (model_release_saves(&d->model, &err) < 0)
		log_error("ovsdb: what the database asks for is done, but not on disk: %s",
			  err.message);
	return left;
}

/* What others may not touch. */

int
ovsdb_check_port(const struct daemon *d, const struct model_port *port, const json_t *params,
		 struct err *err)
{
	static const char *const described[] = {"vlan",	     "trunks",	  "vlan_mode", "mtu",
						"rate_mbps", "rate_kbps", "burst_kb",  "lcore"};
	const char *name = port->set.name;

	if (!d->ovsdb || !ovsdb_owns_port(port))
		return 0;
	if (!params)
		return err_set_param(err, EPERM, "owned-by-ovsdb", "name",
				     "%s belongs to the Open_vSwitch database; remove it there with"
				     " `ovs-vsctl del-port %s`",
				     name, name);
	for (size_t i = 0; i < sizeof(described) / sizeof(described[0]); i++)
		if (json_object_get(params, described[i]))
			return err_set_param(err, EPERM, "owned-by-ovsdb", described[i],
					     "%s: the Open_vSwitch database describes %s; set it there"
					     " with `ovs-vsctl set`",
					     described[i], name);
	return 0;
}

int
ovsdb_check_bridge(const struct daemon *d, const struct model_bridge *bridge, struct err *err)
{
	if (!d->ovsdb || !bridge || !ovsdb_owns_bridge(bridge))
		return 0;
	return err_set_param(err, EPERM, "owned-by-ovsdb", "name",
			     "bridge %s belongs to the Open_vSwitch database; remove it there with"
			     " `ovs-vsctl del-br %s`",
			     bridge->set.name, bridge->set.name);
}

int
ovsdb_check_owner(const json_t *params, struct err *err)
{
	const char *owner = json_string_value(json_object_get(params, "owner"));

	if (!owner || strcmp(owner, OVSDB_OWNER) != 0)
		return 0;
	return err_set_param(err, EINVAL, "bad-parameter", "owner",
			     "owner: " OVSDB_OWNER
			     " means the Open_vSwitch database; name another");
}
