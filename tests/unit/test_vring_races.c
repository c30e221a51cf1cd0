/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest that is faster than we are: it changes its ring between two of our instructions. */
#include "tests/unit/bare_ring.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __x86_64__
#include <x86intrin.h>

#define TRAP_FLAG 0x100 /* of the flags register: SIGTRAP after each instruction */

static const uint16_t ring_sizes[] = {1, 2, 3, 63};
static struct sigaction old_segv, old_trap;

/* A ring at the end of a page that is closed: each access opens it for one instruction, after which it
 * is the guest's turn. The page behind is never open. */
static struct {
	uint8_t *page;
	const uint8_t *accessed;
	bool lap;
} watch;

static void
on_access(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	(void)number;
	watch.accessed = info->si_addr;
	if (watch.accessed < watch.page || watch.accessed >= watch.page + PAGE_BYTES) {
		/* Past the ring's end: again, for cmocka to see, which fails the test. */
		sigaction(SIGSEGV, &old_segv, NULL);
		return;
	}
	mprotect(watch.page, PAGE_BYTES, PROT_READ | PROT_WRITE);
	c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

/* The flags of the last slot were looked at: all slots are available on the next lap. */
static void
on_accessed(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	(void)number;
	(void)info;
	c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	if (watch.accessed == (const uint8_t *)&ring->packed_ring.desc[ring->size - 1].len) {
		watch.lap = !watch.lap;
		set_lap(watch.lap);
	}
	mprotect(watch.page, PAGE_BYTES, PROT_NONE);
}

static void
catch_signal(int number, void (*handler)(int, siginfo_t *, void *), struct sigaction *old)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(number, &action, old), 0);
}

/* A packed ring of slots with a buffer of their own each, at the end of the watched page. */
static void
open_watched(unsigned int form, uint16_t size, uint32_t buffer_bytes)
{
	uint8_t *desc = fenced(size * ENTRY_BYTES, size * ENTRY_BYTES);
	unsigned int i;

	open_ring(FORM_PACKED | form, size, desc);
	share(DATA_ADDR, from_heap(size * buffer_bytes), size * buffer_bytes);
	for (i = 0; i < size; i++)
		set_slot(i, DATA_ADDR + i * buffer_bytes, buffer_bytes, 0);
	watch.page = desc + size * ENTRY_BYTES - PAGE_BYTES;
	watch.lap = true;
}

static void
watch_begin(void)
{
	catch_signal(SIGSEGV, on_access, &old_segv);
	catch_signal(SIGTRAP, on_accessed, &old_trap);
	mprotect(watch.page, PAGE_BYTES, PROT_NONE);
}

static void
watch_end(void)
{
	mprotect(watch.page, PAGE_BYTES, PROT_READ | PROT_WRITE);
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
}

static void
a_burst_from_a_ring_takes_each_slot_once(void **state)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(ring_sizes); i++) {
		uint16_t size = ring_sizes[i];

		open_watched(FORM_FROM_GUEST, size, BUFFER_BYTES);
		watch_begin();
		receive();
		watch_end();
		assert_int_equal(burst.n, size);
		assert_int_equal(burst.token[burst.n_chains].offset, size);
		vring_packed_rx_done(ring, &burst, burst.n_chains);
		assert_int_equal(ring->used, 0);
		assert_false(ring->used_wrap);
		publish();
		close_ring(state);
	}
}

static void
a_chain_does_not_go_on_in_the_next_lap(void **state)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(ring_sizes); i++) {
		uint16_t size = ring_sizes[i];

		open_watched(FORM_FROM_GUEST, size, BUFFER_BYTES);
		ring->packed_ring.desc[size - 1].flags |= VRING_DESC_F_NEXT;
		watch_begin();
		receive();
		watch_end();
		assert_stopped(VRING_BAD_CHAIN);
		assert_int_equal(burst.n_chains, size - 1);
		assert_int_equal(burst.token[burst.n_chains].offset, size - 1);
		close_ring(state);
	}
}

static void
a_burst_to_a_ring_fills_each_slot_once(void **state)
{
	struct vring_sent sent;
	unsigned int i;

	make_frames(FRAME_BYTES);
	for (i = 0; i < RTE_DIM(ring_sizes); i++) {
		uint16_t size = ring_sizes[i];

		open_watched(0, size, BUFFER_BYTES);
		watch_begin();
		transmit(BURST_MAX, &sent);
		watch_end();
		assert_true(ring->live);
		assert_int_equal(sent.packets, size);
		assert_int_equal(ring->used, 0);
		assert_false(ring->used_wrap);
		close_ring(state);
	}
}

