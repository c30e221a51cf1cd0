/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/reservation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "control/log.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define SPARE_MIB \
	256 /* memory that the rest of the machine keeps: the kernel would give the last page */
#define TRIES 3 /* others may take pages that we have just made */

static int lock = -1; /* control thread */

/* ---- the record --------------------------------------------------------------------------- */

static void
boot_id(char *id, int size)
{
	FILE *file = fopen(BOOT_ID, "re");

	*id = '\0';
	if (file && fgets(id, size, file))
		id[strcspn(id, "\n")] = '\0';
	if (file)
		fclose(file);
}

void
reservation_open(struct reservation *r, const char *root, const char *path)
{
	struct reservation_entry e;
	char now[64], then[64] = "";
	FILE *file;

	*r = (struct reservation){.root = root};
	snprintf(r->path, sizeof(r->path), "%s", path);
	file = fopen(path, "re");
	if (!file)
		return;
	boot_id(now, sizeof(now));
	if (fscanf(file, "boot %63s", then) == 1 && !strcmp(then, now))
		while (r->n < HUGEPAGES_ENTRIES_MAX && fscanf(file, " node %d kib %u pages %u",
							      &e.node, &e.size_kib, &e.pages) == 3)
			r->entry[r->n++] = e;
	fclose(file);
}

/* Returns 0 or -errno. */
static int
record(const struct reservation *r)
{
	char id[64];
	FILE *file;
	int rc = 0;

	if (!r->n) {
		unlink(r->path);
		return 0;
	}
	file = fopen(r->path, "we");
	if (!file)
		return -errno;
	boot_id(id, sizeof(id));
	fprintf(file, "boot %s\n", id);
	for (unsigned int i = 0; i < r->n; i++)
		fprintf(file, "node %d kib %u pages %u\n", r->entry[i].node, r->entry[i].size_kib,
			r->entry[i].pages);
	if (ferror(file))
		rc = -EIO;
	if (fclose(file) != 0)
		rc = -errno;
	return rc;
}

/* Room for an entry is there: there are no more pools. */
static void
add(struct reservation *r, int node, unsigned int size_kib, unsigned int pages)
{
	unsigned int i = 0;

	while (i < r->n && (r->entry[i].node != node || r->entry[i].size_kib != size_kib))
		i++;
	if (i == r->n) {
		if (r->n == HUGEPAGES_ENTRIES_MAX)
			return;
		r->entry[r->n++] = (struct reservation_entry){.node = node, .size_kib = size_kib};
	}
	r->entry[i].pages += pages;
}

/* ---- take --------------------------------------------------------------------------------- */

static unsigned long long
available_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

/* How many pages, of which size, a node lacks. */
static unsigned int
lacking(const struct hugepages *pages, int node, unsigned int mib, unsigned int *size_kib)
{
	unsigned long long need_kib = mib * 1024ULL, free_kib = 0;

	*size_kib = 0;
	for (unsigned int i = 0; i < pages->n; i++) {
		const struct hugepages_entry *e = &pages->entry[i];

		if (e->node != node)
			continue;
		free_kib += (unsigned long long)(e->free - e->promised) * e->size_kib;
		if (!*size_kib)
			*size_kib = e->size_kib;
	}
	if (free_kib >= need_kib || !*size_kib)
		return 0;
	return (need_kib - free_kib + *size_kib - 1) / *size_kib;
}

