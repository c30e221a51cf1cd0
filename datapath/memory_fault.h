/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_MEMORY_FAULT_H
#define DATAPATH_MEMORY_FAULT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Guest memory that goes away while we use it.
 *
 * A guest's memory, and its dirty log, are files that its QEMU shares with us. QEMU can truncate or
 * punch them at any time, a hugepage may not be there when it is needed, and a page may be poisoned
 * by a memory error. Whoever touches such a page gets SIGBUS, which would end the process for all
 * guests. Instead the whole mapping is replaced by zeroed memory of our own, the access goes on as
 * if nothing had happened, and the connection to which the mapping belongs is reported, once. A
 * SIGBUS anywhere else has the effect that it would have had.
 *
 * What librte_vhost maps for a connection is watched from the moment in which it is mapped until it
 * is unmapped, without a call of ours: see memory_fault.c.
 */

/*
 * Takes SIGBUS. `gone` is called in a signal handler, on the thread that touched the memory: it may
 * only do what is allowed there, and must not wait. Once a process, before the first guest.
 * Thread: control.
 */
void memory_fault_start(void (*gone)(int vid));

/* SIGBUS has its default effect again. Nothing is watched any more. Thread: control. */
void memory_fault_stop(void);

/* What librte_vhost maps from now on, on the calling thread, belongs to this connection.
 * Thread: vhost-events. */
void memory_fault_owner(int vid);

/*
 * Watches a mapping of `bytes` of a file whose pages have `block_bytes`. Returns 0, or -ENOSPC where
 * too much is watched already. Thread: any but a lcore.
 */
int memory_fault_watch(void *start, size_t bytes, size_t block_bytes, int vid);

/* Forgets the mapping that begins there, if it is watched; nobody touches it any more.
 * Thread: as above. */
void memory_fault_forget(const void *start);

#endif
