/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_want.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ovsdb_want_port.h"
#include "control/schema.h"

/* How much of the text is whole characters without control characters, and at most `max` bytes. */
static size_t
clean(char *text, size_t max)
{
	size_t len = strlen(text);

	if (len > max) {
		len = max;
		/* Back to the beginning of a character of several bytes. */
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
		text[len] = '\0';
	}
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
			c[0] = c[1] = '?';
	}
	return len;
}

const char *
ovsdb_want_short(const char *text, char brief[OVSDB_SHORT_SIZE])
{
	char part[OVSDB_SHORT_SIZE + 4];

	/* So that a character which is cut is seen whole first. */
	snprintf(part, sizeof(part), "%s", text);
	clean(part, OVSDB_SHORT_SIZE - 4);
	snprintf(brief, OVSDB_SHORT_SIZE, "%.*s%s", OVSDB_SHORT_SIZE - 4, part,
		 strlen(text) > strlen(part) ? "..." : "");
	return brief;
}

char *
ovsdb_want_text(const char *sentence)
{
	char *text = strdup(sentence);
	json_t *test;

	if (!text)
		return NULL;
	clean(text, strlen(text));
	/* What was cut in the middle of a character, by err_set(), lacks its end. */
	while (*text && !(test = json_string(text)))
		text[strlen(text) - 1] = '\0';
	if (*text)
		json_decref(test);
	return text;
}

int
ovsdb_want_mask(const char *mask, cpu_set_t *cpus)
{
	size_t len;

	CPU_ZERO(cpus);
	if (!strncmp(mask, "0x", 2) || !strncmp(mask, "0X", 2))
		mask += 2;
	len = strlen(mask);
	if (!len || len > CPU_SETSIZE / 4 || strspn(mask, "0123456789abcdefABCDEF") != len)
		return -EINVAL;
	for (unsigned int cpu = 0; cpu < 4 * len; cpu++) {
		const char digit[2] = {mask[len - 1 - cpu / 4]};

		if (strtoul(digit, NULL, 16) >> cpu % 4 & 1)
			CPU_SET(cpu, cpus);
	}
	return CPU_COUNT(cpus) ? 0 : -EINVAL;
}

static const char *
name_of(const json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "name"));

	return name ? name : "";
}

/* Bridges. */

/* Asks for a number that OVS reads itself, where 0 or nothing is the standard. */
static int
add_number(json_t *params, const char *param, const json_t *row, const char *key, struct err *err)
{
	const json_t *config = json_object_get(row, "other_config");
	const char *text = json_string_value(json_object_get(config, key));
	unsigned int value;
	char end;

	if (!text || !strcmp(text, "0"))
		return 0;
	if (*text < '0' || *text > '9' || sscanf(text, "%8u%c", &value, &end) != 1)
		return err_set(err, EINVAL, "ovsdb-refused", "other_config:%s must be a number",
			       key);
	json_object_set_new(params, param, json_integer(value));
	return 0;
}

static int
bridge_settings_of(const json_t *row, struct bridge_settings *set, struct err *err)
{
	json_t *params = json_pack("{s:s}", "name", name_of(row));
	int rc = add_number(params, "mac_age_s", row, "mac-aging-time", err);

	/* Known by its name, whatever else is wrong with it: one that is there stays. */
	if (schema_name_ok(name_of(row)))
		snprintf(set->name, sizeof(set->name), "%s", name_of(row));
	if (rc == 0)
		rc = add_number(params, "mac_limit", row, "mac-table-size", err);
	if (rc == 0)
		rc = schema_check(schema_find("bridge.add"), params, err);
	if (rc == 0)
		settings_of_bridge(params, set);
	json_decref(params);
	return rc;
}

static bool
bridge_is_named(const struct ovsdb_want *want, const char *name)
{
	for (unsigned int i = 0; i < want->n_bridges; i++)
		if (!strcmp(want->bridge[i].set.name, name))
			return true;
	return false;
}

static int
bridge_read(struct ovsdb_want *want, const char *uuid, const json_t *row)
{
	struct ovsdb_want_bridge *bridge = &want->bridge[want->n_bridges];
	struct err err = {0};

	*bridge = (struct ovsdb_want_bridge){0};
	snprintf(bridge->uuid, sizeof(bridge->uuid), "%s", uuid);
	if (bridge_settings_of(row, &bridge->set, &err) < 0)
		bridge->error = ovsdb_want_text(err.message);
	else if (bridge_is_named(want, bridge->set.name))
		bridge->error = ovsdb_want_text("another Bridge has this name");
	else if (want->n_bridges >= DP_BRIDGES_MAX)
		bridge->error = ovsdb_want_text("it is one bridge more than sluice has");
	if (ovsdb_want_check_columns(OVSDB_BRIDGE, row, &err) < 0)
		bridge->note = ovsdb_want_text(err.message);
	want->n_bridges++;
	return 0;
}

