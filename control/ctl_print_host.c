/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "control/ctl_print.h"
#include "control/ctl_text.h"

void
ctl_print_version(const struct ctl_screen *screen, const struct ctl_request *request,
		  const json_t *result)
{
	char *name = ctl_print_field(result, "name"), *version = ctl_print_field(result, "version");
	char *dpdk = ctl_print_field(result, "dpdk"), *pid = ctl_print_field(result, "pid");
	char buf[CTL_TEXT_SIZE];
	char *line = ctl_text_format("%s %s with %s, process %s, up for %s", name, version, dpdk,
				     pid, ctl_text_age(buf, ctl_print_count(result, "uptime_s")));
	char *safe = ctl_text_safe(line);

	(void)request;
	fprintf(screen->out, "%s\n", safe);
	free(name);
	free(version);
	free(dpdk);
	free(pid);
	free(line);
	free(safe);
}

/* "vm1:0, vm2:0-1": queues as people name them. Freed by the caller. */
static char *
queue_names(const json_t *queues)
{
	char *text = ctl_text_format("%s", "");
	json_t *queue;
	size_t i;

	json_array_foreach(queues, i, queue)
	{
		char *longer, *name;

		if (json_is_object(queue)) {
			char *port = ctl_print_field(queue, "port");
			char *index = ctl_print_field(queue, "queue");

			name = ctl_text_format("%s:%s", port, index);
			free(port);
			free(index);
		} else {
			name = ctl_print_value(queue);
		}
		longer = ctl_text_format("%s%s%s", text, i > 0 ? " " : "", name);
		free(name);
		free(text);
		text = longer;
	}
	return text;
}

void
ctl_print_lcore_list(const struct ctl_screen *screen, const struct ctl_request *request,
		     const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "LCORE", .right = true},	{.title = "CPU", .right = true},
		{.title = "NODE", .right = true},	{.title = "BUSY", .right = true},
		{.title = "CYCLES/PKT", .right = true}, {.title = "IDLE"},
		{.title = "QUEUES", .cut = true},	{.title = NULL},
	};
	struct ctl_table *table;
	json_t *lcore;
	size_t i;

	(void)request;
	if (json_array_size(result) == 0) {
		fprintf(screen->out, "no forwarding lcores: give sluiced some with --lcores\n");
		return;
	}
	table = ctl_table_create(columns);
	json_array_foreach(result, i, lcore)
	{
		static const char *const keys[] = {"lcore", "cpu", "node"};
		double busy = ctl_print_number(lcore, "busy_percent");
		double cycles = ctl_print_number(lcore, "cycles_per_packet");
		char *idle = ctl_print_field(lcore, "idle");
		char *queues = queue_names(json_object_get(lcore, "queues"));

		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			char *text = ctl_print_field(lcore, keys[k]);

			ctl_table_cell(table, CTL_PLAIN, "%s", text);
			free(text);
		}
		ctl_table_cell(table, ctl_print_busy_colour(busy), "%.1f %%", busy);
		ctl_table_cell(table, CTL_PLAIN, cycles > 0 ? "%.0f" : "-", cycles);
		ctl_table_cell(table, CTL_PLAIN, "%s", idle);
		ctl_table_cell(table, CTL_PLAIN, "%s", *queues ? queues : "-");
		free(idle);
		free(queues);
	}
	ctl_table_finish(table, screen);
}

void
ctl_print_capabilities(const struct ctl_screen *screen, const struct ctl_request *request,
		       const json_t *result)
{
	const char *key;
	json_t *value;

	(void)request;
	json_object_foreach((json_t *)result, key, value)
	{
		char *text = ctl_print_value(value);

		ctl_print_line(screen, key, "%s", *text ? text : "none");
		free(text);
	}
}

/* "1024 of 2 MiB, 873 free": one size of hugepages. Freed by the caller. */
static char *
hugepages_in_words(const json_t *pages)
{
	uint64_t total = ctl_print_count(pages, "total"),
		 free_pages = ctl_print_count(pages, "free");
	char size[CTL_TEXT_SIZE], count[CTL_TEXT_SIZE], left[CTL_TEXT_SIZE];

	ctl_text_memory(size, ctl_print_count(pages, "size_kib") * 1024);
	if (total == 0)
		return ctl_text_format("none of %s", size);
	return ctl_text_format("%s of %s, %s free", ctl_text_count(count, total), size,
			       ctl_text_count(left, free_pages));
}

static void
print_node(const struct ctl_screen *screen, const json_t *node)
{
	char *number = ctl_print_field(node, "node"), *cpus = ctl_print_field(node, "cpus");
	char *ports = ctl_print_field(node, "ports");
	char *remote = queue_names(json_object_get(node, "queues_polled_from_another_node"));
	json_t *entry;
	size_t i;

	fprintf(screen->out, "%snode %s%s\n", ctl_colour_on(screen, CTL_BOLD), number,
		ctl_colour_off(screen, CTL_BOLD));
	ctl_print_line(screen, "CPUs", "%s", *cpus ? cpus : "none");
	json_array_foreach(json_object_get(node, "hugepages"), i, entry)
	{
		char *words = hugepages_in_words(entry);

		ctl_print_line(screen, i == 0 ? "hugepages" : "", "%s", words);
		free(words);
	}
	json_array_foreach(json_object_get(node, "mempools"), i, entry)
	{
		char size[CTL_TEXT_SIZE], used[CTL_TEXT_SIZE];
		char *bytes = ctl_print_field(entry, "mbuf_bytes");

		ctl_print_line(screen, i == 0 ? "buffers" : "", "%s of %s bytes, %s in use",
			       ctl_text_count(size, ctl_print_count(entry, "mbufs")), bytes,
			       ctl_text_count(used, ctl_print_count(entry, "in_use")));
		free(bytes);
	}
	ctl_print_line(screen, "ports", "%s", *ports ? ports : "none");
	if (*remote)
		ctl_print_line(screen, "far queues", "%s (polled from another node: slower)",
			       remote);
	free(number);
	free(cpus);
	free(ports);
	free(remote);
}

void
ctl_print_numa(const struct ctl_screen *screen, const struct ctl_request *request,
	       const json_t *result)
{
	const json_t *nodes = json_object_get(result, "nodes");
	json_t *node;
	size_t i;

	(void)request;
	json_array_foreach(nodes ? nodes : result, i, node)
	{
		if (i > 0)
			fputc('\n', screen->out);
		print_node(screen, node);
	}
}