static int
grow(struct reservation *r, int node, unsigned int size_kib, unsigned int pages, struct err *err)
{
	unsigned long long kib = (unsigned long long)pages * size_kib, has_kib = available_kib();
	int done, rc;

	if (kib + SPARE_MIB * 1024ULL > has_kib)
		return err_set_param(err, ENOMEM, "no-hugepages", "reserve-hugepages",
				     "node %d lacks %u hugepages of %u kB, and to reserve them would leave"
				     " less than %d of the %llu MiB of memory available; ask for less"
				     " with --memory",
				     node, pages, size_kib, SPARE_MIB, has_kib / 1024);
	rc = hugepages_resize(r->root, node, size_kib, pages, &done);
	if (rc < 0)
		return err_set_param(err, -rc, "no-hugepages", "reserve-hugepages",
				     "node %d lacks %u hugepages of %u kB, which sluiced may not reserve"
				     " (%s): run it as root, or reserve them before",
				     node, pages, size_kib, strerror(-rc));
	if (done > 0)
		add(r, node, size_kib, done < (int)pages ? done : (int)pages);
	rc = record(r);
	if (rc < 0)
		return err_set_param(err, -rc, "no-hugepages", "reserve-hugepages",
				     "cannot note reserved hugepages in %s: %s", r->path,
				     strerror(-rc));
	if (done < (int)pages)
		return err_set_param(
			err, ENOMEM, "no-hugepages", "reserve-hugepages",
			"the kernel could reserve %d of %u hugepages of %u kB that node %d"
			" lacks: its memory is used up, or in too small pieces; reserve them"
			" when the machine boots (hugepages=), or ask for less with --memory",
			done > 0 ? done : 0, pages, size_kib, node);
	log_notice("reserved %u hugepages of %u kB on node %d, which go back in the end", pages,
		   size_kib, node);
	return 0;
}

int
reservation_take(struct reservation *r, const unsigned int mib[DP_NODES_MAX], unsigned int n_nodes,
		 struct err *err)
{
	struct hugepages pages;

	for (unsigned int node = 0; node < n_nodes; node++) {
		for (int i = 0; mib[node] && i < TRIES; i++) {
			unsigned int n, size_kib;

			if (hugepages_read_machine(&pages, r->root, err) < 0)
				return -ENOMEM;
			n = lacking(&pages, node, mib[node], &size_kib);
			if (!n)
				break;
			if (grow(r, node, size_kib, n, err) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* ---- give back ---------------------------------------------------------------------------- */

/* Pages of the pool that nobody uses and nobody was promised. */
static unsigned int
unused(const struct reservation *r, const struct reservation_entry *e)
{
	unsigned int promised = hugepages_promised(r->root, e->size_kib);
	struct hugepages pages;

	if (hugepages_read_machine(&pages, r->root, NULL) < 0)
		return 0;
	for (unsigned int i = 0; i < pages.n; i++)
		if (pages.entry[i].node == e->node && pages.entry[i].size_kib == e->size_kib)
			return pages.entry[i].free > promised ? pages.entry[i].free - promised : 0;
	return 0;
}

unsigned int
reservation_give_back(struct reservation *r)
{
	unsigned int kept = 0, left = 0;

	for (unsigned int i = 0; i < r->n; i++) {
		struct reservation_entry e = r->entry[i];
		unsigned int n = unused(r, &e);
		int done = 0;

		n = n < e.pages ? n : e.pages;
		hugepages_resize(r->root, e.node, e.size_kib, -(int)n, &done);
		if (done < 0)
			log_notice("gave %d hugepages of %u kB on node %d back", -done, e.size_kib,
				   e.node);
		e.pages -= done < 0 ? -done : 0;
		if (e.pages) {
			log_warning("%u hugepages of %u kB on node %d that sluiced reserved are in use,"
				    " and stay reserved",
				    e.pages, e.size_kib, e.node);
			left += e.pages;
			r->entry[kept++] = e;
		}
	}
	r->n = kept;
	if (record(r) < 0)
		log_warning("cannot write %s", r->path);
	return left;
}

/* ---- lock --------------------------------------------------------------------------------- */

void
reservation_lock(const char *path)
{
	reservation_unlock();
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock >= 0)
		flock(lock, LOCK_EX);
}

void
reservation_unlock(void)
{
	if (lock >= 0)
		close(lock);
	lock = -1;
}
