/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon.h"
#include "control/log.h"
#include "control/ovsdb_apply.h"
#include "control/ovsdb_beside.h"
#include "control/ovsdb_link.h"
#include "control/ovsdb_tell.h"
#include "numa/cpulist.h"
#include "numa/placement.h"

#define LOOK_MS 2000
#define SOON_MS 20
#define STATISTICS_S 5 /* as OVS */
#define RETRY_TICKS 2 /* of these, after which what failed is tried again; then twice as many ... */
#define RETRY_TICKS_MAX 16
#define OPERATIONS_MAX 1000 /* of a transaction */
#define MASK_KEY "pmd-cpu-mask"

struct ovsdb {
	struct daemon *daemon;
	struct ovsdb_link *link;
	struct ovsdb_beside beside;
	const struct ovsdb_rows *rows; /* NULL: none have come yet */
	struct ovsdb_want want;
	json_t *ofports, *counted; /* struct ovsdb_tell's */
	char *note;
	bool connected;
	bool initialised; /* it has a root row */
	bool told_types; /* on this connection */
	bool refused; /* the last transaction was */
	unsigned int n_errors; /* as the log has it */
	bool apply_due, left; /* want is not applied yet; something of it could not be */
	unsigned int ticks, retry_ticks;
	int64_t since_ns; /* CLOCK_MONOTONIC, of `connected` */
	struct event *apply, *soon, *tick;
};

static struct ovsdb_tell
tell_of(struct ovsdb *o)
{
	return (struct ovsdb_tell){
		.rows = o->rows,
		.want = &o->want,
		.daemon = o->daemon,
		.ofports = o->ofports,
		.counted = o->counted,
		.note = o->note,
	};
}

static void
on_told(void *arg, const json_t *result, const json_t *error)
{
	char *text = error ? json_dumps(error, JSON_ENCODE_ANY) : NULL;
	struct ovsdb *o = arg;

	(void)result;
	/* It is tried again and again; once is enough for the log. */
	if (error && !o->refused)
		log_warning("ovsdb: the database refused what was to be written: %.200s",
			    text ? text : "");
	o->refused = error;
	free(text);
}

/* Takes over `operations`. What the link cannot take is found lacking in the rows later, and told again. */
static void
transact(struct ovsdb *o, json_t *operations)
{
	json_t *part = json_array(), *operation;
	size_t i;

	json_array_foreach(operations, i, operation)
	{
		json_array_append(part, operation);
		if (json_array_size(part) < OPERATIONS_MAX && i + 1 < json_array_size(operations))
			continue;
		ovsdb_link_transact(o->link, part, on_told, o);
		part = json_array();
	}
	json_decref(part);
	json_decref(operations);
}

/* What there is to say of the mask: lcores are fixed while sluiced runs. */
static void
mask_note(const struct ovsdb *o, const char *mask, char *note, size_t size)
{
	const struct model *m = &o->daemon->model;
	char brief[OVSDB_SHORT_SIZE];
	cpu_set_t cpus, ours;

	CPU_ZERO(&ours);
	for (unsigned int i = 0; i < m->n_lcores; i++)
		CPU_SET(m->lcore[i].cpu, &ours);
	if (ovsdb_want_mask(mask, &cpus) < 0)
		snprintf(note, size, "other_config:" MASK_KEY " %s is no mask of CPUs",
			 ovsdb_want_short(mask, brief));
	else if (!CPU_EQUAL(&cpus, &ours))
		snprintf(note, size,
			 "other_config:" MASK_KEY " %s is not what sluice runs on, which takes its"
			 " lcores when it starts: restart sluiced",
			 ovsdb_want_short(mask, brief));
}

static void
look_at_mask(struct ovsdb *o)
{
	const json_t *config = json_object_get(ovsdb_rows_root(o->rows, NULL), "other_config");
	const char *mask = json_string_value(json_object_get(config, MASK_KEY));
	char note[240] = "";

	if (mask && !o->daemon->options.lcores_given)
		mask_note(o, mask, note, sizeof(note));
	if (*note && (!o->note || strcmp(note, o->note) != 0))
		log_warning("ovsdb: %s", note);
	free(o->note);
	o->note = *note ? strdup(note) : NULL;
}

