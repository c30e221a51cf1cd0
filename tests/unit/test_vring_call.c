/* SPDX-License-Identifier: BSD-3-Clause */
/* When a guest is interrupted: on real rings, by what its eventfds count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <rte_cycles.h>

#include "datapath/vring.h"
#include "tests/unit/ring_port.h"

#define EVENT_IDX RTE_BIT64(VIRTIO_RING_F_EVENT_IDX)
#define TO_GUEST 0
#define FROM_GUEST 1

static struct ring_port from, to;

/* A ring is called again at once; or not for hours. */
#define GAP_NEVER 0
#define GAP_ALWAYS UINT64_MAX

static void
send_some(unsigned int n)
{
	const uint8_t frame[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};

	for (; n > 0; n--)
		guest_sends(&from, NULL, frame, sizeof(frame));
}

/* The receiver takes n frames and gives the buffers anew. */
static void
take_and_give(unsigned int n)
{
	struct guest_used used;
	unsigned int i;

	for (i = 0; i < n; i++)
		assert_true(guest_takes(&to, TO_GUEST, &used));
	assert_false(guest_takes(&to, TO_GUEST, &used));
	guest_gives(&to, TO_GUEST, n);
}

/* One burst of n frames. The receiver has room, takes them, and gives the buffers anew. */
static void
deliver(unsigned int n)
{
	send_some(n);
	lcore_forwards(&from, &to, 0);
	take_and_give(n);
}

static void
open_pair(bool packed, uint64_t features, uint16_t size)
{
	const struct ring_port_spec sender = {.packed = packed, .features = features};
	const struct ring_port_spec receiver = {
		.packed = packed,
		.features = features,
		.size = size,
	};

	memset(&ring_port_world, 0, sizeof(ring_port_world));
	ring_port_open(&from, &sender);
	ring_port_open(&to, &receiver);
	guest_gives(&to, TO_GUEST, size);
}

static void
close_pair(void)
{
	assert_int_equal(ring_port_world.events[DP_EVENT_RING_STOPPED], 0);
	ring_port_close(&from);
	ring_port_close(&to);
}

/* With event idx: a call when the buffer is used that is `ahead` of the next one. */
static void
want_call_at(struct ring_port *p, unsigned int number, int ahead)
{
	struct guest_ring *g = &p->guest[number];
	int at = g->seen + ahead, size = g->size;
	bool wrap = g->seen_wrap;

	if (!g->packed) {
		g->split.avail->ring[size] = (uint16_t)at;
		return;
	}
	for (; at < 0; at += size)
		wrap = !wrap;
	for (; at >= size; at -= size)
		wrap = !wrap;
	g->driver->off_wrap = (uint16_t)(at | wrap << 15);
	g->driver->flags = VRING_PACKED_EVENT_FLAG_DESC;
}

/* A call for the next buffer, with event idx or without. */
static void
ask(struct ring_port *p, unsigned int number)
{
	if (p->vq[number].event_idx)
		want_call_at(p, number, 0);
	else
		guest_wants_calls(p, number, true);
}

/* ---- what the guest asked for ---------------------------------------------------------------- */

static void
one_call_for_a_burst_that_is_asked_for(bool packed)
{
	open_pair(packed, 0, BURST_MAX);
	guest_wants_calls(&to, TO_GUEST, true);
	guest_wants_calls(&from, FROM_GUEST, true);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	assert_int_equal(calls(&from, FROM_GUEST), 1);
	deliver(BURST_MAX);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	assert_int_equal(calls(&from, FROM_GUEST), 1);
	/* Each ring for itself. */
	guest_wants_calls(&from, FROM_GUEST, false);
	deliver(3);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	assert_int_equal(calls(&from, FROM_GUEST), 0);
	guest_wants_calls(&to, TO_GUEST, false);
	deliver(3);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	assert_int_equal(calls(&to, FROM_GUEST), 0);
	assert_int_equal(calls(&from, TO_GUEST), 0);
	assert_false(to.queue.attention || from.queue.attention);
	close_pair();
}

