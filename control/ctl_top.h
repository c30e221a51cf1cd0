/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_TOP_H
#define CONTROL_CTL_TOP_H

#include "control/ctl_args.h"

/*
 * Shows live rates until q or ^C on a terminal; elsewhere, or with --once or --count, prints plain
 * blocks. Errors as ctl_rpc_result(); a live display shows them and tries again instead.
 */
int ctl_top_run(const struct ctl_request *request, struct err *err);

#endif
