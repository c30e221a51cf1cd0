/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_SIZE 1024

/* Written by log_start() before any other thread lives, constant from then on. */
static int max_level = LOG_INFO;
static bool to_journal;

static const struct {
	int level;
	const char *word;
} levels[] = {
	{LOG_ERR, "error"}, {LOG_WARNING, "warning"}, {LOG_NOTICE, "notice"},
	{LOG_INFO, "info"}, {LOG_DEBUG, "debug"},
};
#define N_LEVELS (sizeof(levels) / sizeof(levels[0]))

/* JOURNAL_STREAM names the journal's socket; it is inherited, so stderr must be that very one. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void
log_start(int level)
{
	max_level = level;
	to_journal = stderr_is_journal();
}

int
log_level_of(const char *word)
{
	for (size_t i = 0; i < N_LEVELS; i++)
		if (!strcmp(levels[i].word, word))
			return levels[i].level;
	return -1;
}

static const char *
word_of(int level)
{
	for (size_t i = 0; i < N_LEVELS; i++)
		if (levels[i].level == level)
			return levels[i].word;
	return "";
}

void
log_line(int level, const char *fmt, ...)
{
	char line[LINE_SIZE];
	int saved_errno = errno;
	int start, n;
	va_list args;

	if (level > max_level)
		return;
	if (to_journal)
		start = snprintf(line, sizeof(line), "<%d>", level);
	else
		start = snprintf(line, sizeof(line), "sluiced: %s: ", word_of(level));
	va_start(args, fmt);
	n = vsnprintf(line + start, sizeof(line) - start - 1, fmt, args);
	va_end(args);
	n = n < 0 ? start : start + n;
	if (n > LINE_SIZE - 2)
		n = LINE_SIZE - 2;
	for (int i = start; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	/* One write, so that lines of several threads do not mix. Nobody is left to tell of a
	 * failure. */
	if (write(STDERR_FILENO, line, n) < 0)
		errno = saved_errno;
	errno = saved_errno;
}