static void
tell_state(struct ovsdb *o)
{
	struct ovsdb_tell tell;

	evtimer_del(o->soon);
	if (!o->connected || !o->initialised || o->apply_due)
		return;
	look_at_mask(o);
	tell = tell_of(o);
	if (ovsdb_tell_number(&tell) < 0)
		return;
	transact(o, ovsdb_tell_state(&tell));
}

/* Tells what there is, and then that it is done. */
static void
finish(struct ovsdb *o)
{
	bool seen = o->told_types && ovsdb_tell_lacks_types(o->rows);
	const json_t *root = ovsdb_rows_root(o->rows, NULL);

	tell_state(o);
	o->told_types = true;
	ovsdb_beside_done(&o->beside, json_integer_value(json_object_get(root, "next_cfg")),
			  json_integer_value(json_object_get(root, "cur_cfg")), seen);
}

/* The log has how many there are; the rows and ovsdb.status say which. */
static void
log_errors(struct ovsdb *o)
{
	const struct ovsdb_want_port *first = NULL;
	unsigned int n = 0;

	for (unsigned int i = 0; i < o->want.n_ports; i++) {
		if (!o->want.port[i].error && !o->want.port[i].failure)
			continue;
		if (!first)
			first = &o->want.port[i];
		n++;
	}
	if (n && n != o->n_errors)
		log_warning("ovsdb: %u Interfaces ask for what cannot be done (sluicectl ovsdb"
			    " status), %s: %s",
			    n, *first->name ? first->name : "one without a good name",
			    first->error ? first->error : first->failure);
	o->n_errors = n;
}

static void
tell_statistics(struct ovsdb *o)
{
	struct ovsdb_tell tell = tell_of(o);

	transact(o, ovsdb_tell_statistics(&tell));
}

static void
apply_cb(evutil_socket_t fd, short what, void *arg)
{
	struct ovsdb *o = arg;

	(void)fd;
	(void)what;
	o->apply_due = false;
	o->ticks = 0;
	o->left = ovsdb_apply(o->daemon, &o->want);
	log_errors(o);
	if (!o->connected)
		return;
	finish(o);
	tell_statistics(o);
}

static void
apply_soon(struct ovsdb *o)
{
	const struct timeval now = {0, 0};

	o->apply_due = true;
	evtimer_add(o->apply, &now);
}

static void
soon_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell_state(arg);
}

static void
tick_cb(evutil_socket_t fd, short what, void *arg)
{
	struct ovsdb *o = arg;

	(void)fd;
	(void)what;
	if (!o->rows || !o->initialised)
		return;
	if (o->left && ++o->ticks >= o->retry_ticks) {
		apply_soon(o);
		if (o->retry_ticks < RETRY_TICKS_MAX)
			o->retry_ticks *= 2;
	}
	if (!o->connected || o->apply_due)
		return;
	tell_statistics(o);
	tell_state(o);
}

/* What the rows ask for; whether that is another thing than before. */
static bool
read_want(struct ovsdb *o)
{
	const struct model *m = &o->daemon->model;
	const struct ovsdb_host host = {
		.dirs = &m->socket_dirs,
		.lcore = m->lcore,
		.n_lcores = m->n_lcores,
	};
	struct ovsdb_want want, old;
	struct ovsdb_tell tell;
	int rc = ovsdb_want_read(o->rows, &host, &o->want, &want);

	if (rc < 0) {
		if (rc == -ENOENT && o->initialised)
			log_warning("ovsdb: the database has no root row; everything stays as it is"
				    " until `ovs-vsctl init`");
		if (rc == -ENOENT)
			o->initialised = false;
		ovsdb_want_free(&want);
		return false;
	}
	o->initialised = true;
	if (ovsdb_want_equal(&want, &o->want)) {
		ovsdb_want_free(&want);
		return false;
	}
	old = o->want;
	o->want = want;
	if (!ovsdb_beside_runs(&o->beside)) {
		tell = tell_of(o);
		transact(o, ovsdb_tell_left(&tell, &old));
	}
	ovsdb_want_free(&old);
	return true;
}

