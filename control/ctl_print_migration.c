/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "control/ctl_print.h"
#include "control/ctl_text.h"

/* The verdict in a line, then a line for each host. */
void
ctl_print_verdict(const struct ctl_screen *screen, const struct ctl_request *request,
		  const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "HOST"},
		{.title = "VERDICT"},
		{.title = "WHY", .cut = true},
		{.title = NULL},
	};
	const char *reason = json_string_value(json_object_get(result, "reason"));
	struct ctl_table *table;
	json_t *host;
	size_t i;

	(void)request;
	fprintf(screen->out, "the VM %s vhost-user ports, and %s%s%s%s\n",
		json_is_true(json_object_get(result, "dpdk_vm")) ? "has" : "has no",
		json_is_true(json_object_get(result, "eligible")) ? "may move" : "may not move",
		reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
	table = ctl_table_create(columns);
	json_array_foreach(json_object_get(result, "suitable"), i, host)
	{
		ctl_table_cell(table, CTL_PLAIN, "%s", json_string_value(host));
		ctl_table_cell(table, CTL_GREEN, "suitable");
		ctl_table_cell(table, CTL_PLAIN, "-");
	}
	json_array_foreach(json_object_get(result, "refused"), i, host)
	{
		bool has_detail = json_object_get(host, "detail") != NULL;
		char *name = ctl_print_field(host, "name");
		char *why = ctl_print_field(host, has_detail ? "detail" : "reason");

		ctl_table_cell(table, CTL_PLAIN, "%s", name);
		ctl_table_cell(table, CTL_RED, "refused");
		ctl_table_cell(table, CTL_PLAIN, "%s", why);
		free(name);
		free(why);
	}
	ctl_table_finish(table, screen);
}

void
ctl_print_map(const struct ctl_screen *screen, const struct ctl_request *request,
	      const json_t *result)
{
	static const struct ctl_column columns[] = {
		{.title = "MAC"},	   {.title = "PORT"}, {.title = "DIRECTORY", .cut = true},
		{.title = "GUEST'S MODE"}, {.title = NULL},
	};
	json_t *map = json_object_get(result, "map"), *entry;
	struct ctl_table *table = ctl_table_create(columns);
	const char *mac;

	(void)request;
	json_object_foreach(map, mac, entry)
	{
		static const char *const keys[] = {"port", "path", "mode"};

		ctl_table_cell(table, CTL_PLAIN, "%s", mac);
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			char *text = ctl_print_field(entry, keys[k]);

			ctl_table_cell(table, CTL_PLAIN, "%s", text);
			free(text);
		}
	}
	ctl_table_finish(table, screen);
}

/* As it is, for virsh to take. libxml2 has let no control characters through but line ends and tabs. */
void
ctl_print_domain(const struct ctl_screen *screen, const struct ctl_request *request,
		 const json_t *result)
{
	const char *xml = json_string_value(json_object_get(result, "xml"));

	(void)request;
	fputs(xml ? xml : "", screen->out);
}
