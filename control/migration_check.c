/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/migration_check.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "control/envelope.h"
#include "control/migration_nic.h"
#include "control/offering.h"
#include "control/orchestrator.h"

#define REFUSE(param, err, ...) err_set_param(err, EINVAL, "bad-parameter", param, __VA_ARGS__)

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static int
check_vm(const json_t *vm, struct err *err)
{
	if (!*text_of(vm, "type"))
		return REFUSE("vm", err, "vm.type must be text, such as \"User\"");
	if (!*text_of(vm, "state"))
		return REFUSE("vm", err, "vm.state must be text, such as \"Running\"");
	return 0;
}

/* A number that must not be negative, where it is there at all. */
static int
check_number(const json_t *host, const char *name, const char *param, struct err *err)
{
	const json_t *value = json_object_get(host, name);

	if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
		return REFUSE(param, err, "%s: %s must be a whole number from 0", param, name);
	return 0;
}

static int
check_host(const json_t *host, const char *param, struct err *err)
{
	const json_t *features = json_object_get(host, "features");
	size_t i;
	json_t *word;

	if (!*text_of(host, "name"))
		return REFUSE(param, err, "%s: a host must have a name, which is text", param);
	if (features && !json_is_array(features))
		return REFUSE(param, err, "%s: features must be a list of words", param);
	json_array_foreach(features, i, word)
	{
		if (!json_is_string(word))
			return REFUSE(param, err, "%s: features must be a list of words", param);
	}
	if (check_number(host, "mtu", param, err) < 0 ||
	    check_number(host, "max_queues", param, err) < 0)
		return -EINVAL;
	return orchestrator_check_capabilities(json_object_get(host, "capabilities"), param, err);
}

/* One that came twice could be suitable and refused. */
static int
check_destinations(const json_t *hosts, struct err *err)
{
	json_t *names = json_object(), *host;
	int rc = 0;
	size_t i;

	json_array_foreach(hosts, i, host)
	{
		const char *name = text_of(host, "name");

		rc = check_host(host, "destinations", err);
		if (rc == 0 && json_object_get(names, name))
			rc = REFUSE("destinations", err,
				    "destinations: the host %.64s is there twice; name each host"
				    " once",
				    name);
		if (rc < 0)
			break;
		json_object_set_new(names, name, json_true());
	}
	json_decref(names);
	return rc;
}

static int
check_params(const json_t *params, struct err *err)
{
	if (check_vm(json_object_get(params, "vm"), err) < 0 ||
	    check_host(json_object_get(params, "source"), "source", err) < 0 ||
	    check_destinations(json_object_get(params, "destinations"), err) < 0)
		return -EINVAL;
	return migration_nics_check(json_object_get(params, "nics"), err);
}

static bool
host_has_dpdk(const json_t *host)
{
	return orchestrator_has_capability(json_object_get(host, "capabilities"), "dpdk");
}

/* *reason: why the VM has no ports of ours; NULL: it has. */
static int
find_why_ordinary(const json_t *params, const char **reason, struct err *err)
{
	const json_t *vm = json_object_get(params, "vm");
	json_t *offered =
		orchestrator_details(json_object_get(params, "offering"), "offering", err);
	json_t *own = offered ? orchestrator_details(vm, "vm", err) : NULL;
	bool numa, hugepages;
	int rc = -EINVAL;

	if (own) {
		numa = offering_has(offered, own, ORCHESTRATOR_NUMA_KEY);
		hugepages = offering_has(offered, own, ORCHESTRATOR_HUGEPAGES_KEY);
		*reason = orchestrator_why_ordinary(text_of(vm, "type"), numa, hugepages);
		if (!*reason && !host_has_dpdk(json_object_get(params, "source")))
			*reason = "host-not-dpdk";
		rc = 0;
	}
	json_decref(offered);
	json_decref(own);
	return rc;
}

/* {name, reason} of a host that will not do, NULL of one that will. */
static json_t *
refusal(const json_t *params, const json_t *host, bool is_dpdk_vm)
{
	const json_t *vm = json_object_get(params, "vm"),
		     *source = json_object_get(params, "source");
	const char *name = text_of(host, "name"), *reason = NULL;
	struct err why = {0};

	if (strcmp(text_of(vm, "state"), "Running") != 0)
		reason = "vm-not-running";
	else if (!strcmp(name, text_of(source, "name")))
		reason = "same-host";
	else if (is_dpdk_vm && !host_has_dpdk(host))
		reason = "destination-not-dpdk";
	else if (is_dpdk_vm &&
		 migration_nics_fit(json_object_get(params, "nics"), host, name, &why) < 0)
		reason = why.code;
	if (!reason)
		return NULL;
	return why.code[0] ? json_pack("{s:s, s:s, s:o}", "name", name, "reason", reason, "detail",
				       envelope_text(why.message)) :
			     json_pack("{s:s, s:s}", "name", name, "reason", reason);
}

/* The reason for all of it. */
static const char *
reason_of(const json_t *params, const json_t *suitable, const json_t *refused, const char *ordinary)
{
	if (strcmp(text_of(json_object_get(params, "vm"), "state"), "Running") != 0)
		return "vm-not-running";
	if (json_array_size(suitable) > 0)
		return ordinary;
	if (json_array_size(refused) == 0)
		return ordinary ? ordinary : "no-destination";
	return text_of(json_array_get(refused, 0), "reason");
}

json_t *
migration_check(const json_t *params, struct err *err)
{
	json_t *suitable, *refused, *host;
	const char *ordinary, *reason;
	size_t i;

	if (check_params(params, err) < 0 || find_why_ordinary(params, &ordinary, err) < 0)
		return NULL;
	suitable = json_array();
	refused = json_array();
	json_array_foreach(json_object_get(params, "destinations"), i, host)
	{
		json_t *why = refusal(params, host, !ordinary);

		if (why)
			json_array_append_new(refused, why);
		else
			json_array_append(suitable, json_object_get(host, "name"));
	}
	reason = reason_of(params, suitable, refused, ordinary);
	return json_pack("{s:b, s:b, s:s*, s:o, s:o}", "dpdk_vm", !ordinary, "eligible",
			 (int)json_array_size(suitable) > 0, "reason", reason, "suitable", suitable,
			 "refused", refused);
}
