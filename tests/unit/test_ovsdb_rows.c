/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ovsdb_rows.h"

#define P "11111111-2222-3333-4444-555555555555"
#define Q "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define R "AAAAAAAA-0000-0000-0000-000000000000"

static struct ovsdb_rows rows;

static int
setup(void **state)
{
	(void)state;
	return ovsdb_rows_init(&rows);
}

static int
teardown(void **state)
{
	(void)state;
	ovsdb_rows_free(&rows);
	return 0;
}

/* JSON with ' for ". */
static json_t *
parse(const char *text)
{
	char *copy = strdup(text);
	json_t *value;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	value = json_loads(copy, JSON_DECODE_ANY, NULL);
	if (!value)
		fail_msg("bad JSON in the test: %s", text);
	free(copy);
	return value;
}

static int
update(const char *text, struct err *err)
{
	json_t *updates = parse(text);
	int rc = ovsdb_rows_update(&rows, updates, err);

	json_decref(updates);
	return rc;
}

static void
assert_updates(const char *text)
{
	struct err err = {0};

	if (update(text, &err) != 0)
		fail_msg("%s: %s", text, err.message);
}

static void
assert_json(const json_t *value, const char *expected)
{
	json_t *is = parse(expected);
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!json_equal(value, is))
		fail_msg("%s, expected %s", text, expected);
	free(text);
	json_decref(is);
}

/* What column `name` of row P is; "absent". */
static void
assert_column(const char *table, const char *name, const char *expected)
{
	const json_t *row = json_object_get(ovsdb_rows_table(&rows, table), P);
	const json_t *value = json_object_get(row, name);

	assert_non_null(row);
	if (!strcmp(expected, "absent"))
		assert_null(value);
	else
		assert_json(value, expected);
}

static void
test_insert_omits_defaults(void **state)
{
	(void)state;
	assert_updates("{'Port': {'" P "': {'insert': {'name': 'p', 'tag': 0,"
		       " 'interfaces': ['uuid', '" Q "']}}}}");
	assert_json(ovsdb_rows_table(&rows, "Port"),
		    "{'" P "': {'name': 'p', 'interfaces': ['" Q "'], 'tag': 0, 'trunks': [],"
		    " 'cvlans': [], 'qos': [], 'fake_bridge': false, 'protected': false,"
		    " 'other_config': {}, 'external_ids': {}, 'status': {}}}");
	assert_updates("{'Interface': {'" P "': {'initial': {}}}}");
	assert_column("Interface", "name", "''");
	assert_column("Interface", "ingress_policing_rate", "0");
	assert_column("Interface", "options", "{}");
	assert_column("Interface", "mtu_request", "absent");
	assert_json(ovsdb_rows_table(&rows, "Bridge"), "{}");
}

/* A set changes by what is in only one of the old and the new. */
static void
test_modify_set(void **state)
{
	(void)state;
	assert_updates("{'Port': {'" P "': {'initial': {'trunks': ['set', [1, 2, 3]]}}}}");
	assert_updates("{'Port': {'" P "': {'modify': {'trunks': ['set', [4, 1, 2]]}}}}");
	assert_column("Port", "trunks", "[3, 4]");
	assert_updates("{'Port': {'" P "': {'modify': {'trunks': 3}}}}");
	assert_column("Port", "trunks", "[4]");
	assert_updates("{'Port': {'" P "': {'modify': {'trunks': 7}}}}");
	assert_column("Port", "trunks", "[4, 7]");
	assert_updates("{'Port': {'" P "': {'modify': {'trunks': ['set', [7, 4]]}}}}");
	assert_column("Port", "trunks", "[]");
	assert_updates("{'Port': {'" P "': {'modify': {'trunks': ['set', [-1]]}}}}");
	assert_column("Port", "trunks", "[-1]");

	assert_updates("{'Bridge': {'" P "': {'insert': {'ports': ['uuid', '" P "']}}}}");
	assert_updates("{'Bridge': {'" P "': {'modify': {'ports':"
		       " ['set', [['uuid', '" Q "'], ['uuid', '" R "']]]}}}}");
	assert_column("Bridge", "ports", "['" P "', '" Q "', '" R "']");
	assert_updates("{'Bridge': {'" P "': {'modify': {'ports': ['uuid', '" Q "']}}}}");
	assert_column("Bridge", "ports", "['" P "', '" R "']");
}

/* A value that there may be one of is told as it is now, also where it is told as a list. */
static void
test_modify_optional(void **state)
{
	(void)state;
	assert_updates("{'Port': {'" P "': {'initial': {'tag': 5, 'qos': ['uuid', '" Q "']}}}}");
	assert_column("Port", "qos", "['" Q "']");
	assert_updates("{'Port': {'" P "': {'modify': {'tag': 6, 'qos': ['uuid', '" R "']}}}}");
	assert_column("Port", "tag", "6");
	assert_column("Port", "qos", "['" R "']");
	assert_updates("{'Port': {'" P "': {'modify': {'tag': ['set', []], 'qos': ['set', []]}}}}");
	assert_column("Port", "tag", "absent");
	assert_column("Port", "qos", "[]");
	assert_updates("{'Port': {'" P "': {'modify': {'tag': ['set', [9]]}}}}");
	assert_column("Port", "tag", "9");
	assert_updates("{'Port': {'" P "': {'modify': {'tag': 9}}}}");
	assert_column("Port", "tag", "9");
}

