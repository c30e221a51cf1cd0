/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/fake_sysfs.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

char *
fake_sysfs_add(void)
{
	char *root = strdup("/tmp/fake_sysfs.XXXXXX");

	assert_non_null(mkdtemp(root));
	return root;
}

void
fake_sysfs_write(const char *root, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *slash = path + strlen(root); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int
entry_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
fake_sysfs_del(char *root)
{
	nftw(root, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(root);
}
