/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/ids.h"
#include "control/schema.h"

#define REFUSE(param, err, ...) err_set_param(err, EINVAL, "bad-parameter", param, __VA_ARGS__)

static void
copy_text(const json_t *params, const char *name, char *text, size_t size)
{
	const char *value = json_string_value(json_object_get(params, name));

	snprintf(text, size, "%s", value ? value : "");
}

static long long
number(const json_t *params, const char *name, long long standard)
{
	const json_t *value = json_object_get(params, name);

	return value ? json_integer_value(value) : standard;
}

static const char *const vlan_modes[] = {
	[DP_VLANS_TRUNK] = "trunk",
	[DP_VLANS_ACCESS] = "access",
	[DP_VLANS_NATIVE_TAGGED] = "native-tagged",
	[DP_VLANS_NATIVE_UNTAGGED] = "native-untagged",
};

static bool
is_native(const struct dp_vlans *vlans)
{
	return vlans->mode == DP_VLANS_NATIVE_TAGGED || vlans->mode == DP_VLANS_NATIVE_UNTAGGED;
}

static enum dp_vlan_mode
vlan_mode_of(const json_t *vlan, const char *word)
{
	enum dp_vlan_mode mode = vlan ? DP_VLANS_ACCESS : DP_VLANS_TRUNK;

	for (size_t i = 0; word && i < sizeof(vlan_modes) / sizeof(vlan_modes[0]); i++)
		if (!strcmp(word, vlan_modes[i]))
			mode = i;
	return mode;
}

static int
check_vlans(const struct dp_vlans *vlans, bool has_mode, const json_t *trunks, struct err *err)
{
	const char *word = vlan_modes[vlans->mode];

	if (vlans->mode == DP_VLANS_ACCESS && trunks)
		return REFUSE("trunks", err,
			      has_mode ? "trunks are not for vlan_mode access: leave them out, or"
					 " choose native-tagged or native-untagged" :
					 "give vlan (access port) or trunks, not both; or with both"
					 " vlan_mode native-tagged or native-untagged");
	if (vlans->mode == DP_VLANS_TRUNK && vlans->vlan)
		return REFUSE("vlan", err,
			      "vlan is not for vlan_mode trunk: leave it out, or choose access,"
			      " native-tagged or native-untagged");
	if (vlans->mode != DP_VLANS_TRUNK && !vlans->vlan)
		return REFUSE("vlan_mode", err, "vlan_mode %s needs a vlan: give it too", word);
	if (is_native(vlans) && vlans->trunks[0] & 1)
		return REFUSE("trunks", err,
			      "trunks must not have 0 with vlan_mode %s, as untagged frames are in"
			      " the native VLAN",
			      word);
	return 0;
}

/* The three are one setting: who gives one gives all of it. */
static int
change_vlans(const json_t *params, struct dp_vlans *vlans, struct err *err)
{
	const json_t *vlan = json_object_get(params, "vlan");
	const json_t *trunks = json_object_get(params, "trunks");
	const char *word = json_string_value(json_object_get(params, "vlan_mode"));
	size_t i;
	json_t *value;

	if (!vlan && !trunks && !word)
		return 0;
	*vlans = (struct dp_vlans){
		.mode = vlan_mode_of(vlan, word),
		.vlan = json_integer_value(vlan),
	};
	vlans->all = vlans->mode != DP_VLANS_ACCESS && json_array_size(trunks) == 0;
	json_array_foreach(trunks, i, value)
	{
		json_int_t id = json_integer_value(value);

		vlans->trunks[id / 64] |= UINT64_C(1) << id % 64;
	}
	return check_vlans(vlans, word, trunks, err);
}

static void
macs_of(const json_t *value, struct dp_rules *rules)
{
	if (json_is_string(value)) {
		rules->n_macs = 1;
		schema_mac_parse(json_string_value(value), rules->mac[0].byte);
		return;
	}
	rules->n_macs = json_array_size(value);
	for (unsigned int i = 0; i < rules->n_macs; i++)
		schema_mac_parse(json_string_value(json_array_get(value, i)), rules->mac[i].byte);
}

#define BIT_PER_S_OF_MBPS 1000000
#define BIT_PER_S_OF_KBPS 1000
#define BITS_OF_KB 1000

static const char *const storm_names[DP_STORMS] = {
	[DP_STORM_BROADCAST] = "storm_broadcast_pps",
	[DP_STORM_MULTICAST] = "storm_multicast_pps",
	[DP_STORM_UNKNOWN] = "storm_unknown_pps",
};

/* 10 ms of the rate are enough for what a guest sends between two looks at its ring, and little
 * enough not to be seen in a rate measured over some seconds; 64 kB are one large TCP frame. */
