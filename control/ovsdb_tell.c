/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_tell.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon.h"
#include "control/drain.h"
#include "control/ovsdb_apply.h"
#include "control/report.h"

#define OFPORT_MAX 65279
#define STATUS_KEY "sluice" /* ours in Bridge:status */

static const char *const our_types[][2] = {
	{"datapath_types", OVSDB_DATAPATH_TYPE},
	{"iface_types", "dpdk"},
	{"iface_types", "dpdkvhostuser"},
	{"iface_types", "dpdkvhostuserclient"},
};
#define N_TYPES (sizeof(our_types) / sizeof(our_types[0]))

/* Operations. */

/* Adds to `row` what the column is to be if it is not: NULL empties it. Takes over `value`. */
static void
put(json_t *row, const json_t *old, const char *column, json_t *value)
{
	const json_t *is = json_object_get(old, column);

	if (value ? json_equal(is, value) : !is) {
		json_decref(value);
		return;
	}
	if (json_is_object(value)) {
		json_object_set_new(row, column, ovsdb_rows_map(value));
		json_decref(value);
		return;
	}
	json_object_set_new(row, column, value ? value : json_pack("[s, []]", "set"));
}

/* Takes over `row`; none is added where it is empty. A column that the database has not would have it refuse
 * the whole transaction. */
static void
add_update(const struct ovsdb_tell *t, json_t *operations, const char *table, const char *uuid,
	   json_t *row)
{
	const char *column;
	json_t *value;
	void *next;

	json_object_foreach_safe(row, next, column, value)
	{
		if (!ovsdb_rows_has(t->rows, table, column))
			json_object_del(row, column);
	}
	if (json_object_size(row))
		json_array_append_new(operations,
				      json_pack("{s:s, s:s, s:[[s, s, o]], s:O}", "op", "update",
						"table", table, "where", "_uuid",
						"==", ovsdb_rows_uuid(uuid), "row", row));
	json_decref(row);
}

static const json_t *
row_of(const struct ovsdb_tell *t, const char *table, const char *uuid)
{
	return json_object_get(ovsdb_rows_table(t->rows, table), uuid);
}

/* The port that serves the Interface, and is not about to go. */
static const struct model_port *
port_of(const struct ovsdb_tell *t, const struct ovsdb_want_port *wanted)
{
	const struct model_port *port = ovsdb_port_of(&t->daemon->model, wanted);

	return port && port->id >= 0 && !drain_is_leaving(t->daemon, port) ? port : NULL;
}

/* Numbers. */

static bool
is_free(const uint8_t *used, json_int_t number)
{
	return number > 0 && number <= OFPORT_MAX && !(used[number / 8] >> number % 8 & 1);
}

static void
give(struct ovsdb_tell *t, uint8_t *used, struct ovsdb_want_port *wanted, int number)
{
	used[number / 8] |= 1 << number % 8;
	wanted->ofport = number;
	json_object_set_new(t->ofports, wanted->uuid, json_integer(number));
}

static json_int_t
number_before(const struct ovsdb_tell *t, const struct ovsdb_want_port *wanted)
{
	json_int_t number =
		json_integer_value(json_object_get(row_of(t, "Interface", wanted->uuid), "ofport"));

	/* Ours may be on its way to the row. */
	return number > 0 ? number : json_integer_value(json_object_get(t->ofports, wanted->uuid));
}

/* Those of one bridge: who asks for a number comes first, then who has one. */
static void
number_bridge(struct ovsdb_tell *t, unsigned int bridge, uint8_t *used)
{
	int lowest = 1;

	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < t->want->n_ports; i++) {
			struct ovsdb_want_port *wanted = &t->want->port[i];
			json_int_t number = wanted->ofport_request;

			if (wanted->bridge != bridge || wanted->ofport ||
			    (!wanted->set && !port_of(t, wanted)))
				continue;
			if (round == 1)
				number = number_before(t, wanted);
			while (round == 2 && !is_free(used, lowest) && lowest < OFPORT_MAX)
				lowest++;
			if (round == 2)
				number = lowest;
			if (is_free(used, number))
				give(t, used, wanted, number);
		}
	}
}

/* Those of Interfaces that are gone. */
static void
forget_numbers(const struct ovsdb_tell *t)
{
	json_t *value;
	const char *uuid;
	void *next;

	json_object_foreach_safe(t->ofports, next, uuid, value)
	{
		if (!row_of(t, "Interface", uuid))
			json_object_del(t->ofports, uuid);
	}
}

