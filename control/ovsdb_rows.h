/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_ROWS_H
#define CONTROL_OVSDB_ROWS_H

#include <jansson.h>
#include <stdbool.h>

#include "numa/err.h"

/*
 * A copy of what we watch of the Open_vSwitch database: tables, columns and their kinds are in one table in
 * ovsdb_rows.c. RFC 7047 and ovsdb-server(7), <table-updates2>. Nobody's to trust: what does not have
 * its column's form is refused. Pure. Thread: any.
 *
 * Values are told in plain JSON: an atom as it is (a UUID as text), an optional value (a set of at most
 * one) as the atom, or absent; a set as a list; a map as an object whose values are texts. Each column of
 * each row is there, but for optional values that there are none of.
 */

struct ovsdb_rows {
	json_t *tables; /* {"Bridge": {UUID: {column: value}}, ...} */
	json_t *requests; /* ovsdb_rows_requests(), for which they came; NULL: for all columns */
};

int ovsdb_rows_init(struct ovsdb_rows *rows); /* -ENOMEM */
void ovsdb_rows_free(struct ovsdb_rows *rows);

/* {table: [{"columns": [...]}]}, as monitor_cond wants it: a new reference. Leaves out what the <database-schema>
 * of an older server does not have; such a column stays as it is by default. NULL: a whole table lacks. */
json_t *ovsdb_rows_requests(const json_t *schema);

/* <table-updates2>: "initial", "insert", "delete", "modify". Errors: -EPROTO (code "ovsdb-protocol"):
 * the copy is as it was, and to be fetched anew. */
int ovsdb_rows_update(struct ovsdb_rows *rows, const json_t *updates, struct err *err);

/* False where an older server lacks a column that we watch. */
bool ovsdb_rows_has(const struct ovsdb_rows *rows, const char *table, const char *column);

/* All rows of a table: borrowed, {UUID: row}. */
const json_t *ovsdb_rows_table(const struct ovsdb_rows *rows, const char *table);

/* The only row of Open_vSwitch: borrowed; NULL: there is none (yet). *uuid may be NULL. */
const json_t *ovsdb_rows_root(const struct ovsdb_rows *rows, const char **uuid);

/* Back into the form of RFC 7047, for transactions: new references. */
json_t *ovsdb_rows_uuid(const char *uuid); /* ["uuid", ...] */
json_t *ovsdb_rows_set(const json_t *list); /* ["set", [...]], of texts and numbers */
json_t *ovsdb_rows_map(const json_t *object); /* ["map", [[key, value], ...]] */

#endif