/* Ports. */

struct reading {
	const struct ovsdb_rows *rows;
	const struct ovsdb_host *host;
	const json_t *root;
	const struct ovsdb_want *old;
	struct ovsdb_want *want;
	size_t n_interfaces;
	unsigned int n_good;
};

/* Settings that several struct ovsdb_want share. */
struct shared {
	struct port_settings set; /* first: it is known by its address */
	unsigned int users;
};

static const struct port_settings *
share(const struct port_settings *set)
{
	((struct shared *)set)->users++;
	return set;
}

static void
let_go(const struct port_settings *set)
{
	if (set && --((struct shared *)set)->users == 0)
		free((void *)set);
}

/* The same Interface as it was, if it was good, and nothing has changed that it was read of. */
static const struct port_settings *
settings_before(const struct reading *r, const struct ovsdb_want_port *wanted,
		const struct ovsdb_want_bridge *bridge)
{
	const struct ovsdb_want_port *old = ovsdb_want_find(r->old, wanted->name);

	if (!old || !old->set || memcmp(old->rows, wanted->rows, sizeof(old->rows)) != 0 ||
	    strcmp(old->set->bridge, bridge->set.name) != 0)
		return NULL;
	return share(old->set);
}

static const struct port_settings *
settings_read(const struct ovsdb_want_rows *rows, struct err *err)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	if (!shared) {
		err_set(err, ENOMEM, "no-memory", "no memory for a port");
		return NULL;
	}
	if (ovsdb_want_port_read(rows, &shared->set, err) < 0) {
		free(shared);
		return NULL;
	}
	return share(&shared->set);
}

/* Fills wanted->set. */
static int
port_judge(struct reading *r, const struct ovsdb_want_bridge *bridge,
	   struct ovsdb_want_port *wanted, const struct ovsdb_want_rows *rows, struct err *err)
{
	const struct ovsdb_want_port *other = ovsdb_want_find(r->want, wanted->name);

	if (bridge->error)
		return err_set(err, EINVAL, "ovsdb-refused", "its bridge: %s", bridge->error);
	if (other && other->set)
		return err_set(err, EEXIST, "ovsdb-refused", "another Interface is named %s, too",
			       wanted->name);
	if (r->n_good == DP_PORTS_MAX)
		return err_set(err, ENOSPC, "ovsdb-refused",
			       "there are %d ports and uplinks already, the most that sluice has",
			       DP_PORTS_MAX);
	wanted->set = settings_before(r, wanted, bridge);
	if (!wanted->set)
		wanted->set = settings_read(rows, err);
	if (!wanted->set)
		return -EINVAL;
	r->n_good++;
	return 0;
}

static bool
is_seen(const struct reading *r, const char *name, const char *uuid)
{
	const struct ovsdb_want_port *other = ovsdb_want_find(r->want, name);

	return other && !strcmp(other->uuid, uuid);
}

static void
interface_read(struct reading *r, unsigned int at, const json_t *port, const char *uuid)
{
	struct ovsdb_want_bridge *bridge = &r->want->bridge[at];
	const json_t *row = json_object_get(ovsdb_rows_table(r->rows, "Interface"), uuid);
	struct ovsdb_want_port *wanted = &r->want->port[r->want->n_ports];
	const struct ovsdb_want_rows rows = {
		.host = r->host,
		.root = r->root,
		.port = port,
		.interface = row,
		.bridge = bridge->set.name,
	};
	struct err err = {0};

	/* Two Ports may have one Interface; then it is the first's. */
	if (!row || r->want->n_ports == r->n_interfaces || is_seen(r, name_of(row), uuid))
		return;
	if (!bridge->interface[0] && !strcmp(name_of(row), bridge->set.name)) {
		snprintf(bridge->interface, sizeof(bridge->interface), "%s", uuid);
		return;
	}
	*wanted = (struct ovsdb_want_port){.bridge = at};
	snprintf(wanted->uuid, sizeof(wanted->uuid), "%s", uuid);
	if (schema_name_ok(name_of(row)))
		snprintf(wanted->name, sizeof(wanted->name), "%s", name_of(row));
	wanted->rows[0] = json_incref((json_t *)row);
	wanted->rows[1] = json_incref((json_t *)port);
	wanted->rows[2] = json_incref(json_object_get(r->root, "other_config"));
	ovsdb_want_kind(row, &wanted->is_ours, &wanted->is_uplink);
	wanted->ofport_request = json_integer_value(json_object_get(row, "ofport_request"));
	if (port_judge(r, bridge, wanted, &rows, &err) < 0)
		wanted->error = ovsdb_want_text(err.message);
	if (wanted->set || (*wanted->name && !ovsdb_want_find(r->want, wanted->name)))
		json_object_set_new(r->want->names, wanted->name, json_integer(r->want->n_ports));
	r->want->n_ports++;
}

