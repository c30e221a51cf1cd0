/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_rows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * An update is checked whole, and the rows that it makes are put together beside the copy, before the
 * copy changes. Sets and maps are compared through JSON objects, which hash their keys, so that what an
 * update costs grows with its size and not with the square of it.
 */

#define UUID_LEN 36
#define KEY_SIZE 24 /* of an integer as text */

enum kind {
	TEXT,
	INTEGER,
	BOOLEAN,
	OPT_TEXT,
	OPT_INTEGER,
	INTEGERS,
	TEXTS,
	UUIDS,
	OPT_UUIDS, /* a set of at most one, but told as a list */
	MAP
};

enum atom {
	ATOM_TEXT,
	ATOM_INTEGER,
	ATOM_BOOLEAN,
	ATOM_UUID
};

struct column {
	const char *name;
	enum kind kind;
};

/* What we watch. Not Interface:statistics, which we write, and nobody else. */
static const struct table {
	const char *name;
	struct column column[24]; /* up to the first without a name */
} tables[] = {
	{"Open_vSwitch",
	 {{"bridges", UUIDS},
	  {"next_cfg", INTEGER},
	  {"cur_cfg", INTEGER},
	  {"other_config", MAP},
	  {"datapath_types", TEXTS},
	  {"iface_types", TEXTS},
	  {"external_ids", MAP}}},
	{"Bridge",
	 {{"name", TEXT},
	  {"datapath_type", TEXT},
	  {"ports", UUIDS},
	  {"controller", UUIDS},
	  {"fail_mode", OPT_TEXT},
	  {"ipfix", OPT_UUIDS},
	  {"mirrors", UUIDS},
	  {"netflow", OPT_UUIDS},
	  {"sflow", OPT_UUIDS},
	  {"mcast_snooping_enable", BOOLEAN},
	  {"rstp_enable", BOOLEAN},
	  {"stp_enable", BOOLEAN},
	  {"other_config", MAP},
	  {"external_ids", MAP},
	  {"status", MAP}}},
	{"Port",
	 {{"name", TEXT},
	  {"interfaces", UUIDS},
	  {"tag", OPT_INTEGER},
	  {"trunks", INTEGERS},
	  {"vlan_mode", OPT_TEXT},
	  {"bond_mode", OPT_TEXT},
	  {"cvlans", INTEGERS},
	  {"fake_bridge", BOOLEAN},
	  {"lacp", OPT_TEXT},
	  {"protected", BOOLEAN},
	  {"qos", OPT_UUIDS},
	  {"other_config", MAP},
	  {"external_ids", MAP},
	  {"status", MAP}}},
	{"Interface",
	 {{"name", TEXT},
	  {"type", TEXT},
	  {"options", MAP},
	  {"other_config", MAP},
	  {"external_ids", MAP},
	  {"mtu", OPT_INTEGER},
	  {"mtu_request", OPT_INTEGER},
	  {"ingress_policing_rate", INTEGER},
	  {"ingress_policing_burst", INTEGER},
	  {"ingress_policing_kpkts_rate", INTEGER},
	  {"bfd", MAP},
	  {"cfm_mpid", OPT_INTEGER},
	  {"lldp", MAP},
	  {"ofport", OPT_INTEGER},
	  {"ofport_request", OPT_INTEGER},
	  {"mac", OPT_TEXT},
	  {"mac_in_use", OPT_TEXT},
	  {"link_state", OPT_TEXT},
	  {"admin_state", OPT_TEXT},
	  {"link_speed", OPT_INTEGER},
	  {"duplex", OPT_TEXT},
	  {"error", OPT_TEXT},
	  {"status", MAP}}},
};

#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

static const struct table *
table_find(const char *name)
{
	for (unsigned int i = 0; i < N_TABLES; i++)
		if (!strcmp(tables[i].name, name))
			return &tables[i];
	return NULL;
}

