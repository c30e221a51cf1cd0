/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OFFERING_INTERFACE_H
#define CONTROL_OFFERING_INTERFACE_H

#include <jansson.h>

#include "numa/err.h"

/* What of an offering goes into libvirt's description of a domain. Pure. Thread: any. */

/*
 * offering.interface: the <interface> of one network card. The parameters have passed schema_check();
 * of `interface_extra` the entries count that are for interfaces. Returns {xml, ovs_type, tag}, the tag
 * being null for a trunk; or NULL with *err set: codes "invalid-port", "bad-vlan", "invalid-mode",
 * "bad-xml", "bad-parameter", each with a key.
 */
json_t *offering_interface(const json_t *params, struct err *err);

/*
 * offering.xml: all of it, from the parameters of offering.resolve and of offering.interface. Of the
 * latter `mode` need not be there, and `interface_extra` is more than the offering has; where none of them
 * is, `interface` is null. Returns {interface, cpu, memory_backing, others, warnings}, where `others` is
 * a list of what else the VM's own configuration has; or NULL with *err set: those of both, and "not-dpdk"
 * for a VM without vhost-user ports.
 */
json_t *offering_xml(const json_t *params, struct err *err);

#endif