static uint64_t
standard_burst_bits(uint64_t rate_bps)
{
	const uint64_t least = 512 * BITS_OF_KB;

	return rate_bps / 100 > least ? rate_bps / 100 : least;
}

static int
change_limits(const json_t *params, struct dp_limits *limits, struct err *err)
{
	long long burst_kb = number(params, "burst_kb", -1);
	bool burst_is_standard =
		!limits->rate_bps || limits->burst_bits == standard_burst_bits(limits->rate_bps);

	if (json_object_get(params, "rate_mbps") && json_object_get(params, "rate_kbps"))
		return REFUSE("rate_kbps", err, "give rate_mbps or rate_kbps, not both");
	if (json_object_get(params, "rate_mbps"))
		limits->rate_bps = BIT_PER_S_OF_MBPS * number(params, "rate_mbps", 0);
	if (json_object_get(params, "rate_kbps"))
		limits->rate_bps = BIT_PER_S_OF_KBPS * number(params, "rate_kbps", 0);
	if (burst_kb > 0 && !limits->rate_bps)
		return REFUSE("burst_kb", err,
			      "burst_kb belongs to a rate: give a rate_mbps or rate_kbps above 0 with"
			      " it");
	if (!limits->rate_bps)
		limits->burst_bits = 0;
	else if (burst_kb > 0)
		limits->burst_bits = BITS_OF_KB * burst_kb;
	else if (burst_kb == 0 || burst_is_standard)
		limits->burst_bits = standard_burst_bits(limits->rate_bps);
	for (unsigned int s = 0; s < DP_STORMS; s++)
		limits->storm_pps[s] = number(params, storm_names[s], limits->storm_pps[s]);
	return 0;
}

int
settings_change(const json_t *params, struct dp_rules *rules, struct err *err)
{
	const json_t *mac = json_object_get(params, "mac");
	const json_t *learn = json_object_get(params, "learn");
	const char *switching = json_string_value(json_object_get(params, "switching"));
	bool learn_is_default = rules->learn == !rules->n_macs;

	if (change_vlans(params, &rules->vlans, err) < 0)
		return -EINVAL;
	if (mac)
		macs_of(mac, rules);
	if (learn)
		rules->learn = json_is_true(learn);
	else if (learn_is_default)
		rules->learn = !rules->n_macs;
	if (switching)
		rules->vepa = !strcmp(switching, "vepa");
	rules->mtu = number(params, "mtu", rules->mtu);
	rules->tx_retries = number(params, "tx_retries", rules->tx_retries);
	rules->park_ms = number(params, "park_ms", rules->park_ms);
	rules->park_frames = number(params, "park_frames", rules->park_frames);
	return change_limits(params, &rules->limits, err);
}

void
settings_of_bridge(const json_t *params, struct bridge_settings *set)
{
	*set = (struct bridge_settings){
		.mac_age_s = number(params, "mac_age_s", 300),
		.mac_limit = number(params, "mac_limit", 65536),
	};
	copy_text(params, "name", set->name, sizeof(set->name));
}

/* A client's socket is made by the guest's side. */
static int
check_no_server_socket(const json_t *params, struct err *err)
{
	static const char *const names[] = {"socket_owner", "socket_group", "socket_mode"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_get(params, names[i]))
			return REFUSE(names[i], err,
				      "%s is for a server port, whose socket sluiced makes; leave it"
				      " out in mode client",
				      names[i]);
	return 0;
}

unsigned int
settings_n_pins(const struct port_settings *set)
{
	return set->queues ? set->queues : DP_QUEUES_MAX;
}

int
settings_change_pins(const json_t *params, struct port_settings *set, struct err *err)
{
	const json_t *lcore = json_object_get(params, "lcore");

	if (!lcore)
		return 0;
	if (json_is_array(lcore) && !set->queues)
		return REFUSE("lcore", err,
			      "lcore is a list, so queues must say how many there are: give it, or"
			      " one lcore for all");
	if (json_is_array(lcore) && json_array_size(lcore) != set->queues)
		return REFUSE("lcore", err,
			      "lcore has %zu entries, but queues is %u: give one for each (\"auto\""
			      " for any lcore), or one for all",
			      json_array_size(lcore), set->queues);
	/* "auto" is no integer, whose value is 0. */
	for (unsigned int i = 0; i < settings_n_pins(set); i++)
		set->pin[i] =
			json_integer_value(json_is_array(lcore) ? json_array_get(lcore, i) : lcore);
	return 0;
}

