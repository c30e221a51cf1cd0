/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl_args.h"
#include "control/ctl_methods.h"
#include "tests/unit/scratch_dir.h"

#define WORDS_MAX 16

static struct ctl_request request; /* of the last parse(); the only thread */
static struct err err;

/* Parses a line of words separated by blanks; '_' alone is an empty word. */
static int
parse(const char *text)
{
	static char line[256];
	char *argv[WORDS_MAX + 1] = {(char *)"sluicectl"}, *save = NULL;
	int argc = 1;

	ctl_args_free(&request);
	strcpy(line, text);
	for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(word, "_") ? word : word + 1;
	err = (struct err){0};
	return ctl_args_parse(argc, argv, &request, &err);
}

static int
teardown(void **state)
{
	(void)state;
	ctl_args_free(&request);
	return 0;
}

/* Understood as this method with these parameters. */
static void
assert_request(const char *line, const char *method, const char *params)
{
	json_t *expected = json_loads(params, 0, NULL);

	if (parse(line) != 0)
		fail_msg("%s: %s", line, err.message);
	assert_string_equal(request.method->name, method);
	assert_true(json_equal(request.params, expected));
	json_decref(expected);
}

static void
assert_refused(const char *line, const char *piece)
{
	assert_int_equal(parse(line), -EINVAL);
	if (!strstr(err.message, piece))
		fail_msg("%s: \"%s\" does not say \"%s\"", line, err.message, piece);
}

static void
words_become_methods(void **state)
{
	(void)state;
	assert_request("port list", "port.list", "{}");
	assert_request("port get vm1", "port.get", "{\"name\": \"vm1\"}");
	assert_request("port get --name vm1", "port.get", "{\"name\": \"vm1\"}");
	assert_request("port get --name=vm1", "port.get", "{\"name\": \"vm1\"}");
	assert_request("port get -- vm1", "port.get", "{\"name\": \"vm1\"}");
	assert_request("port stats", "port.stats", "{}");
	assert_request("port stats vm1", "port.stats", "{\"name\": \"vm1\"}");
	assert_request("numa", "numa.show", "{}");
	assert_request("top", "top", "{}");
}

static void
options_become_parameters(void **state)
{
	(void)state;
	assert_request("port attach vm1 --bridge br0 --vlan 100 --mode=client --node auto",
		       "port.attach",
		       "{\"name\": \"vm1\", \"bridge\": \"br0\", \"vlan\": 100,"
		       " \"mode\": \"client\", \"node\": \"auto\"}");
	assert_request("bridge add br0 --mac-age-s 10 --mac_limit 20", "bridge.add",
		       "{\"name\": \"br0\", \"mac_age_s\": 10, \"mac_limit\": 20}");
	assert_request("port set vm1 --trunks 1,2 --trunks 3", "port.set",
		       "{\"name\": \"vm1\", \"trunks\": [1, 2, 3]}");
	assert_request("port set vm1 --lcore 2,auto", "port.set",
		       "{\"name\": \"vm1\", \"lcore\": [2, \"auto\"]}");
	assert_request("lcore rebalance --dry-run --across-nodes false", "lcore.rebalance",
		       "{\"dry_run\": true, \"across_nodes\": false}");
	assert_request("port set vm1 --trunks _", "port.set",
		       "{\"name\": \"vm1\", \"trunks\": []}");
	assert_request("events subscribe port.up port.down --types uplink.up", "events.subscribe",
		       "{\"types\": [\"port.up\", \"port.down\", \"uplink.up\"]}");
	assert_request("events --types port.up", "events.subscribe", "{\"types\": [\"port.up\"]}");
}

static void
flags_need_no_value(void **state)
{
	(void)state;
	assert_request("port detach --force vm1", "port.detach",
		       "{\"name\": \"vm1\", \"force\": true}");
	assert_request("port detach --force true vm1", "port.detach",
		       "{\"name\": \"vm1\", \"force\": true}");
	assert_request("port set vm1 --learn=false", "port.set",
		       "{\"name\": \"vm1\", \"learn\": false}");
	assert_refused("port detach vm1 --force=yes", "force");
	assert_refused("port set vm1 --learn maybe", "learn");
	assert_request("port set vm1 --learn --mtu 68", "port.set",
		       "{\"name\": \"vm1\", \"learn\": true, \"mtu\": 68}");
}

static void
own_options_are_not_sent(void **state)
{
	(void)state;
	assert_request("port stats --all vm1", "port.stats", "{\"name\": \"vm1\"}");
	assert_true(json_is_true(json_object_get(request.options, "all")));
	assert_request("top --interval 5 --count 2", "top", "{}");
	assert_int_equal(json_integer_value(json_object_get(request.options, "interval")), 5);
	assert_refused("top --interval 0", "interval");
}

