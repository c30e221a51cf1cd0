/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest can't make of its rings, whatever it writes into them: an lcore that looks for longer
 * than a burst may take; frames counted twice; calls for nothing; an access beside its memory.
 */
#include "tests/unit/bare_ring.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define TABLE_ADDR 0x40000000UL

/* ---- chains of nothing ------------------------------------------------------------------- */

#define ENTRIES_HUGE (1U << 20)
#define ENTRIES_TOUCHABLE 1100

/* Entries of no bytes, the first of a table's `n`: all that can be touched. */
static void
set_empty_entries(void *table, unsigned int n, unsigned int touchable)
{
	unsigned int i;

	for (i = 0; i < touchable; i++)
		set_entry(table, i, n, 0, 0);
}

static void
a_table_of_empty_entries_is_not_read_to_its_end(void **state)
{
	const uint32_t bytes = ENTRIES_HUGE * ENTRY_BYTES;
	unsigned int form;

	make_frames(FRAME_BYTES);
	for (form = 0; form < RING_FORMS; form++) {
		uint8_t *table = fenced(bytes, ENTRIES_TOUCHABLE * ENTRY_BYTES);

		open_ring(form, 4, NULL);
		share(TABLE_ADDR, table, bytes);
		set_empty_entries(table, ENTRIES_HUGE, ENTRIES_TOUCHABLE);
		set_slot(0, TABLE_ADDR, bytes, VRING_DESC_F_INDIRECT);
		offer(0);
		look();
		assert_stopped(VRING_BAD_CHAIN);
		assert_int_equal(ring->used, 0);
		close_ring(state);
	}
}

static void
a_ring_of_empty_descriptors_is_not_read_to_its_end(void **state)
{
	const uint16_t size = 32768;
	unsigned int form, i;

	make_frames(FRAME_BYTES);
	for (form = 0; form < RING_FORMS; form++) {
		open_ring(form, size, fenced(size * ENTRY_BYTES, ENTRIES_TOUCHABLE * ENTRY_BYTES));
		share(DATA_ADDR, from_heap(1), 1);
		for (i = 0; i < ENTRIES_TOUCHABLE; i++)
			set_slot(i, 0, 0, VRING_DESC_F_NEXT);
		offer(0);
		look();
		assert_stopped(VRING_BAD_CHAIN);
		assert_int_equal(ring->used, 0);
		close_ring(state);
	}
}

/* Each is no frame and given back, but few are looked at in one burst. */
static void
long_chains_of_nothing_share_one_burst(void **state)
{
	enum {
		ENTRIES = 1000,
		CHAINS = 64
	};
	unsigned int packed, i, given_back;

	for (packed = 0; packed < 2; packed++) {
		open_ring(packed | FORM_FROM_GUEST, CHAINS, NULL);
		set_empty_entries(share(TABLE_ADDR, from_heap(ENTRIES * ENTRY_BYTES),
					ENTRIES * ENTRY_BYTES),
				  ENTRIES, ENTRIES);
		for (i = 0; i < CHAINS; i++) {
			set_slot(i, TABLE_ADDR, ENTRIES * ENTRY_BYTES, VRING_DESC_F_INDIRECT);
			offer(i);
		}
		for (given_back = 0; given_back < CHAINS; given_back += burst.n) {
			burst_clear(&burst);
			vring_direct_rx(&queue, &burst);
			assert_true(burst.n > 0 && burst.n == burst.n_chains);
			assert_true(burst.n * ENTRIES <= BURST_SEGS_MAX);
			assert_int_equal(burst.frame[0].bytes, 0);
			vring_direct_rx_done(&queue, &burst, burst.n);
		}
		assert_int_equal(given_back, CHAINS);
		assert_true(ring->live);
		close_ring(state);
	}
}

/* Each frame is tried with the first chain and the beginning of the second; no more than a few are, and
 * another look for room is no other try. */
