/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NUMA_RESIDENCE_H
#define NUMA_RESIDENCE_H

#include "numa/err.h"

/*
 * Asks the kernel whether the page of this process at `page`, which was written before, is on `node`.
 * Errors: -EXDEV (code "wrong-node"), with both nodes in the sentence. A kernel that does not tell
 * (without NUMA, or in a container that forbids move_pages) is believed. Thread: any. May wait: no.
 */
int residence_check(void *page, int node, struct err *err);

/* The node on which a page of this process is now, without a fault; -errno where the kernel does not say.
 * Thread: any. May wait: no. */
int residence_of(void *page);

#endif
