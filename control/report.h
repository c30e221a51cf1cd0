/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_REPORT_H
#define CONTROL_REPORT_H

#include <jansson.h>

#include "control/daemon.h"

/* Ports, uplinks and their counters as the control channel shows them: what was asked for, and
 * what is. Each returns a new reference. Thread: control. */

json_t *report_port(const struct daemon *d, const struct model_port *port);
json_t *report_uplink(const struct daemon *d, const struct model_port *port);

/* Counters of a port or an uplink with its name and queues. */
json_t *report_stats(const struct model_port *port);

/* A capture: its file, what is in there, and why it ended if it did so by itself. */
json_t *report_recording(const struct recording *rec);

/* Names of virtio feature bits; a bit without a name becomes "bit_N". */
json_t *report_features(uint64_t features);

/* What a port or uplink is doing: "waiting", "incoming", "up", "draining", "drained", "failed"; an
 * uplink without link is "down". */
const char *report_state(const struct model_port *port, const struct dp_port_info *info);

#endif
