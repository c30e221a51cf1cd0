/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_want_port.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/schema.h"

#define REFUSE(err, ...) err_set(err, EINVAL, "ovsdb-refused", __VA_ARGS__)

#define TYPE_SERVER "dpdkvhostuser"
#define TYPE_CLIENT "dpdkvhostuserclient"
#define TYPE_UPLINK "dpdk"

#define BURST_KBIT 8000 /* where the row says 0, as vswitch.xml has it */

static const char *
text_of(const json_t *row, const char *column)
{
	const char *text = json_string_value(json_object_get(row, column));

	return text ? text : "";
}

static json_int_t
number_of(const json_t *row, const char *column)
{
	return json_integer_value(json_object_get(row, column));
}

static const char *
key_of(const json_t *row, const char *map, const char *key)
{
	return json_string_value(json_object_get(json_object_get(row, map), key));
}

void
ovsdb_want_kind(const json_t *interface, bool *is_ours, bool *is_uplink)
{
	const char *type = text_of(interface, "type");

	*is_uplink = !strcmp(type, TYPE_UPLINK);
	*is_ours = *is_uplink || !strcmp(type, TYPE_SERVER) || !strcmp(type, TYPE_CLIENT);
}

/* What cannot be done. */

/* Columns that ask for something if they are not empty, and not false, 0, or "off". */
static const struct {
	enum ovsdb_want_table table;
	const char *column, *key; /* of a map; NULL: the column itself */
	const char *why;
} lacking[] = {
	{OVSDB_BRIDGE, "mirrors", NULL, "use `sluicectl capture start`"},
	{OVSDB_BRIDGE, "netflow", NULL, "sluice exports no flows"},
	{OVSDB_BRIDGE, "sflow", NULL, "sluice exports no samples"},
	{OVSDB_BRIDGE, "ipfix", NULL, "sluice exports no flows"},
	{OVSDB_BRIDGE, "controller", NULL, "sluice has no OpenFlow and forwards by itself"},
	{OVSDB_BRIDGE, "stp_enable", NULL, "sluice has no spanning tree"},
	{OVSDB_BRIDGE, "rstp_enable", NULL, "sluice has no spanning tree"},
	{OVSDB_BRIDGE, "mcast_snooping_enable", NULL, "sluice floods multicast"},
	{OVSDB_BRIDGE, "other_config", "forward-bpdu", "sluice forwards them always"},
	{OVSDB_PORT, "qos", NULL, "sluice has no queueing: set ingress_policing_rate"},
	{OVSDB_PORT, "lacp", NULL, "sluice has no bonds"},
	{OVSDB_PORT, "fake_bridge", NULL, "give the port a tag of its own"},
	{OVSDB_PORT, "protected", NULL,
	 "use `sluicectl port set --switching vepa` to keep ports apart"},
	{OVSDB_PORT, "cvlans", NULL, "sluice has no VLANs within VLANs"},
	{OVSDB_PORT, "other_config", "priority-tags", "sluice keeps no priorities"},
	{OVSDB_PORT, "other_config", "qinq-ethtype", "sluice has no VLANs within VLANs"},
	{OVSDB_INTERFACE, "bfd", "enable", "sluice does not watch links this way"},
	{OVSDB_INTERFACE, "lldp", "enable", "sluice has no LLDP"},
	{OVSDB_INTERFACE, "cfm_mpid", NULL, "sluice does not watch links this way"},
	{OVSDB_INTERFACE, "ingress_policing_kpkts_rate", NULL,
	 "set ingress_policing_rate, or `sluicectl port set --storm_unknown_pps`"},
};

static const char *const table_names[] = {
	[OVSDB_BRIDGE] = "Bridge",
	[OVSDB_PORT] = "Port",
	[OVSDB_INTERFACE] = "Interface",
};

static bool
asks(const json_t *value)
{
	const char *text = json_string_value(value);

	if (text)
		return *text && strcmp(text, "off") != 0 && strcmp(text, "false") != 0 &&
		       strcmp(text, "never") != 0;
	if (json_is_array(value) || json_is_object(value))
		return json_array_size(value) || json_object_size(value);
	return json_is_true(value) || json_is_integer(value);
}