int
ovsdb_tell_number(struct ovsdb_tell *t)
{
	uint8_t *used = malloc(OFPORT_MAX / 8 + 1);

	if (!used)
		return -ENOMEM;
	for (unsigned int i = 0; i < t->want->n_ports; i++)
		t->want->port[i].ofport = 0;
	for (unsigned int bridge = 0; bridge < t->want->n_bridges; bridge++) {
		const struct ovsdb_want_bridge *b = &t->want->bridge[bridge];

		if (b->error && !model_bridge_find(&t->daemon->model, b->set.name))
			continue;
		memset(used, 0, OFPORT_MAX / 8 + 1);
		number_bridge(t, bridge, used);
	}
	free(used);
	forget_numbers(t);
	return 0;
}

json_t *
ovsdb_tell_early(const struct ovsdb_tell *t)
{
	json_t *operations = json_array();

	for (unsigned int i = 0; i < t->want->n_bridges; i++) {
		const char *uuid = t->want->bridge[i].interface;
		const json_t *old = row_of(t, "Interface", uuid);
		json_t *row = json_object();

		if (old && !json_object_get(old, "ofport"))
			put(row, old, "ofport", json_integer(OVSDB_OFPORT_LOCAL));
		add_update(t, operations, "Interface", uuid, row);
	}
	for (unsigned int i = 0; i < t->want->n_ports; i++) {
		const struct ovsdb_want_port *wanted = &t->want->port[i];
		const json_t *old = row_of(t, "Interface", wanted->uuid);
		json_t *row = json_object();

		if (!json_object_get(old, "ofport")) {
			put(row, old, "ofport", json_integer(wanted->ofport ? wanted->ofport : -1));
			put(row, old, "error", wanted->error ? json_string(wanted->error) : NULL);
		}
		add_update(t, operations, "Interface", wanted->uuid, row);
	}
	return operations;
}

/* State. */

/* Its guest's, or the device's; where nobody gave one, an address of our own making that stays the same,
 * as OVS makes one for what has none. */
static json_t *
mac_json(const struct dp_mac *given, const char *uuid)
{
	static const struct dp_mac none;
	struct dp_mac mac = {{0x02}};
	unsigned int byte;

	if (given && memcmp(given, &none, sizeof(none)) != 0)
		return settings_mac_json(given);
	for (int i = 1; i < 6; i++)
		if (sscanf(uuid + 24 + 2 * i, "%2x", &byte) == 1)
			mac.byte[i] = byte;
	return settings_mac_json(&mac);
}

static void
set_text(json_t *o, const char *key, const char *text)
{
	json_object_set_new(o, key, json_string(text));
}

static void
set_number(json_t *o, const char *key, unsigned long long number)
{
	json_object_set_new(o, key, json_sprintf("%llu", number));
}

static void
add_lcores(json_t *o, const struct dp_port_info *info)
{
	char list[DP_QUEUES_MAX * 4] = "";
	size_t len = 0;

	for (unsigned int i = 0; i < info->n_queues; i++)
		len += snprintf(list + len, sizeof(list) - len, "%s%u", len ? "," : "",
				info->queue[i].lcore);
	set_text(o, "lcore", list);
	set_number(o, "queues", info->n_queues);
	set_number(o, "n_rxq", info->n_queues);
	set_number(o, "n_txq", info->n_queues);
}

/* With netdev-dpdk's names where it has one. All values are texts. */
static json_t *
status_json(const struct model_port *port, const struct dp_port_info *info)
{
	unsigned int vrings = 0;
	json_t *o = json_object();

	set_text(o, "state", report_state(port, info));
	add_lcores(o, info);
	if (port->is_uplink) {
		set_text(o, "driver_name", info->driver);
		if (info->node >= 0)
			set_number(o, "numa_id", info->node);
		if (info->link_mbps)
			json_object_set_new(o, "link_speed",
					    info->link_mbps % 1000 ?
						    json_sprintf("%uMbps", info->link_mbps) :
						    json_sprintf("%uGbps", info->link_mbps / 1000));
		return o;
	}
	set_text(o, "mode", port->set.client ? "client" : "server");
	set_text(o, "status", info->connected ? "connected" : "disconnected");
	set_text(o, "socket", port->set.socket);
	if (!info->up)
		return o;
	json_object_set_new(o, "features", json_sprintf("0x%016" PRIx64, info->negotiated));
	if (info->node >= 0)
		set_number(o, "numa", info->node);
	for (unsigned int i = 0; i < info->n_queues; i++)
		vrings += info->queue[i].enabled_to_guest + info->queue[i].enabled_from_guest;
	set_number(o, "num_of_vrings", vrings);
	return o;
}

static const char *
sentence_of(const struct ovsdb_want_port *wanted)
{
	return wanted->error ? wanted->error : wanted->failure;
}