static void
on_rows(void *arg, const struct ovsdb_rows *rows, bool fresh)
{
	struct ovsdb *o = arg;
	bool changed, was_initialised = o->initialised;
	struct ovsdb_tell tell;

	o->rows = rows;
	if (fresh) {
		log_info("ovsdb: serving %s", o->daemon->options.ovsdb);
		o->connected = true;
		o->since_ns = daemon_now_ns();
		o->told_types = false;
		json_object_clear(o->counted);
		ovsdb_beside_up(&o->beside);
	}
	changed = read_want(o);
	if (!o->initialised)
		return;
	/* What was not initialised was never applied, not even as asking for nothing. */
	if (changed || fresh || !was_initialised) {
		/* The numbers at once, as ovs-vsctl looks for them when vswitchd has answered; the event
		 * loop sends them before it makes the ports. */
		tell = tell_of(o);
		if (ovsdb_tell_number(&tell) == 0)
			transact(o, ovsdb_tell_early(&tell));
		o->retry_ticks = RETRY_TICKS;
		apply_soon(o);
	} else if (!o->apply_due) {
		finish(o);
	}
}

static void
on_down(void *arg, const struct err *why)
{
	struct ovsdb *o = arg;

	log_warning("ovsdb: %s; what there is stays as it is", why->message);
	if (o->connected)
		o->since_ns = daemon_now_ns();
	o->connected = false;
	ovsdb_beside_down(&o->beside);
}

static void
on_lock(void *arg, const char *method, const char *id)
{
	struct ovsdb *o = arg;

	ovsdb_beside_lock(&o->beside, method, id);
}

void
ovsdb_stop(struct ovsdb *o)
{
	if (!o)
		return;
	ovsdb_link_destroy(o->link);
	ovsdb_beside_clear(&o->beside);
	if (o->apply)
		event_free(o->apply);
	if (o->soon)
		event_free(o->soon);
	if (o->tick)
		event_free(o->tick);
	ovsdb_want_free(&o->want);
	json_decref(o->ofports);
	json_decref(o->counted);
	free(o->note);
	free(o);
}

struct ovsdb *
ovsdb_start(struct daemon *d, struct err *err)
{
	static const struct timeval statistics = {STATISTICS_S, 0};
	struct ovsdb *o = calloc(1, sizeof(*o));
	const struct ovsdb_link_config config = {
		.base = d->base,
		.path = d->options.ovsdb + strlen(OVSDB_TARGET_PREFIX),
		.on_rows = on_rows,
		.on_down = on_down,
		.on_lock = on_lock,
		.arg = o,
	};

	if (!o)
		goto no_memory;
	o->daemon = d;
	o->initialised = true;
	o->since_ns = daemon_now_ns();
	o->ofports = json_object();
	o->counted = json_object();
	o->apply = evtimer_new(d->base, apply_cb, o);
	o->soon = evtimer_new(d->base, soon_cb, o);
	o->tick = event_new(d->base, -1, EV_PERSIST, tick_cb, o);
	if (!o->ofports || !o->counted || !o->apply || !o->soon || !o->tick ||
	    event_add(o->tick, &statistics) < 0)
		goto no_memory;
	o->link = ovsdb_link_create(&config, err);
	if (!o->link || ovsdb_beside_init(&o->beside, d->base, o->link) < 0)
		goto no_memory;
	return o;

no_memory:
	ovsdb_stop(o);
	err_set(err, ENOMEM, "no-memory", "no memory for the Open_vSwitch database");
	return NULL;
}

void
ovsdb_tell_soon(struct ovsdb *o)
{
	const struct timeval pause = {0, SOON_MS * 1000};

	if (o && o->connected && !evtimer_pending(o->soon, NULL))
		evtimer_add(o->soon, &pause);
}

