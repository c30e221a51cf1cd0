/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/libvirt_ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/schema.h"
#include "control/settings.h"
#include "control/sockpath.h"

/* libvirt waits for its hook, and does nothing else with the domain meanwhile. */
#define ATTACH_TIMEOUT_MS 10000 /* all requests together */
#define DETACH_TIMEOUT_MS 10000
#define UNDO_TIMEOUT_MS 1000 /* each request */

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int
left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - now_ms();

	return left > 0 ? left : 0;
}

static const char *
name_of(const json_t *port)
{
	const char *name = json_string_value(json_object_get(port, "name"));

	return name ? name : "";
}

static bool
has_owner(const json_t *port, const char *owner)
{
	const char *is = json_string_value(json_object_get(port, "owner"));

	return is && !strcmp(is, owner);
}

/* Calls a method that takes nothing but a name. */
static int
call_named(struct ctl_rpc *rpc, const char *method, const json_t *port, int timeout_ms,
	   json_t **result, struct err *err)
{
	json_t *params = json_pack("{s:s}", "name", name_of(port));
	int rc = ctl_rpc_result(rpc, method, params, timeout_ms, result, err);

	json_decref(params);
	return rc;
}

/* Are two paths, of which `there` is as sluiced has it, those of one socket? */
static bool
is_same_socket(const char *wanted, const char *there)
{
	const char *slash = wanted ? strrchr(wanted, '/') : NULL;
	const char *there_slash = there ? strrchr(there, '/') : NULL;
	char *dir, *full;
	bool same;

	if (!slash || !there_slash || strcmp(slash, there_slash) != 0)
		return false;
	dir = strndup(wanted, slash - wanted + 1);
	full = dir ? realpath(dir, NULL) : NULL;
	same = full && strlen(full) == (size_t)(there_slash - there) &&
	       !strncmp(full, there, there_slash - there);
	free(full);
	free(dir);
	return same;
}

/* The settings of port.attach in one form, whether they come as parameters or from port.get. NULL:
 * they are none. */
static json_t *
settings_of(const json_t *params)
{
	struct port_settings set;
	struct err err;

	if (schema_check(schema_find("port.attach"), params, &err) < 0 ||
	    settings_of_port(params, &set, &err) < 0)
		return NULL;
	return settings_port_json(&set);
}

/* What a port that is there was attached with. */
static json_t *
params_of(const json_t *port)
{
	json_t *params = json_object();

	for (const struct param *p = schema_find("port.attach")->params; p->name; p++) {
		json_t *value = json_object_get(port, p->name);

		if (!strcmp(p->name, "queues"))
			json_object_set_new(params, p->name, json_integer(json_array_size(value)));
		else if (value && !json_is_null(value))
			json_object_set(params, p->name, value);
	}
	return params;
}

/* Refuses a port whose settings are others than those wanted. */
static int
check_settings(const json_t *wanted, const json_t *port, struct err *err)
{
	json_t *params = params_of(port), *want = settings_of(wanted), *is;
	const char *name = NULL;
	int rc = 0;

	/* What is shown is where the port ended up, whether it was said or not. */
	if (!json_object_get(wanted, "datapath"))
		json_object_del(params, "datapath");
	is = settings_of(params);
	for (const struct param *p = schema_find("port.attach")->params; p->name && !name; p++) {
		const char *path = json_string_value(json_object_get(wanted, p->name));
		json_t *a = json_object_get(want, p->name), *b = json_object_get(is, p->name);

		if (!strcmp(p->name, "incoming") || (!a && !b))
			continue;
		if (!strcmp(p->name, "socket") ? is_same_socket(path, json_string_value(b)) :
						 json_equal(a, b))
			continue;
		name = p->name;
	}
	if (!want || !is || name)
		rc = err_set(err, EEXIST, "port-differs",
			     "port %s of this domain is there already, with another %s; detach it"
			     " (sluicectl port detach %s)",
			     name_of(wanted), name ? name : "form", name_of(wanted));
	json_decref(is);
	json_decref(want);
	json_decref(params);
	return rc;
}

static int
check_free(const json_t *wanted, const json_t *port, struct err *err)
{
	const char *owner = json_string_value(json_object_get(wanted, "owner"));
	const char *other = json_string_value(json_object_get(port, "owner"));
	const json_t *peer = json_object_get(port, "peer");

	if (!has_owner(port, owner))
		return err_set(err, EEXIST, "port-differs",
			       "there is a port %s already, which is not this domain's but belongs"
			       " to %.64s; choose another name for the socket",
			       name_of(wanted), other ? other : "somebody else");
	if (json_is_object(peer))
		return err_set(err, EBUSY, "port-in-use",
			       "port %s has a guest: process %lld is at its socket",
			       name_of(wanted),
			       (long long)json_integer_value(json_object_get(peer, "pid")));
	return check_settings(wanted, port, err);
}