static void
test_modify_scalar(void **state)
{
	(void)state;
	assert_updates("{'Bridge': {'" P "': {'initial': {'stp_enable': true}}}}");
	assert_column("Bridge", "stp_enable", "true");
	assert_column("Bridge", "rstp_enable", "false");
	assert_updates("{'Bridge': {'" P "': {'modify': {'stp_enable': false,"
		       " 'datapath_type': 'sluice'}}}}");
	assert_column("Bridge", "stp_enable", "false");
	assert_column("Bridge", "datapath_type", "'sluice'");
	assert_updates("{'Open_vSwitch': {'" P
		       "': {'initial': {'next_cfg': 9223372036854775807}}}}");
	assert_updates("{'Open_vSwitch': {'" P "': {'modify': {'next_cfg': ['set', [1]]}}}}");
	assert_column("Open_vSwitch", "next_cfg", "1");
}

/* A map changes by the pairs that are in only one of the old and the new; a key of both has its new value. */
static void
test_modify_map(void **state)
{
	(void)state;
	assert_updates("{'Interface': {'" P "': {'insert': {'options':"
		       " ['map', [['a', '1'], ['b', '2'], ['c', '3']]]}}}}");
	assert_updates("{'Interface': {'" P "': {'modify': {'options':"
		       " ['map', [['a', '1'], ['b', '9'], ['', 'd']]]}}}}");
	assert_column("Interface", "options", "{'b': '9', 'c': '3', '': 'd'}");
	assert_column("Interface", "other_config", "{}");
	assert_updates("{'Interface': {'" P "': {'modify': {'options': ['map', []]}}}}");
	assert_column("Interface", "options", "{'b': '9', 'c': '3', '': 'd'}");
}

static void
test_delete_and_again(void **state)
{
	(void)state;
	assert_updates("{'Port': {'" P "': {'initial': {'tag': 5}}, '" Q "': {'initial': {}}}}");
	assert_updates("{'Port': {'" P "': {'delete': null}}}");
	assert_int_equal(json_object_size(ovsdb_rows_table(&rows, "Port")), 1);
	assert_updates("{'Port': {'" P "': {'insert': {}}}}");
	assert_column("Port", "tag", "absent");
}

/* What no server sends that was asked for our columns; the copy stays as it is. */
static void
test_hostile(void **state)
{
	static const char *const bad[] = {
		"[]",
		"7",
		"{'Port': []}",
		"{'Nope': {}}",
		"{'Port': {'" P "': {}}}",
		"{'Port': {'" P "': null}}",
		"{'Port': {'" P "': {'modify': {}, 'delete': null}}}",
		"{'Port': {'" P "': {'old': {}}}}",
		"{'Port': {'" P "': {'modify': null}}}",
		"{'Port': {'" P "': {'insert': {}}}}", /* it is there */
		"{'Port': {'" P "': {'initial': {}}}}",
		"{'Port': {'" Q "': {'modify': {}}}}", /* it is not */
		"{'Port': {'" Q "': {'delete': null}}}",
		"{'Port': {'x': {'insert': {}}}}",
		"{'Port': {'../../../../../../../../../../etc/pa': {'insert': {}}}}",
		"{'Port': {'" P "': {'modify': {'statistics': ['map', []]}}}}",
		"{'Port': {'" P "': {'modify': {'name': 7}}}}",
		"{'Port': {'" P "': {'modify': {'name': null}}}}",
		"{'Port': {'" P "': {'modify': {'name': ['set', []]}}}}",
		"{'Port': {'" P "': {'modify': {'name': ['set', ['a', 'b']]}}}}",
		"{'Port': {'" P "': {'modify': {'fake_bridge': 1}}}}",
		"{'Port': {'" P "': {'modify': {'tag': '5'}}}}",
		"{'Port': {'" P "': {'modify': {'tag': 5.0}}}}",
		"{'Port': {'" P "': {'modify': {'tag': ['set', [1, 2]]}}}}",
		"{'Port': {'" P "': {'modify': {'tag': ['set', 1]}}}}",
		"{'Port': {'" P "': {'modify': {'trunks': ['set', [1, 2, 1]]}}}}",
		"{'Port': {'" P "': {'modify': {'trunks': ['set', [1, 'x']]}}}}",
		"{'Port': {'" P "': {'modify': {'trunks': ['set', {}]}}}}",
		"{'Port': {'" P "': {'modify': {'trunks': ['set']}}}}",
		"{'Port': {'" P "': {'modify': {'trunks': []}}}}",
		"{'Port': {'" P "': {'modify': {'trunks': ['set', [['set', [1]]]]}}}}",
		"{'Port': {'" P "': {'modify': {'qos': ['set', [['uuid', '" P "'],"
		" ['uuid', '" Q "']]]}}}}",
		"{'Port': {'" P "': {'modify': {'interfaces': '" Q "'}}}}",
		"{'Port': {'" P "': {'modify': {'interfaces': ['uuid', 'x']}}}}",
		"{'Port': {'" P "': {'modify': {'interfaces': ['uuid', 7]}}}}",
		"{'Port': {'" P "': {'modify': {'interfaces': ['named-uuid', 'x']}}}}",
		"{'Port': {'" P "': {'modify': {'status': ['map', [['a', 1]]]}}}}",
		"{'Port': {'" P "': {'modify': {'status': ['map', [['a']]]}}}}",
		"{'Port': {'" P "': {'modify': {'status': ['map', [['a', 'b', 'c']]]}}}}",
		"{'Port': {'" P "': {'modify': {'status': ['map', [['a', 'b'], ['a', 'c']]]}}}}",
		"{'Port': {'" P "': {'modify': {'status': ['map', {'a': 'b'}]}}}}",
		"{'Port': {'" P "': {'modify': {'status': {}}}}}",
		/* One good row, one bad: neither. */
		"{'Port': {'" P "': {'modify': {'tag': 9}}, '" Q "': {'insert': {'tag': 'x'}}}}",
		"{'Port': {'" P "': {'delete': null}}, 'Nope': {}}",
	};
	json_t *before;

	(void)state;
	assert_updates("{'Port': {'" P "': {'initial': {'name': 'p', 'tag': 5, 'trunks': 1}}}}");
	before = json_deep_copy(rows.tables);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};

		if (update(bad[i], &err) != -EPROTO)
			fail_msg("taken: %s", bad[i]);
		assert_string_equal(err.code, "ovsdb-protocol");
		assert_true(strlen(err.message) > 0);
		if (!json_equal(rows.tables, before))
			fail_msg("half done: %s", bad[i]);
	}
	json_decref(before);
}

