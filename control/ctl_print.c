/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_print.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl_methods.h"
#include "control/ctl_text.h"

#define KEY_WIDTH 16 /* of a card's left column */

void
ctl_print_json(FILE *out, const json_t *value, bool one_line)
{
	size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);

	/* Escapes, on a terminal, for all that might steer it. */
	if (isatty(fileno(out)))
		flags |= JSON_ENSURE_ASCII | (one_line ? 0 : JSON_INDENT(2));
	json_dumpf(value, out, flags);
	fputc('\n', out);
}

static void
write_value(FILE *out, const json_t *value)
{
	const char *key;
	json_t *element;
	size_t i;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_NULL:
		fputc('-', out);
		break;
	case JSON_STRING:
		fputs(json_string_value(value), out);
		break;
	case JSON_INTEGER:
		fprintf(out, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL:
		fprintf(out, "%.1f", json_real_value(value));
		break;
	case JSON_TRUE:
		fputs("yes", out);
		break;
	case JSON_FALSE:
		fputs("no", out);
		break;
	case JSON_ARRAY:
		json_array_foreach(value, i, element)
		{
			fputs(i > 0 ? ", " : "", out);
			write_value(out, element);
		}
		break;
	case JSON_OBJECT:
		i = 0;
		json_object_foreach((json_t *)value, key, element)
		{
			fprintf(out, "%s%s=", i++ > 0 ? " " : "", key);
			write_value(out, element);
		}
		break;
	}
}

char *
ctl_print_value(const json_t *value)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		errx(EXIT_FAILURE, "out of memory");
	write_value(out, value);
	if (fclose(out))
		errx(EXIT_FAILURE, "out of memory");
	return text;
}

char *
ctl_print_field(const json_t *object, const char *key)
{
	return ctl_print_value(json_object_get(object, key));
}

uint64_t
ctl_print_count(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

double
ctl_print_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

void
ctl_print_line(const struct ctl_screen *screen, const char *key, const char *fmt, ...)
{
	va_list ap;
	char *text, *safe, *label = ctl_text_safe(key);

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		errx(EXIT_FAILURE, "out of memory");
	va_end(ap);
	safe = ctl_text_safe(text);
	for (char *c = label; *c; c++)
		if (*c == '_')
			*c = ' ';
	fprintf(screen->out, "  %-*s ", KEY_WIDTH, label);
	ctl_screen_wrap(screen, 2 + KEY_WIDTH + 1, screen->width, safe);
	free(label);
	free(safe);
	free(text);
}

char *
ctl_print_vlans(const json_t *port)
{
	const char *mode = json_string_value(json_object_get(port, "vlan_mode")) ?: "";
	const json_t *trunks = json_object_get(port, "trunks");
	long long vlan = json_integer_value(json_object_get(port, "vlan"));
	char native[32] = "", *ids, *text;

	if (!strncmp(mode, "native-", 7))
		snprintf(native, sizeof(native), "%lld native, ", vlan);
	else if (vlan > 0)
		return ctl_text_format("%lld", vlan);
	if (json_array_size(trunks) == 0)
		return ctl_text_format("%sall", native);
	ids = ctl_text_ids(trunks);
	text = ctl_text_format("%strunk %s", native, ids);
	free(ids);
	return text;
}

enum ctl_colour
ctl_print_state_colour(const char *state)
{
	if (!strcmp(state, "up"))
		return CTL_GREEN;
	if (!strcmp(state, "down") || !strcmp(state, "failed"))
		return CTL_RED;
	return CTL_YELLOW;
}

enum ctl_colour
ctl_print_busy_colour(double busy_percent)
{
	return busy_percent >= 95 ? CTL_RED : busy_percent >= 80 ? CTL_YELLOW : CTL_PLAIN;
}

static void
print_bridge_list(const struct ctl_screen *screen, const struct ctl_request *request,
		  const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "NAME"},
		{.title = "PORTS", .right = true},
		{.title = "UPLINKS", .cut = true},
		{.title = "MAC AGE", .right = true},
		{.title = "MAC LIMIT", .right = true},
		{.title = NULL},
	};
	struct ctl_table *table;
	json_t *bridge;
	size_t i;

	(void)request;
	if (json_array_size(result) == 0) {
		fprintf(screen->out, "no bridges: `sluicectl bridge add NAME` makes one\n");
		return;
	}
	table = ctl_table_create(columns);
	json_array_foreach(result, i, bridge)
	{
		char *name = ctl_print_field(bridge, "name");
		char *uplinks = ctl_print_field(bridge, "uplinks");
		char *age_s = ctl_print_field(bridge, "mac_age_s");
		char *limit = ctl_print_field(bridge, "mac_limit");

		ctl_table_cell(table, CTL_PLAIN, "%s", name);
		ctl_table_cell(table, CTL_PLAIN, "%zu",
			       json_array_size(json_object_get(bridge, "ports")));
		ctl_table_cell(table, CTL_PLAIN, "%s", *uplinks ? uplinks : "none");
		ctl_table_cell(table, CTL_PLAIN, "%s s", age_s);
		ctl_table_cell(table, CTL_PLAIN, "%s", limit);
		free(name);
		free(uplinks);
		free(age_s);
		free(limit);
	}
	ctl_table_finish(table, screen);
}

