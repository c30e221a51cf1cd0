/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_SETTINGS_H
#define CONTROL_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>

#include "datapath/dp.h"
#include "numa/err.h"

/*
 * What somebody asked for when he made a bridge, a port or an uplink, and its two-way road to the
 * parameters of bridge.add, port.attach and uplink.add. The state file holds the same parameters,
 * so there is one form of them only. Pure but for the lookup of users and groups. Thread: control.
 */

#define SETTINGS_USER_SIZE 64

struct bridge_settings {
	char name[DP_NAME_SIZE];
	char owner[SETTINGS_USER_SIZE]; /* as a port's */
	unsigned int mac_age_s;
	unsigned int mac_limit;
};

enum settings_datapath {
	DATAPATH_STANDARD, /* the daemon's */
	DATAPATH_DIRECT,
	DATAPATH_LIBRARY,
};

struct port_settings {
	char name[DP_NAME_SIZE];
	char bridge[DP_NAME_SIZE];
	char owner[SETTINGS_USER_SIZE]; /* who looks after it; "": whoever asks, "rpc" */
	struct dp_rules rules;
	unsigned int queues; /* pairs; an uplink's receive queues, 0: as it comes */
	uint8_t pin[DP_QUEUES_MAX]; /* lcore that shall poll each queue pair, from 1; 0: any */

	/* an uplink's only */
	char devargs[DP_DEVARGS_SIZE];

	/* a guest's port only */
	bool client;
	bool incoming; /* until its guest has run */
	enum settings_datapath datapath;
	char socket[DP_PATH_SIZE]; /* "": the default; canonical once the port is there */
	int node; /* -1: auto */
	char socket_owner[SETTINGS_USER_SIZE]; /* "": not given, as below */
	char socket_group[SETTINGS_USER_SIZE];
	char socket_mode[8];
	unsigned int n_peer_users;
	char peer_user[DP_UIDS_MAX][SETTINGS_USER_SIZE];
};

/*
 * From parameters that schema_check() has passed. What is absent gets its default; `rules` of
 * settings_change() keep theirs, but for two that follow another as long as they have their defaults:
 * `learn`, false where there are MACs, and `burst_kb`, 10 ms of the rate and at least 512. Errors: -EINVAL (code "bad-parameter", and the parameter).
 */
void settings_of_bridge(const json_t *params, struct bridge_settings *set);
int settings_of_port(const json_t *params, struct port_settings *set, struct err *err);
int settings_of_uplink(const json_t *params, struct port_settings *set, struct err *err);
int settings_change(const json_t *params, struct dp_rules *rules, struct err *err);
int settings_change_pins(const json_t *params, struct port_settings *set, struct err *err);

/* How many of pin[] count. */
unsigned int settings_n_pins(const struct port_settings *set);

/* The way back: an object that the functions above would read as the same. NULL: no memory. */
json_t *settings_bridge_json(const struct bridge_settings *set);
json_t *settings_port_json(const struct port_settings *set);
json_t *settings_uplink_json(const struct port_settings *set);

/* "52:54:00:12:34:56" */
json_t *settings_mac_json(const struct dp_mac *mac);

/* All that a port was given, as a list. */
json_t *settings_macs_json(const struct dp_rules *rules);

/*
 * What becomes of a server socket, with `standard` for what was not given. Errors: -EINVAL (code
 * "bad-parameter": no such user or group, bad mode). May wait: for the name service.
 */
int settings_access(const struct port_settings *set, const struct dp_socket_access *standard,
		    struct dp_socket_access *access, struct err *err);

#endif
