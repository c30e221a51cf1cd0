/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_TABLE_H
#define DATAPATH_TABLE_H

#include "datapath/snapshot.h"

/*
 * The control thread's tables of ports and bridges, from which snapshots are built.
 * Everything here belongs to the control thread.
 */
extern struct snapshot_source table;

/* Builds and publishes a snapshot of the tables. -ENOMEM: nothing was published.
 * May wait: one grace period. */
int table_publish(void);

/* The lowest free port id, or -ENOSPC. */
int table_free_id(void);

/*
 * Makes an opened port known: its static MACs, then the snapshot. On failure the port is not
 * known, and still the caller's. Errors: -EEXIST (code "mac-in-use"), -ENOSPC, -ENOMEM.
 */
int table_add(struct port *p, struct err *err);

/* Takes a port out of the snapshot and the fdb. When it returns no lcore can reach it, and no
 * inbox holds a frame for it. -ENOMEM: nothing has changed. May wait: two grace periods, and a
 * round or a nap of each lcore. */
int table_del(struct port *p);

/* Gives a queue pair of a known port to another lcore, without loss. What was going on there comes to its
 * end first. -ENOMEM: it stays. May wait: some grace periods, and a nap of each lcore. */
int table_move(struct port_queue *q, uint8_t lcore);

/* Gives a port other rules. Errors as table_add(). May wait: one grace period. */
int table_set_rules(struct port *p, const struct dp_rules *rules, struct err *err);

/* The guest of a port is elsewhere, and so are its static MACs. */
void table_forget_macs(const struct port *p);

/* Where the i-th static MAC of a port is known to be, or FDB_NO_PORT. */
uint16_t table_port_of_mac(const struct port *p, unsigned int i);

/* Whether another port's guest was given that MAC. */
bool table_mac_is_given(const struct port *p, unsigned int i);

/* The guest of a port runs here, so its static MACs are known here from now on, wherever they were
 * before. Returns how many were not here; -ENOMEM: lcores do not know the port of an incoming guest yet.
 * May wait: one grace period. */
int table_claim_macs(struct port *p);

#endif
