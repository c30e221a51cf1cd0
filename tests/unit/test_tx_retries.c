/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest's full ring is looked at again as often as its port says (tx_retries), and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_net.h>

#include "datapath/vring.h"
#include "tests/unit/ring_port.h"

#define TO_GUEST 0
#define FRAMES 10
#define FRAME_BYTES 60

static struct ring_port from, to;

/* What the guest does at each look, on a ring that has room for four frames at first. */
static struct {
	unsigned int n;
	unsigned int gives; /* buffers after each look */
	unsigned int breaks_at; /* the look at which it breaks its ring; 0: never */
} look;

uint16_t __real_vring_split_tx(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is,
			       uint16_t untagged, struct vring_sent *sent);
uint16_t __wrap_vring_split_tx(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is,
			       uint16_t untagged, struct vring_sent *sent);

uint16_t
__wrap_vring_split_tx(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is,
		      uint16_t untagged, struct vring_sent *sent)
{
	uint16_t done;

	if (++look.n == look.breaks_at)
		to.guest[TO_GUEST].split.avail->idx += 30000;
	done = __real_vring_split_tx(r, f, n, as_is, untagged, sent);
	guest_gives(&to, TO_GUEST, look.gives);
	return done;
}

static int
set_up(void **state)
{
	const struct ring_port_spec spec = {.features = RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF)};

	(void)state;
	memset(&ring_port_world, 0, sizeof(ring_port_world));
	memset(&look, 0, sizeof(look));
	ring_port_open(&from, &spec);
	ring_port_open(&to, &spec);
	guest_gives(&to, TO_GUEST, 4);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	ring_port_close(&from);
	ring_port_close(&to);
	return 0;
}

/* Sends numbered frames in one burst. */
static void
send_all(void)
{
	uint8_t frame[FRAME_BYTES] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, i;

	for (i = 0; i < FRAMES; i++) {
		frame[FRAME_BYTES - 1] = i;
		guest_sends(&from, NULL, frame, sizeof(frame));
	}
	lcore_forwards(&from, &to, 0);
}

/* The first n came, in their order, and no more; the others were counted. */
static void
assert_came(unsigned int n)
{
	const struct dp_stats *stats = &to.queue.stats;
	struct guest_used used;
	unsigned int i;

	for (i = 0; i < n; i++) {
		assert_true(guest_takes(&to, TO_GUEST, &used));
		assert_int_equal(used.bytes, RING_PORT_HDR_BYTES + FRAME_BYTES);
		assert_int_equal(guest_buffer(&to, &used)[used.bytes - 1], i);
	}
	assert_false(guest_takes(&to, TO_GUEST, &used));
	assert_int_equal(stats->out_packets, n);
	assert_int_equal(stats->out_bytes, n * FRAME_BYTES);
	assert_int_equal(stats->out_drop[DP_OUT_RING_FULL], FRAMES - n);
}

static void
without_retries_there_is_one_look(void **state)
{
	(void)state;
	look.gives = 1;
	send_all();
	assert_int_equal(look.n, 1);
	assert_came(4);
}

static void
retries_find_what_was_given_meanwhile(void **state)
{
	(void)state;
	to.vhost.base.tx_retries = 3;
	look.gives = 1;
	send_all();
	assert_int_equal(look.n, 4);
	assert_came(7);
}

static void
a_guest_that_gives_nothing_costs_as_many_looks(void **state)
{
	(void)state;
	to.vhost.base.tx_retries = 255;
	send_all();
	assert_int_equal(look.n, 256);
	assert_came(4);
}

static void
retries_end_when_all_is_delivered(void **state)
{
	(void)state;
	to.vhost.base.tx_retries = 255;
	look.gives = 3;
	send_all();
	assert_int_equal(look.n, 3);
	assert_came(FRAMES);
}

static void
retries_end_when_the_guest_breaks_its_ring(void **state)
{
	(void)state;
	to.vhost.base.tx_retries = 255;
	look.breaks_at = 3;
	send_all();
	assert_int_equal(look.n, 3);
	assert_int_equal(ring_port_world.events[DP_EVENT_RING_STOPPED], 1);
	assert_int_equal(to.vq[TO_GUEST].fault, VRING_BAD_INDEX);
	assert_came(4);
	/* From then on the queue is off, and not looked at. */
	send_all();
	assert_int_equal(look.n, 3);
	assert_int_equal(to.queue.stats.out_drop[DP_OUT_QUEUE_OFF], FRAMES);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(without_retries_there_is_one_look),
		T(retries_find_what_was_given_meanwhile),
		T(a_guest_that_gives_nothing_costs_as_many_looks),
		T(retries_end_when_all_is_delivered),
		T(retries_end_when_the_guest_breaks_its_ring),
	};

	if (ring_port_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
