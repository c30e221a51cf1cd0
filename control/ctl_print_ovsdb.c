/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "control/ctl_print.h"
#include "control/ctl_text.h"

static void
print_errors(const struct ctl_screen *screen, const json_t *errors)
{
	static const struct ctl_column columns[] = {{"INTERFACE", false, 0, true},
						    {"ERROR", false, 0, false},
						    {NULL, false, 0, false}};
	struct ctl_table *table;
	json_t *error;
	size_t i;

	if (!json_array_size(errors))
		return;
	fprintf(screen->out, "\n");
	table = ctl_table_create(columns);
	json_array_foreach(errors, i, error)
	{
		char *name = ctl_print_field(error, "interface");
		char *text = ctl_print_field(error, "error");

		ctl_table_cell(table, CTL_PLAIN, "%s", name);
		ctl_table_cell(table, CTL_RED, "%s", text);
		free(name);
		free(text);
	}
	ctl_table_finish(table, screen);
}

void
ctl_print_ovsdb(const struct ctl_screen *screen, const struct ctl_request *request,
		const json_t *result)
{
	bool connected = json_is_true(json_object_get(result, "connected"));
	char *target = ctl_print_field(result, "target");
	char buf[CTL_TEXT_SIZE];

	(void)request;
	if (!json_is_string(json_object_get(result, "target"))) {
		ctl_print_line(screen, "target", "none: sluiced was started without --ovsdb");
	} else {
		ctl_print_line(screen, "target", "%s", target);
		ctl_print_line(screen, "connected", "%s, for %s", connected ? "yes" : "no",
			       ctl_text_age(buf, ctl_print_count(result, "since_s")));
		ctl_print_line(screen, "bridges", "%llu",
			       (unsigned long long)ctl_print_count(result, "bridges"));
		ctl_print_line(screen, "ports", "%llu",
			       (unsigned long long)ctl_print_count(result, "ports"));
		ctl_print_line(screen, "ovs-vswitchd", "%s",
			       !connected ? "not known while the database is away" :
			       json_is_true(json_object_get(result, "vswitchd")) ?
					    "serves it, too" :
					    "is not there: sluiced answers ovs-vsctl");
		print_errors(screen, json_object_get(result, "errors"));
	}
	free(target);
}
