/* SPDX-License-Identifier: BSD-3-Clause */
#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl_print.h"
#include "control/ctl_text.h"

/* The forwarding CPUs, and memory nodes with all that is on them. */

static FILE *
text_open(char **text, size_t *size)
{
	FILE *out = open_memstream(text, size);

	if (!out)
		errx(EXIT_FAILURE, "out of memory");
	return out;
}

static void
text_close(FILE *out)
{
	if (fclose(out))
		errx(EXIT_FAILURE, "out of memory");
}

static const char *
string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

/* Queues as people name them: "vm1:0-1 vm2:0", or with who polls them "vm1:0-1 by lcore 2, vm2:0 by
 * lcore 1". Freed by the caller. */
static char *
queue_names(const json_t *queues, bool with_lcore)
{
	size_t size, n = json_array_size(queues);
	char *text;
	FILE *out = text_open(&text, &size);

	for (size_t i = 0; i < n;) {
		const json_t *queue = json_array_get(queues, i);
		const char *port = string_of(queue, "port");
		uint64_t lcore = ctl_print_count(queue, "lcore");
		uint64_t first = ctl_print_count(queue, "queue"), last = first;

		fprintf(out, "%s%s:%" PRIu64, i == 0 ? "" : with_lcore ? ", " : " ", port, first);
		while (++i < n) {
			queue = json_array_get(queues, i);
			if (strcmp(string_of(queue, "port"), port) != 0 ||
			    ctl_print_count(queue, "queue") != last + 1 ||
			    ctl_print_count(queue, "lcore") != lcore)
				break;
			last++;
		}
		if (last > first)
			fprintf(out, "-%" PRIu64, last);
		if (with_lcore)
			fprintf(out, " by lcore %" PRIu64, lcore);
	}
	text_close(out);
	return text;
}

/* A sentence that must not be overlooked. */
static void
print_red(const struct ctl_screen *screen, const char *text)
{
	char *safe = ctl_text_safe(text);

	fputs(ctl_colour_on(screen, CTL_RED), screen->out);
	ctl_screen_wrap(screen, 0, screen->width, safe);
	fputs(ctl_colour_off(screen, CTL_RED), screen->out);
	free(safe);
}

/* ---- lcores -------------------------------------------------------------------------------- */

static void
cell_cpu(struct ctl_table *table, const json_t *lcore)
{
	char *cpu = ctl_print_field(lcore, "cpu");

	if (json_is_string(json_object_get(lcore, "away")))
		ctl_table_cell(table, CTL_RED, "%s, now %s", cpu, string_of(lcore, "affinity"));
	else
		ctl_table_cell(table, CTL_PLAIN, "%s", cpu);
	free(cpu);
}

static void
lcore_row(struct ctl_table *table, const json_t *lcore)
{
	double busy = ctl_print_number(lcore, "busy_percent");
	double cycles = ctl_print_number(lcore, "cycles_per_packet");
	char *number = ctl_print_field(lcore, "lcore"), *node = ctl_print_field(lcore, "node");
	char *idle = ctl_print_field(lcore, "idle");
	char *queues = queue_names(json_object_get(lcore, "queues"), false);
	char buf[CTL_TEXT_SIZE];

	ctl_table_cell(table, CTL_PLAIN, "%s", number);
	cell_cpu(table, lcore);
	ctl_table_cell(table, CTL_PLAIN, "%s", node);
	ctl_table_cell(table, ctl_print_busy_colour(busy), "%.1f %%", busy);
	ctl_table_cell(table, CTL_PLAIN, cycles > 0 ? "%.0f" : "-", cycles);
	ctl_table_cell(table, CTL_PLAIN, "%s", idle);
	ctl_table_cell(table, CTL_PLAIN, "%s",
		       ctl_text_scaled(buf, ctl_print_count(lcore, "sleeps")));
	ctl_table_cell(table, CTL_PLAIN, "%s",
		       ctl_text_scaled(buf, ctl_print_count(lcore, "naps")));
	ctl_table_cell(table, CTL_PLAIN, "%s", *queues ? queues : "-");
	free(number);
	free(node);
	free(idle);
	free(queues);
}

