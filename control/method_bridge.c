/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "control/methods.h"
#include "control/ovsdb_apply.h"

static json_t *
bridge_json(const struct model *m, const struct model_bridge *bridge)
{
	json_t *o = settings_bridge_json(&bridge->set);
	json_t *ports = json_array(), *uplinks = json_array();
	const struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link)
		if (port->bridge == bridge)
			json_array_append_new(port->is_uplink ? uplinks : ports,
					      json_string(port->set.name));
	json_object_set_new(o, "owner",
			    json_string(*bridge->set.owner ? bridge->set.owner : "rpc"));
	json_object_set_new(o, "ports", ports);
	json_object_set_new(o, "uplinks", uplinks);
	return o;
}

METHOD(method_bridge_add)
{
	struct bridge_settings set;

	(void)connection;
	settings_of_bridge(params, &set);
	if (model_bridge_add(&d->model, &set, err) < 0)
		return NULL;
	return bridge_json(&d->model, model_bridge_find(&d->model, set.name));
}

METHOD(method_bridge_del)
{
	const char *name = json_string_value(json_object_get(params, "name"));

	(void)connection;
	if (ovsdb_check_bridge(d, model_bridge_find(&d->model, name), err) < 0)
		return NULL;
	return model_bridge_del(&d->model, name, err) < 0 ? NULL : json_object();
}

METHOD(method_bridge_list)
{
	json_t *list = json_array();
	const struct model_bridge *bridge;

	(void)connection;
	(void)params;
	(void)err;
	TAILQ_FOREACH(bridge, &d->model.bridges, link)
		json_array_append_new(list, bridge_json(&d->model, bridge));
	return list;
}

struct mac_list {
	const struct model *model;
	json_t *list;
};

static void
append_mac(const struct dp_mac_entry *entry, void *arg)
{
	const struct mac_list *macs = arg;
	const struct model_port *port = macs->model->port_of_id[entry->port];
	json_t *o = json_pack("{s:o, s:s}", "mac", settings_mac_json(&entry->mac), "type",
			      entry->is_static ? "static" : "learned");

	json_object_set_new(o, "vlan",
			    entry->vlan == DP_VLAN_ANY ? json_null() : json_integer(entry->vlan));
	json_object_set_new(o, "port", port ? json_string(port->set.name) : json_null());
	json_object_set_new(o, "age_s",
			    entry->is_static ? json_null() : json_integer(entry->age_s));
	json_array_append_new(macs->list, o);
}

METHOD(method_bridge_macs)
{
	const char *name = json_string_value(json_object_get(params, "name"));
	const struct model_bridge *bridge = model_bridge_find(&d->model, name);
	struct mac_list macs = {.model = &d->model};

	(void)connection;
	if (!bridge) {
		err_set_param(err, ENOENT, "no-such-bridge", "name",
			      "there is no bridge %s; `sluicectl bridge list` shows those there are",
			      name);
		return NULL;
	}
	macs.list = json_array();
	dp_bridge_macs(bridge->id, append_mac, &macs);
	return macs.list;
}
