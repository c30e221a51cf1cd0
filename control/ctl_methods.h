/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_METHODS_H
#define CONTROL_CTL_METHODS_H

#include <stdbool.h>
#include <stddef.h>

#include "control/schema.h"

/*
 * What a person can say to sluicectl: the methods of the schema, sluicectl's own (`top`), and the
 * options that steer the output and never reach sluiced. Parser, help and completion read it.
 *
 * "port.next_name" is said `port next-name`; a method without a dot is a noun without a verb.
 */

#define CTL_WORD_SIZE 64 /* of any word of a method or a parameter */

/* The index-th of them all, NULL past the last. */
const struct method *ctl_method_at(size_t index);

/* By noun and verb ("" for none), '-' being '_'. NULL: there is none. */
const struct method *ctl_method_find(const char *noun, const char *verb);

/* The only method of a noun, NULL if it has none or several. */
const struct method *ctl_method_only(const char *noun);

bool ctl_noun_exists(const char *noun);

/* The index-th noun, in `buf` of CTL_WORD_SIZE bytes; NULL past the last. */
const char *ctl_noun_at(size_t index, char *buf);

/* One line about a noun. */
const char *ctl_noun_help(const char *noun);

/* The noun and the verb of a method as they are typed, "" for no verb, in `buf` of CTL_WORD_SIZE
 * bytes, which they return. */
const char *ctl_method_noun(const struct method *method, char *buf);
const char *ctl_method_verb(const struct method *method, char *buf);

/* Whether sluicectl carries it out itself, and there is no such method in the schema. */
bool ctl_method_is_own(const struct method *method);

/* An example line behind the prompt, or NULL. */
const char *ctl_method_example(const struct method *method);

/* The parameter that needs no option: the first required one, else the first that takes a value. */
const struct param *ctl_method_arg(const struct method *method);

/* sluicectl's own options of a method, up to one with a NULL name. */
const struct param *ctl_method_options(const struct method *method);

/* By option name without "--", '-' being '_'. Among the parameters, then among the options. */
const struct param *ctl_method_param(const struct method *method, const char *option, bool *is_own);

/* "queue_size" -> "queue-size", in `buf` of CTL_WORD_SIZE bytes. */
const char *ctl_option_name(const struct param *param, char *buf);

/* Whether more than one word may be given for it. */
bool ctl_param_is_list(const struct param *param);

/* An option that every method has. `value`: what stands for its value in the help, or NULL. */
struct ctl_global {
	const char *name;
	char letter; /* each has its own */
	const char *value;
	const char *help;
};

extern const struct ctl_global ctl_globals[]; /* up to one with a NULL name */

#endif
