/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_FAKE_SYSFS_H
#define TESTS_UNIT_FAKE_SYSFS_H

/* A sysfs tree of our own in a temporary folder. A step that fails fails the test. */

/* Makes the empty tree and returns its path, which the caller hands to fake_sysfs_del(). */
char *fake_sysfs_add(void);

/* Writes a file, making the folders on its way. */
void fake_sysfs_write(const char *root, const char *name, const char *text);

void fake_sysfs_del(char *root);

#endif