static const struct column *
column_find(const struct table *table, const char *name)
{
	for (const struct column *c = table->column; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static enum atom
atom_of(enum kind kind)
{
	switch (kind) {
	case INTEGER:
	case OPT_INTEGER:
	case INTEGERS:
		return ATOM_INTEGER;
	case BOOLEAN:
		return ATOM_BOOLEAN;
	case UUIDS:
	case OPT_UUIDS:
		return ATOM_UUID;
	default:
		return ATOM_TEXT;
	}
}

int
ovsdb_rows_init(struct ovsdb_rows *rows)
{
	*rows = (struct ovsdb_rows){.tables = json_object()};
	for (unsigned int i = 0; i < N_TABLES; i++) {
		if (json_object_set_new(rows->tables, tables[i].name, json_object()) < 0) {
			ovsdb_rows_free(rows);
			return -ENOMEM;
		}
	}
	return 0;
}

void
ovsdb_rows_free(struct ovsdb_rows *rows)
{
	json_decref(rows->tables);
	json_decref(rows->requests);
	*rows = (struct ovsdb_rows){0};
}

json_t *
ovsdb_rows_requests(const json_t *schema)
{
	const json_t *has_tables = json_object_get(schema, "tables");
	json_t *requests = json_object();

	for (unsigned int i = 0; i < N_TABLES; i++) {
		const json_t *has_table = json_object_get(has_tables, tables[i].name);
		const json_t *has = json_object_get(has_table, "columns");
		json_t *columns = json_array();

		for (const struct column *c = tables[i].column; c->name; c++)
			if (json_object_get(has, c->name))
				json_array_append_new(columns, json_string(c->name));
		if (json_array_size(columns))
			json_object_set_new(requests, tables[i].name,
					    json_pack("[{s:O}]", "columns", columns));
		json_decref(columns);
	}
	if (json_object_size(requests) == N_TABLES)
		return requests;
	json_decref(requests);
	return NULL;
}

static bool
is_uuid(const char *text)
{
	return strlen(text) == UUID_LEN && strspn(text, "0123456789abcdefABCDEF-") == UUID_LEN;
}

/* The second of ["set", ...], ["map", ...], ["uuid", ...]; or NULL, if `value` is not of that form. */
static json_t *
tagged(const json_t *value, const char *tag)
{
	const char *is = json_string_value(json_array_get(value, 0));

	return is && !strcmp(is, tag) && json_array_size(value) == 2 ? json_array_get(value, 1) :
								       NULL;
}

/* The plain form of an atom: borrowed, NULL: it is none of this type. */
static json_t *
atom_plain(enum atom type, json_t *value)
{
	switch (type) {
	case ATOM_TEXT:
		return json_is_string(value) ? value : NULL;
	case ATOM_INTEGER:
		return json_is_integer(value) ? value : NULL;
	case ATOM_BOOLEAN:
		return json_is_boolean(value) ? value : NULL;
	default:
		value = tagged(value, "uuid");
		return json_is_string(value) && is_uuid(json_string_value(value)) ? value : NULL;
	}
}

/* What tells an atom from others of its type. */
static const char *
atom_key(const json_t *atom, char key[KEY_SIZE])
{
	if (json_is_string(atom))
		return json_string_value(atom);
	snprintf(key, KEY_SIZE, "%lld", (long long)json_integer_value(atom));
	return key;
}

/* False: one is there twice, or no memory. */
static bool
elements_add(json_t *elements, json_t *atom)
{
	char buf[KEY_SIZE];
	const char *key = atom_key(atom, buf);

	return !json_object_get(elements, key) && json_object_set(elements, key, atom) == 0;
}

/* A set, or an atom, which is a set of one -> {key: atom}; NULL: it is none. */
static json_t *
elements_of(enum atom type, json_t *value)
{
	const json_t *list = tagged(value, "set");
	json_t *elements = json_object(), *member;
	bool good = elements != NULL;
	size_t i;

	if (!list) {
		member = atom_plain(type, value);
		good = good && member && elements_add(elements, member);
	} else {
		good = good && json_is_array(list);
		json_array_foreach(list, i, member)
		{
			member = atom_plain(type, member);
			good = good && member && elements_add(elements, member);
		}
	}
	if (good)
		return elements;
	json_decref(elements);
	return NULL;
}

/* What is in only one of the list `old` (NULL: empty) and `elements`, which is consumed; as a list. */
static json_t *
set_diff(const json_t *old, json_t *elements)
{
	json_t *list = json_array(), *member;
	char buf[KEY_SIZE];
	const char *key;
	size_t i;

	json_array_foreach(old, i, member)
	{
		key = atom_key(member, buf);
		if (json_object_del(elements, key) < 0)
			json_array_append(list, member);
	}
	json_object_foreach(elements, key, member) json_array_append(list, member);
	return list;
}

/* ["map", [[key, value], ...]] -> {key: value}; NULL: it is none, or has a key twice. */
static json_t *
map_plain(const json_t *value)
{
	const json_t *pairs = tagged(value, "map");
	json_t *object = json_object(), *pair;
	bool good = object && json_is_array(pairs);
	size_t i;

	json_array_foreach(pairs, i, pair)
	{
		const char *key = json_string_value(json_array_get(pair, 0));
		json_t *is = json_array_get(pair, 1);

		good = good && json_array_size(pair) == 2 && key && json_is_string(is) &&
		       !json_object_get(object, key) && json_object_set(object, key, is) == 0;
	}
	if (good)
		return object;
	json_decref(object);
	return NULL;
}

/* `old` (NULL: empty) changed by `diff`, which is consumed: a new object. */
static json_t *
map_diff(const json_t *old, json_t *diff)
{
	json_t *object = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)old, key, value)
	{
		json_t *change = json_object_get(diff, key);

		if (!change)
			json_object_set(object, key, value);
		else if (!json_equal(change, value))
			json_object_set(object, key, change);
		json_object_del(diff, key);
	}
	json_object_update(object, diff);
	return object;
}

