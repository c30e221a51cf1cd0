/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CTL_MIGRATION_H
#define CONTROL_CTL_MIGRATION_H

#include "control/ctl_args.h"
#include "control/ctl_table.h"

/*
 * Prints what happens to ports whose guest moves, as a timeline, and in the end how long each guest
 * was away and what became of its frames. Ends with SIGINT or SIGTERM. Errors: -EREMOTEIO (refused),
 * and ctl_rpc_next()'s.
 */
int ctl_migration_watch(const struct ctl_screen *screen, const struct ctl_request *request,
			struct err *err);

/* The lines of it, apart from where they come from. */
struct ctl_timeline;
struct ctl_timeline *ctl_timeline_create(const struct ctl_screen *screen);
void ctl_timeline_destroy(struct ctl_timeline *timeline);

/* An event, the notification's "params", as a line. */
void ctl_timeline_event(struct ctl_timeline *timeline, const json_t *event);

/* Who was away for how long. */
void ctl_timeline_summary(const struct ctl_timeline *timeline);

#endif
