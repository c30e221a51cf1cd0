/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_INBOX_H
#define DATAPATH_INBOX_H

#include "datapath/port.h"

/*
 * Where an lcore puts frames for a queue that another lcore owns.
 *
 * One bounded lock-free ring an lcore: any lcore puts, the owner takes all that is there once a
 * round. This is the one place where a packet survives a round, so a port is freed two grace
 * periods after it left the snapshot: the first ends the last put, the second the last take.
 */
#define INBOX_SIZE 512

int inbox_create(unsigned int n_lcores, const int *node_of_lcore);
void inbox_destroy(void);

/* Takes ownership of m[0..n-1]; returns how many went in, the rest stays the caller's.
 * Thread: any lcore. */
uint16_t inbox_put(unsigned int lcore, struct port_queue *q, struct rte_mbuf **m, uint16_t n);

/* Sends all that was in the inbox when it began; returns how many frames. Thread: the owner. */
unsigned int inbox_take(unsigned int lcore);

#endif
