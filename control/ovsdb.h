/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_H
#define CONTROL_OVSDB_H

#include <jansson.h>

#include "control/options.h"
#include "numa/err.h"
#include "numa/topology.h"

/*
 * The Open_vSwitch database as orchestrator: what its rows ask for is made (ovsdb_want, ovsdb_apply), and what
 * there is is written into them (ovsdb_tell, ovsdb_beside). While the database is away everything stays as it
 * is. doc/ovsdb.md. Thread: control, for all of it.
 */

struct daemon;
struct ovsdb;

#define OVSDB_TARGET_PREFIX "unix:"

/* Serves the database of the option `ovsdb`, be it there or not. NULL with *err set: no memory. */
struct ovsdb *ovsdb_start(struct daemon *d, struct err *err);
void ovsdb_stop(struct ovsdb *o);

/* What a row tells of a port has changed: it is told soon. `o` may be NULL, as below. */
void ovsdb_tell_soon(struct ovsdb *o);

/* For ovsdb.status: a new reference. */
json_t *ovsdb_status(const struct ovsdb *o);

/*
 * Where the configuration names no lcores, those of the database's other_config:pmd-cpu-mask. Where it cannot be
 * had, or means none of this machine's CPUs, the options stay as they are, with a warning. May wait: for
 * the database, 2 s.
 */
void ovsdb_choose_lcores(struct options *options, const struct topology *t);

#endif
