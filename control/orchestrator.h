/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_ORCHESTRATOR_H
#define CONTROL_ORCHESTRATOR_H

#include <jansson.h>
#include <stdbool.h>

#include "numa/err.h"

/* How orchestrators, CloudStack first, spell what they tell. Pure. Thread: any. */

#define ORCHESTRATOR_MODE_KEY "DPDK-VHOSTUSER"
#define ORCHESTRATOR_NUMA_KEY "extraconfig-dpdk-numa"
#define ORCHESTRATOR_HUGEPAGES_KEY "extraconfig-dpdk-hugepages"
#define ORCHESTRATOR_INTERFACE_PREFIX "extraconfig-dpdk-interface-"
#define ORCHESTRATOR_EXTRA_PREFIX "extraconfig"

/*
 * The details of a VM or an offering (an object; NULL: none) as one new object {key: value}. They may be
 * in its `details` or `serviceofferingdetails`: an object, a list of {"key": ..., "value": ...}, or null;
 * or spelt as in CloudStack's requests, "serviceofferingdetails[0].key" and ".value", beside them or in
 * them. The last of one key counts. NULL with *err set: code "bad-parameter", which blames `param`.
 */
json_t *orchestrator_details(const json_t *holder, const char *param, struct err *err);

/* Why a VM has no vhost-user ports, as far as its type (NULL: "User") and its extra configurations
 * decide; NULL: it has. */
const char *orchestrator_why_ordinary(const char *type, bool has_numa, bool has_hugepages);

/* Capabilities of a host: words in a text with commas, or in a list; null or NULL: none. Errors as
 * above. */
int orchestrator_check_capabilities(const json_t *capabilities, const char *param, struct err *err);

/* Whether one of checked capabilities is this word, whole and in these letters. */
bool orchestrator_has_capability(const json_t *capabilities, const char *word);

/*
 * A VLAN, as a number or as a text of one. *access: 1..4094, or 0 for a trunk, which any other
 * number is, and null and NULL. Errors: -EINVAL (code "bad-vlan", key "vlan"), which
 * blames `param`.
 */
int orchestrator_vlan(const json_t *vlan, int *access, const char *param, struct err *err);

/* Whether it can be the directory of a socket: an absolute path without "..". */
bool orchestrator_is_directory(const char *path);

/* The switch's vhost-user mode: "client" or "server", case ignored; NULL is "server". Errors: -EINVAL
 * (code "invalid-mode"), which blames `param` and has `key`. */
int orchestrator_mode(const char *mode, bool *client, const char *param, const char *key,
		      struct err *err);

#endif