static void
split_one_call_for_a_burst(void **state)
{
	(void)state;
	one_call_for_a_burst_that_is_asked_for(false);
}

static void
packed_one_call_for_a_burst(void **state)
{
	(void)state;
	one_call_for_a_burst_that_is_asked_for(true);
}

/* The flag means nothing then (virtio 1.1, 2.6.7.1); and an event index nothing without. */
static void
only_what_was_agreed_counts(void **state)
{
	(void)state;
	open_pair(false, EVENT_IDX, 8);
	deliver(1);
	calls(&to, TO_GUEST);
	to.guest[TO_GUEST].split.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	want_call_at(&to, TO_GUEST, 0);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	close_pair();

	open_pair(true, 0, 8);
	deliver(1);
	calls(&to, TO_GUEST);
	want_call_at(&to, TO_GUEST, 5);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	close_pair();
}

/* Nobody knows what a guest was told before: better once too often. */
static void
the_first_burst_is_told(bool packed)
{
	open_pair(packed, EVENT_IDX, 8);
	want_call_at(&to, TO_GUEST, 5);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	/* A ring that comes again has a first burst, too. */
	assert_true(vring_detach(&to.vq[TO_GUEST]));
	vring_settle(&to.vq[TO_GUEST], to.vq[TO_GUEST].vid);
	vring_attach(&to.vq[TO_GUEST], to.vq[TO_GUEST].vid, to.vq[TO_GUEST].features,
		     &to.vhost.mem);
	want_call_at(&to, TO_GUEST, 5);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	close_pair();
}

static void
with_event_idx_the_first_burst_is_told(void **state)
{
	(void)state;
	the_first_burst_is_told(false);
	the_first_burst_is_told(true);
}

/*
 * A call is made if and only if the buffer that the guest named is among those
 * that the burst used: for every place in the ring, burst and event, on both
 * sides of where the indices come round.
 */
static void
event_idx_decides(bool packed, uint16_t size, unsigned int before)
{
	unsigned int n, turn;
	int ahead;

	open_pair(packed, EVENT_IDX, size);
	want_call_at(&to, TO_GUEST, -1);
	for (; before > 0; before -= n) {
		n = RTE_MIN(before, (unsigned int)size);
		want_call_at(&to, TO_GUEST, -1);
		deliver(n);
	}
	calls(&to, TO_GUEST);
	for (turn = 0; turn < 3; turn++) {
		for (n = 1; n <= size; n++) {
			for (ahead = -size; ahead < size; ahead++) {
				want_call_at(&to, TO_GUEST, ahead);
				deliver(n);
				assert_int_equal(calls(&to, TO_GUEST),
						 ahead >= 0 && ahead < (int)n);
			}
		}
	}
	close_pair();
}

static void
split_event_idx_decides(void **state)
{
	(void)state;
	event_idx_decides(false, 8, 8);
	event_idx_decides(false, 8, 65536 - 300);
	event_idx_decides(false, 1, 65536 - 3);
}

static void
packed_event_idx_decides(void **state)
{
	(void)state;
	event_idx_decides(true, 8, 8);
	event_idx_decides(true, 7, 3);
	event_idx_decides(true, 1, 1);
}

static void
packed_events_can_be_turned_off_and_on(void **state)
{
	struct vring_packed_desc_event *event;

	(void)state;
	open_pair(true, EVENT_IDX, 8);
	event = to.guest[TO_GUEST].driver;
	event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	deliver(8);
	deliver(4);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	/* What is asked for now is not about what was used before. */
	want_call_at(&to, TO_GUEST, -2);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	want_call_at(&to, TO_GUEST, 1);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	event->flags = VRING_PACKED_EVENT_FLAG_ENABLE;
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	close_pair();
}