/* What there is of an Interface that is served. */
static void
put_port(json_t *row, const json_t *old, const struct model_port *port, const char *uuid)
{
	struct dp_port_info info;
	bool up;

	dp_port_info(port->id, &info);
	up = port->is_uplink ? info.up && info.connected : info.up;
	put(row, old, "admin_state", json_string("up"));
	put(row, old, "link_state", json_string(up ? "up" : "down"));
	put(row, old, "mac_in_use",
	    mac_json(port->set.rules.n_macs ? &port->set.rules.mac[0] : &info.mac, uuid));
	put(row, old, "mtu", json_integer(port->set.rules.mtu));
	put(row, old, "status", status_json(port, &info));
	put(row, old, "link_speed",
	    up && info.link_mbps ? json_integer((json_int_t)info.link_mbps * 1000000) : NULL);
	put(row, old, "duplex", up && info.link_mbps ? json_string("full") : NULL);
}

static void
put_nothing(json_t *row, const json_t *old)
{
	static const char *const columns[] = {"admin_state", "link_state", "mac_in_use",
					      "mtu",	     "link_speed", "duplex"};

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		put(row, old, columns[i], NULL);
	put(row, old, "status", json_object());
}

static void
tell_port(const struct ovsdb_tell *t, json_t *operations, const struct ovsdb_want_port *wanted)
{
	const json_t *old = row_of(t, "Interface", wanted->uuid);
	const struct model_port *port = port_of(t, wanted);
	const char *sentence = sentence_of(wanted);
	json_t *row = json_object();

	put(row, old, "ofport", json_integer(port && wanted->ofport ? wanted->ofport : -1));
	put(row, old, "error", sentence ? json_string(sentence) : NULL);
	if (port)
		put_port(row, old, port, wanted->uuid);
	else
		put_nothing(row, old);
	/* Nobody counts for it any more. */
	if (!port && json_object_size(row))
		json_object_set_new(row, "statistics", json_pack("[s, []]", "map"));
	add_update(t, operations, "Interface", wanted->uuid, row);
}

/* The bridge's own Interface shows in `ovs-vsctl show` what is to be said of the bridge. */
static void
tell_bridge(const struct ovsdb_tell *t, json_t *operations, const struct ovsdb_want_bridge *bridge)
{
	const json_t *old = row_of(t, "Bridge", bridge->uuid);
	const char *sentence = bridge->error   ? bridge->error :
			       bridge->failure ? bridge->failure :
			       bridge->note    ? bridge->note :
						 t->note;
	json_t *status = json_copy(json_object_get(old, "status"));
	const struct model_bridge *there = model_bridge_find(&t->daemon->model, bridge->set.name);
	bool failed = !there || !ovsdb_owns_bridge(there);
	json_t *row = json_object();

	json_object_del(status, STATUS_KEY);
	if (sentence)
		set_text(status, STATUS_KEY, sentence);
	put(row, old, "status", status);
	add_update(t, operations, "Bridge", bridge->uuid, row);
	if (!bridge->interface[0])
		return;
	old = row_of(t, "Interface", bridge->interface);
	row = json_object();
	put(row, old, "ofport", json_integer(failed ? -1 : OVSDB_OFPORT_LOCAL));
	put(row, old, "error", sentence && sentence != t->note ? json_string(sentence) : NULL);
	put(row, old, "admin_state", failed ? NULL : json_string("up"));
	put(row, old, "link_state", failed ? NULL : json_string("up"));
	put(row, old, "mac_in_use", failed ? NULL : mac_json(NULL, bridge->interface));
	add_update(t, operations, "Interface", bridge->interface, row);
}

static bool
lacks_type(const struct ovsdb_rows *rows, unsigned int type)
{
	const json_t *list = json_object_get(ovsdb_rows_root(rows, NULL), our_types[type][0]);
	json_t *name;
	size_t i;

	if (!ovsdb_rows_has(rows, "Open_vSwitch", our_types[type][0]))
		return false;
	json_array_foreach(list, i, name)
	{
		if (!strcmp(json_string_value(name), our_types[type][1]))
			return false;
	}
	return true;
}

bool
ovsdb_tell_lacks_types(const struct ovsdb_rows *rows)
{
	for (unsigned int i = 0; i < N_TYPES; i++)
		if (lacks_type(rows, i))
			return true;
	return false;
}

