/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/memory_fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <rte_vhost.h>

/*
 * Theory of operation
 *
 * The signal handler finds out whether an address is a guest's by a table of the watched mappings.
 * It may run on any thread at any time, so it takes no lock: a slot is filled before its `start` is
 * stored, and `start` is read again after the rest. More is not needed, since the mapping that the
 * faulting thread stands in cannot be unmapped while it stands there: its slot does not change, and
 * another's that changes meanwhile can't be mistaken for it.
 *
 * The mappings are librte_vhost's. It reads rings in the memory of a SET_MEM_TABLE before that message
 * comes back to any hook of ours, so the table must know a mapping before mmap() has returned to the
 * library. The linker sends its calls of mmap() and munmap() here (--wrap, in meson.build). A file
 * that is mapped shared, at an address of the kernel's choice, by a thread that handles a
 * connection's message, is that connection's: EAL chooses its addresses itself.
 *
 * EAL takes SIGBUS for itself for moments (when its heap grows) and gives it back. Its sigaction()
 * ends here as well: our handler stays, and passes on what is no guest's.
 *
 * All of a mapping is replaced at its first fault, not just one page: there are no further faults,
 * and the edge of a hugepage is nobody's trouble. Its guest sees no more of what we write: but then
 * its connection is about to end. mmap() is not on POSIX's list of what a signal handler may call,
 * but on Linux it is the bare system call, and the signal is synchronous: it comes in the middle of
 * an access to guest memory, never inside the C library.
 */

/* 8 regions and a log for each connection that there may be; some are mapped twice for a moment. */
#define SLOTS (10 * RTE_MAX_VHOST_DEVICE)

struct slot {
	_Atomic uintptr_t start; /* FREE, TAKEN, or the mapping's address */
	_Atomic size_t bytes;
	_Atomic size_t block_bytes; /* of the file's pages */
	_Atomic int vid;
	atomic_bool told; /* its owner knows */
};

#define FREE 0
#define TAKEN 1 /* is being filled */

static struct {
	struct slot slot[SLOTS];
	_Atomic unsigned int n; /* slots from here on were never used */
	void (*gone)(int vid); /* set before the handler, by the control thread */
	bool started; /* control thread */
} watch;

/* What was, or would be, SIGBUS's effect without us. Writer: who calls sigaction(), which is EAL, one
 * thread at a time. */
static struct sigaction passed_on = {.sa_handler = SIG_DFL};

static _Thread_local int owner = -1;

void *__real_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__real_mmap64(void *addr, size_t bytes, int prot, int flags, int fd, off64_t offset);
int __real_munmap(void *addr, size_t bytes);
int __real_sigaction(int number, const struct sigaction *action, struct sigaction *old);
void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t bytes, int prot, int flags, int fd, off64_t offset);
int __wrap_munmap(void *addr, size_t bytes);
int __wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old);

int
memory_fault_watch(void *start, size_t bytes, size_t block_bytes, int vid)
{
	unsigned int i, n;

	for (i = 0; i < SLOTS; i++) {
		struct slot *s = &watch.slot[i];
		uintptr_t nobody = FREE;

		if (atomic_load(&s->start) != FREE ||
		    !atomic_compare_exchange_strong(&s->start, &nobody, TAKEN))
			continue;
		n = atomic_load(&watch.n);
		while (n <= i && !atomic_compare_exchange_weak(&watch.n, &n, i + 1))
			;
		atomic_store(&s->bytes, bytes);
		atomic_store(&s->block_bytes, block_bytes);
		atomic_store(&s->vid, vid);
		atomic_store(&s->told, false);
		atomic_store(&s->start, (uintptr_t)start);
		return 0;
	}
	return -ENOSPC;
}

void
memory_fault_forget(const void *start)
{
	unsigned int i, n = atomic_load(&watch.n);

	for (i = 0; i < n; i++) {
		if (atomic_load(&watch.slot[i].start) == (uintptr_t)start) {
			atomic_store(&watch.slot[i].start, FREE);
			return;
		}
	}
}