static void
add_error(json_t *errors, const struct ovsdb *o, const char *table, const char *uuid,
	  const char *name, const char *error)
{
	const json_t *row =
		o->rows ? json_object_get(ovsdb_rows_table(o->rows, table), uuid) : NULL;
	const char *full = json_string_value(json_object_get(row, "name"));
	char brief[OVSDB_SHORT_SIZE];

	if (!*name)
		name = ovsdb_want_short(full ? full : "", brief);
	if (error)
		json_array_append_new(errors,
				      json_pack("{s:s, s:s}", "interface", name, "error", error));
}

json_t *
ovsdb_status(const struct ovsdb *o)
{
	unsigned int bridges = 0, ports = 0;
	json_t *errors = json_array();
	const struct model_bridge *bridge;
	const struct model_port *port;

	if (!o)
		return json_pack("{s:n, s:b, s:i, s:i, s:b, s:o}", "target", "connected", false,
				 "bridges", 0, "ports", 0, "vswitchd", false, "errors", errors);
	/* What there is, and not what was asked for: after a restart the rows may come much later. */
	TAILQ_FOREACH(bridge, &o->daemon->model.bridges, link)
		bridges += ovsdb_owns_bridge(bridge);
	TAILQ_FOREACH(port, &o->daemon->model.ports, link)
		ports += ovsdb_owns_port(port);
	for (unsigned int i = 0; i < o->want.n_bridges; i++) {
		const struct ovsdb_want_bridge *b = &o->want.bridge[i];

		add_error(errors, o, "Bridge", b->uuid, b->set.name,
			  b->error   ? b->error :
			  b->failure ? b->failure :
				       b->note);
	}
	for (unsigned int i = 0; i < o->want.n_ports; i++) {
		const struct ovsdb_want_port *p = &o->want.port[i];

		add_error(errors, o, "Interface", p->uuid, p->name,
			  p->error ? p->error : p->failure);
	}
	return json_pack("{s:s, s:b, s:I, s:i, s:i, s:b, s:o}", "target", o->daemon->options.ovsdb,
			 "connected", o->connected, "since_s",
			 (json_int_t)((daemon_now_ns() - o->since_ns) / 1000000000), "bridges",
			 (int)bridges, "ports", (int)ports, "vswitchd",
			 ovsdb_beside_runs(&o->beside), "errors", errors);
}

/* At start. */

static int
look(const struct options *options, char list[CPULIST_SIZE], struct err *err)
{
	struct ovsdb_rows rows;
	const json_t *config;
	const char *mask;
	cpu_set_t cpus;
	int rc = ovsdb_link_look(options->ovsdb + strlen(OVSDB_TARGET_PREFIX), LOOK_MS, &rows, err);

	if (rc < 0)
		return rc;
	config = json_object_get(ovsdb_rows_root(&rows, NULL), "other_config");
	mask = json_string_value(json_object_get(config, MASK_KEY));
	*list = '\0';
	if (mask && ovsdb_want_mask(mask, &cpus) == 0)
		cpulist_format(&cpus, list, CPULIST_SIZE);
	else if (mask)
		rc = err_set(err, EINVAL, "bad-option", "it is no mask of CPUs");
	ovsdb_rows_free(&rows);
	return rc;
}

void
ovsdb_choose_lcores(struct options *options, const struct topology *t)
{
	struct placement_lcore lcore[DP_LCORES_MAX];
	char list[CPULIST_SIZE];
	struct err err = {0};
	cpu_set_t rest;
	int rc;

	if (!options->ovsdb || options->lcores_given)
		return;
	rc = look(options, list, &err);
	if (rc == 0 && *list)
		rc = placement_lcores(t, list, lcore, DP_LCORES_MAX, &rest, &err);
	if (rc < 0) {
		log_warning("ovsdb: lcores %s, as " MASK_KEY " cannot be followed: %s",
			    options->lcores, err.message);
		return;
	}
	if (!*list)
		return;
	log_info("ovsdb: lcores %s, by " MASK_KEY, list);
	free(options->lcores);
	options->lcores = strdup(list);
}
