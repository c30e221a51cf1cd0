/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl_complete.h"

static char asked_control[64]; /* the socket that the last names() was for; the only thread */

/* A daemon with two ports, one bridge, no uplink, and one name that nobody should type. */
static json_t *
names(const char *control, enum param_of of)
{
	strcpy(asked_control, control);
	if (of == OF_PORT)
		return json_pack("[{ss}{ss}{ss}]", "name", "vm1", "name", "web", "name", "a;b");
	if (of == OF_BRIDGE)
		return json_pack("[{ss}]", "name", "br0");
	return NULL;
}

/* The candidates for the last of the words, which "|" separates, are these lines. */
static void
assert_offered(const char *text, const char *expected)
{
	char line[256], *words[16], *rest = line, *word, *offered;
	size_t n = 0, size;
	FILE *out = open_memstream(&offered, &size);

	strcpy(line, text);
	while ((word = strsep(&rest, "|")))
		words[n++] = word;
	ctl_complete_words(words, n, names, out);
	fclose(out);
	assert_string_equal(offered, expected);
	free(offered);
}

static void
nouns_and_verbs(void **state)
{
	(void)state;
	assert_offered("p", "port\n");
	assert_offered("port|s", "set\nstats\n");
	assert_offered("port|nix|", "");
	assert_offered("nix|", "");
	assert_offered("--json|p", "port\n");
	assert_offered("help|p", "port\n");
}

static void
names_of_the_daemon(void **state)
{
	(void)state;
	assert_offered("port|get|", "vm1\nweb\n");
	assert_offered("port|get|v", "vm1\n");
	assert_offered("port|attach|vm2|--bridge|", "br0\n");
	assert_offered("port|drain|v", "vm1\n");
	assert_offered("migration|watch|vm1|w", "web\n");
	assert_offered("uplink|del|", "");
	assert_offered("-s|/x|port|get|w", "web\n");
	assert_string_equal(asked_control, "/x");
	assert_offered("--control=/y|port|get|w", "web\n");
	assert_string_equal(asked_control, "/y");
	assert_offered("--control|=|/z|port|get|w", "web\n");
	assert_string_equal(asked_control, "/z");
}

static void
options_and_their_values(void **state)
{
	(void)state;
	assert_offered("port|attach|vm2|--mo", "--mode\n");
	assert_offered("port|attach|vm2|--mode|", "server\nclient\n");
	assert_offered("port|attach|vm2|--mode=c", "--mode=client\n");
	assert_offered("port|attach|vm2|--mode|=|c", "client\n");
	assert_offered("port|attach|vm2|--mode|=", "server\nclient\n");
	assert_offered("port|attach|vm2|--mode|client|--mo", "");
	assert_offered("port|detach|vm1|", "--force\n");
	assert_offered("port|stats|vm1|--a", "--all\n");
	assert_offered("top|--o", "--once\n");
	assert_offered("--j", "--json\n");
}

static void
lists_are_completed_at_their_end(void **state)
{
	(void)state;
	assert_offered("events|subscribe|port.dow", "port.down\n");
	assert_offered("events|subscribe|port.up|port.dow", "port.down\n");
	assert_offered("events|--types|port.up,port.dow", "port.up,port.down\n");
	assert_offered("events|subscribe|--types=port.up,port.dow", "--types=port.up,port.down\n");
}

static void
files_are_the_shells_part(void **state)
{
	(void)state;
	assert_offered("-s|", ":files\n");
	assert_offered("migration|check|--params|", ":files\n");
	assert_offered("migration|rewrite|--map|", ":files\n");
	assert_offered("-p|=|", ":files\n");
	assert_offered("-p|x|port|get|w", "web\n");
	assert_offered("port|attach|vm2|--socket|/", ":files\n");
}

static void
odd_lines_are_harmless(void **state)
{
	char line[200] = "port|attach|--";

	(void)state;
	assert_offered("--=", "");
	assert_offered("port|list|=", "");
	assert_offered("-", "--control\n--params\n--json\n--help\n--version\n");
	memset(line + strlen(line), 'x', 150);
	assert_offered(line, "");
	strcat(line, "=");
	assert_offered(line, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nouns_and_verbs),
		cmocka_unit_test(names_of_the_daemon),
		cmocka_unit_test(options_and_their_values),
		cmocka_unit_test(lists_are_completed_at_their_end),
		cmocka_unit_test(files_are_the_shells_part),
		cmocka_unit_test(odd_lines_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
