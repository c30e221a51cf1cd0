/* SPDX-License-Identifier: BSD-3-Clause */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl_events.h"
#include "control/ctl_methods.h"
#include "control/ctl_print.h"

#define PORT                                                                                     \
	"{\"name\": \"vm1\", \"bridge\": \"br0\", \"mode\": \"server\", \"socket\": \"/s/vm1\"," \
	" \"state\": \"up\", \"mac\": [\"52:54:00:00:00:01\", \"52:54:00:00:00:02\"],"           \
	" \"vlan\": 100, \"trunks\": null, \"node\": \"auto\", \"guest_node\": null,"            \
	" \"connected_s\": 61.5, \"peer\": {\"pid\": 7, \"uid\": 8},"                            \
	" \"queues\": [{\"queue\": 0, \"lcore\": 2, \"node\": 0, \"enabled\": true,"             \
	" \"memory_node\": 1}, {\"queue\": 1, \"lcore\": 1, \"node\": 0, \"enabled\": true,"     \
	" \"memory_node\": 0}],"                                                                 \
	" \"stats\": " STATS "}"
#define STATS                                                                                     \
	"{\"rx_packets\": 1234567, \"rx_bytes\": 2000, \"rx_dropped\": 3, \"tx_packets\": 0,"     \
	" \"tx_bytes\": 0, \"tx_dropped\": 0, \"rx_dropped_by\": {\"ring_full\": 3, \"mtu\": 0}," \
	" \"tx_dropped_by\": {\"spoof\": 0}, \"reconnects\": 2}"

/* What a result looks like; freed by the caller. `options`: sluicectl's own. */
static char *
printed(const char *method, const char *result_text, const char *options)
{
	struct ctl_request request = {
		.method = schema_find(method),
		.params = json_pack("{ss}", "name", "x"),
		.options = json_loads(options, 0, NULL),
	};
	json_t *result = json_loads(result_text, JSON_DECODE_ANY, NULL);
	struct ctl_screen screen = {0};
	char *text;
	size_t size;

	assert_non_null(request.method);
	assert_non_null(result);
	screen.out = open_memstream(&text, &size);
	ctl_print_result(&screen, &request, result);
	fclose(screen.out);
	json_decref(result);
	ctl_args_free(&request);
	return text;
}

static void
assert_printed(const char *method, const char *result, const char *expected)
{
	char *text = printed(method, result, "{}");

	assert_string_equal(text, expected);
	free(text);
}

static void
assert_holds(const char *text, const char *piece)
{
	if (!strstr(text, piece))
		fail_msg("\"%s\" is not in:\n%s", piece, text);
}

static void
port_list_is_a_table(void **state)
{
	(void)state;
	assert_printed("port.list", "[" PORT "]",
		       "NAME  BRIDGE  STATE  MODE    VLAN  MAC                   QUEUES  LCORES"
		       "  NODE     RX  TX  DROPS\n"
		       "vm1   br0     up     server  100   52:54:00:00:00:01 +1       2  1,2   "
		       "   0,1  1.23M   0      3\n");
}

static void
empty_lists_are_words(void **state)
{
	(void)state;
	assert_printed("port.list", "[]",
		       "no ports: `sluicectl port attach NAME --bridge BRIDGE` makes one\n");
	assert_printed("port.stats", "[]",
		       "no ports: `sluicectl port attach NAME --bridge BRIDGE` makes one\n");
	assert_printed("bridge.list", "[]", "no bridges: `sluicectl bridge add NAME` makes one\n");
	assert_printed("uplink.list", "[]",
		       "no uplinks: `sluicectl uplink add NAME --bridge BRIDGE --devargs DEVICE`"
		       " makes one\n");
}

static void
port_card_tells_all(void **state)
{
	char *text = printed("port.get", PORT, "{}");

	(void)state;
	assert_holds(text, "port vm1 is up: ");
	assert_holds(text, "52:54:00:00:00:01, 52:54:00:00:00:02\n");
	assert_holds(text, "connected for 1 min 01 s; process 7 of user 8\n");
	assert_holds(text, "  guest node       0,1\n");
	assert_holds(text, "1,234,567 packets, 2 kB; 3 dropped (ring_full 3)\n");
	assert_holds(text, "0 packets, 0 B; none dropped\n");
	assert_null(strstr(text, "trunks"));
	free(text);
}

