/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_SYSFS_H
#define NUMA_SYSFS_H

#include <stddef.h>

#define SYSFS_ROOT "/sys"

/*
 * Reads the file that `fmt` names below `root` into buf, without the newline at its end, cut to
 * size - 1 bytes. Returns the length or -errno. `root` is SYSFS_ROOT but in tests.
 * Thread: any. May wait: no.
 */
int sysfs_read(const char *root, char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
