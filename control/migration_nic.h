/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_MIGRATION_NIC_H
#define CONTROL_MIGRATION_NIC_H

#include <jansson.h>
#include <stdbool.h>

#include "numa/err.h"

/*
 * A network card of a guest that is to move, as `nics` of migration.check and migration.prepare tell
 * it: `mac`, `vlan` as orchestrators spell it, the other settings of port.attach which its port has on
 * the source, and `features`, those that its guest negotiated there (both as port.get shows them).
 * Pure. Thread: any.
 */

/* Checks a list of them. Errors: -EINVAL (codes "bad-parameter", "bad-vlan"), which blame "nics". */
int migration_nics_check(const json_t *nics, struct err *err);

/* The parameters of port.attach that would make its port, as `incoming`. NULL with *err set: as
 * above. */
json_t *migration_nic_attach(const json_t *nic, const char *name, const char *bridge, bool client,
			     struct err *err);

/*
 * Whether its guest will find on a host what it has now. `host` is what host.capabilities tells; what
 * is absent on either side fits, but for the mtu of a card, which has its default. `where` names the host in the sentence. Errors: -ENOTSUP (codes
 * "destination-mtu-too-low", "destination-lacks-features", "destination-lacks-queues"), which blame
 * "nics", with the MAC as key.
 */
int migration_nic_fits(const json_t *nic, const json_t *host, const char *where, struct err *err);

/* The same of all in a list; the first that does not fit is the one to blame. */
int migration_nics_fit(const json_t *nics, const json_t *host, const char *where, struct err *err);

#endif
