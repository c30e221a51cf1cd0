/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VHOST_RINGS_H
#define DATAPATH_VHOST_RINGS_H

#include "datapath/port_vhost.h"

/*
 * The rings of a direct port, as librte_vhost's callbacks take them from the lcores and give them back:
 * vhost_guest.c says when. Those of a library port are not ours: only where they lie is looked up.
 * Thread: librte_vhost's, for all of it.
 */
#define VHOST_RINGS_ALL UINT32_MAX /* a bit for each ring */

/* Takes rings away; when it returns no lcore is in there, and librte_vhost knows how far they have come.
 * Returns those that there were. May wait: one grace period. */
uint32_t vhost_rings_detach(struct port_vhost *v, int vid, uint32_t wanted);

/* Gives rings to the lcores, as far as they are enabled. One that can't be right stays away: its guest gets
 * nothing from it, and nothing through. */
void vhost_rings_attach(struct port_vhost *v, int vid, uint32_t wanted);

/* Looks up where rings lie, as far as they are enabled, and on which memory node. */
void vhost_rings_locate(struct port_vhost *v, int vid, uint32_t wanted);

/* Nobody is connected any more: they lie nowhere. */
void vhost_rings_forget(struct port_vhost *v);

/* Whether the features say that what is written to the guest is to be logged. */
bool vhost_rings_are_logged(const struct port_vhost *v);

/* Lets the rings log to v->log_cb where they are to. */
void vhost_rings_log(struct port_vhost *v);

/* Exchanges the log under the running rings. May wait: one grace period. */
void vhost_rings_exchange_log(struct port_vhost *v, struct dirty_log *log);

/* The descriptor for calls, or for kicks, goes away when the library handles the message; the ring goes on
 * without. May wait: one grace period. */
void vhost_rings_drop_call(struct port_vhost *v, uint32_t vring);
void vhost_rings_drop_kick(struct port_vhost *v, uint32_t vring);

/* The other one is there: what happened in between was told to nobody. */
void vhost_rings_take_call(struct port_vhost *v, int vid, uint32_t vring);
void vhost_rings_take_kick(struct port_vhost *v, int vid, uint32_t vring);

/* Without multiqueue librte_vhost frees all rings but the first two whenever it gets features, also while they
 * run. Returns false where an lcore may be in there. */
bool vhost_rings_give_up_further(struct port_vhost *v, int vid);

#endif