static void
globals_may_stand_anywhere(void **state)
{
	(void)state;
	unsetenv("SLUICE_CONTROL");
	assert_request("port list", "port.list", "{}");
	assert_string_equal(request.control, "/run/sluice/control.sock");
	setenv("SLUICE_CONTROL", "/env", 1);
	assert_request("port list", "port.list", "{}");
	assert_string_equal(request.control, "/env");
	assert_request("-s /a --json port list", "port.list", "{}");
	assert_string_equal(request.control, "/a");
	assert_true(request.json);
	assert_request("port -s/b list -j", "port.list", "{}");
	assert_string_equal(request.control, "/b");
	assert_true(request.json);
	assert_request("port list --control=/c", "port.list", "{}");
	assert_string_equal(request.control, "/c");
	assert_request("events --json subscribe", "events.subscribe", "{}");
	unsetenv("SLUICE_CONTROL");
	assert_refused("port list -s", "--control needs a value");
	assert_refused("port list --json=1", "--json takes no value");
}

static void
words_become_json(void **state)
{
	(void)state;
	assert_request("port next-name --existing csdpdk-1,a,a --existing b", "port.next_name",
		       "{\"existing\": [\"csdpdk-1\", \"a\", \"a\", \"b\"]}");
	assert_request("migration prepare br0 --nics {\"mac\":1} --nics [{},{}]",
		       "migration.prepare",
		       "{\"bridge\": \"br0\", \"nics\": [{\"mac\": 1}, {}, {}]}");
	assert_request("migration abort {\"a\":{}}", "migration.abort", "{\"map\": {\"a\": {}}}");
	assert_refused("migration abort {", "map must be an object");
	assert_refused("migration abort []", "map must be an object");
	assert_refused("migration prepare br0 --nics [1]", "nics must be a list of objects");
}

/* A parameter that is JSON is what a file holds. */
static void
assert_read(const char *line, const char *params)
{
	json_t *expected = json_loads(params, 0, NULL);

	if (parse(line) != 0 || ctl_args_read(&request, &err) != 0)
		fail_msg("%s: %s", line, err.message);
	assert_true(json_equal(request.params, expected));
	json_decref(expected);
}

static void
assert_not_read(const char *line, const char *piece)
{
	assert_int_equal(parse(line), 0);
	assert_true(ctl_args_read(&request, &err) < 0);
	if (!strstr(err.message, piece))
		fail_msg("%s: \"%s\" does not say \"%s\"", line, err.message, piece);
}

static void
json_comes_from_files_too(void **state)
{
	const char *wrapped = scratch_file(state, "w", "{\"map\": {\"a\": {}}}");
	const char *map = scratch_file(state, "m", "{\"a\": {}}");
	const char *nic = scratch_file(state, "n", "{\"mac\": 1}");
	const char *list = scratch_file(state, "l", "[{}, {}]");
	char line[256];

	snprintf(line, sizeof(line), "migration abort %s", wrapped);
	assert_read(line, "{\"map\": {\"a\": {}}}");
	snprintf(line, sizeof(line), "migration abort --map=%s", map);
	assert_read(line, "{\"map\": {\"a\": {}}}");
	snprintf(line, sizeof(line), "migration prepare br0 --nics %s", nic);
	assert_read(line, "{\"bridge\": \"br0\", \"nics\": [{\"mac\": 1}]}");
	snprintf(line, sizeof(line), "migration prepare br0 --nics %s", list);
	assert_read(line, "{\"bridge\": \"br0\", \"nics\": [{}, {}]}");
	assert_not_read("migration abort /nowhere/map", "--map /nowhere/map: No such file");
	snprintf(line, sizeof(line), "migration abort %s", list);
	assert_not_read(line, "map must be an object");
	snprintf(line, sizeof(line), "migration abort -p %s --map %s", wrapped, map);
	assert_not_read(line, "map is given twice");
	snprintf(line, sizeof(line), "migration abort %s --map {}", map);
	assert_refused(line, "map is given twice");
	snprintf(line, sizeof(line), "offering resolve %s --vm [1]", map);
	assert_refused(line, "vm must be an object");
}

/* A document is on the standard input, where it is not on the command line. */
static void
a_document_is_read_later(void **state)
{
	(void)state;
	assert_int_equal(parse("migration rewrite --map {}"), 0);
	assert_string_equal(request.text->name, "xml");
	assert_request("migration rewrite <a/> --map {}", "migration.rewrite",
		       "{\"xml\": \"<a/>\", \"map\": {}}");
	assert_null(request.text);
	assert_refused("migration rewrite", "needs --map");
}

