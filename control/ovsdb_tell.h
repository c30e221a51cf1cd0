/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_TELL_H
#define CONTROL_OVSDB_TELL_H

#include "control/ovsdb_want.h"

struct daemon;

/*
 * What the rows are to say of our ports, as ovs-vswitchd says it of its own: operations for a transaction
 * that change what the rows do not say yet, and nothing else. They are new lists, empty where there is nothing
 * to tell; NULL: no memory. Writes no row but ours, and of what other people write nothing. Thread: control.
 */

struct ovsdb_tell {
	const struct ovsdb_rows *rows;
	struct ovsdb_want *want;
	const struct daemon *daemon;
	json_t *ofports; /* {UUID: number}, as they were given; an object, empty at first */
	json_t *counted; /* {UUID: statistics}, as they were told last; the same */
	const char *note; /* for all our bridges; NULL: none */
};

/* Gives each Interface that is served, or is going to be, its number. To be called before the others. */
int ovsdb_tell_number(struct ovsdb_tell *t);

/* Of Interfaces that are new: the number, or why they are refused; before anything is made. */
json_t *ovsdb_tell_early(const struct ovsdb_tell *t);

/* All but statistics, and what of our types the root row lacks. */
json_t *ovsdb_tell_state(const struct ovsdb_tell *t);

/* Takes back what was told of what `old` wanted and nobody serves any more, as its bridge has another
 * datapath_type. Not beside vswitchd, which says its own there. */
json_t *ovsdb_tell_left(const struct ovsdb_tell *t, const struct ovsdb_want *old);

json_t *ovsdb_tell_statistics(const struct ovsdb_tell *t);

/* Whether the root row lacks a type of ours. */
bool ovsdb_tell_lacks_types(const struct ovsdb_rows *rows);

#endif
