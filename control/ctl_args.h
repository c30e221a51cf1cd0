/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_ARGS_H
#define CONTROL_CTL_ARGS_H

#include <jansson.h>
#include <stdbool.h>

#include "control/schema.h"

/* A command line, understood. Strings point into argv or the environment. */
struct ctl_request {
	const char *control; /* the socket */
	const char *params_file; /* with more parameters, "-": the standard input; NULL: none */
	bool json, help, version;
	bool stdin_taken; /* something was read from the standard input */
	const struct param *text; /* still to be read from there; NULL: none */
	json_t *files; /* {parameter: the file with its value} still to be read */
	const char *noun; /* NULL: none was named */
	const struct method *method; /* NULL only with help or version */
	json_t *params; /* to send */
	json_t *options; /* sluicectl's own, such as "all" */
};

/*
 * Understands NOUN VERB [ARG] [--option value]. Returns 0, or -EINVAL with a sentence that says
 * what is wrong and, where something near would have been right, what that is. The caller frees
 * the request in either case.
 */
int ctl_args_parse(int argc, char *const *argv, struct ctl_request *request, struct err *err);

/*
 * Adds what is in `params_file`, in files and on the standard input, without which a request need not be
 * whole. Returns 0, or -errno with a sentence. May wait: for a file.
 */
int ctl_args_read(struct ctl_request *request, struct err *err);

void ctl_args_free(struct ctl_request *request);

/* -s, else SLUICE_CONTROL, else the default. */
const char *ctl_args_default_control(void);

#endif