/* What the file must hold is checked when it has been read. */
static void
parameters_come_from_a_file(void **state)
{
	const char *file = scratch_file(state, "p", "{\"bridge\": \"br0\", \"trunks\": [1]}");
	const char *list = scratch_file(state, "l", "[1]");
	char line[256];

	snprintf(line, sizeof(line), "port attach vm1 --mtu 68 --params %s", file);
	assert_int_equal(parse(line), 0);
	assert_int_equal(ctl_args_read(&request, &err), 0);
	assert_string_equal(json_string_value(json_object_get(request.params, "bridge")), "br0");
	assert_int_equal(json_object_size(request.params), 4);

	snprintf(line, sizeof(line), "port attach vm1 -p %s --bridge br0", file);
	assert_int_equal(parse(line), 0);
	assert_int_equal(ctl_args_read(&request, &err), -EINVAL);
	assert_non_null(strstr(err.message, "bridge is given twice"));

	snprintf(line, sizeof(line), "port get -p %s", file);
	assert_int_equal(parse(line), 0);
	assert_int_equal(ctl_args_read(&request, &err), -EINVAL);
	assert_non_null(strstr(err.message, "needs a name"));

	snprintf(line, sizeof(line), "port get -p %s", list);
	assert_int_equal(parse(line), 0);
	assert_int_equal(ctl_args_read(&request, &err), -EINVAL);
	assert_non_null(strstr(err.message, "object"));

	assert_int_equal(parse("port get -p /nowhere/file"), 0);
	assert_int_equal(ctl_args_read(&request, &err), -EINVAL);
	assert_int_equal(parse("top -p /nowhere/file"), 0);
	assert_int_equal(ctl_args_read(&request, &err), -EINVAL);
}

static void
help_is_asked_for_on_every_level(void **state)
{
	(void)state;
	assert_int_equal(parse("--help"), 0);
	assert_true(request.help && !request.noun && !request.method);
	assert_int_equal(parse("port -h"), 0);
	assert_true(request.help && request.noun && !request.method);
	assert_int_equal(parse("help port attach"), 0);
	assert_true(request.help && request.method);
	assert_int_equal(parse("port attach --help"), 0); /* lacks what it needs */
	assert_true(request.help && request.method);
	assert_int_equal(parse("--version"), 0);
	assert_true(request.version);
}

static void
mistakes_are_named_with_the_remedy(void **state)
{
	(void)state;
	assert_refused("", "--help");
	assert_refused("prot list", "did you mean \"port\"?");
	assert_refused("port ls", "did you mean \"port list\"?");
	assert_refused("port frobnicate", "attach, detach");
	assert_refused("port", "attach, detach");
	assert_refused("port attach vm1 --brigde br0", "did you mean --bridge?");
	assert_refused("port attach vm1 --nonsense br0", "port attach --help");
	assert_refused("--bridge br0 port attach", "before NOUN and VERB");
	assert_refused("port attach vm1", "needs --bridge");
	assert_refused("port attach --bridge br0", "needs a name");
	assert_refused("port get vm1 vm2", "\"vm2\"");
	assert_refused("port list vm1", "\"vm1\"");
	assert_refused("port attach vm1 --bridge br0 --vlan 1 --vlan 2", "--vlan is given twice");
	assert_refused("port attach vm1 --bridge br0 --vlan", "--vlan needs a value");
	assert_refused("port attach vm1 --vlan --bridge br0", "--vlan needs a value");
	assert_refused("port attach vm1 --bridge br0 --vlan 4095", "vlan");
	assert_refused("port attach vm1 --bridge br0 --mode sever", "server client");
	assert_refused("port set vm1 --trunks 1 --trunks 1", "trunks");
	assert_refused("-x", "-x");
}

static void
over_long_words_are_refused(void **state)
{
	char line[256] = "port list --";

	(void)state;
	memset(line + 12, 'x', 200);
	assert_refused(line, "has no option");
	memset(line, 'x', 200);
	assert_refused(line, "there is no");
}

/* What makes the help whole, and the command line unambiguous, when the schema grows. */
static void
every_method_is_explained(void **state)
{
	const struct method *method;

	(void)state;
	for (size_t i = 0; (method = ctl_method_at(i)); i++) {
		char noun[CTL_WORD_SIZE], verb[CTL_WORD_SIZE];

		ctl_method_noun(method, noun);
		assert_ptr_equal(ctl_method_find(noun, ctl_method_verb(method, verb)), method);
		if (!ctl_method_example(method))
			fail_msg("ctl_methods.c has no example for %s", method->name);
		/* An example is right by our own rules. */
		if (parse(ctl_method_example(method) + strlen("sluicectl ")) != 0)
			fail_msg("%s: %s", ctl_method_example(method), err.message);
		assert_ptr_equal(request.method, method);
		if (!*ctl_noun_help(noun))
			fail_msg("ctl_methods.c says nothing about %s", noun);
		for (const struct ctl_global *g = ctl_globals; g->name; g++) {
			bool is_own;

			assert_null(ctl_method_param(method, g->name, &is_own));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_become_methods),
		cmocka_unit_test(options_become_parameters),
		cmocka_unit_test(flags_need_no_value),
		cmocka_unit_test(own_options_are_not_sent),
		cmocka_unit_test(globals_may_stand_anywhere),
		cmocka_unit_test(words_become_json),
		cmocka_unit_test_setup_teardown(json_comes_from_files_too, scratch_dir_make,
						scratch_dir_remove),
		cmocka_unit_test(a_document_is_read_later),
		cmocka_unit_test_setup_teardown(parameters_come_from_a_file, scratch_dir_make,
						scratch_dir_remove),
		cmocka_unit_test(help_is_asked_for_on_every_level),
		cmocka_unit_test(mistakes_are_named_with_the_remedy),
		cmocka_unit_test(over_long_words_are_refused),
		cmocka_unit_test(every_method_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