static void
print_bridge_macs(const struct ctl_screen *screen, const struct ctl_request *request,
		  const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "MAC"},  {.title = "VLAN", .right = true}, {.title = "PORT"},
		{.title = "TYPE"}, {.title = "AGE", .right = true},  {.title = NULL},
	};
	struct ctl_table *table;
	json_t *entry;
	size_t i;

	if (json_array_size(result) == 0) {
		char *name = ctl_print_field(request->params, "name");

		fprintf(screen->out,
			"%s knows no MAC address: none was given with `port attach --mac`, and"
			" none was learned\n",
			name);
		free(name);
		return;
	}
	table = ctl_table_create(columns);
	json_array_foreach(result, i, entry)
	{
		static const char *const keys[] = {"mac", "vlan", "port", "type"};
		const json_t *age = json_object_get(entry, "age_s");
		char buf[CTL_TEXT_SIZE];

		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			char *text = ctl_print_field(entry, keys[k]);

			/* The given MAC of a trunk port is known in all of its VLANs. */
			ctl_table_cell(table, CTL_PLAIN, "%s",
				       !strcmp(keys[k], "vlan") && !strcmp(text, "-") ? "all" :
											text);
			free(text);
		}
		if (json_is_integer(age))
			ctl_table_cell(table, CTL_PLAIN, "%s",
				       ctl_text_age(buf, json_integer_value(age)));
		else
			ctl_table_cell(table, CTL_PLAIN, "-");
	}
	ctl_table_finish(table, screen);
}

static void
print_capture_list(const struct ctl_screen *screen, const struct ctl_request *request,
		   const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "PORT"},
		{.title = "PACKETS", .right = true},
		{.title = "SIZE", .right = true},
		{.title = "LOST", .right = true},
		{.title = "STATE", .drop = 1},
		{.title = "FILE", .cut = true},
		{.title = NULL},
	};
	struct ctl_table *table;
	json_t *capture;
	size_t i;

	(void)request;
	if (json_array_size(result) == 0) {
		fprintf(screen->out, "no captures: `sluicectl capture start PORT --file FILE`"
				     " begins one\n");
		return;
	}
	table = ctl_table_create(columns);
	json_array_foreach(result, i, capture)
	{
		bool runs = json_is_true(json_object_get(capture, "running"));
		char *port = ctl_print_field(capture, "port"), *lost;
		char *file = ctl_print_field(capture, "file");
		char *why = ctl_print_field(capture, "reason");
		char buf[CTL_TEXT_SIZE];

		lost = ctl_print_field(capture, "lost");
		ctl_table_cell(table, CTL_PLAIN, "%s", port);
		ctl_table_cell(table, CTL_PLAIN, "%s",
			       ctl_text_count(buf, ctl_print_count(capture, "packets")));
		ctl_table_cell(table, CTL_PLAIN, "%s",
			       ctl_text_bytes(buf, ctl_print_count(capture, "bytes")));
		ctl_table_cell(table, CTL_PLAIN, "%s", lost);
		ctl_table_cell(table, runs ? CTL_GREEN : CTL_YELLOW, "%s%s",
			       runs ? "running" : "ended: ", runs ? "" : why);
		ctl_table_cell(table, CTL_PLAIN, "%s", file);
		free(port);
		free(lost);
		free(file);
		free(why);
	}
	ctl_table_finish(table, screen);
}

