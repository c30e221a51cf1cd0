/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_HUGEPAGES_H
#define NUMA_HUGEPAGES_H

#include <stdint.h>

#include "numa/err.h"

#define HUGEPAGES_ENTRIES_MAX 32 /* 8 nodes with 4 sizes (arm64) */

/* How many hugepages each memory node has, ordered by node, then by size. */
struct hugepages {
	unsigned int n;
	struct hugepages_entry {
		int node;
		unsigned int size_kib;
		unsigned int total, free; /* pages; of the free ones some may be promised already */
		unsigned int promised; /* so many, of the free ones of all nodes */
	} entry[HUGEPAGES_ENTRIES_MAX];
};

/*
 * Reads the kernel's pools; a size without pages has an entry, too. A kernel without hugepages has
 * no entry at all. Returns 0 or -errno (code "no-hugepages"). Thread: any. May wait: no.
 */
int hugepages_read(struct hugepages *h, struct err *err);

/* The same from the sysfs tree at `root`, for tests. */
int hugepages_read_machine(struct hugepages *h, const char *root, struct err *err);

/* What is free on the node and no process was promised, as far as other nodes cannot give that. */
uint64_t hugepages_usable_kib(const struct hugepages *h, int node);

/* Makes *h what it is when somebody has taken so much of the node, large pages first as EAL does. */
void hugepages_use(struct hugepages *h, int node, uint64_t kib);

/*
 * Makes a node's pool of a size `pages` larger, or smaller where that is negative, as far as the kernel
 * can: *done says by how many. To take more away than are free is to have those in use go at the end
 * of their use. The kernel has no "add": somebody else who sets the pool in the same moment undoes it.
 * Returns 0 or -errno, of which -EACCES and -EROFS say that we may not. Thread: control. May wait: for
 * the kernel to find or clear the pages.
 */
int hugepages_resize(const char *root, int node, unsigned int size_kib, int pages, int *done);

/* Pages of a size, free ones of any node, that processes were promised and have not touched yet. */
unsigned int hugepages_promised(const char *root, unsigned int size_kib);

#endif
