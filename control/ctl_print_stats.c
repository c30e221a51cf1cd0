/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdlib.h>

#include "control/ctl_print.h"
#include "control/ctl_text.h"

/* A list as it is, one object as a list of one. A new reference. */
static json_t *
as_list(const json_t *result)
{
	if (json_is_array(result))
		return json_incref((json_t *)result);
	return json_pack("[O]", (json_t *)result);
}

char *
ctl_print_reasons(const json_t *by, bool all)
{
	char *text = ctl_text_format("%s", "");
	const char *reason;
	json_t *count;

	json_object_foreach((json_t *)by, reason, count)
	{
		char buf[CTL_TEXT_SIZE];
		char *longer;

		if (!all && json_integer_value(count) == 0)
			continue;
		longer = ctl_text_format("%s%s%s %s", text, *text ? ", " : "", reason,
					 ctl_text_count(buf, json_integer_value(count)));
		free(text);
		text = longer;
	}
	return text;
}

/* The two directions of one set of counters, a row each. */
static void
stats_rows(struct ctl_table *table, const char *name, const json_t *stats, bool all)
{
	static const char *const sides[] = {"rx", "tx"};

	for (size_t i = 0; i < 2; i++) {
		char key[32], buf[CTL_TEXT_SIZE];
		uint64_t drops;
		char *why;

		ctl_table_cell(table, CTL_PLAIN, "%s", i == 0 ? name : "");
		ctl_table_cell(table, CTL_PLAIN, "%s", sides[i]);
		snprintf(key, sizeof(key), "%s_packets", sides[i]);
		ctl_table_cell(table, CTL_PLAIN, "%s",
			       ctl_text_count(buf, ctl_print_count(stats, key)));
		snprintf(key, sizeof(key), "%s_bytes", sides[i]);
		ctl_table_cell(table, CTL_PLAIN, "%s",
			       ctl_text_bytes(buf, ctl_print_count(stats, key)));
		snprintf(key, sizeof(key), "%s_dropped", sides[i]);
		drops = ctl_print_count(stats, key);
		ctl_table_cell(table, drops > 0 ? CTL_RED : CTL_PLAIN, "%s",
			       ctl_text_count(buf, drops));
		snprintf(key, sizeof(key), "%s_dropped_by", sides[i]);
		why = ctl_print_reasons(json_object_get(stats, key), all);
		ctl_table_cell(table, CTL_PLAIN, "%s", why);
		free(why);
	}
}

/* The counters of a port that belong to no direction. */
static void
print_other_counters(const struct ctl_screen *screen, const char *name, const json_t *stats,
		     bool all)
{
	static const char *const keys[] = {"parked", "unparked", "redirected", "reconnects"};
	bool any = false;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *count = json_object_get(stats, keys[i]);
		char buf[CTL_TEXT_SIZE];

		if (!count || (!all && json_integer_value(count) == 0))
			continue;
		if (!any)
			fprintf(screen->out, "%s:", name);
		fprintf(screen->out, "%s %s %s", any ? "," : "", keys[i],
			ctl_text_count(buf, json_integer_value(count)));
		any = true;
	}
	if (any)
		fputc('\n', screen->out);
}

void
ctl_print_port_stats(const struct ctl_screen *screen, const struct ctl_request *request,
		     const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "PORT"},
		{.title = ""},
		{.title = "PACKETS", .right = true},
		{.title = "BYTES", .right = true},
		{.title = "DROPPED", .right = true},
		{.title = "BY REASON"},
		{.title = NULL},
	};
	bool all = json_is_true(json_object_get(request->options, "all"));
	bool with_queues = json_is_true(json_object_get(request->options, "queues"));
	struct ctl_table *table;
	json_t *ports = as_list(result), *port, *queue;
	size_t i, k;

	if (json_array_size(ports) == 0) {
		fprintf(screen->out,
			"no ports: `sluicectl port attach NAME --bridge BRIDGE` makes one\n");
		json_decref(ports);
		return;
	}
	fprintf(screen->out, "%srx: to the guest, tx: from the guest; drops are in neither%s\n",
		ctl_colour_on(screen, CTL_DIM), ctl_colour_off(screen, CTL_DIM));
	table = ctl_table_create(columns);
	json_array_foreach(ports, i, port)
	{
		char *name = ctl_print_field(port, "name");

		stats_rows(table, name, port, all);
		json_array_foreach(with_queues ? json_object_get(port, "queues") : NULL, k, queue)
		{
			char *index = ctl_print_field(queue, "queue");
			char *label = ctl_text_format("  queue %s", index);

			stats_rows(table, label, queue, all);
			free(index);
			free(label);
		}
		free(name);
	}
	ctl_table_finish(table, screen);
	json_array_foreach(ports, i, port)
	{
		char *name = ctl_print_field(port, "name"), *safe = ctl_text_safe(name);

		print_other_counters(screen, safe, port, all);
		free(name);
		free(safe);
	}
	json_decref(ports);
}
