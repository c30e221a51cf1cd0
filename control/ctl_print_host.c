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
