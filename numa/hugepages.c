/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/hugepages.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/sysfs.h"
#include "numa/topology.h"

static int
count_read(const char *root, const char *dir, const char *file, unsigned int *count)
{
	char text[32];
	int ret;

	ret = sysfs_read(root, text, sizeof(text), "%s/%s", dir, file);
	if (ret < 0)
		return ret;
	*count = strtoul(text, NULL, 10);
	return 0;
}

static int
entry_add(struct hugepages *h, const char *root, const char *pools, int node, unsigned int size_kib)
{
	struct hugepages_entry *entry = &h->entry[h->n];
	char dir[128];
	int ret;

	if (h->n == HUGEPAGES_ENTRIES_MAX)
		return -ENOSPC;
	entry->node = node;
	entry->size_kib = size_kib;
	snprintf(dir, sizeof(dir), "%s/hugepages-%ukB", pools, size_kib);
	ret = count_read(root, dir, "nr_hugepages", &entry->total);
	if (ret < 0)
		return ret;
	ret = count_read(root, dir, "free_hugepages", &entry->free);
	if (ret < 0)
		return ret;
	h->n++;
	return 0;
}

/* Adds every size of one node; `pools` is the folder that has them. */
static int
node_read(struct hugepages *h, const char *root, const char *pools, int node)
{
	char path[PATH_MAX];
	struct dirent *found;
	int ret = 0;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/%s", root, pools) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	dir = opendir(path);
	if (dir == NULL)
		return -errno;
	while (ret == 0 && (found = readdir(dir)) != NULL) {
		unsigned int size_kib;

		if (sscanf(found->d_name, "hugepages-%ukB", &size_kib) == 1)
			ret = entry_add(h, root, pools, node, size_kib);
	}
	closedir(dir);
	return ret;
}

static int
entry_compare(const void *a, const void *b)
{
	const struct hugepages_entry *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return x->size_kib < y->size_kib ? -1 : x->size_kib > y->size_kib;
}

int
hugepages_read_machine(struct hugepages *h, const char *root, struct err *err)
{
	int ret = 0;

	h->n = 0;
	for (int node = 0; node < TOPOLOGY_NODES_MAX && ret == 0; node++) {
		char pools[64];

		snprintf(pools, sizeof(pools), "devices/system/node/node%d/hugepages", node);
		ret = node_read(h, root, pools, node);
		if (ret == -ENOENT)
			ret = 0;
	}
	/* A kernel without NUMA has one pool a size for the whole machine. */
	if (ret == 0 && h->n == 0) {
		ret = node_read(h, root, "kernel/mm/hugepages", 0);
		if (ret == -ENOENT)
			ret = 0;
	}
	if (ret < 0)
		return err_set(err, ret, "no-hugepages", "cannot read the hugepages below %s: %s",
			       root, strerror(-ret));
	qsort(h->entry, h->n, sizeof(h->entry[0]), entry_compare);
	return 0;
}

int
hugepages_read(struct hugepages *h, struct err *err)
{
	return hugepages_read_machine(h, SYSFS_ROOT, err);
}