static void
a_stopped_ring_is_not_overlooked(void **state)
{
	static const char port[] =
		"{\"name\": \"vm1\", \"state\": \"up\", \"queues\": [{\"queue\": 0, \"lcore\": 1},"
		" {\"queue\": 1, \"lcore\": 1, \"stopped_from_guest\": \"a loop\"}]}";
	static const char line[] =
		"vm1: queue 1 from the guest is STOPPED, as the guest broke its"
		" ring (a loop); it runs again when the guest resets the device\n";
	char *list, *card, *text = malloc(sizeof(port) + 2);

	(void)state;
	sprintf(text, "[%s]", port);
	list = printed("port.list", text, "{}");
	card = printed("port.get", port, "{}");
	assert_holds(list, "up, STOPPED");
	assert_holds(list, line);
	assert_holds(card, line);
	free(list);
	free(card);
	free(text);
}

static void
captures_are_a_table(void **state)
{
	(void)state;
	assert_printed("capture.list",
		       "[{\"port\": \"a\", \"file\": \"/a\", \"running\": true, \"packets\": 1234,"
		       " \"bytes\": 2000}, {\"port\": \"b\", \"file\": \"/b\", \"running\": false,"
		       " \"packets\": 1, \"bytes\": 0, \"lost\": 5, \"reason\": \"it is full\"}]",
		       "PORT  PACKETS  SIZE  LOST  STATE              FILE\n"
		       "a       1,234  2 kB     -  running            /a\n"
		       "b           1   0 B     5  ended: it is full  /b\n");
	assert_printed("capture.list", "[]",
		       "no captures: `sluicectl capture start PORT --file FILE` begins one\n");
}

static void
stats_show_reasons_that_matter(void **state)
{
	char *text = printed("port.stats", STATS, "{}");

	(void)state;
	assert_holds(text, "ring_full 3\n");
	assert_null(strstr(text, "mtu"));
	assert_holds(text, "reconnects 2");
	free(text);
	text = printed("port.stats", STATS, "{\"all\": true}");
	assert_holds(text, "ring_full 3, mtu 0\n");
	assert_holds(text, "spoof 0\n");
	free(text);
}

static void
stats_of_queues_when_asked(void **state)
{
	const char *result = "[{\"name\": \"vm1\", \"queues\": [{\"queue\": 1}]}]";
	char *text = printed("port.stats", result, "{}");

	(void)state;
	assert_null(strstr(text, "queue 1"));
	free(text);
	text = printed("port.stats", result, "{\"queues\": true}");
	assert_holds(text, "queue 1");
	free(text);
}

static void
failures_are_told(void **state)
{
	char *text =
		printed("port.list",
			"[{\"name\": \"vm1\", \"state\": \"failed\", \"failure\": \"no \\u001b\"}]",
			"{}");

	(void)state;
	assert_holds(text, "\nvm1: no \\x1b\n");
	free(text);
}

