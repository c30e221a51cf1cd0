/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_STOPCHECK_H
#define FRONTEND_STOPCHECK_H

#include <jansson.h>

#include "bench/frontend/traffic.h"

/*
 * Stops all rings of all guests under traffic, as a migration's source does it, compares where the
 * switch says it stands with the rings, and starts them again.
 * Returns an array, one object a ring: what the guest produced (`avail`), what the memory says was
 * used (`used`), what the switch answered (`base`), whether they agree and whether the switch wrote
 * to the ring after its answer. *agrees is their sum. NULL with *err where the switch failed.
 * Thread: control. May wait: for the switch's answers.
 */
json_t *stopcheck_run(struct traffic *traffic, bool *agrees, struct err *err);

/*
 * Takes in what came back since a guest was paused, so that its rings go on where the switch
 * stands. Thread: control, the guest is paused.
 */
void stopcheck_catch_up(struct guest *guest);

/*
 * Compares the dirty log of a guest with what it received since `reaped[]` (receive buffers taken
 * back before, a queue each). Returns an object: pages dirty, pages written but not logged.
 * Thread: control, the stream thread has ended.
 */
json_t *stopcheck_log(const struct guest *guest, const uint64_t *reaped, bool *complete);

#endif
