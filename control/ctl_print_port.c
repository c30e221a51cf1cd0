/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl_print.h"
#include "control/ctl_text.h"

/* Appends the text of one field as a cell. */
static void
cell_field(struct ctl_table *table, enum ctl_colour colour, const json_t *object, const char *key)
{
	char *text = ctl_print_field(object, key);

	ctl_table_cell(table, colour, "%s", text);
	free(text);
}

/* The first MAC, and how many more there are. */
static void
cell_macs(struct ctl_table *table, const json_t *mac)
{
	const json_t *first = json_is_array(mac) ? json_array_get(mac, 0) : mac;
	const char *text = json_string_value(first);

	if (json_array_size(mac) > 1)
		ctl_table_cell(table, CTL_PLAIN, "%s +%zu", text ? text : "-",
			       json_array_size(mac) - 1);
	else
		ctl_table_cell(table, CTL_PLAIN, "%s", text ? text : "-");
}

static int
compare_ids(const void *a, const void *b)
{
	json_int_t x = *(const json_int_t *)a, y = *(const json_int_t *)b;

	return (x > y) - (x < y);
}

/* What a port's queues have for `key`, each once: the lcores that poll them, the nodes of the guest's
 * memory. Empty: it is known of none. Freed by the caller. */
static char *
ids_of_queues(const json_t *port, const char *key)
{
	json_int_t ids[64];
	size_t n = 0, i;
	json_t *queue, *list = json_array();
	char *text;

	json_array_foreach(json_object_get(port, "queues"), i, queue)
	{
		const json_t *id = json_object_get(queue, key);

		if (json_is_integer(id) && n < sizeof(ids) / sizeof(ids[0]))
			ids[n++] = json_integer_value(id);
	}
	qsort(ids, n, sizeof(ids[0]), compare_ids);
	for (i = 0; i < n; i++)
		if (i == 0 || ids[i] != ids[i - 1])
			json_array_append_new(list, json_integer(ids[i]));
	text = ctl_text_ids(list);
	json_decref(list);
	return text;
}

static void
cell_lcores(struct ctl_table *table, const json_t *port)
{
	char *text = ids_of_queues(port, "lcore");

	ctl_table_cell(table, CTL_PLAIN, "%s", *text ? text : "-");
	free(text);
}

static const struct {
	const char *key, *words;
} stopped_rings[] = {
	{"stopped_to_guest", "to"},
	{"stopped_from_guest", "from"},
};

/* Whether the guest has broken a ring of the port. */
static bool
has_stopped_ring(const json_t *port)
{
	json_t *queue;
	size_t i;

	json_array_foreach(json_object_get(port, "queues"), i, queue)
	{
		for (size_t k = 0; k < 2; k++)
			if (json_object_get(queue, stopped_rings[k].key))
				return true;
	}
	return false;
}

/* A line in red for each of them. */
static void
print_stopped_rings(const struct ctl_screen *screen, const json_t *port)
{
	char *name = ctl_print_field(port, "name");
	json_t *queue;
	size_t i;

	json_array_foreach(json_object_get(port, "queues"), i, queue)
	{
		for (size_t k = 0; k < 2; k++) {
			char *index = ctl_print_field(queue, "queue");
			char *why = ctl_print_field(queue, stopped_rings[k].key);
			char *line = ctl_text_format(
				"%s: queue %s %s the guest is STOPPED, as the guest broke its"
				" ring (%s); it runs again when the guest resets the device",
				name, index, stopped_rings[k].words, why);
			char *safe = ctl_text_safe(line);

			if (json_object_get(queue, stopped_rings[k].key)) {
				fputs(ctl_colour_on(screen, CTL_RED), screen->out);
				ctl_screen_wrap(screen, 0, screen->width, safe);
				fputs(ctl_colour_off(screen, CTL_RED), screen->out);
			}
			free(index);
			free(why);
			free(line);
			free(safe);
		}
	}
	free(name);
}

/* Below a list: why some of its entries could not be made. */
static void
print_failures(const struct ctl_screen *screen, const json_t *list)
{
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		char *name = ctl_print_field(entry, "name"),
		     *why = ctl_print_field(entry, "failure");
		char *line = ctl_text_format("%s: %s", name, why), *safe = ctl_text_safe(line);

		if (json_object_get(entry, "failure"))
			ctl_screen_wrap(screen, 0, screen->width, safe);
		free(name);
		free(why);
		free(line);
		free(safe);
	}
}

