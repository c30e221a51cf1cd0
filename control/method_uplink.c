/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "control/events.h"
#include "control/methods.h"
#include "control/ovsdb_apply.h"
#include "control/report.h"

METHOD(method_uplink_add)
{
	struct port_settings set;
	struct model_port *port;

	(void)connection;
	if (settings_of_uplink(params, &set, err) < 0 ||
	    method_check_pins(&d->model, &set, err) < 0 ||
	    model_uplink_add(&d->model, &set, &port, err) < 0)
		return NULL;
	return report_uplink(d, port);
}

METHOD(method_uplink_del)
{
	const char *name = json_string_value(json_object_get(params, "name"));
	struct model_port *port = model_port_find(&d->model, name);
	int id;

	(void)connection;
	if (!port || !port->is_uplink) {
		err_set_param(err, ENOENT, "no-such-uplink", "name",
			      port ? "%s is a port, not an uplink; see `sluicectl port list`" :
				     "there is no uplink %s; `sluicectl uplink list` shows those"
				     " there are",
			      name);
		return NULL;
	}
	if (ovsdb_check_port(d, port, NULL, err) < 0)
		return NULL;
	id = port->id;
	recorder_port_goes(&d->recorder, id);
	if (model_port_del(&d->model, port, err) < 0)
		return NULL;
	events_pump_removed(d, id, name);
	return json_object();
}

METHOD(method_uplink_list)
{
	json_t *list = json_array();
	const struct model_port *port;

	(void)connection;
	(void)params;
	(void)err;
	TAILQ_FOREACH(port, &d->model.ports, link)
		if (port->is_uplink)
			json_array_append_new(list, report_uplink(d, port));
	return list;
}
