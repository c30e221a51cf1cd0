/* SPDX-License-Identifier: BSD-3-Clause */
#include <err.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl_args.h"
#include "control/ctl_complete.h"
#include "control/ctl_events.h"
#include "control/ctl_help.h"
#include "control/ctl_methods.h"
#include "control/ctl_migration.h"
#include "control/ctl_print.h"
#include "control/ctl_rpc.h"
#include "control/ctl_table.h"
#include "control/ctl_text.h"
#include "control/ctl_top.h"
#include "control/envelope.h"
#include "control/offline.h"

/* The exit status tells a script what to do next; sluicectl(1) has the list. */
enum exit_status {
	EXIT_DONE,
	EXIT_REFUSED,
	EXIT_USAGE,
	EXIT_UNREACHABLE
};

/* A sluiced that is silent so long hangs; a request with a time limit of its own may take that
 * long as well. */
#define ANSWER_TIMEOUT_MS 10000
#define DETACH_TIMEOUT_MS 600000 /* the longest park_ms, for which it may wait */

static enum exit_status
complain(enum exit_status status, const char *sentence)
{
	char *safe = ctl_text_safe(sentence);

	fprintf(stderr, "sluicectl: %s\n", safe);
	free(safe);
	return status;
}

/* What sluiced said to a request that it does not carry out. */
static enum exit_status
refused(const struct ctl_request *request, const json_t *error)
{
	const char *message = json_string_value(json_object_get(error, "message"));

	if (!request->json)
		return complain(EXIT_REFUSED, message ? message : "sluiced refuses");
	ctl_print_json(stderr, error, false);
	return EXIT_REFUSED;
}

static void
show(const struct ctl_screen *screen, const struct ctl_request *request, const json_t *result)
{
	if (request->json)
		ctl_print_json(screen->out, result, false);
	else
		ctl_print_result(screen, request, result);
}

/* What needs no sluiced. */
static enum exit_status
carry_out_here(const struct ctl_screen *screen, const struct ctl_request *request,
	       offline_method *method)
{
	struct err err = {0};
	json_t *result = method(request->params, &err), *reply;
	enum exit_status status = EXIT_DONE;

	if (result) {
		show(screen, request, result);
	} else {
		reply = reply_error(NULL, reply_code(&err), &err);
		status = refused(request, json_object_get(reply, "error"));
		json_decref(reply);
	}
	json_decref(result);
	return status;
}

static enum exit_status
carry_out(const struct ctl_screen *screen, const struct ctl_request *request)
{
	int timeout_ms = ANSWER_TIMEOUT_MS +
			 json_integer_value(json_object_get(request->params, "timeout_ms")) +
			 (strcmp(request->method->name, "port.detach") ? 0 : DETACH_TIMEOUT_MS);
	enum exit_status status = EXIT_DONE;
	json_t *answer = NULL;
	const json_t *error;
	struct ctl_rpc rpc;
	struct err err;
	int rc;

	rc = ctl_rpc_open(&rpc, request->control, ANSWER_TIMEOUT_MS, &err);
	if (rc == 0)
		rc = ctl_rpc_call(&rpc, request->method->name, request->params, timeout_ms, &answer,
				  &err);
	error = json_object_get(answer, "error");
	if (error)
		status = refused(request, error);
	else if (rc == 0 && !strcmp(request->method->name, "events.subscribe"))
		rc = ctl_events_follow(screen, request, &rpc, &err);
	else if (rc == 0)
		show(screen, request, json_object_get(answer, "result"));
	if (rc < 0)
		status = complain(EXIT_UNREACHABLE, err.message);
	json_decref(answer);
	ctl_rpc_close(&rpc);
	return status;
}

/* What is no method of sluiced. */
static enum exit_status
run_own(const struct ctl_screen *screen, const struct ctl_request *request)
{
	bool is_top = !strcmp(request->method->name, "top");
	struct err err;
	int rc;

	if (is_top && request->json)
		return complain(EXIT_USAGE,
				"top has no --json; use port stats --json and lcore list --json");
	rc = is_top ? ctl_top_run(request, &err) : ctl_migration_watch(screen, request, &err);
	if (rc == 0)
		return EXIT_DONE;
	return complain(rc == -EREMOTEIO ? EXIT_REFUSED : EXIT_UNREACHABLE, err.message);
}

static enum exit_status
run(int argc, char *const *argv)
{
	struct ctl_request request;
	struct ctl_screen screen;
	enum exit_status status = EXIT_DONE;
	offline_method *offline;
	struct err err;

	ctl_screen_open(&screen, stdout);
	if (ctl_args_parse(argc, argv, &request, &err) < 0)
		status = complain(EXIT_USAGE, err.message);
	else if (request.help)
		ctl_help_print(&screen, &request);
	else if (request.version)
		printf("sluicectl %s\n", SLUICE_VERSION);
	else if (ctl_args_read(&request, &err) < 0)
		status = complain(EXIT_USAGE, err.message);
	else if (ctl_method_is_own(request.method))
		status = run_own(&screen, &request);
	else if ((offline = offline_find(request.method->name, request.params)))
		status = carry_out_here(&screen, &request, offline);
	else
		status = carry_out(&screen, &request);
	ctl_args_free(&request);
	return status;
}

int
main(int argc, char **argv)
{
	enum exit_status status = EXIT_DONE;

	/* Text is UTF-8 here, whatever the environment says; times and numbers are in no language. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (argc > 2 && !strcmp(argv[1], "__complete") && !strcmp(argv[2], "--"))
		ctl_complete_run(argv + 3, argc - 3);
	else
		status = run(argc, argv);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		warn("cannot write the output");
		status = status == EXIT_DONE ? EXIT_REFUSED : status;
	}
	return status;
}
