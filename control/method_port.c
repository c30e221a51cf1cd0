/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "control/methods.h"
#include "control/report.h"

/* The guest's port that `name` names, or NULL with *err set. */
static struct model_port *
find_port(const struct model *m, const json_t *params, struct err *err)
{
	const char *name = json_string_value(json_object_get(params, "name"));
	struct model_port *port = model_port_find(m, name);

	if (port && !port->is_uplink)
		return port;
	err_set_param(err, ENOENT, "no-such-port", "name",
		      port ? "%s is an uplink; see uplink.list" : "there is no port %s", name);
	return NULL;
}

METHOD(method_port_attach)
{
	struct port_settings set;
	struct model_port *port;

	(void)connection;
	if (settings_of_port(params, &set, err) < 0 ||
	    model_port_attach(&d->model, &set, &port, err) < 0)
		return NULL;
	return report_port(port);
}

METHOD(method_port_detach)
{
	struct model_port *port = find_port(&d->model, params, err);

	(void)connection;
	if (!port || model_port_del(&d->model, port, err) < 0)
		return NULL;
	return json_object();
}

METHOD(method_port_list)
{
	json_t *list = json_array();
	const struct model_port *port;

	(void)connection;
	(void)params;
	(void)err;
	TAILQ_FOREACH(port, &d->model.ports, link)
		if (!port->is_uplink)
			json_array_append_new(list, report_port(port));
	return list;
}

METHOD(method_port_get)
{
	const struct model_port *port = find_port(&d->model, params, err);

	(void)connection;
	return port ? report_port(port) : NULL;
}

METHOD(method_port_set)
{
	struct model_port *port = find_port(&d->model, params, err);
	struct dp_rules rules;

	(void)connection;
	if (!port)
		return NULL;
	rules = port->set.rules;
	if (settings_change(params, &rules, err) < 0 ||
	    model_port_set_rules(&d->model, port, &rules, err) < 0)
		return NULL;
	return report_port(port);
}

METHOD(method_port_stats)
{
	const struct model_port *port;
	json_t *list;

	(void)connection;
	if (json_object_get(params, "name")) {
		port = find_port(&d->model, params, err);
		return port ? report_stats(port) : NULL;
	}
	list = json_array();
	TAILQ_FOREACH(port, &d->model.ports, link)
		if (!port->is_uplink)
			json_array_append_new(list, report_stats(port));
	return list;
}