static void
ports_read(struct reading *r, unsigned int at, const json_t *ports)
{
	const json_t *table = ovsdb_rows_table(r->rows, "Port");
	json_t *uuid, *interface;
	size_t i, k;

	json_array_foreach(ports, i, uuid)
	{
		const json_t *port = json_object_get(table, json_string_value(uuid));

		json_array_foreach(json_object_get(port, "interfaces"), k, interface)
			interface_read(r, at, port, json_string_value(interface));
	}
}

/* Bridges first, as their ports name them. */
static void
read_all(struct reading *r)
{
	const json_t *table = ovsdb_rows_table(r->rows, "Bridge");
	json_t *uuid;
	size_t i;

	json_array_foreach(json_object_get(r->root, "bridges"), i, uuid)
	{
		const json_t *row = json_object_get(table, json_string_value(uuid));
		const char *type = json_string_value(json_object_get(row, "datapath_type"));

		if (type && !strcmp(type, OVSDB_DATAPATH_TYPE))
			bridge_read(r->want, json_string_value(uuid), row);
	}
	for (unsigned int at = 0; at < r->want->n_bridges; at++)
		ports_read(r, at,
			   json_object_get(json_object_get(table, r->want->bridge[at].uuid),
					   "ports"));
}

int
ovsdb_want_read(const struct ovsdb_rows *rows, const struct ovsdb_host *host,
		const struct ovsdb_want *old, struct ovsdb_want *want)
{
	struct reading r = {.rows = rows, .host = host, .old = old, .want = want};
	size_t n_bridges = json_object_size(ovsdb_rows_table(rows, "Bridge"));
	size_t n_ports = json_object_size(ovsdb_rows_table(rows, "Interface"));
	int rc = 0;

	*want = (struct ovsdb_want){0};
	r.root = ovsdb_rows_root(rows, NULL);
	if (!r.root)
		return -ENOENT;
	r.n_interfaces = n_ports;
	want->names = json_object();
	want->bridge = calloc(n_bridges + 1, sizeof(*want->bridge));
	want->port = calloc(n_ports + 1, sizeof(*want->port));
	if (want->names && want->bridge && want->port)
		read_all(&r);
	else
		rc = -ENOMEM;
	return rc;
}

struct ovsdb_want_port *
ovsdb_want_find(const struct ovsdb_want *want, const char *name)
{
	const json_t *at = json_object_get(want->names, name);

	return at ? &want->port[json_integer_value(at)] : NULL;
}

static bool
is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool
is_same_port(const struct ovsdb_want_port *a, const struct ovsdb_want_port *b)
{
	return !strcmp(a->uuid, b->uuid) && !strcmp(a->name, b->name) && a->bridge == b->bridge &&
	       a->is_ours == b->is_ours && a->is_uplink == b->is_uplink &&
	       a->ofport_request == b->ofport_request && is_same_text(a->error, b->error) &&
	       (a->set == b->set || (a->set && b->set && !memcmp(a->set, b->set, sizeof(*a->set))));
}

static bool
is_same_bridge(const struct ovsdb_want_bridge *a, const struct ovsdb_want_bridge *b)
{
	return !strcmp(a->uuid, b->uuid) && !strcmp(a->interface, b->interface) &&
	       is_same_text(a->error, b->error) && is_same_text(a->note, b->note) &&
	       !memcmp(&a->set, &b->set, sizeof(a->set));
}

bool
ovsdb_want_equal(const struct ovsdb_want *a, const struct ovsdb_want *b)
{
	if (a->n_bridges != b->n_bridges || a->n_ports != b->n_ports)
		return false;
	for (unsigned int i = 0; i < a->n_bridges; i++)
		if (!is_same_bridge(&a->bridge[i], &b->bridge[i]))
			return false;
	for (unsigned int i = 0; i < a->n_ports; i++)
		if (!is_same_port(&a->port[i], &b->port[i]))
			return false;
	return true;
}

void
ovsdb_want_free(struct ovsdb_want *want)
{
	for (unsigned int i = 0; i < want->n_bridges; i++) {
		free(want->bridge[i].error);
		free(want->bridge[i].note);
		free(want->bridge[i].failure);
	}
	for (unsigned int i = 0; i < want->n_ports; i++) {
		free(want->port[i].error);
		free(want->port[i].failure);
		let_go(want->port[i].set);
		for (unsigned int k = 0; k < 3; k++)
			json_decref(want->port[i].rows[k]);
	}
	free(want->bridge);
	free(want->port);
	json_decref(want->names);
	*want = (struct ovsdb_want){0};
}