int
ovsdb_want_check_columns(enum ovsdb_want_table table, const json_t *row, struct err *err)
{
	char name[OVSDB_SHORT_SIZE];

	ovsdb_want_short(text_of(row, "name"), name);
	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++) {
		const char *column = lacking[i].column, *key = lacking[i].key;
		const json_t *value = json_object_get(row, column);

		if (key)
			value = json_object_get(value, key);
		/* A number that is always there means nothing as 0; one that need not be does. */
		if (lacking[i].table != table || !asks(value) ||
		    (!strcmp(column, "ingress_policing_kpkts_rate") && !json_integer_value(value)))
			continue;
		return REFUSE(err,
			      "%s%s%s is not done: %s; remove it with `ovs-vsctl %s %s %s %s%s%s`",
			      column, key ? ":" : "", key ? key : "", lacking[i].why,
			      key ? "remove" : "clear", table_names[table], name, column,
			      key ? " " : "", key ? key : "");
	}
	return 0;
}

/* `options` and `other_config` of an Interface say how its device is to be: each key counts. */
static int
check_keys(const json_t *interface, const char *map, const char *const *known, struct err *err)
{
	char name[OVSDB_SHORT_SIZE], brief[OVSDB_SHORT_SIZE];
	const char *key;
	json_t *value;

	ovsdb_want_short(text_of(interface, "name"), name);
	json_object_foreach(json_object_get(interface, map), key, value)
	{
		const char *const *at = known;

		while (*at && strcmp(*at, key) != 0)
			at++;
		if (*at)
			continue;
		return REFUSE(err,
			      "%s:%s is not done for type %s%s; remove it with `ovs-vsctl remove"
			      " Interface %s %s %s`",
			      map, ovsdb_want_short(key, brief), text_of(interface, "type"),
			      strcmp(key, "tx-retries-max") ?
				      "" :
				      ": use `sluicectl port set --tx_retries`",
			      name, map, ovsdb_want_short(key, brief));
	}
	return 0;
}

static int
check_lacking(const struct ovsdb_want_rows *rows, struct err *err)
{
	static const char *const server[] = {"n_rxq", NULL};
	static const char *const client[] = {"n_rxq", "vhost-server-path", NULL};
	static const char *const uplink[] = {"n_rxq", "dpdk-devargs", NULL};
	/* emc-enable is about a cache of OVS that we have no counterpart of. */
	static const char *const other[] = {"pmd-rxq-affinity", "emc-enable", NULL};
	const char *type = text_of(rows->interface, "type");
	const char *const *options = !strcmp(type, TYPE_SERVER) ? server :
				     !strcmp(type, TYPE_CLIENT) ? client :
								  uplink;

	if (check_keys(rows->interface, "options", options, err) < 0 ||
	    check_keys(rows->interface, "other_config", other, err) < 0 ||
	    ovsdb_want_check_columns(OVSDB_PORT, rows->port, err) < 0 ||
	    ovsdb_want_check_columns(OVSDB_INTERFACE, rows->interface, err) < 0)
		return -EINVAL;
	return 0;
}

static int
check_type(const struct ovsdb_want_rows *rows, struct err *err)
{
	const char *type = text_of(rows->interface, "type");
	char brief[OVSDB_SHORT_SIZE];
	bool is_ours, is_uplink;

	if (json_array_size(json_object_get(rows->port, "interfaces")) > 1)
		return REFUSE(err,
			      "a Port of several interfaces is a bond, which sluice does not do: give"
			      " each Interface a Port of its own");
	ovsdb_want_kind(rows->interface, &is_ours, &is_uplink);
	if (is_ours)
		return 0;
	return REFUSE(err,
		      "type %s is not done on a bridge of datapath_type " OVSDB_DATAPATH_TYPE
		      ": set type=" TYPE_SERVER ", " TYPE_CLIENT " or " TYPE_UPLINK
		      ", or have the port on a bridge of ovs-vswitchd",
		      *type ? ovsdb_want_short(type, brief) : "\"\" (a device of the kernel)");
}

/* VLANs, as ofproto/ofproto-dpif.c reads them: without a mode a tag makes an access port; tags of trunks
 * and trunks of access ports mean nothing; VLAN 0 are untagged frames. */

/* The list, with the native VLAN, which a port always has, and where frames without tag are; empty: all. */
static json_t *
trunks_with(const json_t *trunks, json_int_t native)
{
	json_t *list = json_array(), *vlan;
	size_t i;

	json_array_foreach(trunks, i, vlan)
	{
		if (json_integer_value(vlan) && json_integer_value(vlan) != native)
			json_array_append(list, vlan);
	}
	if (json_array_size(trunks))
		json_array_append_new(list, json_integer(native));
	return list;
}

