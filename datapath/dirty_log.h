/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_DIRTY_LOG_H
#define DATAPATH_DIRTY_LOG_H

#include <stddef.h>
#include <stdint.h>

/*
 * The log of a migration: a bitmap that the front-end shares, a bit for each page of 4 KiB of guest
 * memory that we wrote (vhost-user, "Migration"). The mapping is our own, beside librte_vhost's, so
 * that a new log replaces the old one without a moment in which the guest cannot be reached.
 */
#define DIRTY_LOG_PAGE_SHIFT 12

struct dirty_log {
	uint64_t *word;
	uint64_t pages; /* bits */
	size_t bytes; /* of the mapping */
};

/* Maps the first `bytes` of the file. NULL: can't be mapped. Thread: librte_vhost's. */
struct dirty_log *dirty_log_open(int fd, uint64_t bytes);

/* No lcore uses it any more. `log` may be NULL. Thread: librte_vhost's, control. */
void dirty_log_close(struct dirty_log *log);

/*
 * Marks the pages of a range. Its bytes were written and a full barrier was passed since: then a bit
 * that is found set has not been read by the front-end yet, which will see our bytes when it does.
 * Addresses outside the log are the front-end's mistake and are left out. Thread: lcore.
 */
static inline void
dirty_log_mark(const struct dirty_log *log, uint64_t addr, uint64_t bytes)
{
	uint64_t page = addr >> DIRTY_LOG_PAGE_SHIFT;
	uint64_t last = (addr + bytes - 1) >> DIRTY_LOG_PAGE_SHIFT;

	for (; page <= last && page < log->pages; page++) {
		uint64_t *word = &log->word[page / 64], bit = 1ULL << (page % 64);

		if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
			__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
	}
}

#endif
