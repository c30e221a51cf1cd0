/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/host.h"
#include "control/methods.h"
#include "control/migration_nic.h"
#include "control/orchestrator.h"
#include "control/port_names.h"
#include "control/schema.h"
#include "control/takeback.h"

/* A guest comes from another host, or does not come after all. What needs no sluiced is in
 * migration_check.c and domain_xml.c. */

static struct model_bridge *
find_bridge(const struct model *m, const json_t *params, struct err *err)
{
	const char *name = json_string_value(json_object_get(params, "bridge"));
	struct model_bridge *bridge = model_bridge_find(m, name);

	if (!bridge)
		err_set_param(err, ENOENT, "no-such-bridge", "bridge",
			      "there is no bridge %s; make it with `sluicectl bridge add %s`", name,
			      name);
	return bridge;
}

/* Whether this host will do for the guest. */
static int
check_host(const struct model *m, const struct model_bridge *bridge, const json_t *nics,
	   struct err *err)
{
	json_t *host = host_capabilities(m, bridge);
	char where[DP_NAME_SIZE + 8];
	size_t i;
	json_t *nic;
	int rc = 0;

	snprintf(where, sizeof(where), "bridge %s", bridge->set.name);
	if (!orchestrator_has_capability(json_object_get(host, "capabilities"), "dpdk"))
		rc = err_set(err, ENOTSUP, "destination-not-dpdk",
			     "this host has no hugepages or no forwarding CPU; choose another host");
	json_array_foreach(nics, i, nic)
	{
		if (rc == 0)
			rc = migration_nic_fits(nic, host, where, err);
	}
	json_decref(host);
	return rc;
}

/* Somebody prepared for the same guest and lost the answer, or never took it back. */
static int
check_not_prepared(const struct model *m, const struct model_bridge *bridge,
		   const struct dp_mac *mac, struct err *err)
{
	const struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link)
		if (port->bridge == bridge && port->set.incoming &&
		    !memcmp(&port->set.rules.mac[0], mac, sizeof(*mac)))
			return err_set_param(err, EEXIST, "already-prepared", "nics",
					     "port %s waits for this guest already; if that migration"
					     " is over, `sluicectl port detach %s`",
					     port->set.name, port->set.name);
	return 0;
}

/* The settings of each network card's port. */
static int
plan(const struct model *m, const json_t *params, struct port_settings *set, struct err *err)
{
	const json_t *nics = json_object_get(params, "nics");
	const struct model_bridge *bridge = find_bridge(m, params, err);
	json_t *names, *nic;
	bool client;
	size_t i;
	int rc = 0;

	if (!bridge ||
	    orchestrator_mode(json_string_value(json_object_get(params, "mode")), &client, "mode",
			      "mode", err) < 0 ||
	    migration_nics_check(nics, err) < 0)
		return -EINVAL;
	names = model_port_names(m);
	json_array_foreach(nics, i, nic)
	{
		char name[DP_NAME_SIZE];
		json_t *attach = NULL;

		if (rc == 0)
			rc = port_names_next(names, name, err);
		if (rc == 0) {
			attach = migration_nic_attach(nic, name, bridge->set.name, client, err);
			rc = attach ? settings_of_port(attach, &set[i], err) : -EINVAL;
		}
		if (rc == 0)
			rc = check_not_prepared(m, bridge, &set[i].rules.mac[0], err);
		if (rc == 0)
			json_array_append_new(names, json_string(name));
		json_decref(attach);
	}
	json_decref(names);
	return rc < 0 ? rc : check_host(m, bridge, nics, err);
}

/* Where the guest's network cards are. */
static json_t *
map_of(const json_t *nics, struct model_port *const *ports)
{
	json_t *map = json_object(), *nic;
	size_t i;

	json_array_foreach(nics, i, nic)
	{
		const struct port_settings *set = &ports[i]->set;
		int dir_len = strrchr(set->socket, '/') - set->socket;

		json_object_set_new(map, json_string_value(json_object_get(nic, "mac")),
				    json_pack("{s:o, s:s, s:s}", "path",
					      json_stringn(set->socket, dir_len ? dir_len : 1),
					      "port", set->name, "mode",
					      set->client ? "server" : "client"));
	}
	return json_pack("{s:o}", "map", map);
}

METHOD(method_migration_prepare)
{
	const json_t *nics = json_object_get(params, "nics");
	size_t n = json_array_size(nics);
	struct port_settings *set = calloc(n + 1, sizeof(*set));
	struct model_port **ports = calloc(n + 1, sizeof(struct model_port *));
	json_t *result = NULL;

	(void)connection;
	if (set && ports && plan(&d->model, params, set, err) == 0 &&
	    model_ports_attach(&d->model, set, n, ports, err) == 0)
		result = map_of(nics, ports);
	free(ports);
	free(set);
	return result;
}

METHOD(method_migration_abort)
{
	return takeback_start(d, connection, json_object_get(params, "map"), err);
}
