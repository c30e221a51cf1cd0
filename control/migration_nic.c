/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/migration_nic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "control/orchestrator.h"
#include "control/schema.h"

#define STANDARD_MTU 1500 /* as the schema says */

#define REFUSE(err, ...) err_set_param(err, EINVAL, "bad-parameter", "nics", __VA_ARGS__)

static const struct param own_params[] = {
	{.name = "features", .type = PARAM_WORDS, .max = 64},
	{.name = NULL},
};
/* What port.attach does not know of a network card. */
static const struct method own = {.name = "a nic", .params = own_params};

static const char *
mac_of(const json_t *nic)
{
	const char *mac = json_string_value(json_object_get(nic, "mac"));

	return mac ? mac : "";
}

/* Parameters of port.attach that are for the destination to say. */
static int
check_absent(const json_t *nic, struct err *err)
{
	static const char *const names[] = {"name", "bridge", "mode",	 "socket",
					    "node", "lcore",  "incoming"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_get(nic, names[i]))
			return REFUSE(err,
				      "nics: %s must not have \"%s\", which differs from host"
				      " to host",
				      mac_of(nic), names[i]);
	return 0;
}

static int
check_params(const struct method *method, const json_t *params, const char *mac, struct err *err)
{
	struct err why;

	if (schema_check(method, params, &why) < 0)
		return REFUSE(err, "nics: %.20s: %s", mac, why.message);
	return 0;
}

static int
check_features(const json_t *nic, struct err *err)
{
	json_t *features = json_object_get(nic, "features");
	json_t *params = features ? json_pack("{s:O}", "features", features) : NULL;
	int rc = check_params(&own, params, mac_of(nic), err);

	json_decref(params);
	return rc;
}

json_t *
migration_nic_attach(const json_t *nic, const char *name, const char *bridge, bool client,
		     struct err *err)
{
	json_t *params = json_copy((json_t *)nic);
	int vlan;

	if (orchestrator_vlan(json_object_get(nic, "vlan"), &vlan, "nics", err) < 0)
		goto fail;
	json_object_del(params, "features");
	json_object_del(params, "vlan");
	if (vlan)
		json_object_set_new(params, "vlan", json_integer(vlan));
	json_object_set_new(params, "name", json_string(name));
	json_object_set_new(params, "bridge", json_string(bridge));
	json_object_set_new(params, "mode", json_string(client ? "client" : "server"));
	json_object_set_new(params, "incoming", json_true());
	if (check_params(schema_find("port.attach"), params, mac_of(nic), err) < 0)
		goto fail;
	return params;

fail:
	json_decref(params);
	return NULL;
}

static int
check_nic(const json_t *nic, struct err *err)
{
	json_t *params;

	if (!json_is_object(nic) || !json_is_string(json_object_get(nic, "mac")))
		return REFUSE(err, "nics: each must be an object with a \"mac\" of its own");
	if (check_absent(nic, err) < 0 || check_features(nic, err) < 0)
		return -EINVAL;
	params = migration_nic_attach(nic, "a", "a", false, err);
	json_decref(params);
	return params ? 0 : -EINVAL;
}

int
migration_nics_check(const json_t *nics, struct err *err)
{
	size_t i;
	json_t *nic;

	json_array_foreach(nics, i, nic)
	{
		if (check_nic(nic, err) < 0)
			return -EINVAL;
		for (size_t k = 0; k < i; k++)
			if (!strcasecmp(mac_of(json_array_get(nics, k)), mac_of(nic)))
				return REFUSE(err, "nics names %s twice", mac_of(nic));
	}
	return 0;
}

/* The words of a list as keys, so that many cards are compared with it quickly; NULL for NULL. */
static json_t *
index_of(const json_t *words)
{
	json_t *index = words ? json_object() : NULL, *word;
	size_t i;

	json_array_foreach(words, i, word)
	{
		json_object_set_new(index, json_string_value(word), json_true());
	}
	return index;
}

/* "guest_tso4, guest_tso6": what the host does not offer, as far as it fits. */
static void
list_lacking(const json_t *wanted, const json_t *offered, char *text, size_t size)
{
	size_t i, len = 0;
	json_t *one;

	*text = '\0';
	json_array_foreach(wanted, i, one)
	{
		const char *word = json_string_value(one);

		if (!json_object_get(offered, word) && len < size)
			len += snprintf(text + len, size - len, "%s%s", len ? ", " : "", word);
	}
}

/* `offered`: the index of the host's features. */
static int
check_fits(const json_t *nic, const json_t *host, const json_t *offered, const char *where,
	   struct err *err)
{
	const json_t *own_mtu = json_object_get(nic, "mtu");
	json_int_t mtu = own_mtu ? json_integer_value(own_mtu) : STANDARD_MTU;
	json_int_t queues = json_integer_value(json_object_get(nic, "queues"));
	const json_t *most_mtu = json_object_get(host, "mtu");
	const json_t *most_queues = json_object_get(host, "max_queues");
	const char *mac = mac_of(nic);
	char lacking[256];

	if (most_mtu && mtu > json_integer_value(most_mtu))
		return err_set_key(err, ENOTSUP, "destination-mtu-too-low", "nics", mac,
				   "%s has an mtu of %lld, and %.64s carries at most %lld; raise the"
				   " mtu of its uplink, or choose another host",
				   mac, (long long)mtu, where,
				   (long long)json_integer_value(most_mtu));
	if (most_queues && queues > json_integer_value(most_queues))
		return err_set_key(err, ENOTSUP, "destination-lacks-queues", "nics", mac,
				   "%s has %lld queue pairs, and %.64s gives at most %lld; choose"
				   " another host",
				   mac, (long long)queues, where,
				   (long long)json_integer_value(most_queues));
	if (!offered)
		return 0;
	list_lacking(json_object_get(nic, "features"), offered, lacking, sizeof(lacking));
	if (*lacking)
		return err_set_key(err, ENOTSUP, "destination-lacks-features", "nics", mac,
				   "%s: its guest uses %s, which %.64s does not offer; choose another"
				   " host, or restart the guest there",
				   mac, lacking, where);
	return 0;
}

int
migration_nics_fit(const json_t *nics, const json_t *host, const char *where, struct err *err)
{
	json_t *offered = index_of(json_object_get(host, "features")), *nic;
	size_t i;
	int rc = 0;

	json_array_foreach(nics, i, nic)
	{
		if (rc == 0)
			rc = check_fits(nic, host, offered, where, err);
	}
	json_decref(offered);
	return rc;
}

int
migration_nic_fits(const json_t *nic, const json_t *host, const char *where, struct err *err)
{
	json_t *nics = json_pack("[O]", nic);
	int rc = migration_nics_fit(nics, host, where, err);

	json_decref(nics);
	return rc;
}
