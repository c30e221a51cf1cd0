/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/offering.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/envelope.h"
#include "control/offering_text.h"
#include "control/offering_xml.h"
#include "control/orchestrator.h"

#define EXTRACONFIG "extraconfig" /* a VM's own text */

#define EXTRA_MAX 1024 /* extra configurations; each of them is read */

#define REFUSE(param, err, ...) err_set_param(err, EINVAL, "bad-parameter", param, __VA_ARGS__)

/* What is resolved so far. */
struct merge {
	json_t *extra; /* {key: decoded value} */
	json_t *from; /* {key: "offering" or "vm"} */
	json_t *warnings; /* {key: {key, code, message}} */
};

static bool
begins(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

/* A key has one warning: what else there is to say of it is added to the message. */
static void
warn(struct merge *m, const char *key, const struct err *why)
{
	json_t *warning = json_object_get(m->warnings, key), *message = envelope_text(why->message);

	if (!warning) {
		warning = json_pack("{s:s, s:s, s:o}", "key", key, "code", why->code, "message",
				    message);
		json_object_set_new(m->warnings, key, warning);
		return;
	}
	json_object_set_new(warning, "message",
			    json_sprintf("%s; %s",
					 json_string_value(json_object_get(warning, "message")),
					 json_string_value(message)));
	json_decref(message);
}

#define WARN(m, key, code, ...)                              \
	do {                                                 \
		struct err why_;                             \
                                                             \
		err_set(&why_, EINVAL, (code), __VA_ARGS__); \
		warn((m), (key), &why_);                     \
	} while (0)

static void
set(struct merge *m, const char *key, const char *value, const char *from)
{
	json_object_set_new(m->extra, key, json_string(value));
	json_object_set_new(m->from, key, json_string(from));
}

/* The extra configurations that CloudStack takes from an offering. */
static bool
is_for_dpdk(const char *key)
{
	return !strcmp(key, ORCHESTRATOR_NUMA_KEY) || !strcmp(key, ORCHESTRATOR_HUGEPAGES_KEY) ||
	       begins(key, ORCHESTRATOR_INTERFACE_PREFIX);
}

static void
add_offering(struct merge *m, const json_t *details)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)details, key, value)
	{
		struct err why;
		char *decoded;

		if (!begins(key, ORCHESTRATOR_EXTRA_PREFIX))
			continue;
		if (!is_for_dpdk(key)) {
			WARN(m, key, "not-for-offerings",
			     "%.63s is left out: an offering carries extra configuration for DPDK"
			     " only (" ORCHESTRATOR_NUMA_KEY ", " ORCHESTRATOR_HUGEPAGES_KEY
			     ", " ORCHESTRATOR_INTERFACE_PREFIX "TAG); put it into the VM's own",
			     key);
			continue;
		}
		if (!json_is_string(value)) {
			WARN(m, key, "not-text",
			     "%.63s is left out: the offering's value is no text", key);
			continue;
		}
		decoded = offering_decode(json_string_value(value), "offering", key, &why);
		if (decoded)
			set(m, key, decoded, "offering");
		else
			WARN(m, key, why.code, "the offering's value is left out: %s", why.message);
		free(decoded);
	}
}

static void
add_vm(struct merge *m, const json_t *details)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)details, key, value)
	{
		if (!strcmp(key, ORCHESTRATOR_MODE_KEY))
			WARN(m, key, "no-effect",
			     "the VM's own " ORCHESTRATOR_MODE_KEY
			     " has no effect: the vhost-user mode is the offering's, or server");
		else if (begins(key, ORCHESTRATOR_EXTRA_PREFIX) && json_is_string(value))
			set(m, key, json_string_value(value), "vm");
		else if (begins(key, ORCHESTRATOR_EXTRA_PREFIX))
			WARN(m, key, "not-text", "%.63s is left out: the VM's value is no text",
			     key);
	}
}

static bool
is_blank(const char *text)
{
	return !text[strspn(text, " \t\n\v\f\r")];
}

/* The setting enable.additional.vm.configuration. As in CloudStack, it is off unless somebody sets it. */
static int
read_setting(const json_t *params, bool *is_on, struct err *err)
{
	const json_t *settings = json_object_get(params, "settings");
	const json_t *value = json_object_get(settings, "additional_vm_configuration");
	const char *text = json_string_value(value);

	*is_on = json_is_true(value) || (text && !strcmp(text, "true"));
	if (value && !json_is_boolean(value) && !*is_on && (!text || strcmp(text, "false") != 0))
		return REFUSE("settings", err,
			      "settings: additional_vm_configuration must be true or false");
	return 0;
}

