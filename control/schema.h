/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_SCHEMA_H
#define CONTROL_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "numa/err.h"

/*
 * Every method of the control channel and every parameter, in one table.
 *
 * sluiced checks requests against it before a handler sees them; sluicectl turns its command line
 * into requests, its --help and the shell completion from it. A parameter exists when it is here.
 */
enum param_type {
	PARAM_NAME, /* a name to give or to find: schema_name_ok() */
	PARAM_STRING, /* 1..max bytes of UTF-8 without control characters */
	PARAM_INT, /* min..max */
	PARAM_BOOL,
	PARAM_ENUM, /* one of `words`, separated by blanks */
	PARAM_MACS, /* one MAC as text, or a list of up to max, all different */
	PARAM_VLANS, /* a list of VLAN ids 0..max, all different */
	PARAM_NODE, /* "auto" or a memory node 0..max */
	PARAM_LCORES, /* an lcore 1..max, "auto" or null; or a list of up to SCHEMA_QUEUES_MAX of them */
	PARAM_WORDS, /* a list of up to max strings, out of `words` where that is set */
	PARAM_TEXT, /* up to max bytes of UTF-8, line ends too */
	PARAM_OBJECT, /* an object that its method takes apart */
	PARAM_OBJECTS, /* a list of up to max of them */
	PARAM_ANY, /* anything, of which its method decides */
	PARAM_NAMES, /* a list of up to max texts, also of what is no good name */
};

/* Whose names complete a parameter on the command line. */
enum param_of {
	OF_NOTHING,
	OF_PORT,
	OF_BRIDGE,
	OF_UPLINK,
	OF_SOCKET, /* a file, too */
	OF_FILE
};

struct param {
	const char *name;
	enum param_type type;
	bool required;
	int64_t min, max;
	const char *words;
	const char *dflt; /* as a person would write it, NULL where there is none */
	enum param_of of;
	const char *help; /* one line */
};

struct method {
	const char *name; /* "port.attach" */
	bool changes; /* not for a group that may only read */
	const struct param *params; /* up to one with a NULL name; the first required one is ARG */
	const char *help; /* one line */
};

#define SCHEMA_VLAN_ID_MAX 4094
#define SCHEMA_QUEUES_MAX 16 /* queue pairs of a port */
#define SCHEMA_NICS_MAX 64 /* network cards of a guest that moves */

/* What happens to a port whose guest moves from host to host. */
#define SCHEMA_MIGRATION_EVENT_TYPES                                                     \
	"port.draining port.drained port.resumed port.parking port.unparked port.moved " \
	"port.redirected port.park_expired port.incoming_up port.announced"

#define SCHEMA_LCORE_EVENT_TYPES \
	"lcore.overload lcore.moved lcore.returned queue.moved port.remote "

/* What events.subscribe can be asked for: every event that this version sends. */
#define SCHEMA_EVENT_TYPES                                                                                           \
	"port.up port.down port.reconnected uplink.up uplink.down mac.limit "                                        \
	"peer.refused peer.bad_message port.ring_stopped port.memory_gone capture.stopped " SCHEMA_LCORE_EVENT_TYPES \
		SCHEMA_MIGRATION_EVENT_TYPES

extern const struct method schema_methods[]; /* up to one with a NULL name; schema_methods.c */

const struct method *schema_find(const char *name);

/*
 * Checks `params` (an object, or NULL for none) against the method: unknown, missing, ill-typed and
 * out-of-range parameters. Returns 0 or -EINVAL with err->param and a sentence. Thread: any.
 */
int schema_check(const struct method *method, const json_t *params, struct err *err);

/* A name of a port, bridge or uplink: 1 to 63 of A-Z a-z 0-9 _ . -, beginning with a letter, a
 * digit or '_'. */
bool schema_name_ok(const char *name);

/* Whether there are control characters, of ASCII or of Latin-1, in a text. */
bool schema_has_control(const char *text);

/* "52:54:00:12:34:56" -> six bytes. False if `text` is anything else. Thread: any. */
bool schema_mac_parse(const char *text, uint8_t mac[6]);

/* Makes of one command-line word the JSON value of a parameter: "1500", "true", "a,b", {"a": 1}.
 * Returns a new reference, or NULL with a sentence in *err. */
json_t *schema_value(const struct param *param, const char *text, struct err *err);

#endif