static void
cell_counters(struct ctl_table *table, const json_t *stats)
{
	uint64_t drops =
		ctl_print_count(stats, "rx_dropped") + ctl_print_count(stats, "tx_dropped");
	char buf[CTL_TEXT_SIZE];

	ctl_table_cell(table, CTL_PLAIN, "%s",
		       ctl_text_scaled(buf, ctl_print_count(stats, "rx_packets")));
	ctl_table_cell(table, CTL_PLAIN, "%s",
		       ctl_text_scaled(buf, ctl_print_count(stats, "tx_packets")));
	ctl_table_cell(table, drops > 0 ? CTL_RED : CTL_PLAIN, "%s", ctl_text_scaled(buf, drops));
}

static void
cell_state(struct ctl_table *table, const json_t *port)
{
	const char *state = json_string_value(json_object_get(port, "state")) ?: "-";
	bool stopped = has_stopped_ring(port);

	ctl_table_cell(table, stopped ? CTL_RED : ctl_print_state_colour(state), "%s%s", state,
		       stopped ? ", STOPPED" : "");
}

void
ctl_print_port_list(const struct ctl_screen *screen, const struct ctl_request *request,
		    const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "NAME"},
		{.title = "BRIDGE"},
		{.title = "STATE"},
		{.title = "MODE", .drop = 2},
		{.title = "VLAN", .cut = true},
		{.title = "MAC", .drop = 1},
		{.title = "QUEUES", .right = true, .drop = 4},
		{.title = "LCORES", .drop = 3},
		{.title = "NODE", .right = true, .drop = 5},
		{.title = "RX", .right = true},
		{.title = "TX", .right = true},
		{.title = "DROPS", .right = true},
		{.title = NULL},
	};
	struct ctl_table *table;
	json_t *port;
	size_t i;

	(void)request;
	if (json_array_size(result) == 0) {
		fprintf(screen->out,
			"no ports: `sluicectl port attach NAME --bridge BRIDGE` makes one\n");
		return;
	}
	table = ctl_table_create(columns);
	json_array_foreach(result, i, port)
	{
		const json_t *queues = json_object_get(port, "queues");
		char *vlans = ctl_print_vlans(port), *nodes = ids_of_queues(port, "memory_node");

		cell_field(table, CTL_PLAIN, port, "name");
		cell_field(table, CTL_PLAIN, port, "bridge");
		cell_state(table, port);
		cell_field(table, CTL_PLAIN, port, "mode");
		ctl_table_cell(table, CTL_PLAIN, "%s", vlans);
		cell_macs(table, json_object_get(port, "mac"));
		ctl_table_cell(table, CTL_PLAIN, "%zu", json_array_size(queues));
		cell_lcores(table, port);
		if (*nodes)
			ctl_table_cell(table, CTL_PLAIN, "%s", nodes);
		else
			cell_field(table, CTL_PLAIN, port, "node");
		cell_counters(table, json_object_get(port, "stats"));
		free(vlans);
		free(nodes);
	}
	ctl_table_finish(table, screen);
	print_failures(screen, result);
	json_array_foreach(result, i, port) print_stopped_rings(screen, port);
}

/* What a state asks of the reader, in words. */
static const char *
state_in_words(const json_t *port, const char *state)
{
	const char *mode = json_string_value(json_object_get(port, "mode"));

	if (!strcmp(state, "up"))
		return "a guest is connected and its rings run";
	if (!strcmp(state, "waiting") && json_object_get(port, "failure"))
		return "its guest came, and had to be cut off; see failure";
	if (!strcmp(state, "waiting"))
		return mode && !strcmp(mode, "client") ?
			       "no guest's socket answers yet; sluice connects when one does" :
			       "no guest drives the port yet; start it with its socket";
	if (!strcmp(state, "draining"))
		return "frames on their way are still being delivered";
	if (!strcmp(state, "drained"))
		return "guest memory is left alone; frames for the guest are parked or dropped";
	if (!strcmp(state, "incoming"))
		return "the guest's migration to this host is awaited";
	if (!strcmp(state, "failed"))
		return "it could not be made again when sluiced started; detach it and attach it"
		       " anew";
	return "";
}