static void
nothing_used_is_nothing_to_tell(bool packed, uint64_t features)
{
	unsigned int i;

	open_pair(packed, features, 8);
	for (i = 0; i < 2; i++) {
		ask(&to, TO_GUEST);
		ask(&from, FROM_GUEST);
		send_some(8);
		lcore_forwards(&from, &to, 0);
		calls(&to, TO_GUEST);
		calls(&from, FROM_GUEST);
		/* The receiver is full now; and none of the sender's buffers is given back.
     */
		send_some(2);
		lcore_polls(&from);
		vring_direct_tx_frames(&to.queue, &burst,
				       (struct frame *[]){&burst.frame[0], &burst.frame[1]}, 2,
				       false, 0);
		vring_direct_rx_done(&from.queue, &burst, 0);
		assert_int_equal(calls(&to, TO_GUEST), 0);
		assert_int_equal(calls(&from, FROM_GUEST), 0);
		lcore_forwards(&from, &to, 0);
		calls(&from, FROM_GUEST);
		take_and_give(8);
	}
	close_pair();
}

static void
split_nothing_used(void **state)
{
	(void)state;
	nothing_used_is_nothing_to_tell(false, 0);
	nothing_used_is_nothing_to_tell(false, EVENT_IDX);
}

static void
packed_nothing_used(void **state)
{
	(void)state;
	nothing_used_is_nothing_to_tell(true, 0);
	nothing_used_is_nothing_to_tell(true, EVENT_IDX);
}

/* ---- not too often --------------------------------------------------------------------------- */

static void
assert_owed(const struct ring_port *p, unsigned int number)
{
	assert_true(p->vq[number].call_due);
	assert_true(p->queue.attention);
}

static void
what_comes_within_the_gap_is_made_up_for(bool packed, uint64_t features)
{
	struct guest_used used;

	open_pair(packed, features, 8);
	ask(&to, TO_GUEST);
	ask(&from, FROM_GUEST);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	assert_int_equal(calls(&from, FROM_GUEST), 1);

	ring_port_world.tsc_hz = GAP_ALWAYS;
	assert_true(guest_takes(&from, FROM_GUEST, &used));
	ask(&to, TO_GUEST);
	ask(&from, FROM_GUEST);
	deliver(2);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	assert_int_equal(calls(&from, FROM_GUEST), 0);
	assert_owed(&to, TO_GUEST);
	assert_owed(&from, FROM_GUEST);
	lcore_polls(&to); /* still too early */
	lcore_polls(&from);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	assert_int_equal(calls(&from, FROM_GUEST), 0);
	assert_owed(&to, TO_GUEST);
	assert_owed(&from, FROM_GUEST);

	/* The guest has nothing else to come, and is told all the same: once. */
	ring_port_world.tsc_hz = GAP_NEVER;
	lcore_polls(&to);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	assert_int_equal(calls(&from, FROM_GUEST), 0);
	lcore_polls(&from);
	assert_int_equal(calls(&from, FROM_GUEST), 1);
	assert_false(to.queue.attention || from.queue.attention);
	assert_false(to.vq[TO_GUEST].call_due || from.vq[FROM_GUEST].call_due);
	lcore_polls(&to);
	lcore_polls(&from);
	assert_int_equal(calls(&to, TO_GUEST) + calls(&from, FROM_GUEST), 0);
	close_pair();
}

static void
split_calls_are_made_up_for(void **state)
{
	(void)state;
	what_comes_within_the_gap_is_made_up_for(false, 0);
	what_comes_within_the_gap_is_made_up_for(false, EVENT_IDX);
}

static void
packed_calls_are_made_up_for(void **state)
{
	(void)state;
	what_comes_within_the_gap_is_made_up_for(true, 0);
	what_comes_within_the_gap_is_made_up_for(true, EVENT_IDX);
}

static void
a_later_call_pays_what_is_owed(void **state)
{
	(void)state;
	open_pair(false, 0, 8);
	guest_wants_calls(&to, TO_GUEST, true);
	deliver(1);
	ring_port_world.tsc_hz = GAP_ALWAYS;
	deliver(1);
	assert_owed(&to, TO_GUEST);
	calls(&to, TO_GUEST);
	ring_port_world.tsc_hz = GAP_NEVER;
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	lcore_polls(&to);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	close_pair();
}

