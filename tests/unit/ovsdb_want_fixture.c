/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/ovsdb_want_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct ovsdb_rows rows;

static json_t *
parse(const char *fields)
{
	char text[40000];
	json_error_t why;
	json_t *value;

	assert_true(strlen(fields) < sizeof(text));
	for (size_t i = 0; i <= strlen(fields); i++)
		text[i] = fields[i] == '\'' ? '"' : fields[i];
	value = json_loads(text, 0, &why);
	if (!value)
		fail_msg("%s: %s", fields, why.text);
	return value;
}

const char *
rows_uuid(unsigned int number)
{
	static char uuid[4][OVSDB_UUID_SIZE];
	static unsigned int next;
	char *text = uuid[next++ % 4];

	snprintf(text, OVSDB_UUID_SIZE, "00000000-0000-0000-0000-%012u", number % 1000000);
	return text;
}

static json_t *
row_of(const char *table, unsigned int number)
{
	return json_object_get(json_object_get(rows.tables, table), rows_uuid(number));
}

const json_t *
rows_row(const char *table, unsigned int number)
{
	return row_of(table, number);
}

/* A row that changes is another object, as ovsdb_rows.c has it. */
static void
replace(const char *table, unsigned int number, const json_t *fields)
{
	json_t *row = json_copy(row_of(table, number));

	json_object_update(row, (json_t *)fields);
	json_object_set_new(json_object_get(rows.tables, table), rows_uuid(number), row);
}

void
rows_set(const char *table, unsigned int number, const char *fields)
{
	json_t *parsed = parse(fields);

	replace(table, number, parsed);
	json_decref(parsed);
}

static void
add(const char *table, unsigned int number, const char *standard)
{
	json_object_set_new(json_object_get(rows.tables, table), rows_uuid(number),
			    parse(standard));
}

void
rows_reset(void)
{
	json_decref(rows.tables);
	rows.tables = parse("{'Open_vSwitch': {}, 'Bridge': {}, 'Port': {}, 'Interface': {}}");
	add("Open_vSwitch", 0,
	    "{'bridges': [], 'next_cfg': 0, 'cur_cfg': 0, 'other_config': {}, 'datapath_types': [],"
	    " 'iface_types': []}");
}

/* A set of UUIDs with one more, or with one less. */
static void
change_set(const char *table, unsigned int number, const char *column, const char *uuid, bool in)
{
	json_t *set = json_deep_copy(json_object_get(row_of(table, number), column));
	json_t *fields = json_object(), *member;
	size_t i;

	if (in)
		json_array_append_new(set, json_string(uuid));
	for (i = 0; !in && (member = json_array_get(set, i)); i++)
		if (!strcmp(json_string_value(member), uuid))
			json_array_remove(set, i--);
	json_object_set_new(fields, column, set);
	replace(table, number, fields);
	json_decref(fields);
}

void
rows_bridge(unsigned int number, const char *name)
{
	json_t *fields = json_pack("{s:s}", "name", name);

	add("Bridge", number,
	    "{'datapath_type': 'sluice', 'ports': [], 'other_config': {}, 'status': {}}");
	replace("Bridge", number, fields);
	json_decref(fields);
	change_set("Open_vSwitch", 0, "bridges", rows_uuid(number), true);
}

void
rows_port(unsigned int bridge, unsigned int number, const char *name, const char *interface,
	  const char *port)
{
	json_t *fields = json_pack("{s:s}", "name", name);

	add("Interface", number,
	    "{'type': 'dpdkvhostuser', 'options': {}, 'other_config': {}, 'status': {},"
	    " 'ingress_policing_rate': 0, 'ingress_policing_burst': 0}");
	add("Port", number, "{'interfaces': [], 'trunks': [], 'other_config': {}}");
	replace("Interface", number, fields);
	replace("Port", number, fields);
	json_decref(fields);
	rows_set("Interface", number, interface);
	rows_set("Port", number, port);
	change_set("Port", number, "interfaces", rows_uuid(number), true);
	change_set("Bridge", bridge, "ports", rows_uuid(number), true);
}

void
rows_delete_port(unsigned int bridge, unsigned int number)
{
	change_set("Bridge", bridge, "ports", rows_uuid(number), false);
	json_object_del(json_object_get(rows.tables, "Port"), rows_uuid(number));
	json_object_del(json_object_get(rows.tables, "Interface"), rows_uuid(number));
}

/* RFC 7047's <value> as ovsdb_rows.h has it; NULL: an empty optional value. */
static json_t *
plain(json_t *value)
{
	const char *tag = json_string_value(json_array_get(value, 0));
	json_t *inner = json_array_get(value, 1), *object, *pair;
	size_t i;

	if (!tag)
		return json_incref(value);
	if (!strcmp(tag, "set"))
		return json_array_size(inner) ? json_incref(inner) : NULL;
	assert_string_equal(tag, "map");
	object = json_object();
	json_array_foreach(inner, i, pair)
		json_object_set(object, json_string_value(json_array_get(pair, 0)),
				json_array_get(pair, 1));
	return object;
}

static void
update(const json_t *operation)
{
	const char *table = json_string_value(json_object_get(operation, "table"));
	const json_t *where = json_array_get(json_object_get(operation, "where"), 0);
	const char *uuid = json_string_value(json_array_get(json_array_get(where, 2), 1));
	json_t *all = json_object_get(rows.tables, table);
	json_t *row = json_copy(json_object_get(all, uuid)), *value;
	const char *column;

	assert_non_null(row);
	json_object_foreach(json_object_get(operation, "row"), column, value)
	{
		json_t *is = plain(value);

		if (is)
			json_object_set_new(row, column, is);
		else
			json_object_del(row, column);
	}
	json_object_set_new(all, uuid, row);
}

static void
mutate(const json_t *operation)
{
	json_t *root = row_of("Open_vSwitch", 0), *mutation;
	size_t i;

	json_array_foreach(json_object_get(operation, "mutations"), i, mutation)
	{
		json_t *set = json_array_get(json_array_get(mutation, 2), 1);

		assert_string_equal(json_string_value(json_array_get(mutation, 1)), "insert");
		json_array_extend(json_object_get(root,
						  json_string_value(json_array_get(mutation, 0))),
				  set);
	}
}

size_t
rows_commit(json_t *operations)
{
	size_t n = json_array_size(operations), i;
	json_t *operation;

	assert_non_null(operations);
	json_array_foreach(operations, i, operation)
	{
		if (!strcmp(json_string_value(json_object_get(operation, "op")), "mutate"))
			mutate(operation);
		else
			update(operation);
	}
	json_decref(operations);
	return n;
}