static void
print_queues(const struct ctl_screen *screen, const json_t *queues, bool connected)
{
	json_t *queue;
	size_t i;

	json_array_foreach(queues, i, queue)
	{
		const json_t *enabled = json_object_get(queue, "enabled");
		char *index = ctl_print_field(queue, "queue");
		char *lcore = ctl_print_field(queue, "lcore");
		char *node = ctl_print_field(queue, "node");

		ctl_print_line(screen, i == 0 ? "queues" : "", "%s on lcore %s, node %s%s", index,
			       lcore, node,
			       connected && json_is_false(enabled) ? ", not enabled by the guest" :
								     "");
		free(index);
		free(lcore);
		free(node);
	}
}

/* One direction of a port's counters as a sentence. */
static void
print_direction(const struct ctl_screen *screen, const char *title, const json_t *stats,
		const char *side)
{
	char key[32], packets[CTL_TEXT_SIZE], bytes[CTL_TEXT_SIZE], dropped[CTL_TEXT_SIZE];
	char *why;
	uint64_t drops;

	snprintf(key, sizeof(key), "%s_dropped_by", side);
	why = ctl_print_reasons(json_object_get(stats, key), false);
	snprintf(key, sizeof(key), "%s_dropped", side);
	drops = ctl_print_count(stats, key);
	snprintf(key, sizeof(key), "%s_packets", side);
	ctl_text_count(packets, ctl_print_count(stats, key));
	snprintf(key, sizeof(key), "%s_bytes", side);
	ctl_text_bytes(bytes, ctl_print_count(stats, key));
	ctl_print_line(screen, title, "%s packets, %s; %s dropped%s%s%s", packets, bytes,
		       drops > 0 ? ctl_text_count(dropped, drops) : "none", *why ? " (" : "", why,
		       *why ? ")" : "");
	free(why);
}

/* The fields that the lines above do not show, as they are. */
static void
print_other_fields(const struct ctl_screen *screen, const json_t *port)
{
	static const char shown[] =
		" name state bridge mode socket mac vlan vlan_mode trunks queues "
		"stats connected_s peer guest_node ";
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)port, key, value)
	{
		char *word = ctl_text_format(" %s ", key);
		char *text = ctl_print_value(value);

		if (!strstr(shown, word) && !json_is_null(value))
			ctl_print_line(screen, key, "%s", *text ? text : "-");
		free(word);
		free(text);
	}
}

/* Who is at the other end of the socket. */
static void
print_guest(const struct ctl_screen *screen, const json_t *port)
{
	const json_t *connected = json_object_get(port, "connected_s");
	const json_t *peer = json_object_get(port, "peer");
	char buf[CTL_TEXT_SIZE];
	char *pid, *uid, *nodes;

	if (!json_is_number(connected)) {
		ctl_print_line(screen, "guest", "not connected");
		return;
	}
	pid = ctl_print_field(peer, "pid");
	uid = ctl_print_field(peer, "uid");
	ctl_print_line(screen, "guest", "connected for %s; process %s of user %s",
		       ctl_text_age(buf, json_number_value(connected)), pid, uid);
	nodes = ids_of_queues(port, "memory_node");
	if (*nodes)
		ctl_print_line(screen, "guest node", "%s", nodes);
	free(pid);
	free(uid);
	free(nodes);
}

static const char *
vlans_in_words(const json_t *port)
{
	const char *mode = json_string_value(json_object_get(port, "vlan_mode")) ?: "";

	if (!strcmp(mode, "native-tagged"))
		return " (native-tagged: the native VLAN has tags for the guest, which may send it"
		       " without)";
	if (!strcmp(mode, "native-untagged"))
		return " (native-untagged: the native VLAN is untagged for the guest)";
	return json_integer_value(json_object_get(port, "vlan")) > 0 ?
		       " (access: untagged for the guest)" :
		       "";
}

