/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_beside.h"

#include <errno.h>
#include <string.h>

#include "control/log.h"

#define LOCK "ovs_vswitchd"

/* Its session broke, or it is being restarted: OVS connects again within a second. */
#define GRACE_LOCK_S 2
/* ovsdb-server was restarted: OVS waits for up to 8 s between two tries. */
#define GRACE_CONNECTION_S 10

static void ask(struct ovsdb_beside *b);

static void
grace_cb(evutil_socket_t fd, short what, void *arg)
{
	struct ovsdb_beside *b = arg;

	(void)fd;
	(void)what;
	/* ovsdb_beside_up() begins anew. */
	if (!b->connected)
		return;
	b->state = OVSDB_BESIDE_ABSENT;
	ask(b);
}

int
ovsdb_beside_init(struct ovsdb_beside *b, struct event_base *base, struct ovsdb_link *link)
{
	*b = (struct ovsdb_beside){.link = link, .state = OVSDB_BESIDE_ABSENT};
	b->grace = evtimer_new(base, grace_cb, b);
	return b->grace ? 0 : -ENOMEM;
}

void
ovsdb_beside_clear(struct ovsdb_beside *b)
{
	if (b->grace)
		event_free(b->grace);
	b->grace = NULL;
}

static void
begin_grace(struct ovsdb_beside *b, unsigned int seconds)
{
	const struct timeval pause = {seconds, 0};

	b->state = OVSDB_BESIDE_GRACE;
	evtimer_add(b->grace, &pause);
}

static void
unlock(struct ovsdb_beside *b)
{
	ovsdb_link_request(b->link, "unlock", json_pack("[s]", LOCK), NULL, NULL);
}

static void
on_answer(void *arg, const json_t *result, const json_t *error)
{
	struct ovsdb_beside *b = arg;

	(void)error;
	if (b->state != OVSDB_BESIDE_ASKING)
		return;
	if (json_is_false(json_object_get(result, "locked"))) {
		b->state = OVSDB_BESIDE_PRESENT;
		log_info("ovsdb: ovs-vswitchd serves the database, too, and answers ovs-vsctl");
		return;
	}
	b->state = OVSDB_BESIDE_ABSENT;
	unlock(b);
	/* What was done meanwhile. */
	if (b->done_cfg != b->cur_cfg)
		ask(b);
}

/* Of a transaction that fails it is of no interest why: that vswitchd runs is told by the lock. */
static void
answer(struct ovsdb_beside *b)
{
	json_t *operations;

	if (b->done_cfg == b->cur_cfg)
		return;
	operations = json_pack("[{s:s, s:s}, {s:s, s:s, s:[], s:{s:I}}]", "op", "assert", "lock",
			       LOCK, "op", "update", "table", "Open_vSwitch", "where", "row",
			       "cur_cfg", b->done_cfg);
	if (operations && ovsdb_link_transact(b->link, operations, NULL, NULL) == 0)
		b->cur_cfg = b->done_cfg;
}

static void
ask(struct ovsdb_beside *b)
{
	if (!b->connected || b->state != OVSDB_BESIDE_ABSENT)
		return;
	b->state = OVSDB_BESIDE_ASKING;
	b->known = true;
	if (ovsdb_link_request(b->link, "lock", json_pack("[s]", LOCK), on_answer, b) < 0)
		b->state = OVSDB_BESIDE_ABSENT;
	else
		answer(b);
}

void
ovsdb_beside_up(struct ovsdb_beside *b)
{
	b->connected = true;
	if (b->state == OVSDB_BESIDE_PRESENT || b->state == OVSDB_BESIDE_GRACE)
		begin_grace(b, GRACE_CONNECTION_S);
	else
		b->state = OVSDB_BESIDE_ABSENT;
}

void
ovsdb_beside_down(struct ovsdb_beside *b)
{
	b->connected = false;
	if (b->state == OVSDB_BESIDE_ASKING)
		b->state = OVSDB_BESIDE_ABSENT;
}

void
ovsdb_beside_done(struct ovsdb_beside *b, json_int_t next_cfg, json_int_t cur_cfg, bool seen)
{
	b->done_cfg = next_cfg;
	b->cur_cfg = cur_cfg;
	if (next_cfg != cur_cfg || seen || !b->known)
		ask(b);
}

void
ovsdb_beside_lock(struct ovsdb_beside *b, const char *method, const char *id)
{
	if (strcmp(id, LOCK) != 0)
		return;
	if (!strcmp(method, "stolen")) {
		/* It went to somebody else: vswitchd, or who plays it. */
		b->state = OVSDB_BESIDE_PRESENT;
		return;
	}
	unlock(b);
	log_info("ovsdb: ovs-vswitchd has left the database");
	begin_grace(b, GRACE_LOCK_S);
}

bool
ovsdb_beside_runs(const struct ovsdb_beside *b)
{
	return b->state == OVSDB_BESIDE_PRESENT || b->state == OVSDB_BESIDE_GRACE;
}
