/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/ctl_print.h"
#include "control/ctl_text.h"

/* Good news, bad news, other news. */
static enum ctl_colour
type_colour(const char *type)
{
	static const char *const bad[] = {"port.down",	       "uplink.down",
					  "mac.limit",	       "lcore.overload",
					  "peer.refused",      "peer.bad_message",
					  "port.ring_stopped", "port.memory_gone",
					  "capture.stopped",   "port.park_expired"};
	size_t len = strlen(type);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!strcmp(type, bad[i]))
			return CTL_RED;
	return len >= 3 && !strcmp(type + len - 3, ".up") ? CTL_GREEN : CTL_PLAIN;
}

static void
print_fact(const struct ctl_screen *screen, const char *key, const json_t *value)
{
	char *text, *safe;

	if (!value || json_is_null(value))
		return;
	text = ctl_print_value(value);
	safe = ctl_text_safe(text);
	fprintf(screen->out, "  %s %s", key, safe);
	free(text);
	free(safe);
}

void
ctl_events_print(const struct ctl_screen *screen, const json_t *event)
{
	json_int_t time_ns = json_integer_value(json_object_get(event, "time_ns"));
	time_t time_s = time_ns / 1000000000;
	const char *type = json_string_value(json_object_get(event, "type")) ?: "-";
	char *safe_type = ctl_text_safe(type);
	const char *key;
	json_t *value;
	char when[32];

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&time_s));
	fprintf(screen->out, "%s.%06lld  %s%-16s%s", when, (long long)(time_ns % 1000000000 / 1000),
		ctl_colour_on(screen, type_colour(type)), safe_type,
		ctl_colour_off(screen, type_colour(type)));
	print_fact(screen, "port", json_object_get(event, "port"));
	json_object_foreach((json_t *)event, key,
			    value) if (strcmp(key, "type") && strcmp(key, "time_ns") &&
				       strcmp(key, "seq") && strcmp(key, "port"))
		print_fact(screen, key, value);
	fputc('\n', screen->out);
	free(safe_type);
}

int
ctl_events_follow(const struct ctl_screen *screen, const struct ctl_request *request,
		  struct ctl_rpc *rpc, struct err *err)
{
	for (;;) {
		json_t *message;
		const json_t *event;
		int rc = ctl_rpc_next(rpc, &message, err);

		if (rc < 0)
			return rc;
		event = json_object_get(message, "params");
		if (request->json)
			ctl_print_json(screen->out, event, true);
		else
			ctl_events_print(screen, event);
		json_decref(message);
		if (fflush(screen->out) == EOF)
			return err_set(err, EPIPE, "output", "cannot write the output");
	}
}
