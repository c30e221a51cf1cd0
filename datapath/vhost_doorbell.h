/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VHOST_DOORBELL_H
#define DATAPATH_VHOST_DOORBELL_H

#include "numa/err.h"

/*
 * A bell on librte_vhost's thread.
 *
 * That thread polls a list of descriptors that it makes anew only when the poll returns: at traffic
 * on one of them, or after a second. A new listener is put into the list without waking it, so the
 * first guest of a new server port would be answered after half a second on average. The bell is a
 * vhost-user connection of the process with itself, one descriptor of which is in the list: a
 * message on it makes the list new.
 *
 * Thread: control.
 */

/*
 * Hangs up the bell. `path` is the name of a socket that exists during the call only.
 * Errors: -EINVAL, -EIO and those of bind (code "vhost-start-failed").
 */
int vhost_doorbell_start(const char *path, struct err *err);

/* Has librte_vhost's thread look at its list. May wait: no. */
void vhost_doorbell_ring(void);

void vhost_doorbell_stop(void);

#endif
