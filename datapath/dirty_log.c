/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/dirty_log.h"

#include <stdlib.h>
#include <sys/mman.h>

struct dirty_log *
dirty_log_open(int fd, uint64_t bytes)
{
	struct dirty_log *log = malloc(sizeof(*log));

	if (log == NULL)
		return NULL;
	log->word = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (log->word == MAP_FAILED) {
		free(log);
		return NULL;
	}
	log->bytes = bytes;
	/* Whole words: a front-end's log is made of longs. */
	log->pages = bytes / sizeof(log->word[0]) * 64;
	return log;
}

void
dirty_log_close(struct dirty_log *log)
{
	if (log == NULL)
		return;
	munmap(log->word, log->bytes);
	free(log);
}