static void
frames_are_not_spread_over_endless_chains_of_nothing(void **state)
{
	enum {
		ENTRIES = 1000,
		CHAINS = 64,
		TOUCHABLE = 100
	};
	const uint32_t bytes = ENTRIES * ENTRY_BYTES;
	unsigned int packed, i;

	make_frames(FRAME_BYTES);
	for (packed = 0; packed < 2; packed++) {
		uint8_t *first = from_heap(bytes);
		uint8_t *others = fenced(bytes, TOUCHABLE * ENTRY_BYTES);

		open_ring(packed, CHAINS, NULL);
		set_empty_entries(share(TABLE_ADDR, first, bytes), ENTRIES, ENTRIES);
		set_empty_entries(share(2 * TABLE_ADDR, others, bytes), ENTRIES, TOUCHABLE);
		for (i = 0; i < CHAINS; i++) {
			set_slot(i, i == 0 ? TABLE_ADDR : 2 * TABLE_ADDR, bytes,
				 VRING_DESC_F_INDIRECT);
			offer(i);
		}
		port.base.tx_retries = 32;
		vring_direct_tx_frames(&queue, &burst, frames, BURST_MAX, false, 0);
		assert_true(ring->live);
		assert_int_equal(ring->used, 0);
		assert_int_equal(queue.stats.out_drop[DP_OUT_MTU], VRING_SKIPS_MAX);
		assert_int_equal(queue.stats.out_drop[DP_OUT_RING_FULL],
				 BURST_MAX - VRING_SKIPS_MAX);
		close_ring(state);
	}
}

/* ---- frames that are long ---------------------------------------------------------------- */

/* A guest has its buffers back after so many bytes; they are not all of a burst. */
static void
long_frames_come_a_few_at_a_time(void **state)
{
	enum {
		BYTES = 60000,
		CHAINS = 32
	};
	unsigned int packed, i, rounds;

	for (packed = 0; packed < 2; packed++) {
		open_ring(packed | FORM_FROM_GUEST, CHAINS, NULL);
		share(DATA_ADDR, from_heap(BYTES), BYTES);
		for (i = 0; i < CHAINS; i++) {
			set_slot(i, DATA_ADDR, BYTES, 0);
			offer(i);
		}
		for (rounds = 0, i = 0; i < CHAINS; i += burst.n, rounds++) {
			burst_clear(&burst);
			vring_direct_rx(&queue, &burst);
			assert_in_range(burst.n, 1, CHAINS - i);
			assert_true((burst.n - 1U) * BYTES < VRING_BURST_BYTES);
			vring_direct_rx_done(&queue, &burst, burst.n);
		}
		assert_in_range(rounds, 2, CHAINS - 1);
		close_ring(state);
	}
}

/* ---- published once ---------------------------------------------------------------------- */

/* Frames for a guest that has no room, burst after burst. */
static void
a_guest_is_not_called_for_nothing(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	unsigned int packed;
	eventfd_t calls;

	make_frames(FRAME_BYTES);
	for (packed = 0; packed < 2; packed++) {
		open_ring(packed, 4, NULL);
		share(DATA_ADDR, from_heap(1), 1);
		ring->call_fd = fd;
		if (!packed)
			ring->split.used->idx = 0x5555; /* whoever stores it changes it */
		assert_false(publish());
		vring_direct_tx_frames(&queue, &burst, frames, BURST_MAX, false, 0);
		assert_int_equal(queue.stats.out_drop[DP_OUT_RING_FULL], BURST_MAX);
		assert_true(packed || ring->split.used->idx == 0x5555);
		assert_int_not_equal(eventfd_read(fd, &calls), 0);
		assert_false(ring->call_due || queue.attention);
		close_ring(state);
	}
	close(fd);
}

/* ---- across two regions ------------------------------------------------------------------ */

/* Two regions with `gap` bytes between them. */
static void
share_two(uint64_t addr, uint32_t first, uint32_t second, uint32_t gap)
{
	share(addr, from_heap(first), first);
	share(addr + first + gap, from_heap(second), second);
}

/* A frame goes through the buffers from DATA_ADDR on, whole. */
static void
assert_frame_goes(unsigned int form)
{
	uint8_t got[FRAME_BYTES];
	struct vring_sent sent;
	unsigned int i;

	make_frames(FRAME_BYTES);
	offer(0);
	if (form & FORM_FROM_GUEST) {
		for (i = 0; i < FRAME_BYTES; i++)
			*guest_byte(DATA_ADDR + HDR_BYTES + i) = payload[i];
		receive();
		assert_true(ring->live);
		assert_int_equal(burst.n, 1);
		assert_int_equal(burst.frame[0].bytes, FRAME_BYTES);
		frame_read(&burst.frame[0], 0, FRAME_BYTES, got);
	} else {
		assert_int_equal(transmit(1, &sent), 1);
		assert_true(ring->live);
		assert_int_equal(sent.packets, 1);
		assert_int_equal(*guest_byte(DATA_ADDR + 10), 1); /* num_buffers */
		for (i = 0; i < FRAME_BYTES; i++)
			got[i] = *guest_byte(DATA_ADDR + HDR_BYTES + i);
	}
	assert_memory_equal(got, payload, FRAME_BYTES);
}