/* It takes one slot more than there are, which the last chain promises to have. */
static void
a_frame_does_not_go_on_in_the_next_lap(void **state)
{
	struct vring_sent sent;
	unsigned int i;

	for (i = 0; i < RTE_DIM(ring_sizes); i++) {
		uint16_t size = ring_sizes[i];

		open_watched(0, size, 40);
		ring->packed_ring.desc[size - 1].flags |= VRING_DESC_F_NEXT;
		make_frames(40U * size + 20 - HDR_BYTES);
		watch_begin();
		assert_int_equal(transmit(1, &sent), 1);
		watch_end();
		assert_int_equal(sent.packets, 0);
		assert_int_equal(ring->used, 0);
		assert_true(ring->used_wrap);
		close_ring(state);
	}
}

/* The call descriptor is exchanged behind one instruction of vring_call(), behind each in turn: if that
 * comes too late for the new one, a call must still be due. */
static struct {
	volatile unsigned int left; /* instructions until then */
	volatile bool over, exchanged;
	int fd;
} step;

static void
on_step(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	(void)number;
	(void)info;
	if (!step.over && step.left-- > 0)
		return;
	c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	if (step.over)
		return;
	atomic_store(&ring->call_fd, step.fd);
	vring_owe_call(ring);
	step.exchanged = true;
}

static void
no_call_is_lost_while_its_descriptor_is_exchanged(void **state)
{
	unsigned int at;
	eventfd_t calls;

	(void)state;
	open_ring(FORM_PACKED | FORM_FROM_GUEST, 4, NULL);
	step.fd = eventfd(0, EFD_NONBLOCK);
	catch_signal(SIGTRAP, on_step, &old_trap);
	for (at = 0, step.exchanged = true; step.exchanged; at++) {
		ring->call_fd = -1;
		ring->call_due = queue.attention = false;
		ring->called_tsc = 0;
		step.left = at;
		step.over = step.exchanged = false;
		__writeeflags(__readeflags() | TRAP_FLAG);
		vring_call(ring);
		step.over = true;
		if (step.exchanged && eventfd_read(step.fd, &calls) != 0)
			assert_true(ring->call_due && queue.attention);
	}
	sigaction(SIGTRAP, &old_trap, NULL);
	assert_true(at > 10); /* it did step */
	close(step.fd);
}
#endif

/* The guest makes slots available again that were given back, but not yet published. */
static void
no_slot_is_filled_twice_before_a_publication(void **state)
{
	static const struct burst_seg rest = {payload + 50, FRAME_BYTES - 50};
	const uint16_t size = 3;
	struct vring_sent sent;
	unsigned int i, in_pieces;

	for (in_pieces = 0; in_pieces < 2; in_pieces++) {
		open_ring(FORM_PACKED, size, NULL);
		share(DATA_ADDR, from_heap(BUFFER_BYTES), BUFFER_BYTES);
		for (i = 0; i < size; i++)
			set_slot(i, DATA_ADDR, BUFFER_BYTES, 0);
		make_frames(FRAME_BYTES);
		for (i = 0; i < BURST_MAX && in_pieces; i++) {
			frame[i].first.bytes = 50;
			frame[i].more = &rest;
			frame[i].n_more = 1;
		}
		assert_int_equal(transmit(size, &sent), size);
		assert_int_equal(sent.packets, size);
		set_lap(false);
		transmit(size, &sent);
		assert_int_equal(sent.packets, 0);
		assert_int_equal(ring->used, 0);
		publish();
		set_lap(false);
		transmit(size, &sent);
		assert_int_equal(sent.packets, size);
		close_ring(state);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#ifdef __x86_64__
		cmocka_unit_test_teardown(a_burst_from_a_ring_takes_each_slot_once, close_ring),
		cmocka_unit_test_teardown(a_chain_does_not_go_on_in_the_next_lap, close_ring),
		cmocka_unit_test_teardown(a_burst_to_a_ring_fills_each_slot_once, close_ring),
		cmocka_unit_test_teardown(a_frame_does_not_go_on_in_the_next_lap, close_ring),
		cmocka_unit_test_teardown(no_call_is_lost_while_its_descriptor_is_exchanged,
					  close_ring),
#endif
		cmocka_unit_test_teardown(no_slot_is_filled_twice_before_a_publication, close_ring),
	};

	return cmocka_run_group_tests_name("vring_races", tests, NULL, NULL);
}
