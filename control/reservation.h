/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_RESERVATION_H
#define CONTROL_RESERVATION_H

#include <limits.h>

#include "datapath/dp.h"
#include "numa/hugepages.h"

/*
 * Hugepages that sluiced has the kernel set aside when it starts (reserve-hugepages), and gives back when
 * it stops.
 *
 * What it has reserved stands in a file beside the control socket, too, so that the next start knows it
 * where sluiced was killed: it goes on using those pages, or gives them back if it is not to reserve any.
 * They stand there before the kernel makes them; where it was not left the time, those count that it made.
 * The record counts for one run of the kernel.
 *
 * Pages have no names: those that are given back are any free ones, as many as were reserved. Where fewer
 * are free, because others have come to use them, the rest stays in the pool, and in the record.
 */
struct reservation {
	const char *root; /* of sysfs; "/sys" but in tests */
	char path[PATH_MAX]; /* of the record */
	unsigned int n;
	struct reservation_entry {
		int node;
		unsigned int size_kib, pages;
		unsigned int total; /* of the pool, once the kernel has made them; 0: it has */
	} entry[HUGEPAGES_ENTRIES_MAX];
};

/* Reads what an earlier run has left. Never fails: what is unreadable is nothing. */
void reservation_open(struct reservation *r, const char *root, const char *path);

/*
 * Reserves what lacks, of the node's smallest pages, so that mib[] is free on each node. What it did is
 * in *r in every case. Errors: -ENOMEM, -EACCES, ... (code "no-hugepages", param "reserve-hugepages").
 * May wait: for the kernel to make pages.
 */
int reservation_take(struct reservation *r, const unsigned int mib[DP_NODES_MAX],
		     unsigned int n_nodes, struct err *err);

/* Gives back what is free. Returns the pages that stay. Thread: control, as all here. */
unsigned int reservation_give_back(struct reservation *r);

/*
 * Keeps other instances from counting free pages, from before reservation_take() until they are in use,
 * and while they are given back. The lock file is made; where that fails there is no lock, and a race of
 * two instances may leave one of them without its pages. May wait: for the other instance to start.
 */
void reservation_lock(const char *path);
void reservation_unlock(void);

#endif