/* Whether a port without a guest will do for one that starts, or comes in. */
static bool
is_fit(const json_t *wanted, const json_t *port)
{
	const char *state = json_string_value(json_object_get(port, "state"));

	if (!state)
		return false;
	return !strcmp(state, "incoming") ||
	       (!strcmp(state, "waiting") && !json_object_get(wanted, "incoming"));
}

static int
remove_port(struct ctl_rpc *rpc, const json_t *port, int timeout_ms, struct err *err)
{
	json_t *params = json_pack("{s:s, s:b}", "name", name_of(port), "force", 1);
	json_t *result = NULL;
	int rc = ctl_rpc_result(rpc, "port.detach", params, timeout_ms, &result, err);

	json_decref(result);
	json_decref(params);
	return rc;
}

/* Makes a port, or finds it there: *made tells. */
static int
attach(struct ctl_rpc *rpc, json_t *wanted, int64_t deadline_ms, bool *made, struct err *err)
{
	json_t *port = NULL;
	bool fits = false;
	int rc;

	*made = false;
	rc = ctl_rpc_result(rpc, "port.attach", wanted, left_ms(deadline_ms), &port, err);
	if (rc == 0)
		*made = true;
	if (rc == 0 || strcmp(err->code, "port-exists") != 0)
		goto end;
	rc = call_named(rpc, "port.get", wanted, left_ms(deadline_ms), &port, err);
	if (rc == 0)
		rc = check_free(wanted, port, err);
	if (rc == 0)
		fits = is_fit(wanted, port);
	if (rc < 0 || fits)
		goto end;
	/* Left from another time: silent, failed, or in the way of a guest that runs elsewhere. */
	rc = remove_port(rpc, wanted, left_ms(deadline_ms), err);
	json_decref(port);
	port = NULL;
	if (rc == 0)
		rc = ctl_rpc_result(rpc, "port.attach", wanted, left_ms(deadline_ms), &port, err);
	*made = rc == 0;
end:
	json_decref(port);
	return rc;
}

int
libvirt_ports_attach(struct ctl_rpc *rpc, const json_t *ports, struct err *err)
{
	int64_t deadline_ms = now_ms() + ATTACH_TIMEOUT_MS;
	json_t *undo = json_array(), *port;
	struct err ignored;
	int rc = 0;
	size_t i;

	json_array_foreach(ports, i, port)
	{
		bool made;

		rc = attach(rpc, port, deadline_ms, &made, err);
		if (rc < 0)
			break;
		if (made)
			json_array_append(undo, port);
	}
	json_array_foreach(undo, i, port)
	{
		if (rc < 0)
			remove_port(rpc, port, UNDO_TIMEOUT_MS, &ignored);
	}
	json_decref(undo);
	return rc;
}

/* A QEMU that did not end in order leaves the socket that it listened on. */
static void
clear_socket(const json_t *port)
{
	const char *mode = json_string_value(json_object_get(port, "mode"));
	const char *socket = json_string_value(json_object_get(port, "socket"));
	struct err ignored;

	if (mode && socket && !strcmp(mode, "client"))
		sockpath_clear(socket, &ignored);
}

int
libvirt_ports_detach(struct ctl_rpc *rpc, const char *owner, struct err *err)
{
	int64_t deadline_ms = now_ms() + DETACH_TIMEOUT_MS;
	json_t *ports, *port;
	int rc = ctl_rpc_result(rpc, "port.list", NULL, DETACH_TIMEOUT_MS, &ports, err);
	size_t i;

	if (rc < 0)
		return rc;
	json_array_foreach(ports, i, port)
	{
		json_t *result = NULL;
		struct err why;
		int failed;

		if (!has_owner(port, owner))
			continue;
		failed = call_named(rpc, "port.detach", port, left_ms(deadline_ms), &result, &why);
		json_decref(result);
		clear_socket(port);
		/* Once it has the request sluiced needs nobody to wait. */
		if (failed < 0 && failed != -ETIMEDOUT && strcmp(why.code, "no-such-port") != 0) {
			rc = failed;
			*err = why;
		}
	}
	json_decref(ports);
	return rc;
}
