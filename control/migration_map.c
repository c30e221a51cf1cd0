/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/migration_map.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/orchestrator.h"
#include "control/schema.h"

#define SOCKET_LEN_MAX 107 /* of a unix socket's path */

#define REFUSE(code, mac, err, ...) err_set_key(err, EINVAL, code, "map", mac, __VA_ARGS__)

static const char *
text_of(const json_t *entry, const char *name)
{
	const char *text = json_string_value(json_object_get(entry, name));

	return text ? text : "";
}

static int
check_entry(const char *mac, const json_t *entry, struct err *err)
{
	const char *path = text_of(entry, "path"), *port = text_of(entry, "port");
	uint8_t bytes[6];
	bool client;

	if (!schema_mac_parse(mac, bytes))
		return REFUSE("bad-parameter", mac, err,
			      "map: its keys must be MAC addresses such as 52:54:00:12:34:56, and"
			      " \"%.64s\" is none",
			      mac);
	if (!json_is_object(entry) || !orchestrator_is_directory(path) || schema_has_control(path))
		return REFUSE("bad-parameter", mac, err,
			      "map: %s needs a path, the absolute directory of its socket without"
			      " \"..\" in it",
			      mac);
	if (!schema_name_ok(port))
		return REFUSE("invalid-port", mac, err,
			      "map: %s needs a port, and \"%.64s\" is no"
			      " name of one",
			      mac, port);
	if (strlen(path) + 1 + strlen(port) > SOCKET_LEN_MAX)
		return REFUSE("bad-parameter", mac, err,
			      "map: path and port of %s together have %zu bytes, a socket's path may"
			      " have %d",
			      mac, strlen(path) + 1 + strlen(port), SOCKET_LEN_MAX);
	return orchestrator_mode(text_of(entry, "mode"), &client, "map", mac, err);
}

/* The MAC of the first entry that names the port; NULL: none does. */
static const char *
mac_of_port(const json_t *map, const char *port)
{
	const char *mac;
	json_t *entry;

	json_object_foreach((json_t *)map, mac, entry)
	{
		if (!strcmp(text_of(entry, "port"), port))
			return mac;
	}
	return NULL;
}

int
migration_map_check(const json_t *map, struct err *err)
{
	const char *mac, *port, *first;
	json_t *entry;

	if (json_object_size(map) > SCHEMA_NICS_MAX)
		return err_set_param(err, EINVAL, "bad-parameter", "map",
				     "map may have at most %d entries, it has %zu", SCHEMA_NICS_MAX,
				     json_object_size(map));
	json_object_foreach((json_t *)map, mac, entry)
	{
		int rc = check_entry(mac, entry, err);

		if (rc < 0)
			return rc;
		if (strcmp(migration_map_key(map, mac), mac) != 0)
			return REFUSE("bad-parameter", mac, err, "map names %s twice", mac);
		port = text_of(entry, "port");
		first = mac_of_port(map, port);
		if (strcmp(first, mac) != 0)
			return REFUSE("bad-parameter", mac, err,
				      "map: %s and %s have one port, %s; each network card needs a"
				      " port of its own",
				      first, mac, port);
	}
	return 0;
}

const char *
migration_map_key(const json_t *map, const char *mac)
{
	const char *key;
	json_t *entry;

	json_object_foreach((json_t *)map, key, entry)
	{
		if (!strcasecmp(key, mac))
			return key;
	}
	return NULL;
}

char *
migration_map_socket(const json_t *entry)
{
	char *path, *to;

	if (asprintf(&path, "%s/%s", text_of(entry, "path"), text_of(entry, "port")) < 0)
		return NULL;
	to = path;
	for (const char *from = path; *from; from++)
		if (to == path || *from != '/' || to[-1] != '/')
			*to++ = *from;
	*to = '\0';
	return path;
}

bool
migration_map_is_client(const json_t *entry)
{
	return !strcasecmp(text_of(entry, "mode"), "client");
}