static void
print_drained(const struct ctl_screen *screen, const struct ctl_request *request,
	      const json_t *result)
{
	const char *name = json_string_value(json_object_get(request->params, "name"));
	char forwarded[CTL_TEXT_SIZE], parked[CTL_TEXT_SIZE];

	fprintf(screen->out,
		"port %s is drained, after %.1f ms: %s frames of its guest went out; %s for it are"
		" parked\n",
		name, ctl_print_number(result, "waited_us") / 1000,
		ctl_text_count(forwarded, ctl_print_count(result, "forwarded")),
		ctl_text_count(parked, ctl_print_count(result, "parked")));
}

/* What was done, in one line. */
static void
print_done(const struct ctl_screen *screen, const struct ctl_request *request, const json_t *result)
{
	static const struct {
		const char *method, *what, *outcome;
	} done[] = {
		{"bridge.add", "bridge", "is made"}, {"bridge.del", "bridge", "is gone"},
		{"uplink.add", "uplink", "is made"}, {"uplink.del", "uplink", "is gone"},
		{"port.detach", "port", "is gone"},  {"daemon.stop", "sluiced", "stops"},
	};
	const char *name = json_string_value(json_object_get(request->params, "name"));

	(void)result;
	for (size_t i = 0; i < sizeof(done) / sizeof(done[0]); i++)
		if (!strcmp(done[i].method, request->method->name))
			fprintf(screen->out, "%s%s%s %s\n", done[i].what, name ? " " : "",
				name ? name : "", done[i].outcome);
}

/* A result that no printer knows: all there is, a line a field. */
static void
print_any(const struct ctl_screen *screen, const struct ctl_request *request, const json_t *result)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_array(result)) {
		json_array_foreach(result, i, value)
		{
			if (i > 0 && json_is_object(value))
				fputc('\n', screen->out);
			print_any(screen, request, value);
		}
	} else if (json_is_object(result)) {
		json_object_foreach((json_t *)result, key, value)
		{
			char *text = ctl_print_value(value);

			ctl_print_line(screen, key, "%s", text);
			free(text);
		}
	} else {
		char *text = ctl_print_value(result);
		char *safe = ctl_text_safe(text);

		fprintf(screen->out, "%s\n", json_is_null(result) ? "done" : safe);
		free(safe);
		free(text);
	}
}

void
ctl_print_result(const struct ctl_screen *screen, const struct ctl_request *request,
		 const json_t *result)
{
	static const struct {
		const char *method;
		void (*print)(const struct ctl_screen *screen, const struct ctl_request *request,
			      const json_t *result);
	} printers[] = {
		{"daemon.version", ctl_print_version},
		{"daemon.stop", print_done},
		{"ovsdb.status", ctl_print_ovsdb},
		{"bridge.add", print_done},
		{"bridge.del", print_done},
		{"bridge.list", print_bridge_list},
		{"bridge.macs", print_bridge_macs},
		{"uplink.add", print_done},
		{"uplink.del", print_done},
		{"uplink.list", ctl_print_uplink_list},
		{"port.attach", ctl_print_port_card},
		{"port.detach", print_done},
		{"port.list", ctl_print_port_list},
		{"port.get", ctl_print_port_card},
		{"port.set", ctl_print_port_card},
		{"port.drain", print_drained},
		{"port.resume", ctl_print_port_card},
		{"port.stats", ctl_print_port_stats},
		{"offering.resolve", ctl_print_resolved},
		{"offering.interface", ctl_print_interface},
		{"offering.xml", ctl_print_pieces},
		{"migration.check", ctl_print_verdict},
		{"migration.prepare", ctl_print_map},
		{"migration.rewrite", ctl_print_domain},
		{"capture.list", print_capture_list},
		{"lcore.list", ctl_print_lcore_list},
		{"lcore.rebalance", ctl_print_rebalance},
		{"numa.show", ctl_print_numa},
		{"host.capabilities", ctl_print_capabilities},
	};

	for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++)
		if (!strcmp(printers[i].method, request->method->name)) {
			printers[i].print(screen, request, result);
			return;
		}
	print_any(screen, request, result);
}