void
ctl_print_lcore_list(const struct ctl_screen *screen, const struct ctl_request *request,
		     const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "LCORE", .right = true},
		{.title = "CPU", .right = true},
		{.title = "NODE", .right = true},
		{.title = "BUSY", .right = true},
		{.title = "CYCLES/PKT", .right = true},
		{.title = "IDLE"},
		{.title = "SLEEPS", .right = true, .drop = 1},
		{.title = "NAPS", .right = true, .drop = 2},
		{.title = "QUEUES", .cut = true},
		{.title = NULL},
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
	json_array_foreach(result, i, lcore) lcore_row(table, lcore);
	ctl_table_finish(table, screen);
	json_array_foreach(result, i, lcore) if (json_is_string(json_object_get(lcore, "note")))
		print_red(screen, string_of(lcore, "note"));
}

/* ---- a node -------------------------------------------------------------------------------- */

static void
print_if_any(const struct ctl_screen *screen, const json_t *node, const char *key,
	     const char *label)
{
	if (*string_of(node, key))
		ctl_print_line(screen, label, "%s", string_of(node, key));
}

static void
print_cpus(const struct ctl_screen *screen, const json_t *node)
{
	const char *cpus = string_of(node, "cpus"), *allowed = string_of(node, "cpus_allowed");
	const json_t *cores = json_object_get(node, "siblings");
	bool all = !json_object_get(node, "cpus_allowed") || !strcmp(cpus, allowed);
	char *text;
	size_t size;
	FILE *out;

	ctl_print_line(screen, "CPUs", "%s%s%s", *cpus ? cpus : "none",
		       all ? "" : "; sluiced may use ",
		       all	? "" :
		       *allowed ? allowed :
				  "none");
	print_if_any(screen, node, "cpus_offline", "offline");
	print_if_any(screen, node, "cpus_isolated", "isolated");
	print_if_any(screen, node, "cpus_nohz_full", "nohz_full");
	if (json_array_size(cores) == 0)
		return;
	out = text_open(&text, &size);
	for (size_t i = 0; i < json_array_size(cores); i++)
		fprintf(out, "%s%s", i > 0 ? " " : "",
			json_string_value(json_array_get(cores, i)) ?: "-");
	text_close(out);
	ctl_print_line(screen, "hyperthreads", "%s", text);
	free(text);
}

static void
print_lcores(const struct ctl_screen *screen, const json_t *node)
{
	json_t *lcore;
	size_t i;

	json_array_foreach(json_object_get(node, "lcores"), i, lcore)
	{
		char *number = ctl_print_field(lcore, "lcore"),
		     *cpu = ctl_print_field(lcore, "cpu");
		char *label = ctl_text_format("lcore %s", number);
		size_t n = json_array_size(json_object_get(lcore, "queues"));

		ctl_print_line(screen, label, "CPU %s%s, %.1f %% busy, %s when idle, %zu queue%s",
			       cpu,
			       json_is_string(json_object_get(lcore, "away")) ?
				       " BUT AWAY (see below)" :
				       "",
			       ctl_print_number(lcore, "busy_percent"),
			       !strcmp(string_of(lcore, "idle"), "sleep") ? "sleeps" : "polls", n,
			       n == 1 ? "" : "s");
		free(number);
		free(cpu);
		free(label);
	}
	if (json_is_array(json_object_get(node, "lcores")) && i == 0)
		ctl_print_line(screen, "lcores", "none");
}

/* "1,024 of 2 MiB, 873 free": one size of hugepages. Freed by the caller. */
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
print_memory(const struct ctl_screen *screen, const json_t *node)
{
	const json_t *taken = json_object_get(node, "taken");
	char a[CTL_TEXT_SIZE], b[CTL_TEXT_SIZE], c[CTL_TEXT_SIZE], d[CTL_TEXT_SIZE];
	json_t *entry;
	size_t i;

	if (json_object_get(node, "memory_kib"))
		ctl_print_line(screen, "memory", "%s",
			       ctl_print_count(node, "memory_kib") ?
				       ctl_text_memory(a,
						       ctl_print_count(node, "memory_kib") * 1024) :
				       "none");
	json_array_foreach(json_object_get(node, "hugepages"), i, entry)
	{
		char *words = hugepages_in_words(entry);

		ctl_print_line(screen, i == 0 ? "hugepages" : "", "%s", words);
		free(words);
	}
	if (json_is_object(taken))
		ctl_print_line(screen, "of which sluice", "%s, %s used: %s buffers, %s ports",
			       ctl_text_memory(a, ctl_print_count(taken, "total_bytes")),
			       ctl_text_memory(b, ctl_print_count(taken, "used_bytes")),
			       ctl_text_memory(c, ctl_print_count(taken, "pool_bytes")),
			       ctl_text_memory(d, ctl_print_count(taken, "port_bytes")));
	json_array_foreach(json_object_get(node, "mempools"), i, entry)
		ctl_print_line(screen, i == 0 ? "buffers" : "", "%s of %s bytes, %s in use",
			       ctl_text_count(a, ctl_print_count(entry, "mbufs")),
			       ctl_text_count(b, ctl_print_count(entry, "mbuf_bytes")),
			       ctl_text_count(c, ctl_print_count(entry, "in_use")));
}

