/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_METHODS_H
#define CONTROL_METHODS_H

#include <jansson.h>

#include "control/daemon.h"
#include "control/rpc.h"

/*
 * The methods of the control channel. Each gets parameters that schema_check() has passed, makes
 * one call into the model, and returns the result (a new reference), or NULL with *err set; then
 * nothing has changed. Thread: control.
 */
#define METHOD(name)                                                                            \
	json_t *name(struct daemon *d, struct rpc_connection *connection, const json_t *params, \
		     struct err *err)

METHOD(method_daemon_version);
METHOD(method_daemon_stop);
METHOD(method_ovsdb_status);
METHOD(method_bridge_add);
METHOD(method_bridge_del);
METHOD(method_bridge_list);
METHOD(method_bridge_macs);
METHOD(method_uplink_add);
METHOD(method_uplink_del);
METHOD(method_uplink_list);
METHOD(method_port_attach);
METHOD(method_port_detach);
METHOD(method_port_list);
METHOD(method_port_get);
METHOD(method_port_set);
METHOD(method_port_drain);
METHOD(method_port_resume);
METHOD(method_port_next_name);
METHOD(method_port_stats);
METHOD(method_lcore_list);
METHOD(method_lcore_rebalance);
METHOD(method_numa_show);
METHOD(method_host_capabilities);
METHOD(method_migration_prepare);
METHOD(method_migration_abort);
METHOD(method_capture_start);
METHOD(method_capture_stop);
METHOD(method_capture_list);
METHOD(method_events_subscribe);

/* Refuses pins to lcores that there are not. Not for the model, which must bear that an lcore went away. */
int method_check_pins(const struct model *m, const struct port_settings *set, struct err *err);

/* What lcore.list says of lcore i + 1; a new reference. */
json_t *method_lcore_json(const struct daemon *d, unsigned int i);

/* struct rpc_config's `call`: looks the method up, checks who asks and what, carries it out.
 * `arg` is the struct daemon. */
int methods_call(void *arg, struct rpc_connection *connection, const char *name,
		 const json_t *params, json_t **result, struct err *err);

#endif