static void
a_buffer_may_cross_into_the_next_region(void **state)
{
	unsigned int form, cut;

	for (form = 0; form < RING_FORMS; form++) {
		for (cut = 1; cut < BUFFER_BYTES; cut++) {
			open_ring(form, 4, NULL);
			share_two(DATA_ADDR, cut, BUFFER_BYTES - cut, 0);
			set_slot(0, DATA_ADDR, BUFFER_BYTES, 0);
			assert_frame_goes(form);
			close_ring(state);
		}
	}
}

static void
a_buffer_may_not_cross_a_gap(void **state)
{
	unsigned int form;

	make_frames(FRAME_BYTES);
	for (form = 0; form < RING_FORMS; form++) {
		open_ring(form, 4, NULL);
		share_two(DATA_ADDR, 40, BUFFER_BYTES - 40, 1);
		set_slot(0, DATA_ADDR, BUFFER_BYTES, 0);
		offer(0);
		look();
		assert_stopped(VRING_BAD_ADDRESS);
		close_ring(state);
	}
}

/* A table of `n` entries, `shift` bytes from an aligned address, `cut` of it in the first region. */
static void
open_with_table(unsigned int form, unsigned int n, uint32_t shift, uint32_t cut)
{
	uint32_t bytes = n * ENTRY_BYTES, i;
	uint8_t table[3 * ENTRY_BYTES];
	uint64_t addr = DATA_ADDR;

	open_ring(form, 4, NULL);
	share(DATA_ADDR, from_heap(BUFFER_BYTES), BUFFER_BYTES);
	share_two(TABLE_ADDR, shift + cut, bytes - cut, 0);
	for (i = 0; i < n; i++) {
		uint32_t some = i + 1 < n ? 20 : (uint32_t)(DATA_ADDR + BUFFER_BYTES - addr);

		set_entry(table, i, n, addr, some);
		addr += some;
	}
	for (i = 0; i < bytes; i++)
		*guest_byte(TABLE_ADDR + shift + i) = table[i];
	set_slot(0, TABLE_ADDR + shift, bytes, VRING_DESC_F_INDIRECT);
}

static void
a_table_may_lie_anywhere(void **state)
{
	static const struct {
		uint32_t shift, cut;
	} place[] = {{8, 0},  {4, 0},	{0, 16}, {1, 15}, {4, 16},
		     {8, 16}, {15, 16}, {0, 8},	 {1, 30}, {0, 31}};
	unsigned int form, n, i;

	for (form = 0; form < RING_FORMS; form++) {
		for (n = 2; n <= 3; n++) {
			for (i = 0; i < RTE_DIM(place); i++) {
				open_with_table(form, n, place[i].shift, place[i].cut);
				assert_frame_goes(form);
				close_ring(state);
			}
		}
	}
}

/* Its last entry is there by half. */
static void
a_table_may_not_leave_the_memory(void **state)
{
	const uint32_t bytes = 3 * ENTRY_BYTES, shared = bytes - ENTRY_BYTES / 2;
	unsigned int form;

	make_frames(FRAME_BYTES);
	for (form = 0; form < RING_FORMS; form++) {
		open_ring(form, 4, NULL);
		set_empty_entries(share(TABLE_ADDR, from_heap(shared), shared), 3, 2);
		set_slot(0, TABLE_ADDR, bytes, VRING_DESC_F_INDIRECT);
		offer(0);
		look();
		assert_stopped(VRING_BAD_ADDRESS);
		close_ring(state);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_table_of_empty_entries_is_not_read_to_its_end,
					  close_ring),
		cmocka_unit_test_teardown(a_ring_of_empty_descriptors_is_not_read_to_its_end,
					  close_ring),
		cmocka_unit_test_teardown(long_chains_of_nothing_share_one_burst, close_ring),
		cmocka_unit_test_teardown(frames_are_not_spread_over_endless_chains_of_nothing,
					  close_ring),
		cmocka_unit_test_teardown(long_frames_come_a_few_at_a_time, close_ring),
		cmocka_unit_test_teardown(a_guest_is_not_called_for_nothing, close_ring),
		cmocka_unit_test_teardown(a_buffer_may_cross_into_the_next_region, close_ring),
		cmocka_unit_test_teardown(a_buffer_may_not_cross_a_gap, close_ring),
		cmocka_unit_test_teardown(a_table_may_lie_anywhere, close_ring),
		cmocka_unit_test_teardown(a_table_may_not_leave_the_memory, close_ring),
	};

	return cmocka_run_group_tests_name("vring_bounds", tests, NULL, NULL);
}
