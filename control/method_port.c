/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "control/events.h"
#include "control/follow.h"
#include "control/methods.h"
#include "control/ovsdb_apply.h"
#include "control/port_names.h"
#include "control/report.h"
#include "numa/cpulist.h"

#define DRAIN_TIMEOUT_MS 1000 /* as the schema says */

/* The guest's port that `name` names, or NULL with *err set. */
static struct model_port *
find_port(const struct model *m, const json_t *params, struct err *err)
{
	const char *name = json_string_value(json_object_get(params, "name"));
	struct model_port *port = model_port_find(m, name);

	if (port && !port->is_uplink)
		return port;
	err_set_param(err, ENOENT, "no-such-port", "name",
		      port ? "%s is an uplink, not a port; see `sluicectl uplink list`" :
			     "there is no port %s; `sluicectl port list` shows those there are",
		      name);
	return NULL;
}

/* Not for the model, which must bear that a node went away while it was on disk. */
static int
check_node(const struct topology *t, int node, struct err *err)
{
	char list[CPULIST_SIZE];
	cpu_set_t nodes;

	if (node < 0 || (node < (int)t->n_nodes && t->node[node].mem_kib))
		return 0;
	CPU_ZERO(&nodes);
	for (unsigned int i = 0; i < t->n_nodes; i++)
		if (t->node[i].mem_kib)
			CPU_SET(i, &nodes);
	cpulist_format(&nodes, list, sizeof(list));
	return err_set_param(err, EINVAL, "bad-parameter", "node",
			     CPU_COUNT(&nodes) == 1 ?
				     "node: this machine has memory node %s only; choose it or auto" :
				     "node: this machine has memory nodes %s only; choose one of them"
				     " or auto",
			     list);
}

int
method_check_pins(const struct model *m, const struct port_settings *set, struct err *err)
{
	for (unsigned int i = 0; i < settings_n_pins(set); i++)
		if (set->pin[i] > m->n_lcores)
			return err_set_param(err, EINVAL, "bad-parameter", "lcore",
					     "lcore: there is no lcore %u, only 1 to %u; `sluicectl"
					     " lcore list` shows them",
					     set->pin[i], m->n_lcores);
	return 0;
}

static int
next_name(const struct model *m, char name[DP_NAME_SIZE], struct err *err)
{
	json_t *names = model_port_names(m);
	int rc = port_names_next(names, name, err);

	json_decref(names);
	return rc;
}

METHOD(method_port_next_name)
{
	char name[DP_NAME_SIZE];

	(void)connection;
	(void)params;
	return next_name(&d->model, name, err) < 0 ? NULL : json_pack("{s:s}", "name", name);
}

METHOD(method_port_attach)
{
	struct port_settings set;
	struct model_port *port;

	(void)connection;
	if (ovsdb_check_owner(params, err) < 0 || settings_of_port(params, &set, err) < 0 ||
	    (!strcmp(set.name, "auto") && next_name(&d->model, set.name, err) < 0) ||
	    check_node(&d->topology, set.node, err) < 0 ||
	    method_check_pins(&d->model, &set, err) < 0 ||
	    model_port_attach(&d->model, &set, &port, err) < 0)
		return NULL;
	return report_port(d, port);
}

METHOD(method_port_detach)
{
	struct model_port *port = find_port(&d->model, params, err);
	bool force = json_is_true(json_object_get(params, "force"));
	bool later;

	if (!port || ovsdb_check_port(d, port, NULL, err) < 0 ||
	    drain_leave(d, connection, port, force, &later, err) < 0)
		return NULL;
	return later ? NULL : json_object();
}

METHOD(method_port_drain)
{
	struct model_port *port = find_port(&d->model, params, err);
	const json_t *timeout_ms = json_object_get(params, "timeout_ms");
	const char *then = json_string_value(json_object_get(params, "then"));

	if (port)
		drain_start(d, connection, port,
			    timeout_ms ? json_integer_value(timeout_ms) : DRAIN_TIMEOUT_MS,
			    !then || !strcmp(then, "park"), err);
	return NULL; /* answered later, or refused */
}

METHOD(method_port_resume)
{
	struct model_port *port = find_port(&d->model, params, err);

	(void)connection;
	if (!port || drain_resume(d, port, err) < 0)
		return NULL;
	return report_port(d, port);
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
			json_array_append_new(list, report_port(d, port));
	return list;
}

METHOD(method_port_get)
{
	const struct model_port *port = find_port(&d->model, params, err);

	(void)connection;
	return port ? report_port(d, port) : NULL;
}

METHOD(method_port_set)
{
	struct model_port *port = find_port(&d->model, params, err);
	uint8_t lcore[DP_QUEUES_MAX];
	struct port_settings set;

	(void)connection;
	if (!port)
		return NULL;
	if (json_object_size(params) < 2) {
		err_set(err, EINVAL, "bad-parameter",
			"name at least one setting, such as mac, vlan, trunks, mtu or rate_mbps; see"
			" `sluicectl port set --help`");
		return NULL;
	}
	if (ovsdb_check_port(d, port, params, err) < 0)
		return NULL;
	set = port->set;
	memcpy(lcore, port->lcore, sizeof(lcore));
	if (settings_change(params, &set.rules, err) < 0 ||
	    settings_change_pins(params, &set, err) < 0 ||
	    (json_object_get(params, "lcore") && method_check_pins(&d->model, &set, err) < 0) ||
	    model_port_change(&d->model, port, &set, err) < 0)
		return NULL;
	for (unsigned int i = 0; i < port->n_lcores; i++)
		if (port->lcore[i] != lcore[i])
			events_queue_moved(d, port, i, lcore[i], "asked");
	ovsdb_tell_soon(d->ovsdb);
	/* What is not pinned any more goes home. */
	if (json_object_get(params, "lcore"))
		follow_port(d, port);
	return report_port(d, port);
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
