/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_LIBVIRT_PORTS_H
#define CONTROL_LIBVIRT_PORTS_H

#include <jansson.h>
#include <stdbool.h>

#include "control/ctl_rpc.h"
#include "numa/err.h"

/*
 * The ports of a domain in a running sluiced. They are known by their owner, which no other port has:
 * what has another was made by somebody else, and stays as it is. May wait: for sluiced.
 */

/*
 * Makes the ports in the list, each as parameters of port.attach, or none of them. One that is there
 * already is as good as made if it has the same owner and settings and no guest; if the guest is to
 * come from another host and the port is not silent, it is made anew. Errors: -errno (ctl_rpc.h's
 * "unreachable"; "refused" with sluiced's sentence; "port-differs", "port-in-use").
 */
int libvirt_ports_attach(struct ctl_rpc *rpc, const json_t *ports, struct err *err);

/*
 * Removes all ports that have the owner, and what its QEMU may have left of their sockets. One whose guest went to another host goes when what is kept
 * for it has gone there: it is waited for, but not for ever, as sluiced does not need that. Errors:
 * -errno, after all of them were tried.
 */
int libvirt_ports_detach(struct ctl_rpc *rpc, const char *owner, struct err *err);

#endif
