/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "control/ctl_print.h"
#include "control/ctl_text.h"

/* On one line: a value is XML with line ends, or anything else. */
static char *
one_line(const json_t *value)
{
	char *text = ctl_print_value(value);

	for (char *c = text; *c; c++)
		if (*c == '\n' || *c == '\r' || *c == '\t')
			*c = ' ';
	return text;
}

/* Not in a table, which would cut them: they say what to mend. */
static void
print_warnings(FILE *out, const char *lead, const json_t *warnings)
{
	json_t *warning;
	size_t i;

	json_array_foreach(warnings, i, warning)
	{
		char *key = ctl_print_field(warning, "key"), *safe_key = ctl_text_safe(key);
		char *text = ctl_print_field(warning, "message"), *safe = ctl_text_safe(text);

		/* Most of them name their key. */
		if (strstr(safe, safe_key))
			fprintf(out, "%swarning: %s\n", lead, safe);
		else
			fprintf(out, "%swarning: %s: %s\n", lead, safe_key, safe);
		free(key);
		free(safe_key);
		free(text);
		free(safe);
	}
}

void
ctl_print_resolved(const struct ctl_screen *screen, const struct ctl_request *request,
		   const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "KEY"},
		{.title = "FROM"},
		{.title = "VALUE", .cut = true},
		{.title = NULL},
	};
	bool dpdk = json_is_true(json_object_get(result, "dpdk"));
	const char *mode = json_string_value(json_object_get(result, "mode")) ?: "-";
	const json_t *extra = json_object_get(result, "extra");
	const json_t *from = json_object_get(result, "from");
	char *reason = ctl_print_field(result, "reason");
	struct ctl_table *table;
	const char *key;
	json_t *value;

	(void)request;
	fprintf(screen->out, "vhost-user ports: %s%s%s%s; mode %s: %s listens\n",
		dpdk ? "yes" : "no", dpdk ? "" : " (", dpdk ? "" : reason, dpdk ? "" : ")", mode,
		!strcmp(mode, "client") ? "QEMU" : "the switch");
	free(reason);
	if (json_object_size(extra) > 0) {
		table = ctl_table_create(columns);
		json_object_foreach((json_t *)extra, key, value)
		{
			char *source = ctl_print_field(from, key), *text = one_line(value);

			ctl_table_cell(table, CTL_BOLD, "%s", key);
			ctl_table_cell(table, CTL_PLAIN, "%s", source);
			ctl_table_cell(table, CTL_PLAIN, "%s", text);
			free(source);
			free(text);
		}
		ctl_table_finish(table, screen);
	}
	fputs(ctl_colour_on(screen, CTL_YELLOW), screen->out);
	print_warnings(screen->out, "", json_object_get(result, "warnings"));
	fputs(ctl_colour_off(screen, CTL_YELLOW), screen->out);
}

static void
print_xml(const struct ctl_screen *screen, const json_t *text)
{
	if (json_is_string(text))
		fprintf(screen->out, "%s\n", json_string_value(text));
}

void
ctl_print_interface(const struct ctl_screen *screen, const struct ctl_request *request,
		    const json_t *result)
{
	char *type = ctl_print_field(result, "ovs_type");
	char *tag = ctl_print_field(result, "tag");

	(void)request;
	ctl_print_line(screen, "ovs_type", "%s", type);
	ctl_print_line(screen, "vlan", "%s", !strcmp(tag, "-") ? "trunk" : tag);
	print_xml(screen, json_object_get(result, "xml"));
	free(type);
	free(tag);
}

/* Nothing but XML, for a domain's description; what a person has to know beside it goes to the standard
 * error output. */
void
ctl_print_pieces(const struct ctl_screen *screen, const struct ctl_request *request,
		 const json_t *result)
{
	json_t *other;
	size_t i;

	(void)request;
	print_xml(screen, json_object_get(result, "interface"));
	print_xml(screen, json_object_get(result, "cpu"));
	print_xml(screen, json_object_get(result, "memory_backing"));
	json_array_foreach(json_object_get(result, "others"), i, other)
	{
		print_xml(screen, other);
	}
	print_warnings(stderr, "sluicectl: ", json_object_get(result, "warnings"));
}