static void
vlans_in_words(void **state)
{
	static const char *const cases[][2] = {
		{"{}", "all"},
		{"{\"vlan\": null, \"trunks\": []}", "all"},
		{"{\"vlan\": 4094}", "4094"},
		{"{\"trunks\": [0, 10, 11, 12]}", "trunk 0,10-12"},
		{"{\"vlan\": 9, \"vlan_mode\": \"access\", \"trunks\": null}", "9"},
		{"{\"vlan\": 9, \"vlan_mode\": \"native-tagged\", \"trunks\": null}",
		 "9 native, all"},
		{"{\"vlan\": 9, \"vlan_mode\": \"native-untagged\", \"trunks\": [2, 3]}",
		 "9 native, trunk 2,3"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *port = json_loads(cases[i][0], 0, NULL);
		char *text = ctl_print_vlans(port);

		assert_string_equal(text, cases[i][1]);
		free(text);
		json_decref(port);
	}
}

#define LCORE_HOME                                                                                    \
	"{\"lcore\": 1, \"cpu\": 2, \"node\": 0, \"busy_percent\": 12.34, \"cycles_per_packet\":"     \
	" 123.4, \"idle\": \"sleep\", \"sleeps\": 1234, \"naps\": 0, \"cpu_now\": 2, \"away\": null," \
	" \"queues\": [{\"port\": \"vm1\", \"queue\": 0}, {\"port\": \"vm1\", \"queue\": 1},"         \
	" {\"port\": \"vm2\", \"queue\": 1}]}"
#define LCORE_AWAY                                                                                       \
	"{\"lcore\": 2, \"cpu\": 3, \"node\": 0, \"busy_percent\": 0, \"cycles_per_packet\": null,"      \
	" \"idle\": \"poll\", \"sleeps\": 0, \"naps\": 0, \"affinity\": \"0-1\", \"away\": \"offline\"," \
	" \"note\": \"lcore 2 is not on its CPU 3\", \"queues\": []}"

static void
lcore_list_is_a_table(void **state)
{
	(void)state;
	assert_printed("lcore.list", "[" LCORE_HOME ", " LCORE_AWAY "]",
		       "LCORE         CPU  NODE    BUSY  CYCLES/PKT  IDLE   SLEEPS  NAPS  QUEUES\n"
		       "    1           2     0  12.3 %         123  sleep   1.23k     0  vm1:0-1 vm2:1\n"
		       "    2  3, now 0-1     0   0.0 %           -  poll        0     0  -\n"
		       "lcore 2 is not on its CPU 3\n");
}

static void
numa_is_shown_node_by_node(void **state)
{
	(void)state;
	assert_printed(
		"numa.show",
		"{\"nodes\": [{\"node\": 0, \"memory_kib\": 4194304, \"distances\": [{\"node\": 0,"
		" \"distance\": 10}, {\"node\": 1, \"distance\": 21}], \"cpus\": \"0-7\","
		" \"cpus_allowed\": \"0-5\", \"cpus_offline\": \"3\", \"cpus_isolated\": \"2-3\","
		" \"cpus_nohz_full\": \"\", \"siblings\": [\"0,4\", \"1,5\"], \"lcores\": [" LCORE_HOME
		", " LCORE_AWAY "], \"hugepages\": [{\"size_kib\": 2048, \"total\": 1024, \"free\":"
		" 1000}, {\"size_kib\": 1048576, \"total\": 0, \"free\": 0}], \"taken\":"
		" {\"total_bytes\": 67108864, \"used_bytes\": 33554432, \"pool_bytes\": 25165824,"
		" \"port_bytes\": 1048576}, \"mempools\": [{\"mbufs\": 8192, \"in_use\": 5,"
		" \"mbuf_bytes\": 2176}], \"uplinks\": [{\"name\": \"up0\", \"devargs\":"
		" \"0000:3b:00.0\"}], \"ports\": [\"vm1\", \"vm2\"], \"queues\": [{\"port\": \"vm1\","
		" \"queue\": 0, \"lcore\": 1}, {\"port\": \"vm1\", \"queue\": 1, \"lcore\": 1}, {\"port\":"
		" \"vm1\", \"queue\": 2, \"lcore\": 2}, {\"port\": \"up0\", \"queue\": 0, \"lcore\": 1}],"
		" \"queues_polled_from_another_node\": []}], \"ports_on_no_node\": [\"vm7\", \"vm8\"],"
		" \"notes\": [\"lcore 2 is not on its CPU 3\"]}",
		"node 0\n"
		"  CPUs             0-7; sluiced may use 0-5\n"
		"  offline          3\n"
		"  isolated         2-3\n"
		"  hyperthreads     0,4 1,5\n"
		"  lcore 1          CPU 2, 12.3 % busy, sleeps when idle, 3 queues\n"
		"  lcore 2          CPU 3 BUT AWAY (see below), 0.0 % busy, polls when idle, 0 queues\n"
		"  memory           4 GiB\n"
		"  hugepages        1,024 of 2 MiB, 1,000 free\n"
		"                   none of 1 GiB\n"
		"  of which sluice  64 MiB, 32 MiB used: 24 MiB buffers, 1 MiB ports\n"
		"  buffers          8,192 of 2,176 bytes, 5 in use\n"
		"  uplinks          up0: 0000:3b:00.0\n"
		"  queues           vm1:0-1 by lcore 1, vm1:2 by lcore 2, up0:0 by lcore 1\n"
		"  distance         21 to node 1\n"
		"\n"
		"on no node (no guest yet, or a device without one): vm7, vm8\n"
		"\n"
		"lcore 2 is not on its CPU 3\n");
}

static void
numa_names_what_is_slow(void **state)
{
	static const char far[] =
		"{\"nodes\": [{\"node\": 0, \"cpus\": \"0\", \"ports\": [], \"memory_kib\": 0, \"lcores\": []},"
		" {\"node\": 1, \"queues_polled_from_another_node\": [{\"port\": \"vm1\", \"queue\":"
		" 0, \"why\": \"its guest is elsewhere\"}, {\"port\": \"vm1\", \"queue\": 1}]}]}";
	char *text = printed("numa.show", far, "{}");

	(void)state;
	assert_holds(text, "\npolled from another node, which is slower:\n"
			   "port vm1 queue 0: its guest is elsewhere\n"
			   "port vm1 queue 1: no reason is known\n");
	assert_holds(text, "  lcores           none\n");
	assert_holds(text, "  memory           none\n");
	assert_holds(text, "  ports            none\n");
	free(text);
	text = printed("numa.show", "{\"nodes\": [{\"node\": 0}, {\"node\": 1}]}", "{}");
	assert_holds(text, "\nno queue is polled from another node\n");
	free(text);
	text = printed("numa.show", "{\"nodes\": [{\"node\": 0}]}", "{}");
	assert_null(strstr(text, "another node"));
	free(text);
}

static void
a_rebalance_shows_moves_and_loads(void **state)
{
#define LOADS                                                                                   \
	"\"before\": [{\"lcore\": 1, \"busy_percent\": 97.1}, {\"lcore\": 2, \"busy_percent\":" \
	" 0.0}], \"after\": [{\"lcore\": 1, \"busy_percent\": 50.0}, {\"lcore\": 2,"            \
	" \"busy_percent\": 47.1}]"
#define MOVES "\"moves\": [{\"port\": \"vm1\", \"queue\": 3, \"from\": 1, \"to\": 2}]"
	static const char table[] =
		"PORT  QUEUE  FROM LCORE  TO LCORE\n"
		"vm1       3           1         2\n"
		"\n"
		"LCORE  BUSY NOW  BUSY THEN\n"
		"    1    97.1 %     50.0 %\n"
		"    2     0.0 %     47.1 %\n"
		"\n"
		"\"now\" is the mean of the last 5 seconds, \"then\" an estimate"
		" from it\n";
	char text[600];

	(void)state;
	snprintf(text, sizeof(text), "1 queue moved:\n\n%s", table);
	assert_printed("lcore.rebalance", "{\"dry_run\": false, " MOVES ", " LOADS "}", text);
	snprintf(text, sizeof(text), "1 queue would move (a dry run: nothing has changed):\n\n%s",
		 table);
	assert_printed("lcore.rebalance", "{\"dry_run\": true, " MOVES ", " LOADS "}", text);
	assert_printed("lcore.rebalance", "{\"moves\": [], \"before\": [], \"after\": []}",
		       "nothing to move: no lcore has noticeably more than it must\n\n"
		       "LCORE  BUSY NOW  BUSY THEN\n");
}

/* Another sluiced may send less, more, or something else: it is shown, or passed over. */
static void
any_result_is_survived(void **state)
{
	static const char *const results[] = {
		"null",
		"true",
		"17",
		"\"text\"",
		"[]",
		"{}",
		"[null, 1, [2], {}]",
		"{\"name\": 1, \"state\": [], \"queues\": {}, \"stats\": 7, \"mac\": {}}",
		"[{\"name\": null, \"state\": 2, \"queues\": [1],"
		" \"trunks\": [\"x\"], \"vlan\": -1}]",
		"{\"nodes\": [{\"hugepages\": 1, \"ports\": {}}]}",
		"[{\"busy_percent\": 1e300, \"cycles_per_packet\": -1, \"queues\": [{}]}]",
	};
	const struct method *method;

	(void)state;
	for (size_t m = 0; (method = ctl_method_at(m)); m++)
		for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
			if (!ctl_method_is_own(method))
				free(printed(method->name, results[i], "{\"queues\": true}"));
}

static void
event_is_a_line(void **state)
{
	json_t *event = json_pack("{ss sI si ss ss s[ss] sn}", "type", "port.up", "time_ns",
				  (json_int_t)1234567890, "seq", 1, "text", "\033", "port", "vm1",
				  "features", "mq", "csum", "nothing");
	struct ctl_screen screen = {0};
	char *text;
	size_t size;

	(void)state;
	setenv("TZ", "UTC", 1);
	screen.out = open_memstream(&text, &size);
	ctl_events_print(&screen, event);
	fclose(screen.out);
	assert_string_equal(text, "1970-01-01 00:00:01.234567  port.up           port vm1"
				  "  text \\x1b  features mq, csum\n");
	free(text);
	json_decref(event);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_list_is_a_table),
		cmocka_unit_test(empty_lists_are_words),
		cmocka_unit_test(port_card_tells_all),
		cmocka_unit_test(a_stopped_ring_is_not_overlooked),
		cmocka_unit_test(captures_are_a_table),
		cmocka_unit_test(stats_show_reasons_that_matter),
		cmocka_unit_test(stats_of_queues_when_asked),
		cmocka_unit_test(failures_are_told),
		cmocka_unit_test(vlans_in_words),
		cmocka_unit_test(lcore_list_is_a_table),
		cmocka_unit_test(numa_is_shown_node_by_node),
		cmocka_unit_test(numa_names_what_is_slow),
		cmocka_unit_test(any_result_is_survived),
		cmocka_unit_test(a_rebalance_shows_moves_and_loads),
		cmocka_unit_test(event_is_a_line),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
