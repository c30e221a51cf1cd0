/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_EVENTS_H
#define CONTROL_CTL_EVENTS_H

#include "control/ctl_args.h"
#include "control/ctl_rpc.h"
#include "control/ctl_table.h"

/* Prints events as they come, for ever: the subscription is made. Returns why it ended. */
int ctl_events_follow(const struct ctl_screen *screen, const struct ctl_request *request,
		      struct ctl_rpc *rpc, struct err *err);

/* One event, the notification's "params", as a line. */
void ctl_events_print(const struct ctl_screen *screen, const json_t *event);

#endif
