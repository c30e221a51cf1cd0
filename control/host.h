/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_HOST_H
#define CONTROL_HOST_H

#include <jansson.h>

#include "control/model.h"

/* What this host can do for guests, as host.capabilities tells it: on one bridge, or (NULL) on any.
 * Returns a new reference. Thread: control. */
json_t *host_capabilities(const struct model *m, const struct model_bridge *bridge);

#endif