static void
print_card(const struct ctl_screen *screen, const json_t *port)
{
	const char *state = json_string_value(json_object_get(port, "state")) ?: "-";
	const json_t *stats = json_object_get(port, "stats");
	enum ctl_colour colour = ctl_print_state_colour(state);
	char *name = ctl_print_field(port, "name"), *safe_name = ctl_text_safe(name);
	char *safe_state = ctl_text_safe(state), *vlans = ctl_print_vlans(port);
	static const char *const keys[] = {"bridge", "mode", "socket", "mac"};

	fprintf(screen->out, "%sport %s%s is %s%s%s", ctl_colour_on(screen, CTL_BOLD), safe_name,
		ctl_colour_off(screen, CTL_BOLD), ctl_colour_on(screen, colour), safe_state,
		ctl_colour_off(screen, colour));
	fprintf(screen->out, "%s%s\n", *state_in_words(port, state) ? ": " : "",
		state_in_words(port, state));
	print_stopped_rings(screen, port);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char *text = ctl_print_field(port, keys[i]);

		ctl_print_line(screen, keys[i], "%s", *text ? text : "-");
		free(text);
	}
	ctl_print_line(screen, "vlan", "%s%s", vlans, vlans_in_words(port));
	print_guest(screen, port);
	if (ctl_print_count(stats, "parked"))
		ctl_print_line(screen, "parked", "%" PRIu64 " frames wait for the guest",
			       ctl_print_count(stats, "parked"));
	print_other_fields(screen, port);
	print_queues(screen, json_object_get(port, "queues"),
		     json_is_number(json_object_get(port, "connected_s")));
	if (json_is_object(stats)) {
		print_direction(screen, "to guest", stats, "rx");
		print_direction(screen, "from guest", stats, "tx");
	}
	free(name);
	free(safe_name);
	free(safe_state);
	free(vlans);
}

void
ctl_print_port_card(const struct ctl_screen *screen, const struct ctl_request *request,
		    const json_t *result)
{
	(void)request;
	print_card(screen, result);
}

void
ctl_print_uplink_list(const struct ctl_screen *screen, const struct ctl_request *request,
		      const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "NAME"},
		{.title = "BRIDGE"},
		{.title = "STATE"},
		{.title = "VLAN", .cut = true},
		{.title = "MTU", .right = true, .drop = 2},
		{.title = "DEVICE", .cut = true},
		{.title = "SPEED", .right = true, .drop = 1},
		{.title = "LCORES", .drop = 3},
		{.title = "RX", .right = true},
		{.title = "TX", .right = true},
		{.title = "DROPS", .right = true},
		{.title = NULL},
	};
	struct ctl_table *table;
	json_t *uplink;
	size_t i;

	(void)request;
	if (json_array_size(result) == 0) {
		fprintf(screen->out, "no uplinks: `sluicectl uplink add NAME --bridge BRIDGE"
				     " --devargs DEVICE` makes one\n");
		return;
	}
	fprintf(screen->out, "%srx: in from the wire, tx: out to it; drops are in neither%s\n",
		ctl_colour_on(screen, CTL_DIM), ctl_colour_off(screen, CTL_DIM));
	table = ctl_table_create(columns);
	json_array_foreach(result, i, uplink)
	{
		const char *state = json_string_value(json_object_get(uplink, "state"));
		double mbps = ctl_print_number(uplink, "link_mbps");
		char *vlans = ctl_print_vlans(uplink);
		char buf[CTL_TEXT_SIZE];

		cell_field(table, CTL_PLAIN, uplink, "name");
		cell_field(table, CTL_PLAIN, uplink, "bridge");
		ctl_table_cell(table, ctl_print_state_colour(state ? state : ""), "%s",
			       state ? state : "-");
		ctl_table_cell(table, CTL_PLAIN, "%s", vlans);
		cell_field(table, CTL_PLAIN, uplink, "mtu");
		cell_field(table, CTL_PLAIN, uplink, "devargs");
		ctl_table_cell(table, CTL_PLAIN, "%s",
			       mbps > 0 ? ctl_text_scaled(buf, mbps * 1e6) : "-");
		cell_lcores(table, uplink);
		cell_counters(table, json_object_get(uplink, "stats"));
		free(vlans);
	}
	ctl_table_finish(table, screen);
	print_failures(screen, result);
}
