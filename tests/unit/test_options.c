/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/options.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/scratch_dir.h"

#define ARGS_MAX 40

/* Parses "sluiced -c FILE ..." with the words given up to a NULL. */
static enum options_verdict
parse(struct options *o, struct err *err, const char *file, ...)
{
	char *argv[ARGS_MAX] = {strdup("sluiced"), strdup("-c"), strdup(file)};
	enum options_verdict verdict;
	int argc = 3;
	va_list words;
	char *word;

	va_start(words, file);
	while ((word = va_arg(words, char *)))
		argv[argc++] = strdup(word);
	va_end(words);
	memset(err, 0, sizeof(*err));
	verdict = options_parse(o, argc, argv, err);
	/* getopt reorders argv, but loses nothing. */
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return verdict;
}

static void
without_anything_the_defaults_hold(void **state)
{
	struct options o;
	struct err err;

	assert_int_equal(parse(&o, &err, scratch_file(state, "conf", ""), NULL), OPTIONS_GO);
	assert_string_equal(o.control, OPTIONS_CONTROL);
	assert_int_equal(o.socket_dirs.n, 1);
	assert_string_equal(o.socket_dirs.word[0], OPTIONS_SOCKET_DIR);
	assert_string_equal(o.state_dir, OPTIONS_STATE_DIR);
	assert_string_equal(o.lcores, "auto");
	assert_int_equal(o.n_memory, 0);
	assert_false(o.reserve_hugepages);
	assert_int_equal(o.park_mib, 64);
	assert_null(o.group);
	assert_false(o.group_reads_only);
	assert_false(o.idle_poll);
	assert_false(o.rebalance_off);
	assert_false(o.library);
	assert_string_equal(o.eal, "");
	assert_int_equal(o.log_level, LOG_INFO);
	assert_null(o.socket_group);
	assert_int_equal(o.socket_mode, 0660);
	assert_int_equal(o.peer_users.n, 0);
	assert_false(o.config_check);
	options_free(&o);
}

static const char *const everything[] = {
	"control",    "/run/x/ctl",   "state-dir",
	"none",	      "lcores",	      "2-5,8",
	"memory",     "512,0,64",     "group",
	"root",	      "group-access", "read",
	"datapath",   "library",      "idle",
	"poll",	      "eal",	      "--foo --bar",
	"log-level",  "debug",	      "socket-group",
	"root",	      "socket-mode",  "0600",
	"peer-users", "root",	      "socket-dir",
	"/run/x",     "park-memory",  "7",
	"rebalance",  "off",	      "reserve-hugepages",
	"yes",
};
#define N_EVERYTHING (sizeof(everything) / sizeof(everything[0]))

static void
assert_everything(const struct options *o)
{
	assert_string_equal(o->control, "/run/x/ctl");
	assert_string_equal(o->state_dir, "none");
	assert_string_equal(o->lcores, "2-5,8");
	assert_int_equal(o->n_memory, 3);
	assert_int_equal(o->memory_mib[0], 512);
	assert_int_equal(o->memory_mib[1], 0);
	assert_int_equal(o->memory_mib[2], 64);
	assert_true(o->reserve_hugepages);
	assert_int_equal(o->park_mib, 7);
	assert_string_equal(o->group, "root");
	assert_true(o->group_reads_only);
	assert_true(o->idle_poll);
	assert_true(o->rebalance_off);
	assert_true(o->library);
	assert_string_equal(o->eal, "--foo --bar");
	assert_int_equal(o->log_level, LOG_DEBUG);
	assert_string_equal(o->socket_group, "root");
	assert_int_equal(o->socket_mode, 0600);
	assert_int_equal(o->peer_users.n, 1);
	assert_string_equal(o->peer_users.word[0], "root");
	assert_int_equal(o->socket_dirs.n, 1);
	assert_string_equal(o->socket_dirs.word[0], "/run/x");
}