/* What the column is in a row for which nothing was said; NULL: absent. A new reference. */
static json_t *
column_default(enum kind kind)
{
	switch (kind) {
	case TEXT:
		return json_string("");
	case INTEGER:
		return json_integer(0);
	case BOOLEAN:
		return json_false();
	case OPT_TEXT:
	case OPT_INTEGER:
		return NULL;
	case MAP:
		return json_object();
	default:
		return json_array();
	}
}

/* Sets a column that has or may have one value. */
static int
row_set_single(json_t *row, const struct column *column, json_t *value)
{
	const bool optional = column->kind == OPT_TEXT || column->kind == OPT_INTEGER;
	const json_t *list = tagged(value, "set");

	if (list && (!json_is_array(list) || json_array_size(list) > 1))
		return -EPROTO;
	if (list && !json_array_size(list) && optional) {
		json_object_del(row, column->name);
		return 0;
	}
	value = atom_plain(atom_of(column->kind), list ? json_array_get(list, 0) : value);
	if (!value)
		return -EPROTO;
	return json_object_set(row, column->name, value);
}

/* Changes a column as `value` says: a difference, which to a default is the value itself. */
static int
row_change(json_t *row, const struct column *column, json_t *value)
{
	const json_t *old = json_object_get(row, column->name);
	json_t *diff, *result;

	switch (column->kind) {
	case INTEGERS:
	case TEXTS:
	case UUIDS:
		diff = elements_of(atom_of(column->kind), value);
		result = diff ? set_diff(old, diff) : NULL;
		break;
	case OPT_UUIDS: /* of these an update tells the value */
		diff = elements_of(ATOM_UUID, value);
		result = diff && json_object_size(diff) <= 1 ? set_diff(NULL, diff) : NULL;
		break;
	case MAP:
		diff = map_plain(value);
		result = diff ? map_diff(old, diff) : NULL;
		break;
	default:
		return row_set_single(row, column, value);
	}
	json_decref(diff);
	return result ? json_object_set_new(row, column->name, result) : -EPROTO;
}

/* The row that `changes` make of `old` (NULL: of the defaults): a new reference, NULL with *err. */
static json_t *
row_build(const struct table *table, const json_t *old, json_t *changes, struct err *err)
{
	json_t *row = old ? json_copy((json_t *)old) : json_object();
	const struct column *column;
	const char *name;
	json_t *value;

	for (column = table->column; !old && column->name; column++) {
		value = column_default(column->kind);
		if (value)
			json_object_set_new(row, column->name, value);
	}
	json_object_foreach(changes, name, value)
	{
		column = column_find(table, name);
		if (!column || row_change(row, column, value) < 0) {
			err_set(err, EPROTO, "ovsdb-protocol",
				"ovsdb-server: an update of table %s has %s%s", table->name,
				column ? "no value for column " : "a column that was not asked for",
				column ? column->name : "");
			json_decref(row);
			return NULL;
		}
	}
	return row;
}

/* Makes of a <row-update2> what the row will be, null if it goes: a new reference, NULL with *err. */
static json_t *
row_next(const struct table *table, const json_t *old, const char *uuid, const json_t *update,
	 struct err *err)
{
	void *only = json_object_iter((json_t *)update);
	const char *what = only ? json_object_iter_key(only) : "";
	json_t *changes = only ? json_object_iter_value(only) : NULL;
	const bool comes = !strcmp(what, "initial") || !strcmp(what, "insert");
	const bool stays = !strcmp(what, "modify"), goes = !strcmp(what, "delete");

