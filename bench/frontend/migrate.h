/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_MIGRATE_H
#define FRONTEND_MIGRATE_H

#include <jansson.h>

#include "bench/frontend/guest.h"

/*
 * Moves a guest to another switch under traffic, in the steps of QEMU's live migration: its memory
 * is copied while it runs, and what the dirty log names is copied again; its rings are stopped, the
 * rest is copied, the guest is announced at the other switch (SEND_RARP) and its rings go on there,
 * where they stood. What the guest itself has written is taken over without a log, as QEMU knows it
 * by other means; what the switch has written only as the log says: it is then compared, byte by
 * byte, with the memory that was left.
 *
 * Returns an object: how much was copied, how many bytes the log did not tell of (0: *complete),
 * how long the rings stood still. NULL with *err where a switch failed; the guest is then lost.
 * Thread: control. May wait: for the switches' answers, and `wait_s` for the other one to be there.
 */
json_t *migrate_guest(struct guest *guest, const struct endpoint *to, bool *complete,
		      struct err *err);

#endif
