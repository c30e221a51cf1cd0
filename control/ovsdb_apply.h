/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_APPLY_H
#define CONTROL_OVSDB_APPLY_H

#include "control/daemon.h"
#include "control/ovsdb_want.h"

/*
 * Makes the desired state what the Open_vSwitch database asks for, as far as it is the database's: ports,
 * uplinks and bridges whose owner is OVSDB_OWNER. What cannot be done is told as `failure` of the Interface
 * or Bridge that asked for it, and stops nothing else. Thread: control.
 */

#define OVSDB_OWNER "ovsdb"

bool ovsdb_owns_port(const struct model_port *port);
bool ovsdb_owns_bridge(const struct model_bridge *bridge);

/* The port or uplink that serves the Interface; NULL: there is none. */
struct model_port *ovsdb_port_of(const struct model *m, const struct ovsdb_want_port *wanted);

/*
 * Makes as few changes as will do: what can be changed in a port is, while it is up, and what the database
 * does not speak of stays as it was set; else it is made anew. A port whose Interface is refused now
 * goes on as it was. `failure` of everything wanted is set anew. Returns whether something is left to
 * be tried later.
 */
bool ovsdb_apply(struct daemon *d, struct ovsdb_want *want);

/* Refuses to remove or change by RPC what the database describes. `params` NULL: remove. Where none is served
 * what one has left is for RPC to remove. Errors: -EPERM (code "owned-by-ovsdb"). */
int ovsdb_check_port(const struct daemon *d, const struct model_port *port, const json_t *params,
		     struct err *err);
int ovsdb_check_owner(const json_t *params,
		      struct err *err); /* nobody else makes ports in its name */
int ovsdb_check_bridge(const struct daemon *d, const struct model_bridge *bridge, struct err *err);

#endif