	if (json_object_size(update) != 1 || !is_uuid(uuid) || !(comes || stays || goes) ||
	    !(goes || json_is_object(changes))) {
		err_set(err, EPROTO, "ovsdb-protocol",
			"ovsdb-server: an update of table %s has a row in no known form",
			table->name);
		return NULL;
	}
	if (comes == !!old) {
		err_set(err, EPROTO, "ovsdb-protocol",
			"ovsdb-server: table %s has %s row %s, for which there is a \"%s\"",
			table->name, old ? "a" : "no", uuid, what);
		return NULL;
	}
	return goes ? json_null() : row_build(table, old, changes, err);
}

static int
table_next(const struct ovsdb_rows *rows, const char *name, json_t *update, json_t *next,
	   struct err *err)
{
	const struct table *table = table_find(name);
	const json_t *old = ovsdb_rows_table(rows, name);
	const char *uuid;
	json_t *row;

	if (!table || !json_is_object(update))
		return err_set(err, EPROTO, "ovsdb-protocol",
			       "ovsdb-server: an update has a table that was not asked for");
	json_object_foreach(update, uuid, row)
	{
		row = row_next(table, json_object_get(old, uuid), uuid, row, err);
		if (!row)
			return -EPROTO;
		if (json_object_set_new(next, uuid, row) < 0)
			return err_set(err, ENOMEM, "no-memory", "no memory for the database");
	}
	return 0;
}

/* Puts the rows that table_next() built in their place. */
static int
table_commit(json_t *table, json_t *next)
{
	const char *uuid;
	json_t *row;

	json_object_foreach(next, uuid, row)
	{
		if (json_is_null(row))
			json_object_del(table, uuid);
		else if (json_object_set(table, uuid, row) < 0)
			return -ENOMEM;
	}
	return 0;
}

int
ovsdb_rows_update(struct ovsdb_rows *rows, const json_t *updates, struct err *err)
{
	json_t *next = json_object(), *value;
	const char *name;
	int rc = 0;

	if (!json_is_object(updates))
		rc = err_set(err, EPROTO, "ovsdb-protocol", "ovsdb-server: an update is no object");
	json_object_foreach((json_t *)updates, name, value)
	{
		json_t *table = json_object();

		if (rc == 0 && json_object_set_new(next, name, table) < 0)
			rc = err_set(err, ENOMEM, "no-memory", "no memory for the database");
		if (rc == 0)
			rc = table_next(rows, name, value, table, err);
		if (rc < 0)
			break;
	}
	json_object_foreach(next, name,
			    value) if (rc == 0 &&
				       table_commit(json_object_get(rows->tables, name), value) < 0)
		rc = err_set(err, ENOMEM, "no-memory", "no memory for the database");
	json_decref(next);
	return rc;
}

bool
ovsdb_rows_has(const struct ovsdb_rows *rows, const char *table, const char *column)
{
	const json_t *request = json_array_get(json_object_get(rows->requests, table), 0);
	const json_t *name;
	size_t i;

	if (!rows->requests || !column_find(table_find(table), column))
		return true;
	json_array_foreach(json_object_get(request, "columns"), i, name)
	{
		if (!strcmp(json_string_value(name), column))
			return true;
	}
	return false;
}

const json_t *
ovsdb_rows_table(const struct ovsdb_rows *rows, const char *table)
{
	return json_object_get(rows->tables, table);
}

const json_t *
ovsdb_rows_root(const struct ovsdb_rows *rows, const char **uuid)
{
	void *first = json_object_iter(json_object_get(rows->tables, "Open_vSwitch"));

	if (uuid)
		*uuid = first ? json_object_iter_key(first) : NULL;
	return first ? json_object_iter_value(first) : NULL;
}

json_t *
ovsdb_rows_uuid(const char *uuid)
{
	return json_pack("[ss]", "uuid", uuid);
}

json_t *
ovsdb_rows_set(const json_t *list)
{
	return json_pack("[sO]", "set", list);
}

json_t *
ovsdb_rows_map(const json_t *object)
{
	json_t *pairs = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)object, key, value)
		json_array_append_new(pairs, json_pack("[sO]", key, value));
	return json_pack("[so]", "map", pairs);
}
