/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_COMPLETE_H
#define CONTROL_CTL_COMPLETE_H

#include <jansson.h>
#include <stdio.h>

#include "control/schema.h"

/*
 * Completion of a command line, for the shell: doc/sluicectl.bash runs
 * `sluicectl __complete -- WORDS...` with the words behind "sluicectl", the last one to be
 * completed, and reads one candidate a line; the single line ":files" asks for file names.
 *
 * bash splits words at '=' as well: "--mode=ser" may come as it is or as "--mode" "=" "ser".
 */

/* Gives the names that a running sluiced has, as a list of objects with "name"; NULL for none. */
typedef json_t *(*ctl_complete_names)(const char *control, enum param_of of);

/* Writes the candidates for the last of `n` words. */
void ctl_complete_words(char *const *words, size_t n, ctl_complete_names names, FILE *out);

/* The same, with the names of the daemon; silent where there is none. */
void ctl_complete_run(char *const *words, size_t n);

#endif
