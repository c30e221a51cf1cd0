/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_DOMAIN_XML_H
#define CONTROL_DOMAIN_XML_H

#include <jansson.h>

#include "numa/err.h"

/*
 * migration.rewrite: libvirt's description of a domain, with the sockets that its vhost-user
 * interfaces have on the host that it moves to: source/@path, source/@mode and, where there is a
 * target, target/@dev; and without the <reconnect> of who listens from now on. All else stays. An empty map changes nothing; another must have each of them.
 *
 * The parameters have passed schema_check(). Returns {xml, changed, unused}, where `unused` lists the
 * MACs of the map that the domain has not; or NULL with *err set: codes "bad-xml",
 * "no-mapping-for-mac" (the MAC as key), and migration_map_check()'s.
 *
 * Pure. Thread: any.
 */
json_t *domain_xml_rewrite(const json_t *params, struct err *err);

#endif
