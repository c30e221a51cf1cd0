/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_WANT_H
#define CONTROL_OVSDB_WANT_H

#include "control/ovsdb_rows.h"
#include "control/settings.h"
#include "control/sockpath.h"
#include "numa/placement.h"

/*
 * What the rows of the Open_vSwitch database ask of us: every bridge whose datapath_type is "sluice", and
 * what is on it. Rows are nobody's to trust: they become parameters of bridge.add, port.attach and
 * uplink.add, which schema_check() and settings.c judge as they judge a client's.
 *
 * Nothing is passed over in silence: what we cannot do makes the Interface's `error`, a sentence that names
 * the setting. Pure. Thread: any.
 */

#define OVSDB_UUID_SIZE 37
#define OVSDB_DATAPATH_TYPE "sluice"
#define OVSDB_OFPORT_LOCAL 65534 /* of the bridge's own Interface */

/* What of this host the rows may speak of. */
struct ovsdb_host {
	const struct sockpath_dirs *dirs;
	const struct placement_lcore *lcore;
	unsigned int n_lcores;
};

struct ovsdb_want_bridge {
	char uuid[OVSDB_UUID_SIZE];
	char interface[OVSDB_UUID_SIZE]; /* the bridge's own; "": there is none */
	struct bridge_settings set;
	char *error; /* why it cannot be; NULL: it can */
	char *note; /* what it cannot do; NULL: nothing of that was asked */
	char *failure; /* why it is not, or not as it should be: ovsdb_apply() */
};

struct ovsdb_want_port {
	char uuid[OVSDB_UUID_SIZE]; /* of the Interface */
	unsigned int bridge; /* its index */
	bool is_ours; /* by its type: one that is there goes on as it was, whatever is refused now */
	bool is_uplink;
	const struct port_settings *set; /* NULL: refused; shared: ovsdb_want_read() */
	char name[DP_NAME_SIZE]; /* "": no good name */
	json_t *rows[3]; /* what it was read of: Interface, Port, and the root's other_config */
	char *error; /* why it is refused */
	char *failure; /* why it is not, or not as it should be: ovsdb_apply() */
	int ofport_request; /* 0: none */
	int ofport; /* its number on the bridge, once it is given: ovsdb_tell.c */
};

struct ovsdb_want {
	unsigned int n_bridges, n_ports;
	struct ovsdb_want_bridge *bridge;
	struct ovsdb_want_port *port;
	json_t *names; /* which port has a name: a good one, if any */
};

/* Reads the rows. *want is filled and owns memory; ovsdb_want_free(). What `old` has of rows that are the same
 * is shared with it: somebody waits for the numbers of what is new. Errors: -ENOENT: the database has no
 * root row, as nobody has initialised it yet: it asks for nothing, not even for the removal of what
 * there is; -ENOMEM. */
int ovsdb_want_read(const struct ovsdb_rows *rows, const struct ovsdb_host *host,
		    const struct ovsdb_want *old, struct ovsdb_want *want);
void ovsdb_want_free(struct ovsdb_want *want);

/* By the name of its Interface; NULL: none. */
struct ovsdb_want_port *ovsdb_want_find(const struct ovsdb_want *want, const char *name);

/* Whether the same is asked, so that nothing needs to be done; `failure` aside. */
bool ovsdb_want_equal(const struct ovsdb_want *a, const struct ovsdb_want *b);

/* The sentence as it may go into a row: no control characters, no half of a character at its end. A
 * new text; NULL: no memory. */
char *ovsdb_want_text(const char *sentence);

/* The same of a name or value that somebody else chose, cut to what a sentence bears. */
#define OVSDB_SHORT_SIZE 48
const char *ovsdb_want_short(const char *text, char brief[OVSDB_SHORT_SIZE]);

/* A hexadecimal mask of CPUs, such as other_config:pmd-cpu-mask. Errors: -EINVAL: none, or no CPU in it. */
int ovsdb_want_mask(const char *mask, cpu_set_t *cpus);

#endif
