/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/memory_fault.h"

/* This file's mmap() and munmap() go where librte_vhost's go. */

#define PAGE 4096
#define HUGE_PAGE (2u << 20)
#define PAGES 8

/* Written in a signal handler. */
static volatile struct {
	int times, vid;
} told;

static void
gone(int vid)
{
	told.times++;
	told.vid = vid;
}

/* In the test, as cmocka takes SIGBUS after a fixture has run. */
static void
begin(void)
{
	told.times = 0;
	told.vid = -1;
	signal(SIGBUS, SIG_DFL);
	memory_fault_start(gone);
}

static int
tear_down(void **state)
{
	(void)state;
	memory_fault_owner(-1);
	memory_fault_stop();
	return 0;
}

static int
make_file(size_t bytes, unsigned int flags)
{
	int fd = memfd_create("guest", flags);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* A file's mapping as librte_vhost makes it, in a message of connection `vid`. */
static volatile uint8_t *
map(int fd, size_t bytes, int vid)
{
	uint8_t *at;

	memory_fault_owner(vid);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void
unmap(volatile uint8_t *at, size_t bytes)
{
	assert_int_equal(munmap((void *)(uintptr_t)at, bytes), 0);
}

/* The signal that a child ends with when it touches the address; 0: it does not end. */
static int
signal_of_touching(volatile const uint8_t *at)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)*at;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
truncated_memory_becomes_zeros_and_its_owner_is_told_once(void **state)
{
	int fd = make_file(PAGES * PAGE, 0);
	volatile uint8_t *at = map(fd, PAGES * PAGE, 7);

	(void)state;
	begin();
	memset((void *)(uintptr_t)at, 0xaa, PAGES * PAGE);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	errno = EXDEV;
	assert_int_equal(at[3 * PAGE + 5], 0);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(told.times, 1);
	assert_int_equal(told.vid, 7);

	/* It is memory as any other now, in all of the mapping. */
	at[3 * PAGE + 5] = 1;
	at[PAGES * PAGE - 1] = 1;
	assert_int_equal(at[3 * PAGE + 5], 1);
	assert_int_equal(at[0], 0);
	assert_int_equal(told.times, 1);
	unmap(at, PAGES * PAGE);
	close(fd);
}

static void
each_mapping_has_its_owner(void **state)
{
	int fd[3];
	volatile uint8_t *at[3];
	int i;

	(void)state;
	begin();
	for (i = 0; i < 3; i++) {
		fd[i] = make_file(PAGES * PAGE, 0);
		at[i] = map(fd[i], PAGES * PAGE, 20 + i);
		at[i][0] = 1;
	}
	assert_int_equal(ftruncate(fd[1], 0), 0);
	assert_int_equal(at[1][PAGE], 0);
	assert_int_equal(told.vid, 21);
	assert_int_equal(at[0][0], 1);
	assert_int_equal(at[2][0], 1);
	for (i = 0; i < 3; i++) {
		unmap(at[i], PAGES * PAGE);
		close(fd[i]);
	}
	assert_int_equal(told.times, 1);
}

static void
huge_pages_become_zeros_too(void **state)
{
	int fd = memfd_create("guest", MFD_HUGETLB | MFD_HUGE_2MB);
	volatile uint8_t *at;

	(void)state;
	begin();
	if (fd < 0 || ftruncate(fd, HUGE_PAGE) != 0)
		return;
	memory_fault_owner(8);
	at = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) /* no free hugepage; "make test" lends some */
		return;
	at[0] = 1;
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(at[PAGE + 1], 0);
	assert_int_equal(told.vid, 8);
	at[HUGE_PAGE - 1] = 1;
	assert_int_equal(told.times, 1);
	unmap(at, HUGE_PAGE);
	close(fd);
}

static void
where_the_system_lacks_memory_for_all_a_block_is_replaced(void **state)
{
	int fd = make_file(PAGES * PAGE, 0);
	volatile uint8_t *at = map(fd, PAGES * PAGE, -1);

	(void)state;
	begin();
	assert_int_equal(memory_fault_watch((void *)(uintptr_t)at, (size_t)1 << 50, 2 * PAGE, 9),
			 0);
	at[0] = 1;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	at[5 * PAGE] = 5;
	assert_int_equal(told.vid, 9);
	assert_int_equal(at[4 * PAGE], 0);
	assert_int_equal(at[5 * PAGE], 5);
	assert_int_equal(at[0], 1);
	at[7 * PAGE] = 7;
	assert_int_equal(at[5 * PAGE], 5);
	assert_int_equal(told.times, 1);
	unmap(at, PAGES * PAGE);
	close(fd);
}

