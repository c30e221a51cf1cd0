/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_HELP_H
#define FRONTEND_HELP_H

/* Prints what --help prints. Thread: control. */
void help_print(void);

#endif
