/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_INBOX_H
#define DATAPATH_INBOX_H

#include "datapath/port.h"

/*
 * Where an lcore puts frames for a queue that another lcore owns.
 *
 * One bounded lock-free ring an lcore: any lcore puts, the owner takes all that is there once a
 * round. This is the one place where a packet survives a round, so before a port is freed the
 * inboxes have to settle: a grace period ends the last put, inbox_settle() waits until all that was
 * put before is taken out, and another grace period ends the round that sends it. (Grace periods
 * alone do not do: an lcore that naps is in none, and its inbox is full meanwhile.)
 */
#define INBOX_SIZE 512

int inbox_create(unsigned int n_lcores, const int *node_of_lcore);
void inbox_destroy(void);

/* Takes ownership of m[0..n-1]; returns how many went in, the rest stays the caller's.
 * Thread: any lcore. */
uint16_t inbox_put(unsigned int lcore, struct port_queue *q, struct rte_mbuf **m, uint16_t n);

/* Whether nothing lies there for the lcore. Thread: the owner. */
bool inbox_is_empty(unsigned int lcore);

/* Waits until what lies in any inbox now is taken out; not while a queue moves. Thread: control, while the
 * lcores run. May wait: for a round, or a nap, of each lcore. */
void inbox_settle(void);

/* Frees what lies in the inboxes. Thread: control, when no lcore runs. */
void inbox_discard(void);

/* Sends all that was in the inbox when it began; returns how many frames. Thread: the owner. */
unsigned int inbox_take(unsigned int lcore);

#endif
