/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_HELP_H
#define CONTROL_CTL_HELP_H

#include "control/ctl_args.h"
#include "control/ctl_table.h"

/* Explains what the request names: sluicectl as a whole, a noun, or a method. */
void ctl_help_print(const struct ctl_screen *screen, const struct ctl_request *request);

#endif
