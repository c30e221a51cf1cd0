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
	" \"vlan\": 100, \"trunks\": null, \"node\": \"auto\", \"guest_node\": 1,"               \
	" \"connected_s\": 61.5, \"peer\": {\"pid\": 7, \"uid\": 8},"                            \
	" \"queues\": [{\"queue\": 0, \"lcore\": 2, \"node\": 0, \"enabled\": true}],"           \
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
		       "vm1   br0     up     server  100   52:54:00:00:00:01 +1       1  2     "
		       "     1  1.23M   0      3\n");
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

static void
numa_names_what_is_slow(void **state)
{
	char *text = printed("numa.show",
			     "{\"nodes\": [{\"node\": 1, \"cpus\": \"2-3\", \"hugepages\":"
			     " [{\"size_kib\": 2048, \"total\": 1024, \"free\": 1000},"
			     " {\"size_kib\": 1048576, \"total\": 0, \"free\": 0}], \"mempools\":"
			     " [{\"mbufs\": 8192, \"in_use\": 5, \"mbuf_bytes\": 2176}], \"ports\":"
			     " [\"vm1\"], \"queues_polled_from_another_node\":"
			     " [{\"port\": \"vm1\", \"queue\": 0}]}]}",
			     "{}");

	(void)state;
	assert_holds(text, "node 1\n");
	assert_holds(text, "1,024 of 2 MiB, 1,000 free\n");
	assert_holds(text, "none of 1 GiB\n");
	assert_holds(text, "8,192 of 2176 bytes, 5 in use\n");
	assert_holds(text, "vm1:0 (polled from another node: slower)\n");
	free(text);
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
		cmocka_unit_test(numa_names_what_is_slow),
		cmocka_unit_test(any_result_is_survived),
		cmocka_unit_test(event_is_a_line),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
