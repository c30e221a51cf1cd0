/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/hugepages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The folder of a pool below `root`: the node's, or the machine's where the kernel knows no nodes. */
static void
pool_dir(char *dir, size_t size, const char *root, int node, unsigned int size_kib)
{
	char text[32];

	snprintf(dir, size, "devices/system/node/node%d/hugepages/hugepages-%ukB", node, size_kib);
	if (sysfs_read(root, text, sizeof(text), "%s/nr_hugepages", dir) < 0)
		snprintf(dir, size, "kernel/mm/hugepages/hugepages-%ukB", size_kib);
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

/* The kernel keeps its promises with pages of any node. */
static unsigned int
usable(const struct hugepages *h, const struct hugepages_entry *entry)
{
	unsigned int all = 0;

	for (unsigned int i = 0; i < h->n; i++)
		if (h->entry[i].size_kib == entry->size_kib)
			all += h->entry[i].free;
	if (entry->promised >= all)
		return 0;
	return all - entry->promised < entry->free ? all - entry->promised : entry->free;
}

uint64_t
hugepages_usable_kib(const struct hugepages *h, int node)
{
	uint64_t kib = 0;

	for (unsigned int i = 0; i < h->n; i++)
		if (h->entry[i].node == node)
			kib += (uint64_t)usable(h, &h->entry[i]) * h->entry[i].size_kib;
	return kib;
}

void
hugepages_use(struct hugepages *h, int node, uint64_t kib)
{
	for (unsigned int i = h->n; i > 0 && kib > 0; i--) {
		struct hugepages_entry *entry = &h->entry[i - 1];
		bool is_smallest = i == 1 || entry[-1].node != node;
		uint64_t pages = kib / entry->size_kib + (is_smallest && kib % entry->size_kib > 0);

		if (entry->node != node)
			continue;
		if (pages > usable(h, entry))
			pages = usable(h, entry);
		entry->free -= pages;
		kib -= pages * entry->size_kib < kib ? pages * entry->size_kib : kib;
	}
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
	for (unsigned int i = 0; i < h->n; i++)
		h->entry[i].promised = hugepages_promised(root, h->entry[i].size_kib);
	return 0;
}

static int
count_write(const char *root, const char *dir, const char *file, unsigned int count)
{
	char path[PATH_MAX];
	int fd, ret;

	if (snprintf(path, sizeof(path), "%s/%s/%s", root, dir, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = dprintf(fd, "%u\n", count) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* A pool as it was set: without pages that are in use above that, and go at the end of their use. */
static int
count_read_set(const char *root, const char *dir, unsigned int *count)
{
	unsigned int surplus;
	int ret;

	ret = count_read(root, dir, "nr_hugepages", count);
	if (ret == 0 && count_read(root, dir, "surplus_hugepages", &surplus) == 0)
		*count -= surplus < *count ? surplus : *count;
	return ret;
}

int
hugepages_resize(const char *root, int node, unsigned int size_kib, int pages, int *done)
{
	unsigned int before, after;
	char dir[128];
	int ret;

	*done = 0;
	pool_dir(dir, sizeof(dir), root, node, size_kib);
	ret = count_read_set(root, dir, &before);
	if (ret < 0)
		return ret;
	after = pages < 0 && before < -(unsigned int)pages ? 0 : before + pages;
	ret = count_write(root, dir, "nr_hugepages", after);
	if (ret == 0)
		ret = count_read_set(root, dir, &after);
	if (ret == 0)
		*done = (int)(after - before);
	return ret;
}

unsigned int
hugepages_promised(const char *root, unsigned int size_kib)
{
	unsigned int count = 0;
	char dir[64];

	snprintf(dir, sizeof(dir), "kernel/mm/hugepages/hugepages-%ukB", size_kib);
	count_read(root, dir, "resv_hugepages", &count);
	return count;
}

int
hugepages_read(struct hugepages *h, struct err *err)
{
	return hugepages_read_machine(h, SYSFS_ROOT, err);
}