static enum settings_datapath
datapath_of(const json_t *params)
{
	const char *word = json_string_value(json_object_get(params, "datapath"));

	if (!word)
		return DATAPATH_STANDARD;
	return !strcmp(word, "library") ? DATAPATH_LIBRARY : DATAPATH_DIRECT;
}

int
settings_of_port(const json_t *params, struct port_settings *set, struct err *err)
{
	const json_t *users = json_object_get(params, "peer_users");
	const char *mode = json_string_value(json_object_get(params, "mode"));
	const json_t *node = json_object_get(params, "node");
	const char *socket = json_string_value(json_object_get(params, "socket"));
	size_t i;
	json_t *user;

	*set = (struct port_settings){
		.rules = {.vlans.all = true,
			  .mtu = 1500,
			  .learn = true,
			  .park_ms = 2000,
			  .park_frames = 16384},
		.client = mode && !strcmp(mode, "client"),
		.incoming = json_is_true(json_object_get(params, "incoming")),
		.datapath = datapath_of(params),
		.queues = number(params, "queues", 1),
		.node = json_is_integer(node) ? (int)json_integer_value(node) : -1,
	};
	if (socket && strlen(socket) >= sizeof(set->socket))
		return err_set_param(err, EINVAL, "socket-path-refused", "socket",
				     "socket must have 1 to %zu bytes, it has %zu",
				     sizeof(set->socket) - 1, strlen(socket));
	if (set->client && check_no_server_socket(params, err) < 0)
		return -EINVAL;
	copy_text(params, "name", set->name, sizeof(set->name));
	copy_text(params, "bridge", set->bridge, sizeof(set->bridge));
	copy_text(params, "owner", set->owner, sizeof(set->owner));
	copy_text(params, "socket", set->socket, sizeof(set->socket));
	copy_text(params, "socket_owner", set->socket_owner, sizeof(set->socket_owner));
	copy_text(params, "socket_group", set->socket_group, sizeof(set->socket_group));
	copy_text(params, "socket_mode", set->socket_mode, sizeof(set->socket_mode));
	json_array_foreach(users, i, user)
		snprintf(set->peer_user[set->n_peer_users++], SETTINGS_USER_SIZE, "%s",
			 json_string_value(user));
	if (settings_change_pins(params, set, err) < 0)
		return -EINVAL;
	return settings_change(params, &set->rules, err);
}

int
settings_of_uplink(const json_t *params, struct port_settings *set, struct err *err)
{
	/* Everything beyond a host may be behind an uplink, so it learns. */
	*set = (struct port_settings){
		.rules = {.vlans.all = true, .mtu = 1500, .learn = true},
		.queues = number(params, "queues", 0),
		.node = -1,
	};
	copy_text(params, "name", set->name, sizeof(set->name));
	copy_text(params, "bridge", set->bridge, sizeof(set->bridge));
	copy_text(params, "devargs", set->devargs, sizeof(set->devargs));
	if (settings_change_pins(params, set, err) < 0)
		return -EINVAL;
	return settings_change(params, &set->rules, err);
}

