/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OFFERING_H
#define CONTROL_OFFERING_H

#include <jansson.h>
#include <stdbool.h>

#include "numa/err.h"

/*
 * offering.resolve: what a service offering and a VM say together.
 *
 * The offering's values are URL-encoded and are decoded once; the VM's are stored and decoded, but for
 * its `extraconfig`, a text of sections. The VM's wins over the offering's, whatever the VM does
 * (`path`). What cannot be used is left out, and what would hurt the guest is kept, each with one
 * warning for its key.
 *
 * The parameters have passed schema_check(). Returns {mode, dpdk, reason, extra, from, warnings}, where
 * `reason` says why it has no vhost-user ports and `from` where each of `extra` comes from, "offering" or
 * "vm"; or NULL with *err set: codes "invalid-mode", "bad-encoding" (of the VM's text),
 * "additional-config-disabled", "bad-parameter". Pure. Thread: any.
 */
json_t *offering_resolve(const json_t *params, struct err *err);

/* Whether offering_resolve() has a value for the key in the details of an offering and of a VM
 * (orchestrator_details()), and does not leave it out. Pure. Thread: any. */
bool offering_has(const json_t *offered, const json_t *own, const char *key);

#endif
