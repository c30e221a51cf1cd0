/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/scratch_dir.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

int
scratch_dir_make(void **state)
{
	char path[] = "/tmp/sluice-unit-XXXXXX";

	*state = mkdtemp(path) ? realpath(path, NULL) : NULL;
	return *state ? 0 : -1;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int
scratch_dir_remove(void **state)
{
	int rc = nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return rc;
}

const char *
scratch_path(void **state, const char *name)
{
	static char path[8][PATH_MAX];
	static unsigned int next;
	char *at = path[next++ % 8];

	snprintf(at, PATH_MAX, "%s/%s", (const char *)*state, name);
	return at;
}

const char *
scratch_file(void **state, const char *name, const char *text)
{
	const char *path = scratch_path(state, name);
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
	return path;
}
