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

static struct hugepages_entry
pool_of(const struct hugepages *pages, const struct reservation_entry *e)
{
	for (unsigned int i = 0; i < pages->n; i++)
		if (pages->entry[i].node == e->node && pages->entry[i].size_kib == e->size_kib)
			return pages->entry[i];
	return (struct hugepages_entry){0};
}

/* How many of the pages there are, if we were killed while the kernel made them. */
static unsigned int
made(const struct reservation *r, const struct reservation_entry *e)
{
	unsigned int there, missing;
	struct hugepages pages;

	if (hugepages_read_machine(&pages, r->root, NULL) < 0)
		return 0;
	there = pool_of(&pages, e).total;
	missing = e->total > there ? e->total - there : 0;
	return e->pages > missing ? e->pages - missing : 0;
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
		while (r->n < HUGEPAGES_ENTRIES_MAX &&
		       fscanf(file, " node %d kib %u pages %u total %u", &e.node, &e.size_kib,
			      &e.pages, &e.total) == 4) {
			e.pages = made(r, &e);
			e.total = 0;
			r->entry[r->n] = e;
			r->n += e.pages > 0;
		}
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
		fprintf(file, "node %d kib %u pages %u total %u\n", r->entry[i].node,
			r->entry[i].size_kib, r->entry[i].pages, r->entry[i].total);
	if (ferror(file))
		rc = -EIO;
	if (fclose(file) != 0)
		rc = -errno;
	return rc;
}

/* Pages more of a pool, or less; `total` as in the entry. Room for an entry is there: there are no more
 * pools. */
static void
add(struct reservation *r, const struct hugepages_entry *pool, int pages, unsigned int total)
{
	struct reservation_entry *e;
	unsigned int i = 0;

	while (i < r->n &&
	       (r->entry[i].node != pool->node || r->entry[i].size_kib != pool->size_kib))
		i++;
	if (i == HUGEPAGES_ENTRIES_MAX)
		return;
	e = &r->entry[i];
	if (i == r->n)
		*e = (struct reservation_entry){.node = pool->node, .size_kib = pool->size_kib};
	r->n += i == r->n;
	e->pages += pages;
	e->total = total;
	if (!e->pages)
		*e = r->entry[--r->n];
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

/* The smallest pages of a node: the kernel can make them when it runs. NULL: it has none. */
static const struct hugepages_entry *
smallest(const struct hugepages *pages, int node)
{
	for (unsigned int i = 0; i < pages->n; i++)
		if (pages->entry[i].node == node)
			return &pages->entry[i];
	return NULL;
}

/* Makes a pool larger. The record has the pages before the kernel makes them: we may be killed then.
 * Returns how many it made, or -errno; of the record, if that is what failed. */
static int
make(struct reservation *r, const struct hugepages_entry *pool, int pages, int *record_rc)
{
	int done = 0, rc = 0;

	add(r, pool, pages, pool->total + pages);
	*record_rc = record(r);
	if (*record_rc == 0)
		rc = hugepages_resize(r->root, pool->node, pool->size_kib, pages, &done);
	if (done < 0)
		done = 0;
	if (done > pages)
		done = pages;
	add(r, pool, done - pages, 0);
	if (*record_rc == 0)
		*record_rc = record(r);
	return rc < 0 ? rc : done;
}

static int
grow(struct reservation *r, const struct hugepages_entry *pool, unsigned int pages, struct err *err)
{
	unsigned long long kib = (unsigned long long)pages * pool->size_kib;
	unsigned long long has_kib = available_kib();
	int done, record_rc;

	if (kib + SPARE_MIB * 1024ULL > has_kib)
		return err_set_param(err, ENOMEM, "no-hugepages", "reserve-hugepages",
				     "node %d lacks %u hugepages of %u kB, and to reserve them would leave"
				     " less than %d of the %llu MiB of memory available; ask for less"
				     " with --memory",
				     pool->node, pages, pool->size_kib, SPARE_MIB, has_kib / 1024);
	done = make(r, pool, pages, &record_rc);
	if (record_rc < 0)
		return err_set_param(err, -record_rc, "no-hugepages", "reserve-hugepages",
				     "cannot note reserved hugepages in %s: %s", r->path,
				     strerror(-record_rc));
	if (done < 0)
		return err_set_param(err, -done, "no-hugepages", "reserve-hugepages",
				     "node %d lacks %u hugepages of %u kB, which sluiced may not reserve"
				     " (%s): run it as root, or reserve them before",
				     pool->node, pages, pool->size_kib, strerror(-done));
	if (done < (int)pages)
		return err_set_param(
			err, ENOMEM, "no-hugepages", "reserve-hugepages",
			"the kernel could reserve %d of %u hugepages of %u kB that node %d"
			" lacks: its memory is used up, or in too small pieces; reserve them"
			" when the machine boots (hugepages=), or ask for less with --memory",
			done, pages, pool->size_kib, pool->node);
	log_notice("reserved %u hugepages of %u kB on node %d, which go back in the end", pages,
		   pool->size_kib, pool->node);
	return 0;
}

/* Returns whether pages of the node lacked, and have been made; or -errno. The nodes before it
 * take theirs. */
static int
take_on(struct reservation *r, const unsigned int *mib, unsigned int node, struct err *err)
{
	uint64_t need_kib = mib[node] * UINT64_C(1024), has_kib;
	const struct hugepages_entry *pool;
	struct hugepages pages;

	if (hugepages_read_machine(&pages, r->root, err) < 0)
		return -ENOMEM;
	for (unsigned int other = 0; other < node; other++)
		hugepages_use(&pages, other, mib[other] * UINT64_C(1024));
	has_kib = hugepages_usable_kib(&pages, node);
	pool = smallest(&pages, node);
	if (has_kib >= need_kib || !pool)
		return 0;
	if (grow(r, pool, (need_kib - has_kib + pool->size_kib - 1) / pool->size_kib, err) < 0)
		return -ENOMEM;
	return 1;
}

int
reservation_take(struct reservation *r, const unsigned int mib[DP_NODES_MAX], unsigned int n_nodes,
		 struct err *err)
{
	for (unsigned int node = 0; node < n_nodes; node++) {
		int rc = 1;

		for (int i = 0; rc > 0 && i < TRIES; i++)
			rc = take_on(r, mib, node, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- give back ---------------------------------------------------------------------------- */

/* Pages of the pool that nobody uses and nobody was promised. */
static unsigned int
unused(const struct reservation *r, const struct reservation_entry *e)
{
	unsigned int promised = hugepages_promised(r->root, e->size_kib), free;
	struct hugepages pages;

	if (hugepages_read_machine(&pages, r->root, NULL) < 0)
		return 0;
	free = pool_of(&pages, e).free;
	return free > promised ? free - promised : 0;
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