/* A clock that ticks so fast that the test can take minutes. */
static void
the_gap_is_ten_microseconds(void **state)
{
	const uint64_t us = UINT64_C(1) << 40;

	(void)state;
	open_pair(false, 0, 8);
	guest_wants_calls(&to, TO_GUEST, true);
	ring_port_world.tsc_hz = 1000000 * us;
	to.vq[TO_GUEST].called_tsc = rte_rdtsc() - 10 * us;
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	assert_owed(&to, TO_GUEST);
	to.vq[TO_GUEST].called_tsc = rte_rdtsc() - 9 * us;
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	assert_owed(&to, TO_GUEST);
	close_pair();
}

/* ---- nothing is lost ------------------------------------------------------------------------- */

static void
what_is_owed_is_told_when_the_ring_is_taken_away(void **state)
{
	(void)state;
	open_pair(true, 0, 8);
	guest_wants_calls(&to, TO_GUEST, true);
	deliver(1);
	ring_port_world.tsc_hz = GAP_ALWAYS;
	deliver(2);
	calls(&to, TO_GUEST);
	assert_true(vring_detach(&to.vq[TO_GUEST]));
	lcore_polls(&to); /* not the lcore's any more */
	assert_int_equal(calls(&to, TO_GUEST), 0);
	vring_settle(&to.vq[TO_GUEST], to.vq[TO_GUEST].vid);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	assert_int_equal(ring_port_world.base, 1 << 15 | 3);
	assert_false(vring_detach(&to.vq[TO_GUEST]));
	close_pair();
}

/* The guest has broken its ring; what it got before that is its own. */
static void
what_is_owed_outlives_a_stop(void **state)
{
	(void)state;
	open_pair(false, 0, 8);
	guest_wants_calls(&to, TO_GUEST, true);
	deliver(1);
	ring_port_world.tsc_hz = GAP_ALWAYS;
	deliver(1);
	calls(&to, TO_GUEST);
	vring_stop(&to.vq[TO_GUEST], VRING_BAD_INDEX);
	ring_port_world.tsc_hz = GAP_NEVER;
	lcore_polls(&to);
	assert_true(vring_detach(&to.vq[TO_GUEST]));
	vring_settle(&to.vq[TO_GUEST], to.vq[TO_GUEST].vid);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	assert_int_equal(ring_port_world.events[DP_EVENT_RING_STOPPED], 1);
	ring_port_world.events[DP_EVENT_RING_STOPPED] = 0;
	close_pair();
}

/* As while its front-end exchanges the descriptor, and after that. */
static void
without_a_descriptor_nobody_is_called_until_there_is_one(void **state)
{
	(void)state;
	open_pair(false, 0, 8);
	guest_wants_calls(&to, TO_GUEST, true);
	to.vq[TO_GUEST].call_fd = -1;
	deliver(1);
	assert_int_equal(calls(&to, TO_GUEST), 0);
	to.vq[TO_GUEST].call_fd = to.guest[TO_GUEST].call_fd;
	vring_owe_call(&to.vq[TO_GUEST]);
	lcore_polls(&to);
	assert_int_equal(calls(&to, TO_GUEST), 1);
	close_pair();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_one_call_for_a_burst),
		cmocka_unit_test(packed_one_call_for_a_burst),
		cmocka_unit_test(only_what_was_agreed_counts),
		cmocka_unit_test(with_event_idx_the_first_burst_is_told),
		cmocka_unit_test(split_event_idx_decides),
		cmocka_unit_test(packed_event_idx_decides),
		cmocka_unit_test(packed_events_can_be_turned_off_and_on),
		cmocka_unit_test(split_nothing_used),
		cmocka_unit_test(packed_nothing_used),
		cmocka_unit_test(split_calls_are_made_up_for),
		cmocka_unit_test(packed_calls_are_made_up_for),
		cmocka_unit_test(a_later_call_pays_what_is_owed),
		cmocka_unit_test(the_gap_is_ten_microseconds),
		cmocka_unit_test(what_is_owed_is_told_when_the_ring_is_taken_away),
		cmocka_unit_test(what_is_owed_outlives_a_stop),
		cmocka_unit_test(without_a_descriptor_nobody_is_called_until_there_is_one),
	};

	if (ring_port_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