/* {table: {"columns": {name: {}}}}, of all but what an older server lacks. */
static json_t *
schema_without(const char *table, const char *column)
{
	static const char *const names[] = {"Open_vSwitch", "Bridge", "Port", "Interface"};
	json_t *schema = json_pack("{s:{}}", "tables");

	for (unsigned int i = 0; i < 4; i++) {
		json_t *columns = json_pack("{s:{}, s:{}, s:{}}", "name", "protected", "next_cfg");

		if (!strcmp(names[i], table) && column)
			json_object_del(columns, column);
		if (strcmp(names[i], table) || column)
			json_object_set_new(json_object_get(schema, "tables"), names[i],
					    json_pack("{s:O}", "columns", columns));
		json_decref(columns);
	}
	return schema;
}

static void
test_requests(void **state)
{
	json_t *schema = schema_without("Port", "protected"), *requests;

	(void)state;
	requests = ovsdb_rows_requests(schema);
	assert_json(requests, "{'Open_vSwitch': [{'columns': ['next_cfg']}],"
			      " 'Bridge': [{'columns': ['name']}], 'Port': [{'columns': ['name']}],"
			      " 'Interface': [{'columns': ['name']}]}");
	json_decref(requests);
	json_decref(schema);

	schema = schema_without("Port", NULL);
	assert_null(ovsdb_rows_requests(schema));
	json_decref(schema);
	assert_null(ovsdb_rows_requests(NULL));
}

static void
test_root(void **state)
{
	const char *uuid = "";

	(void)state;
	assert_null(ovsdb_rows_root(&rows, &uuid));
	assert_null(uuid);
	assert_updates("{'Open_vSwitch': {'" P "': {'initial': {'next_cfg': 4}}}}");
	assert_int_equal(json_integer_value(json_object_get(ovsdb_rows_root(&rows, &uuid),
							    "next_cfg")),
			 4);
	assert_string_equal(uuid, P);
	assert_non_null(ovsdb_rows_root(&rows, NULL));
}

static void
assert_form(json_t *form, json_t *plain, const char *expected)
{
	assert_json(form, expected);
	json_decref(form);
	json_decref(plain);
}

static void
test_forms(void **state)
{
	json_t *plain;

	(void)state;
	assert_form(ovsdb_rows_uuid(P), NULL, "['uuid', '" P "']");
	plain = parse("['a', 7]");
	assert_form(ovsdb_rows_set(plain), plain, "['set', ['a', 7]]");
	plain = parse("{'a': 'b', 'c': 'd'}");
	assert_form(ovsdb_rows_map(plain), plain, "['map', [['a', 'b'], ['c', 'd']]]");
	plain = parse("{}");
	assert_form(ovsdb_rows_map(plain), plain, "['map', []]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_insert_omits_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modify_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modify_optional, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modify_scalar, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modify_map, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delete_and_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