json_t *
settings_mac_json(const struct dp_mac *mac)
{
	const uint8_t *b = mac->byte;

	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

json_t *
settings_macs_json(const struct dp_rules *rules)
{
	json_t *macs = json_array();

	for (unsigned int i = 0; i < rules->n_macs; i++)
		json_array_append_new(macs, settings_mac_json(&rules->mac[i]));
	return macs;
}

static json_t *
trunks_json(const struct dp_vlans *vlans)
{
	json_t *list = json_array();

	for (int id = 0; id <= DP_VLAN_MAX; id++)
		if (vlans->trunks[id / 64] >> id % 64 & 1)
			json_array_append_new(list, json_integer(id));
	return list;
}

static void
set_number(json_t *o, const char *name, uint64_t value)
{
	if (value)
		json_object_set_new(o, name, json_integer(value));
}

/* What ports and uplinks have in common. */
static json_t *
common_json(const struct port_settings *set)
{
	const struct dp_limits *limits = &set->rules.limits;
	const struct dp_vlans *vlans = &set->rules.vlans;
	json_t *o = json_pack("{s:s, s:s, s:i}", "name", set->name, "bridge", set->bridge, "mtu",
			      (int)set->rules.mtu);

	if (is_native(vlans))
		json_object_set_new(o, "vlan_mode", json_string(vlan_modes[vlans->mode]));
	set_number(o, "vlan", vlans->vlan);
	if (vlans->mode != DP_VLANS_ACCESS && !vlans->all)
		json_object_set_new(o, "trunks", trunks_json(vlans));
	if (limits->rate_bps % BIT_PER_S_OF_MBPS)
		set_number(o, "rate_kbps", limits->rate_bps / BIT_PER_S_OF_KBPS);
	else
		set_number(o, "rate_mbps", limits->rate_bps / BIT_PER_S_OF_MBPS);
	set_number(o, "burst_kb", limits->burst_bits / BITS_OF_KB);
	for (unsigned int s = 0; s < DP_STORMS; s++)
		set_number(o, storm_names[s], limits->storm_pps[s]);
	return o;
}

/* One number if it is the same for all queues, else a list; nothing where none is pinned. */
static void
set_pins(json_t *o, const struct port_settings *set)
{
	json_t *list = json_array();
	bool any = false, same = true;

	for (unsigned int i = 0; i < settings_n_pins(set); i++) {
		any |= set->pin[i] != 0;
		same &= set->pin[i] == set->pin[0];
		json_array_append_new(list, set->pin[i] ? json_integer(set->pin[i]) :
							  json_string("auto"));
	}
	if (any)
		json_object_set(o, "lcore", same ? json_array_get(list, 0) : list);
	json_decref(list);
}

static void
set_text(json_t *o, const char *name, const char *text)
{
	if (*text)
		json_object_set_new(o, name, json_string(text));
}

json_t *
settings_port_json(const struct port_settings *set)
{
	json_t *o = common_json(set);

	json_object_set_new(o, "mac", settings_macs_json(&set->rules));
	json_object_set_new(o, "mode", json_string(set->client ? "client" : "server"));
	set_text(o, "owner", set->owner);
	set_text(o, "socket", set->socket);
	json_object_set_new(o, "queues", json_integer(set->queues));
	json_object_set_new(o, "node",
			    set->node < 0 ? json_string("auto") : json_integer(set->node));
	set_pins(o, set);
	json_object_set_new(o, "learn", json_boolean(set->rules.learn));
	json_object_set_new(o, "switching", json_string(set->rules.vepa ? "vepa" : "veb"));
	set_number(o, "tx_retries", set->rules.tx_retries);
	json_object_set_new(o, "park_ms", json_integer(set->rules.park_ms));
	json_object_set_new(o, "park_frames", json_integer(set->rules.park_frames));
	if (set->incoming)
		json_object_set_new(o, "incoming", json_true());
	if (set->datapath != DATAPATH_STANDARD)
		json_object_set_new(o, "datapath",
				    json_string(set->datapath == DATAPATH_LIBRARY ? "library" :
										    "direct"));
	set_text(o, "socket_owner", set->socket_owner);
	set_text(o, "socket_group", set->socket_group);
	set_text(o, "socket_mode", set->socket_mode);
	if (set->n_peer_users) {
		json_t *users = json_array();

		for (unsigned int i = 0; i < set->n_peer_users; i++)
			json_array_append_new(users, json_string(set->peer_user[i]));
		json_object_set_new(o, "peer_users", users);
	}
	return o;
}

json_t *
settings_uplink_json(const struct port_settings *set)
{
	json_t *o = common_json(set);

	set_text(o, "devargs", set->devargs);
	set_number(o, "queues", set->queues);
	set_pins(o, set);
	return o;
}

json_t *
settings_bridge_json(const struct bridge_settings *set)
{
	return json_pack("{s:s, s:i, s:i}", "name", set->name, "mac_age_s", (int)set->mac_age_s,
			 "mac_limit", (int)set->mac_limit);
}

int
settings_access(const struct port_settings *set, const struct dp_socket_access *standard,
		struct dp_socket_access *access, struct err *err)
{
	*access = *standard;
	if (set->socket_owner[0] && ids_user(set->socket_owner, &access->owner) < 0)
		return REFUSE("socket_owner", err,
			      "socket_owner: there is no user \"%s\"; name one, or give a number",
			      set->socket_owner);
	if (set->socket_group[0] && ids_group(set->socket_group, &access->group) < 0)
		return REFUSE("socket_group", err,
			      "socket_group: there is no group \"%s\"; name one, or give a number",
			      set->socket_group);
	if (set->socket_mode[0] && ids_mode(set->socket_mode, &access->mode) < 0)
		return REFUSE("socket_mode", err,
			      "socket_mode: \"%s\" is not octal permissions such as 0660",
			      set->socket_mode);
	if (set->n_peer_users)
		access->n_peer_uids = set->n_peer_users;
	for (unsigned int i = 0; i < set->n_peer_users; i++)
		if (ids_user(set->peer_user[i], &access->peer_uid[i]) < 0)
			return REFUSE("peer_users", err,
				      "peer_users: there is no user \"%s\"; name one, or give a number",
				      set->peer_user[i]);
	return 0;
}