json_t *
ovsdb_tell_state(const struct ovsdb_tell *t)
{
	json_t *operations = json_array(), *mutations = json_array();

	for (unsigned int i = 0; i < N_TYPES; i++)
		if (lacks_type(t->rows, i))
			json_array_append_new(mutations,
					      json_pack("[s, s, [s, [s]]]", our_types[i][0],
							"insert", "set", our_types[i][1]));
	if (json_array_size(mutations))
		json_array_append_new(operations,
				      json_pack("{s:s, s:s, s:[], s:O}", "op", "mutate", "table",
						"Open_vSwitch", "where", "mutations", mutations));
	json_decref(mutations);
	for (unsigned int i = 0; i < t->want->n_bridges; i++)
		tell_bridge(t, operations, &t->want->bridge[i]);
	for (unsigned int i = 0; i < t->want->n_ports; i++)
		tell_port(t, operations, &t->want->port[i]);
	return operations;
}

static void
take_back_interface(const struct ovsdb_tell *t, json_t *operations, const char *uuid)
{
	const json_t *old = row_of(t, "Interface", uuid);
	json_t *row = json_object();

	if (old) {
		put(row, old, "ofport", json_integer(-1));
		put(row, old, "error", NULL);
		put_nothing(row, old);
		json_object_set_new(row, "statistics", json_pack("[s, []]", "map"));
	}
	add_update(t, operations, "Interface", uuid, row);
}

static void
take_back_bridge(const struct ovsdb_tell *t, json_t *operations, const char *uuid)
{
	const json_t *old = row_of(t, "Bridge", uuid);
	json_t *status = json_copy(json_object_get(old, "status"));
	json_t *row = json_object();

	if (json_object_del(status, STATUS_KEY) == 0)
		put(row, old, "status", json_incref(status));
	json_decref(status);
	add_update(t, operations, "Bridge", uuid, row);
}

json_t *
ovsdb_tell_left(const struct ovsdb_tell *t, const struct ovsdb_want *old)
{
	json_t *operations = json_array(), *wanted = json_object();

	for (unsigned int i = 0; i < t->want->n_bridges; i++) {
		json_object_set_new(wanted, t->want->bridge[i].uuid, json_true());
		json_object_set_new(wanted, t->want->bridge[i].interface, json_true());
	}
	for (unsigned int i = 0; i < t->want->n_ports; i++)
		json_object_set_new(wanted, t->want->port[i].uuid, json_true());
	for (unsigned int i = 0; i < old->n_bridges; i++) {
		if (!json_object_get(wanted, old->bridge[i].uuid))
			take_back_bridge(t, operations, old->bridge[i].uuid);
		if (!json_object_get(wanted, old->bridge[i].interface))
			take_back_interface(t, operations, old->bridge[i].interface);
	}
	for (unsigned int i = 0; i < old->n_ports; i++)
		if (!json_object_get(wanted, old->port[i].uuid))
			take_back_interface(t, operations, old->port[i].uuid);
	json_decref(wanted);
	return operations;
}

/* From the switch's side, as OVS counts: a guest's rx is our tx. */
static json_t *
statistics_json(const struct model_port *port)
{
	uint64_t in_dropped = 0, out_dropped = 0, in_errors;
	struct dp_stats s = {0};

	dp_port_stats(port->id, -1, &s);
	for (unsigned int i = 0; i < DP_IN_DROPS; i++)
		in_dropped += s.in_drop[i];
	for (unsigned int i = 0; i < DP_OUT_DROPS; i++)
		out_dropped += s.out_drop[i];
	in_errors = s.in_drop[DP_IN_BAD_FRAME] + s.in_drop[DP_IN_BAD_RING];
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rx_packets",
			 (json_int_t)s.in_packets, "rx_bytes", (json_int_t)s.in_bytes, "rx_dropped",
			 (json_int_t)(in_dropped - in_errors), "rx_errors", (json_int_t)in_errors,
			 "tx_packets", (json_int_t)s.out_packets, "tx_bytes",
			 (json_int_t)s.out_bytes, "tx_dropped", (json_int_t)out_dropped,
			 "tx_errors", (json_int_t)0);
}

json_t *
ovsdb_tell_statistics(const struct ovsdb_tell *t)
{
	json_t *operations = json_array(), *counted = json_object();

	for (unsigned int i = 0; i < t->want->n_ports; i++) {
		const char *uuid = t->want->port[i].uuid;
		const struct model_port *port = port_of(t, &t->want->port[i]);
		json_t *statistics;

		if (!port)
			continue;
		statistics = statistics_json(port);
		if (!json_equal(statistics, json_object_get(t->counted, uuid)))
			add_update(t, operations, "Interface", uuid,
				   json_pack("{s:o}", "statistics", ovsdb_rows_map(statistics)));
		json_object_set_new(counted, uuid, statistics);
	}
	/* Of what is gone nothing is kept: its row has none any more, and the next port begins anew. */
	json_object_clear(t->counted);
	json_object_update(t->counted, counted);
	json_decref(counted);
	return operations;
}
