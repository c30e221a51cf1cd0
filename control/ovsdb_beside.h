/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OVSDB_BESIDE_H
#define CONTROL_OVSDB_BESIDE_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "control/ovsdb_link.h"

/*
 * Whether ovs-vswitchd serves the same database; and where it does not, the answer that `ovs-vsctl` waits for:
 * cur_cfg = next_cfg.
 *
 * ovs-vswitchd holds the lock "ovs_vswitchd" while it runs. We ask for it: whoever is told `false` is
 * queued behind it, and hears of its end. Who is told `true` has taken the place that it must have, and gives it back
 * at once, with the answer in between; the answer asserts the lock, so that it is never given beside a
 * vswitchd. A vswitchd that finds the lock taken lets go of its bridges: so we do not ask just when it may be about to
 * come back, which is when its connection or ours has broken. Thread: control.
 *
 *   ABSENT --ask--> ASKING --false--> PRESENT --it ended--> GRACE --time--> ABSENT
 *     ^-------true, given back-'          '----connection broken------^
 */

enum ovsdb_beside_state {
	OVSDB_BESIDE_ABSENT,
	OVSDB_BESIDE_ASKING,
	OVSDB_BESIDE_PRESENT,
	OVSDB_BESIDE_GRACE, /* it was there, and may be again */
};

struct ovsdb_beside {
	struct ovsdb_link *link;
	enum ovsdb_beside_state state;
	bool known; /* it was asked for once */
	bool connected;
	json_int_t done_cfg, cur_cfg; /* what we have done, and what the row says */
	struct event *grace;
};

/* Errors: -ENOMEM. */
int ovsdb_beside_init(struct ovsdb_beside *b, struct event_base *base, struct ovsdb_link *link);
void ovsdb_beside_clear(struct ovsdb_beside *b);

/* The connection is there, with all rows; or it broke. */
void ovsdb_beside_up(struct ovsdb_beside *b);
void ovsdb_beside_down(struct ovsdb_beside *b);

/* What the root row asked for is done, up to `next_cfg`: answers if that is for us. `seen`: somebody else did in the
 * root row what only vswitchd does. */
void ovsdb_beside_done(struct ovsdb_beside *b, json_int_t next_cfg, json_int_t cur_cfg, bool seen);

/* For ovsdb_link_config. */
void ovsdb_beside_lock(struct ovsdb_beside *b, const char *method, const char *id);

/* Whether it runs, as far as we know. */
bool ovsdb_beside_runs(const struct ovsdb_beside *b);

#endif
