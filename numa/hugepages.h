/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_HUGEPAGES_H
#define NUMA_HUGEPAGES_H

#include "numa/err.h"

#define HUGEPAGES_ENTRIES_MAX 32 /* 8 nodes with 4 sizes (arm64) */

/* How many hugepages each memory node has, ordered by node, then by size. */
struct hugepages {
	unsigned int n;
	struct hugepages_entry {
		int node;
		unsigned int size_kib;
		unsigned int total, free; /* pages; of the free ones some may be promised already */
	} entry[HUGEPAGES_ENTRIES_MAX];
};

/*
 * Reads the kernel's pools; a size without pages has an entry, too. A kernel without hugepages has
 * no entry at all. Returns 0 or -errno (code "no-hugepages"). Thread: any. May wait: no.
 */
int hugepages_read(struct hugepages *h, struct err *err);

/* The same from the sysfs tree at `root`, for tests. */
int hugepages_read_machine(struct hugepages *h, const char *root, struct err *err);

#endif
