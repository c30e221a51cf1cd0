/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_LIBVIRT_DOMAIN_H
#define CONTROL_LIBVIRT_DOMAIN_H

#include <jansson.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#include "numa/err.h"

/*
 * What libvirt's description of a domain wants of sluice. It says so in its metadata:
 *
 *   <metadata>
 *     <sluice:ports xmlns:sluice="urn:sluice:libvirt:1">
 *       <sluice:port mac="52:54:00:00:00:01" bridge="br0" vlan="100"/>
 *     </sluice:ports>
 *   </metadata>
 *
 * A port belongs to the vhostuser interface of its MAC, from which the rest is taken: name and socket
 * from source/@path, the mode from source/@mode, driver/@queues, mtu/@size. Interfaces that no port
 * names are another's, and a domain without such metadata is none of ours. Pure. Thread: any.
 */
struct libvirt_domain {
	xmlDoc *doc;
	const xmlNode *ports; /* NULL: it is none of ours */
	char owner[64]; /* of its ports: "libvirt:UUID" */
};

#define LIBVIRT_DOMAIN_NAMESPACE "urn:sluice:libvirt:1"

/*
 * Reads a domain; the caller frees it, in either case. Errors: -EINVAL ("bad-xml": not well-formed,
 * no domain, metadata of ours without a UUID).
 */
int libvirt_domain_read(struct libvirt_domain *domain, const char *text, size_t len,
			struct err *err);
void libvirt_domain_free(struct libvirt_domain *domain);

/*
 * The parameters of port.attach for each port of a domain that is ours, as a list in which no two
 * have one name; a new reference. NULL with *err set: codes "bad-xml", "bad-parameter".
 */
json_t *libvirt_domain_ports(const struct libvirt_domain *domain, bool incoming, struct err *err);

#endif