static void
every_key_is_taken_from_the_file(void **state)
{
	char text[2000] = "# a comment with a \" in it\n";
	struct options o;
	struct err err;

	for (size_t i = 0; i < N_EVERYTHING; i += 2)
		sprintf(text + strlen(text), "%s = \"%s\" # why\n", everything[i],
			everything[i + 1]);
	assert_int_equal(parse(&o, &err, scratch_file(state, "conf", text), NULL), OPTIONS_GO);
	assert_everything(&o);
	options_free(&o);
}

static void
every_key_is_taken_from_the_command_line(void **state)
{
	const char *conf = scratch_file(state, "conf", "idle = sleep\nsocket-dir = {/a, \"/b\"}\n");
	char *argv[4 + N_EVERYTHING] = {(char[]){"sluiced"}, (char[]){"-c"}, (char *)conf};
	char words[N_EVERYTHING][40];
	struct options o;
	struct err err = {0};

	for (size_t i = 0; i < N_EVERYTHING; i++) {
		sprintf(words[i], "%s%s", i % 2 ? "" : "--", everything[i]);
		argv[3 + i] = words[i];
	}
	if (options_parse(&o, 3 + N_EVERYTHING, argv, &err) != OPTIONS_GO)
		fail_msg("%s", err.message);
	assert_everything(&o);
	options_free(&o);
}

static void
lists_grow_and_the_command_line_replaces_them(void **state)
{
	const char *conf = scratch_file(state, "conf", "socket-dir = {\"/a\",\n \"/b\"}\n");
	struct options o;
	struct err err;

	assert_int_equal(parse(&o, &err, conf, NULL), OPTIONS_GO);
	assert_int_equal(o.socket_dirs.n, 2);
	assert_string_equal(o.socket_dirs.word[1], "/b");
	options_free(&o);
	assert_int_equal(parse(&o, &err, conf, "--socket-dir", "/c", "--socket-dir=/d", NULL),
			 OPTIONS_GO);
	assert_int_equal(o.socket_dirs.n, 2);
	assert_string_equal(o.socket_dirs.word[0], "/c");
	assert_string_equal(o.socket_dirs.word[1], "/d");
	options_free(&o);
}

static void
the_file_is_refused_by_line(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *word; /* of the message */
	} cases[] = {
		{"colour = red\n", 1, "colour"},
		{"# one\n# two\n\ncolour = red\n", 4, "colour"},
		{"eal = \"\"\nnonsense\n", 2, "nonsense"},
		{"idle = nap\n", 1, "idle"},
		{"idle = {poll}\n", 1, "{"},
		{"# one\nidle = poll # two\nidle = poll\n", 3, "idle"},
		{"peer-users = {root}\n\npeer-users = {root}\n", 3, "peer-users"},
		{"peer-users = {root,\n \"no such user\"}\n", 2, "no such user"},
		{"\neal = \"x\n# y\n", 2, "quotation"},
		{"eal = '\\'' # '\nlcores = \"1-\"\n", 2, "lcores"},
		{"memory = \"1,\"\n", 1, "memory"},
		{"memory = \"x\"\n", 1, "memory"},
		{"memory = \"-1\"\n", 1, "memory"},
		{"memory = \"1,1,1,1,1,1,1,1,1\"\n", 1, "memory"},
		{"park-memory = \"1,1\"\n", 1, "park-memory"},
		{"park-memory = \"-1\"\n", 1, "park-memory"},
		{"park-memory = 1048577\n", 1, "park-memory"},
		{"park-memory = 99999999999\n", 1, "park-memory"},
		{"control = \"\"\n", 1, "control"},
		{"state-dir = \"relative\"\n", 1, "state-dir"},
		{"socket-dir = \"relative\"\n", 1, "socket-dir"},
		{"group = \"no such group\"\n", 1, "no such group"},
		{"group-access = some\n", 1, "group-access"},
		{"socket-group = \"no such group\"\n", 1, "no such group"},
		{"socket-mode = \"0999\"\n", 1, "socket-mode"},
		{"log-level = loud\n", 1, "log-level"},
		{"datapath = magic\n", 1, "datapath"},
		{"ovsdb = \"tcp:127.0.0.1:6640\"\n", 1, "ovsdb"},
		{"ovsdb = \"unix:db.sock\"\n", 1, "ovsdb"},
		{"config-check = true\n", 1, "config-check"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *conf = scratch_file(state, "conf", cases[i].text);
		char where[300];
		struct options o;
		struct err err;

		if (parse(&o, &err, conf, NULL) != OPTIONS_BAD)
			fail_msg("taken: %s", cases[i].text);
		snprintf(where, sizeof(where), "%s:%d: ", conf, cases[i].line);
		if (strncmp(err.message, where, strlen(where)) != 0 ||
		    !strstr(err.message, cases[i].word))
			fail_msg("%s\n-> %s", cases[i].text, err.message);
		options_free(&o);
	}
}