/* The slot whose mapping the address is in, or NULL. Thread: any, in the signal handler. */
static struct slot *
slot_of(uintptr_t addr)
{
	unsigned int i, n = atomic_load(&watch.n);

	for (i = 0; i < n; i++) {
		struct slot *s = &watch.slot[i];
		uintptr_t start = atomic_load(&s->start);

		if (start <= TAKEN || addr < start || addr - start >= atomic_load(&s->bytes))
			continue;
		if (atomic_load(&s->start) == start)
			return s;
	}
	return NULL;
}

static bool
zero(uintptr_t start, size_t bytes)
{
	return __real_mmap((void *)start, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			   0) != MAP_FAILED;
}

/* Gives the address memory again. Where the system does not promise as much as all of the mapping
 * (vm.overcommit_memory=2), at least as much as the page that is gone. */
static bool
slot_replace(struct slot *s, uintptr_t addr)
{
	uintptr_t start = atomic_load(&s->start);
	size_t block = atomic_load(&s->block_bytes);

	if (zero(start, atomic_load(&s->bytes)))
		return true;
	return zero(addr - (addr - start) % block, block);
}

static void
on_sigbus(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	uintptr_t addr = (uintptr_t)info->si_addr;
	bool by_kernel = info->si_code > 0; /* else by kill(2), and si_addr means nothing */
	struct slot *s = by_kernel ? slot_of(addr) : NULL;

	if (s != NULL && slot_replace(s, addr)) {
		if (!atomic_exchange(&s->told, true))
			watch.gone(atomic_load(&s->vid));
	} else if (passed_on.sa_flags & SA_SIGINFO) {
		passed_on.sa_sigaction(number, info, context);
	} else if (passed_on.sa_handler != SIG_DFL && passed_on.sa_handler != SIG_IGN) {
		passed_on.sa_handler(number);
	} else {
		/* The access is tried again, and this time ends the process. */
		signal(number, SIG_DFL);
		if (!by_kernel)
			raise(number);
	}
	errno = saved_errno;
}

void
memory_fault_start(void (*gone)(int vid))
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	watch.gone = gone;
	sigemptyset(&action.sa_mask);
	__real_sigaction(SIGBUS, &action, &passed_on);
	watch.started = true;
}

void
memory_fault_stop(void)
{
	unsigned int i;

	if (!watch.started)
		return;
	watch.started = false;
	__real_sigaction(SIGBUS, &passed_on, NULL);
	for (i = 0; i < SLOTS; i++)
		atomic_store(&watch.slot[i].start, FREE);
	atomic_store(&watch.n, 0);
}

void
memory_fault_owner(int vid)
{
	owner = vid;
}

/* ---- what the linker puts before the C library's ------------------------------------------ */

/* Returns `at`, or MAP_FAILED where it is a guest's and cannot be watched. */
static void *
mapped(void *at, const void *wanted, size_t bytes, int flags, int fd)
{
	struct stat st;

	if (at == MAP_FAILED || owner < 0 || wanted != NULL || !(flags & MAP_SHARED) || fd < 0)
		return at;
	if (fstat(fd, &st) == 0 && st.st_blksize > 0 &&
	    memory_fault_watch(at, bytes, (size_t)st.st_blksize, owner) == 0)
		return at;
	__real_munmap(at, bytes);
	errno = ENOMEM;
	return MAP_FAILED;
}

void *
__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return mapped(__real_mmap(addr, bytes, prot, flags, fd, offset), addr, bytes, flags, fd);
}

void *
__wrap_mmap64(void *addr, size_t bytes, int prot, int flags, int fd, off64_t offset)
{
	return mapped(__real_mmap64(addr, bytes, prot, flags, fd, offset), addr, bytes, flags, fd);
}

int
__wrap_munmap(void *addr, size_t bytes)
{
	/* First: as soon as it is unmapped the address may be somebody else's. */
	memory_fault_forget(addr);
	return __real_munmap(addr, bytes);
}

int
__wrap_sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	if (number != SIGBUS || !watch.started)
		return __real_sigaction(number, action, old);
	if (old != NULL)
		*old = passed_on;
	if (action != NULL)
		passed_on = *action;
	return 0;
}