static void
print_uplinks(const struct ctl_screen *screen, const json_t *node)
{
	json_t *uplink;
	size_t i;

	json_array_foreach(json_object_get(node, "uplinks"), i, uplink)
		ctl_print_line(screen, i == 0 ? "uplinks" : "", "%s: %s", string_of(uplink, "name"),
			       string_of(uplink, "devargs"));
}

static void
print_distances(const struct ctl_screen *screen, const json_t *node)
{
	json_t *entry;
	char *text;
	size_t i, size;
	FILE *out = text_open(&text, &size);

	json_array_foreach(json_object_get(node, "distances"), i,
			   entry) if (ctl_print_count(entry, "node") !=
				      ctl_print_count(node, "node"))
		fprintf(out, "%s%" PRIu64 " to node %" PRIu64, ftell(out) > 0 ? ", " : "",
			ctl_print_count(entry, "distance"), ctl_print_count(entry, "node"));
	text_close(out);
	if (*text)
		ctl_print_line(screen, "distance", "%s", text);
	free(text);
}

static void
print_node(const struct ctl_screen *screen, const json_t *node)
{
	char *number = ctl_print_field(node, "node"), *ports = ctl_print_field(node, "ports");
	char *queues = queue_names(json_object_get(node, "queues"), true);

	fprintf(screen->out, "%snode %s%s\n", ctl_colour_on(screen, CTL_BOLD), number,
		ctl_colour_off(screen, CTL_BOLD));
	print_cpus(screen, node);
	print_lcores(screen, node);
	print_memory(screen, node);
	print_uplinks(screen, node);
	if (*queues)
		ctl_print_line(screen, "queues", "%s", queues);
	else
		ctl_print_line(screen, "ports", "%s", *ports ? ports : "none");
	print_distances(screen, node);
	free(number);
	free(ports);
	free(queues);
}

/* ---- what is not as it should be ----------------------------------------------------------- */

/* The queues that are polled from another node. Returns how many. */
static size_t
print_far(const struct ctl_screen *screen, const json_t *node, size_t before)
{
	const json_t *list = json_object_get(node, "queues_polled_from_another_node");
	json_t *queue;
	size_t i;

	json_array_foreach(list, i, queue)
	{
		char *number = ctl_print_field(queue, "queue");
		const char *why = string_of(queue, "why");
		char *line = ctl_text_format("port %s queue %s: %s", string_of(queue, "port"),
					     number, *why ? why : "no reason is known");

		if (before + i == 0)
			fputs("\npolled from another node, which is slower:\n", screen->out);
		print_red(screen, line);
		free(number);
		free(line);
	}
	return json_array_size(list);
}

void
ctl_print_numa(const struct ctl_screen *screen, const struct ctl_request *request,
	       const json_t *result)
{
	const json_t *nodes = json_object_get(result, "nodes") ?: result;
	const json_t *nowhere = json_object_get(result, "ports_on_no_node");
	json_t *entry;
	size_t i, far = 0;

	(void)request;
	json_array_foreach(nodes, i, entry)
	{
		if (i > 0)
			fputc('\n', screen->out);
		print_node(screen, entry);
	}
	if (json_array_size(nowhere) > 0) {
		char *names = ctl_print_value(nowhere);
		char *line =
			ctl_text_format("on no node (no guest yet, or a device without one): %s",
					names);
		char *safe = ctl_text_safe(line);

		fputc('\n', screen->out);
		ctl_screen_wrap(screen, 0, screen->width, safe);
		free(names);
		free(line);
		free(safe);
	}
	json_array_foreach(nodes, i, entry) far += print_far(screen, entry, far);
	if (far == 0 && json_array_size(nodes) > 1)
		fputs("\nno queue is polled from another node\n", screen->out);
	json_array_foreach(json_object_get(result, "notes"), i, entry)
	{
		if (i == 0)
			fputc('\n', screen->out);
		print_red(screen, json_string_value(entry) ?: "-");
	}
}