static void
a_file_that_is_none_is_refused(void **state)
{
	const char *missing = scratch_path(state, "missing");
	struct options o;
	struct err err;
	int fd;

	assert_int_equal(parse(&o, &err, missing, NULL), OPTIONS_BAD);
	assert_non_null(strstr(err.message, missing));
	options_free(&o);
	assert_int_equal(parse(&o, &err, *state, NULL), OPTIONS_BAD);
	options_free(&o);
	fd = open(missing, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "idle\0", 5), 5);
	assert_int_equal(parse(&o, &err, missing, NULL), OPTIONS_BAD);
	assert_non_null(strstr(err.message, "NUL"));
	options_free(&o);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	assert_int_equal(parse(&o, &err, missing, NULL), OPTIONS_BAD);
	options_free(&o);
	close(fd);
}

static void
the_command_line_is_refused(void **state)
{
	static const char *const cases[][3] = {
		{"--nonsense", NULL, "--nonsense"},
		{"-x", NULL, "-x"},
		{"word", NULL, "word"},
		{"--memory", NULL, "--memory"},
		{"--memory", "--idle", "memory"},
		{"--config-check=1", NULL, "config-check"},
		{"--idle", "nap", "nap"},
		{"--reserve-hugepages", "5", "reserve-hugepages"},
		{"--eal", "--help", "eal"},
		{"--eal", "--no-pci -h", "eal"},
	};
	const char *conf = scratch_file(state, "conf", "");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;
		struct err err;

		if (parse(&o, &err, conf, cases[i][0], cases[i][1], NULL) != OPTIONS_BAD)
			fail_msg("taken: %s", cases[i][0]);
		if (!strstr(err.message, cases[i][2]))
			fail_msg("%s -> %s", cases[i][0], err.message);
		options_free(&o);
	}
}

static void
a_control_path_leaves_room_for_its_neighbours(void **state)
{
	const char *conf = scratch_file(state, "conf", "");
	char path[DP_PATH_SIZE + 1] = {0};
	struct options o;
	struct err err;

	memset(path, 'x', 102);
	assert_int_equal(parse(&o, &err, conf, "--control", path, NULL), OPTIONS_GO);
	options_free(&o);
	path[102] = 'x';
	assert_int_equal(parse(&o, &err, conf, "--control", path, NULL), OPTIONS_BAD);
	options_free(&o);
}

static void
check_and_help_and_version(void **state)
{
	const char *conf = scratch_file(state, "conf", "");
	int out = dup(STDOUT_FILENO);
	struct options o;
	struct err err;

	assert_int_equal(parse(&o, &err, conf, "--config-check", NULL), OPTIONS_GO);
	assert_true(o.config_check);
	options_free(&o);
	assert_non_null(freopen(scratch_path(state, "out"), "w", stdout));
	assert_int_equal(parse(&o, &err, "/missing", "--help", NULL), OPTIONS_DONE);
	options_free(&o);
	assert_int_equal(parse(&o, &err, "/missing", "--version", NULL), OPTIONS_DONE);
	options_free(&o);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_dir_make, scratch_dir_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_anything_the_defaults_hold),
		TEST(every_key_is_taken_from_the_file),
		TEST(every_key_is_taken_from_the_command_line),
		TEST(lists_grow_and_the_command_line_replaces_them),
		TEST(the_file_is_refused_by_line),
		TEST(a_file_that_is_none_is_refused),
		TEST(the_command_line_is_refused),
		TEST(a_control_path_leaves_room_for_its_neighbours),
		TEST(check_and_help_and_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