static int
add_vlans(json_t *params, const json_t *port, struct err *err)
{
	const json_t *tag = json_object_get(port, "tag"), *trunks = json_object_get(port, "trunks");
	const char *mode = text_of(port, "vlan_mode");
	json_int_t vlan = json_integer_value(tag);
	char brief[OVSDB_SHORT_SIZE];
	bool native = !strncmp(mode, "native-", 7);

	if (!*mode)
		mode = tag ? "access" : "trunk";
	if (!native && strcmp(mode, "access") != 0 && strcmp(mode, "trunk") != 0)
		return REFUSE(err,
			      "vlan_mode %s is not done: choose access, trunk, native-tagged or"
			      " native-untagged",
			      ovsdb_want_short(mode, brief));
	if (!strcmp(mode, "trunk")) {
		json_object_set_new(params, "trunks", json_deep_copy(trunks));
	} else if (!native) {
		if (vlan)
			json_object_set_new(params, "vlan", json_integer(vlan));
		else
			json_object_set_new(params, "trunks", json_pack("[i]", 0));
	} else {
		json_object_set_new(params, "trunks", trunks_with(trunks, vlan));
		if (vlan) {
			json_object_set_new(params, "vlan", json_integer(vlan));
			json_object_set_new(params, "vlan_mode", json_string(mode));
		}
	}
	return 0;
}

/* "0:3,1:7": queue to CPU. */

static int
lcore_of_cpu(const struct ovsdb_host *host, unsigned long cpu, unsigned int *lcore, struct err *err)
{
	for (*lcore = 1; *lcore <= host->n_lcores; ++*lcore)
		if (host->lcore[*lcore - 1].cpu == cpu)
			return 0;
	return REFUSE(err,
		      "other_config:pmd-rxq-affinity: no lcore of sluice runs on CPU %lu;"
		      " `sluicectl lcore list` shows those there are",
		      cpu);
}

static int
add_affinity(json_t *params, const struct ovsdb_want_rows *rows, unsigned int queues,
	     struct err *err)
{
	const char *at = key_of(rows->interface, "other_config", "pmd-rxq-affinity");
	unsigned long queue, cpu;
	unsigned int lcore;
	json_t *pins;
	int n;

	if (!at || !*(at += strspn(at, ", \t")))
		return 0;
	pins = json_array();
	for (unsigned int i = 0; i < queues; i++)
		json_array_append_new(pins, json_string("auto"));
	json_object_set_new(params, "lcore", pins);
	while (*at) {
		if (*at < '0' || *at > '9' || sscanf(at, "%4lu:%4lu%n", &queue, &cpu, &n) != 2 ||
		    (at[n] && !strchr(", \t", at[n])))
			return REFUSE(err, "other_config:pmd-rxq-affinity must be queues with CPUs,"
					   " such as 0:3,1:7");
		if (queue >= queues)
			return REFUSE(err,
				      "other_config:pmd-rxq-affinity names queue %lu, but there are %u:"
				      " set options:n_rxq=%lu",
				      queue, queues, queue + 1);
		if (lcore_of_cpu(rows->host, cpu, &lcore, err) < 0)
			return -EINVAL;
		json_array_set_new(pins, queue, json_integer(lcore));
		at += n;
		at += strspn(at, ", \t");
	}
	return 0;
}

/* Sockets. */

static bool
has_dot_dot(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
			return true;
	return false;
}

/* Where the sockets of a switch that is told vhost-sock-dir lie: OVS has it below its run directory, we
 * below the first socket directory, or where it says if that is in one. NULL: refused. */
static json_t *
server_socket(const struct ovsdb_want_rows *rows, struct err *err)
{
	const char *sub = key_of(rows->root, "other_config", "vhost-sock-dir");
	const char *name = text_of(rows->interface, "name");
	const struct sockpath_dirs *dirs = rows->host->dirs;
	char brief[OVSDB_SHORT_SIZE];

	if (!sub || !*sub)
		return json_sprintf("%s/%s", dirs->dir[0], name);
	if (has_dot_dot(sub)) {
		REFUSE(err,
		       "Open_vSwitch other_config:vhost-sock-dir %s contains \"..\"; give the plain"
		       " path",
		       ovsdb_want_short(sub, brief));
		return NULL;
	}
	for (unsigned int i = 0; i < dirs->n; i++) {
		size_t len = strlen(dirs->dir[i]);

		if (!strncmp(sub, dirs->dir[i], len) && (sub[len] == '/' || sub[len] == '\0'))
			return json_sprintf("%s/%s", sub, name);
	}
	return json_sprintf("%s/%s/%s", dirs->dir[0], sub, name);
}

static int
add_socket(json_t *params, const struct ovsdb_want_rows *rows, struct err *err)
{
	const char *path = key_of(rows->interface, "options", "vhost-server-path");
	bool client = !strcmp(text_of(rows->interface, "type"), TYPE_CLIENT);
	json_t *socket;

	if (client && (!path || !*path))
		return REFUSE(err,
			      "type " TYPE_CLIENT " needs options:vhost-server-path, the socket"
			      " that QEMU makes");
	socket = client ? json_string(path) : server_socket(rows, err);
	if (!socket)
		return -EINVAL;
	json_object_set_new(params, "mode", json_string(client ? "client" : "server"));
	json_object_set_new(params, "socket", socket);
	return 0;
}

