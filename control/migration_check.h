/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_MIGRATION_CHECK_H
#define CONTROL_MIGRATION_CHECK_H

#include <jansson.h>

#include "numa/err.h"

/*
 * migration.check: whether a VM has vhost-user ports of ours, and which hosts it may move to. The
 * parameters have passed schema_check(). Returns {dpdk_vm, eligible, reason?, suitable, refused}, or
 * NULL with *err set: code "bad-parameter", "bad-vlan". Pure. Thread: any.
 *
 * `reason` says why it may not move at all, or else why it is an ordinary VM, which may move to any
 * other host. No two destinations may have one name. What is refused for a network card has the
 * sentence in `detail`.
 */
json_t *migration_check(const json_t *params, struct err *err);

#endif
