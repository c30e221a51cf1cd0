/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_WANT_PORT_H
#define CONTROL_OVSDB_WANT_PORT_H

#include "control/ovsdb_want.h"

/* One Interface, with the Port that it belongs to. For ovsdb_want.c. Pure. Thread: any. */

struct ovsdb_want_rows {
	const struct ovsdb_host *host;
	const json_t *root, *port, *interface;
	const char *bridge; /* its name, a good one */
};

/* Which kind the row's type asks for. */
void ovsdb_want_kind(const json_t *interface, bool *is_ours, bool *is_uplink);

/* Errors: -EINVAL with a sentence. */
int ovsdb_want_port_read(const struct ovsdb_want_rows *rows, struct port_settings *set,
			 struct err *err);

/* What of a row's columns sluice cannot do: the first, in a sentence. `remedy_row`: "Port p". */
enum ovsdb_want_table {
	OVSDB_BRIDGE,
	OVSDB_PORT,
	OVSDB_INTERFACE
};
int ovsdb_want_check_columns(enum ovsdb_want_table table, const json_t *row, struct err *err);

#endif