/* Numbers. */

static int
queues_of(const json_t *interface, unsigned int *queues, struct err *err)
{
	const char *text = key_of(interface, "options", "n_rxq");
	char end;

	*queues = 1;
	if (text && (*text < '0' || *text > '9' || sscanf(text, "%8u%c", queues, &end) != 1))
		return REFUSE(err, "options:n_rxq must be a number of queues, such as 2");
	if (!*queues)
		*queues = 1;
	if (*queues > DP_QUEUES_MAX)
		return REFUSE(err, "options:n_rxq must be from 1 to %d, not %u", DP_QUEUES_MAX,
			      *queues);
	return 0;
}

static void
add_rate(json_t *params, const json_t *interface)
{
	json_int_t rate = number_of(interface, "ingress_policing_rate");
	json_int_t burst = number_of(interface, "ingress_policing_burst");

	json_object_set_new(params, "rate_kbps", json_integer(rate));
	if (rate)
		json_object_set_new(params, "burst_kb", json_integer(burst ? burst : BURST_KBIT));
}

static json_t *
params_of(const struct ovsdb_want_rows *rows, bool is_uplink, struct err *err)
{
	const json_t *mtu = json_object_get(rows->interface, "mtu_request");
	const char *devargs = key_of(rows->interface, "options", "dpdk-devargs");
	unsigned int queues;
	json_t *params;

	if (is_uplink && (!devargs || !*devargs)) {
		REFUSE(err, "type " TYPE_UPLINK " needs options:dpdk-devargs, a PCI address such as"
			    " 0000:3b:00.0 or the text of a DPDK device");
		return NULL;
	}
	if (queues_of(rows->interface, &queues, err) < 0)
		return NULL;
	params = json_pack("{s:s, s:s, s:i}", "name", text_of(rows->interface, "name"), "bridge",
			   rows->bridge, "queues", (int)queues);
	json_object_set_new(params, "mtu",
			    mtu ? json_integer(json_integer_value(mtu)) : json_integer(1500));
	add_rate(params, rows->interface);
	if (is_uplink)
		json_object_set_new(params, "devargs", json_string(devargs));
	if (add_vlans(params, rows->port, err) < 0 || add_affinity(params, rows, queues, err) < 0 ||
	    (!is_uplink && add_socket(params, rows, err) < 0)) {
		json_decref(params);
		return NULL;
	}
	return params;
}

/* What a parameter is called in the database. */
static const char *
column_of(const char *param)
{
	static const char *const columns[][2] = {
		{"name", "name"},
		{"vlan", "tag"},
		{"trunks", "trunks"},
		{"vlan_mode", "vlan_mode"},
		{"queues", "options:n_rxq"},
		{"mtu", "mtu_request"},
		{"rate_kbps", "ingress_policing_rate"},
		{"burst_kb", "ingress_policing_burst"},
		{"lcore", "other_config:pmd-rxq-affinity"},
		{"socket", "options:vhost-server-path"},
		{"devargs", "options:dpdk-devargs"},
	};

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		if (!strcmp(columns[i][0], param))
			return columns[i][1];
	return NULL;
}

int
ovsdb_want_port_read(const struct ovsdb_want_rows *rows, struct port_settings *set, struct err *err)
{
	const struct method *method;
	bool is_ours, is_uplink;
	struct err why = {0};
	const char *column;
	json_t *params;
	int rc;

	ovsdb_want_kind(rows->interface, &is_ours, &is_uplink);
	if (check_type(rows, err) < 0 || check_lacking(rows, err) < 0)
		return -EINVAL;
	params = params_of(rows, is_uplink, err);
	if (!params)
		return -EINVAL;
	method = schema_find(is_uplink ? "uplink.add" : "port.attach");
	rc = schema_check(method, params, &why);
	if (rc == 0)
		rc = is_uplink ? settings_of_uplink(params, set, &why) :
				 settings_of_port(params, set, &why);
	json_decref(params);
	if (rc == 0)
		return 0;
	column = column_of(why.param);
	/* The path of a server's socket is nobody's but ours. */
	if (!strcmp(why.param, "socket") && strcmp(text_of(rows->interface, "type"), TYPE_CLIENT))
		column = NULL;
	return REFUSE(err, "%s%s%s", column ? column : "", column ? ": " : "", why.message);
}