/* The text that a VM brings along. */
static int
add_extraconfig(struct merge *m, const json_t *params, struct err *err)
{
	const json_t *given = json_object_get(json_object_get(params, "vm"), EXTRACONFIG);
	const char *text = json_string_value(given), *key;
	json_t *sections, *value;
	bool is_on;
	char *decoded;

	if (read_setting(params, &is_on, err) < 0)
		return -EINVAL;
	if (given && !json_is_null(given) && !text)
		return REFUSE("vm", err, "vm.extraconfig must be text");
	if (!text || is_blank(text))
		return 0;
	if (!is_on)
		return err_set_key(err, EACCES, "additional-config-disabled", "vm", EXTRACONFIG,
				   "the VM has an extraconfig of its own, and"
				   " enable.additional.vm.configuration is off; turn it on"
				   " (settings: {additional_vm_configuration: true}), or put it into"
				   " the offering");
	decoded = offering_decode(text, "vm", EXTRACONFIG, err);
	if (!decoded)
		return -EINVAL;
	sections = offering_sections(decoded);
	json_object_foreach(sections, key, value)
	{
		set(m, key, json_string_value(value), "vm");
	}
	json_decref(sections);
	free(decoded);
	return 0;
}

static int
check_xml(struct merge *m, struct err *err)
{
	const json_t *backing = json_object_get(m->extra, ORCHESTRATOR_HUGEPAGES_KEY);
	bool shared = backing && offering_xml_shares(json_string_value(backing));
	const char *key;
	json_t *value;

	if (json_object_size(m->extra) > EXTRA_MAX)
		return REFUSE("offering", err,
			      "offering and vm have %zu extra configurations; at most %d are taken",
			      json_object_size(m->extra), EXTRA_MAX);
	json_object_foreach(m->extra, key, value)
	{
		struct err why;

		if (offering_xml_check(key, json_string_value(value), shared, &why) < 0)
			warn(m, key, &why);
	}
	return 0;
}

/* Why the guest has no vhost-user ports, NULL: it has. */
static const char *
why_ordinary(const json_t *params, const json_t *extra)
{
	const json_t *type = json_object_get(json_object_get(params, "vm"), "type");
	bool numa = json_object_get(extra, ORCHESTRATOR_NUMA_KEY);
	bool hugepages = json_object_get(extra, ORCHESTRATOR_HUGEPAGES_KEY);

	return orchestrator_why_ordinary(json_string_value(type), numa, hugepages);
}

/* "client" or "server"; NULL with *err set. */
static const char *
mode_of(const json_t *details, struct err *err)
{
	const json_t *value = json_object_get(details, ORCHESTRATOR_MODE_KEY);
	bool client;

	if (value && !json_is_string(value)) {
		err_set_key(err, EINVAL, "invalid-mode", "offering", ORCHESTRATOR_MODE_KEY,
			    ORCHESTRATOR_MODE_KEY " must be text: client or server");
		return NULL;
	}
	if (orchestrator_mode(json_string_value(value), &client, "offering", ORCHESTRATOR_MODE_KEY,
			      err) < 0)
		return NULL;
	return client ? "client" : "server";
}

bool
offering_has(const json_t *offered, const json_t *own, const char *key)
{
	const char *text = json_string_value(json_object_get(offered, key));
	char *decoded = text ? offering_decode(text, "offering", key, NULL) : NULL;
	bool has = decoded || json_is_string(json_object_get(own, key));

	free(decoded);
	return has;
}

static json_t *
values_of(json_t *object)
{
	json_t *list = json_array(), *value;
	const char *key;

	json_object_foreach(object, key, value)
	{
		json_array_append(list, value);
	}
	return list;
}

json_t *
offering_resolve(const json_t *params, struct err *err)
{
	struct merge m = {json_object(), json_object(), json_object()};
	const json_t *vm = json_object_get(params, "vm"), *type = json_object_get(vm, "type");
	json_t *offered, *own = NULL, *result = NULL;
	const char *mode = NULL;

	offered = orchestrator_details(json_object_get(params, "offering"), "offering", err);
	if (offered)
		own = orchestrator_details(vm, "vm", err);
	if (own)
		mode = mode_of(offered, err);
	if (!mode)
		goto out;
	if (type && !json_is_string(type)) {
		REFUSE("vm", err, "vm.type must be text, such as \"User\"");
		goto out;
	}
	add_offering(&m, offered);
	add_vm(&m, own);
	if (add_extraconfig(&m, params, err) < 0 || check_xml(&m, err) < 0)
		goto out;
	result = json_pack("{s:s, s:b, s:s*, s:O, s:O, s:o}", "mode", mode, "dpdk",
			   !why_ordinary(params, m.extra), "reason", why_ordinary(params, m.extra),
			   "extra", m.extra, "from", m.from, "warnings", values_of(m.warnings));
out:
	json_decref(offered);
	json_decref(own);
	json_decref(m.extra);
	json_decref(m.from);
	json_decref(m.warnings);
	return result;
}
