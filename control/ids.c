/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ids.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Ids end below UINT32_MAX, which means "none". */
static bool
number_of(const char *text, uint32_t *id)
{
	unsigned long n;

	if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 10)
		return false;
	n = strtoul(text, NULL, 10);
	*id = n;
	return n < UINT32_MAX;
}

int
ids_user(const char *text, uid_t *uid)
{
	struct passwd *pw;

	if (number_of(text, uid))
		return 0;
	pw = getpwnam(text);
	if (!pw)
		return -ENOENT;
	*uid = pw->pw_uid;
	return 0;
}

int
ids_group(const char *text, gid_t *gid)
{
	struct group *gr;

	if (number_of(text, gid))
		return 0;
	gr = getgrnam(text);
	if (!gr)
		return -ENOENT;
	*gid = gr->gr_gid;
	return 0;
}

int
ids_mode(const char *text, mode_t *mode)
{
	if (!*text || strspn(text, "01234567") != strlen(text) || strlen(text) > 4)
		return -EINVAL;
	*mode = strtoul(text, NULL, 8);
	return *mode <= 0777 ? 0 : -EINVAL;
}