static void
a_fault_that_is_no_guests_ends_the_process(void **state)
{
	int fd = make_file(PAGES * PAGE, 0);
	volatile uint8_t *guest = map(fd, PAGES * PAGE, 7), *ours = map(fd, PAGES * PAGE, -1);
	uint8_t *placed;

	(void)state;
	begin();
	/* EAL maps hugepages where it wants them, on librte_vhost's thread too. */
	memory_fault_owner(7);
	placed = mmap((void *)(uintptr_t)ours, PAGES * PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED, fd, 0);
	assert_ptr_equal(placed, ours);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(signal_of_touching(ours), SIGBUS);
	assert_int_equal(signal_of_touching(guest), 0);
	unmap(ours, PAGES * PAGE);
	unmap(guest, PAGES * PAGE);
	close(fd);
}

static void
what_was_unmapped_is_no_guests_any_more(void **state)
{
	int fd = make_file(PAGES * PAGE, 0);
	volatile uint8_t *at = map(fd, PAGES * PAGE, 7);

	(void)state;
	begin();
	unmap(at, PAGES * PAGE);
	assert_ptr_equal(mmap((void *)(uintptr_t)at, PAGES * PAGE, PROT_READ,
			      MAP_SHARED | MAP_FIXED, fd, 0),
			 at);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(signal_of_touching(at), SIGBUS);
	unmap(at, PAGES * PAGE);
	close(fd);
}

static void
the_signal_of_another_process_is_no_fault(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	begin();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		raise(SIGBUS);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static sigjmp_buf escape;

static void
jump(int number)
{
	(void)number;
	siglongjmp(escape, 1);
}

static void
who_takes_the_signal_later_gets_what_is_no_guests(void **state)
{
	struct sigaction action = {.sa_handler = jump}, old, ours;
	int fd = make_file(PAGES * PAGE, 0);
	volatile uint8_t *guest = map(fd, PAGES * PAGE, 7), *other = map(fd, PAGES * PAGE, -1);

	(void)state;
	begin();
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(sigaction(SIGBUS, &action, &old), 0);
	assert_true(old.sa_handler == SIG_DFL);
	assert_int_equal(guest[0], 0);
	assert_int_equal(told.vid, 7);
	if (sigsetjmp(escape, 1) == 0) {
		(void)*other;
		fail();
	}
	/* And gives it back. */
	assert_int_equal(sigaction(SIGBUS, &old, &ours), 0);
	assert_true(ours.sa_handler == jump);
	assert_int_equal(signal_of_touching(other), SIGBUS);
	assert_int_equal(told.times, 1);
	unmap(guest, PAGES * PAGE);
	unmap(other, PAGES * PAGE);
	close(fd);
}

static void
what_cannot_be_watched_is_not_mapped(void **state)
{
	static uint8_t place[64];
	int fd = make_file(PAGE, 0);
	uintptr_t i, n = 0;

	(void)state;
	begin();
	/* Addresses in nobody's memory. */
	while (memory_fault_watch((void *)(UINTPTR_MAX / 2 + 1 + n * PAGE), 1, PAGE, 1) == 0)
		n++;
	assert_true(n >= 1024 * 9);
	memory_fault_owner(7);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, ENOMEM);
	for (i = 0; i < n; i++)
		memory_fault_forget((void *)(UINTPTR_MAX / 2 + 1 + i * PAGE));
	assert_int_equal(memory_fault_watch(place, sizeof(place), PAGE, 1), 0);
	memory_fault_forget(place);
	close(fd);
}

#define CASE(test) cmocka_unit_test_teardown(test, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(truncated_memory_becomes_zeros_and_its_owner_is_told_once),
		CASE(each_mapping_has_its_owner),
		CASE(huge_pages_become_zeros_too),
		CASE(where_the_system_lacks_memory_for_all_a_block_is_replaced),
		CASE(a_fault_that_is_no_guests_ends_the_process),
		CASE(what_was_unmapped_is_no_guests_any_more),
		CASE(the_signal_of_another_process_is_no_fault),
		CASE(who_takes_the_signal_later_gets_what_is_no_guests),
		CASE(what_cannot_be_watched_is_not_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
