/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_IDS_H
#define CONTROL_IDS_H

#include <sys/types.h>

/* "libvirt-qemu" or "64055" -> the id. Returns 0, or -ENOENT if there is no such user or group.
 * Thread: control. May wait: for the name service. */
int ids_user(const char *text, uid_t *uid);
int ids_group(const char *text, gid_t *gid);

/* "0660" -> 0660. Returns 0, or -EINVAL if it is not 1 to 4 octal digits, at most 0777. */
int ids_mode(const char *text, mode_t *mode);

#endif
