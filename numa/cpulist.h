/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_CPULIST_H
#define NUMA_CPULIST_H

#include <sched.h>
#include <stddef.h>

#include "numa/err.h"

/* Sets of CPUs as the kernel and people write them: "2-5,8". Pure. Thread: any. May wait: no. */

#define CPULIST_SIZE 4096 /* bytes that hold the text of any cpu_set_t */

/*
 * Reads a list of CPUs and ranges, separated by commas, without blanks and without repetition, into
 * *set. Returns 0, or -EINVAL (code "bad-cpu-list") with a message that quotes the offending piece;
 * then *set is not written.
 */
int cpulist_parse(const char *text, cpu_set_t *set, struct err *err);

/*
 * Writes the shortest such list into buf, "" for the empty set. Returns its length, or -ENOSPC
 * where `size` bytes do not hold it; then buf has the pieces that fit.
 */
int cpulist_format(const cpu_set_t *set, char *buf, size_t size);

#endif
