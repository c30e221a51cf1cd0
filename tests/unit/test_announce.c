/* SPDX-License-Identifier: BSD-3-Clause */
/* SEND_RARP, from the message to the frame that leaves the port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <rte_eal.h>

#include "datapath/mempool.h"
#include "datapath/vring_direct.h"
#include "tests/unit/vhost_fixture.h"

#define VID 3
#define LCORE 1
#define RARP_BYTES_MIN \
	60 /* of an Ethernet frame without its check sequence                        \
      */
#define FEATURES (1ULL << VIRTIO_F_VERSION_1)

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xab, 0xcd, 0xef};
static struct burst burst = {.lcore = LCORE};
static int guest = -1; /* its end of the connection */

static void
announce(const uint8_t *address)
{
	struct vhost_message msg = {.request = VU_SEND_RARP, .size = 8};

	memcpy(&msg.payload.u64, address, sizeof(mac));
	assert_int_equal(fake_message_ops()->pre_msg_handle(VID, &msg),
			 RTE_VHOST_MSG_RESULT_NOT_HANDLED);
	assert_int_equal(fake_message_ops()->post_msg_handle(VID, &msg),
			 RTE_VHOST_MSG_RESULT_NOT_HANDLED);
}

/* The rings run: of both queue pairs, or but for one of them. */
static void
run(unsigned int without)
{
	uint16_t i;

	fake.negotiated = FEATURES;
	for (i = 0; i < FAKE_RINGS; i++)
		assert_int_equal(fake_ops()->vring_state_changed(VID, i, i != without), 0);
	assert_int_equal(fake_ops()->new_device(VID), 0);
}

#define ALL FAKE_RINGS

/* What an lcore finds in its next round. Returns how many frames. */
static unsigned int
poll_pair(unsigned int pair)
{
	burst_clear(&burst);
	vring_direct_rx(&port->queue[pair], &burst);
	return burst.n;
}

/* The lcore forwards what it found, and forgets it. */
static void
done(unsigned int pair)
{
	vring_direct_rx_done(&port->queue[pair], &burst, burst.n);
	burst_release(&burst);
	assert_int_equal(rte_mempool_in_use_count(mempool_of_lcore(LCORE)), 0);
}

/* It is a reverse ARP request of that address for itself, to all (RFC 903). */
static void
assert_rarp(const uint8_t *address)
{
	static const uint8_t fixed[10] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
	uint8_t f[42];

	assert_true(burst.frame[0].bytes >= RARP_BYTES_MIN);
	assert_false(burst.frame[0].tagged);
	assert_int_equal(burst.frame[0].needs, 0);
	frame_read(&burst.frame[0], 0, sizeof(f), f);
	assert_memory_equal(f, "\xff\xff\xff\xff\xff\xff", 6);
	assert_memory_equal(f + 6, address, 6);
	assert_memory_equal(f + 12, fixed, sizeof(fixed));
	assert_memory_equal(f + 22, address, 6); /* sender */
	assert_memory_equal(f + 32, address, 6); /* target */
}

static int
arrive(void **state)
{
	if (open_server(state) != 0)
		return -1;
	guest = fake_arrive(config.path, VID);
	return guest < 0;
}

static int
leave(void **state)
{
	close(guest);
	return close_server(state);
}

static void
a_running_guest_is_announced_once(void **state)
{
	(void)state;
	run(ALL);
	assert_int_equal(poll_pair(0), 0);
	announce(mac);
	vring_owe_call(&v->ring[2]); /* so that the second pair's lcore looks, too */
	assert_int_equal(poll_pair(1), 0);
	assert_int_equal(poll_pair(0), 1);
	assert_rarp(mac);
	done(0);
	vring_owe_call(&v->ring[0]);
	assert_int_equal(poll_pair(0), 0);
	assert_int_equal(port->queue[0].stats.in_drop[DP_IN_NO_MBUF], 0);
	assert_false(port->queue[0].attention);
}

static void
before_its_rings_run_it_waits(void **state)
{
	(void)state;
	announce(mac);
	assert_int_equal(poll_pair(0), 0);
	assert_int_equal(poll_pair(0), 0);
	run(ALL);
	assert_int_equal(poll_pair(0), 1);
	assert_rarp(mac);
	done(0);
	assert_int_equal(poll_pair(0), 0);
}

/* The first pair's transmit ring is what it waits for. */
static void
before_its_first_ring_runs_it_waits(void **state)
{
	(void)state;
	run(1);
	announce(mac);
	assert_int_equal(poll_pair(0), 0);
	assert_int_equal(poll_pair(1), 0);
	assert_int_equal(fake_ops()->vring_state_changed(VID, 1, 1), 0);
	assert_int_equal(poll_pair(0), 1);
	done(0);
}

static void
the_last_address_counts(void **state)
{
	static const uint8_t other[6] = {0x52, 0x54, 0, 0, 0, 9};

	(void)state;
	announce(other);
	announce(mac);
	run(ALL);
	assert_int_equal(poll_pair(0), 1);
	assert_rarp(mac);
	done(0);
	announce(other); /* and again */
	assert_int_equal(poll_pair(0), 1);
	assert_rarp(other);
	done(0);
}

static void
who_left_is_not_announced(void **state)
{
	(void)state;
	announce(mac);
	close(guest);
	fake_leave(VID);
	guest = fake_arrive(config.path, VID);
	run(ALL);
	assert_int_equal(poll_pair(0), 0);
}

static void
without_an_mbuf_it_waits(void **state)
{
	static struct rte_mbuf *all[1 << 16];
	struct rte_mempool *pool = mempool_of_lcore(LCORE);
	unsigned int n = rte_mempool_avail_count(pool);

	(void)state;
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, all, n), 0);
	run(ALL);
	announce(mac);
	assert_int_equal(poll_pair(0), 0);
	rte_pktmbuf_free_bulk(all, n);
	assert_int_equal(poll_pair(0), 1);
	assert_int_equal(poll_pair(0), 0);
}

/* librte_vhost makes the frame itself. */
static void
a_library_port_leaves_it_to_the_library(void **state)
{
	(void)state;
	guest = fake_arrive(config.path, VID);
	announce(mac);
	assert_int_equal(v->announce[0], 0);
	assert_false(port->queue[0].attention);
	close(guest);
}

static int
start(void)
{
	char *argv[] = {(char *)"test",	       (char *)"--no-huge",	 (char *)"--no-pci",
			(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m",
			(char *)"64",	       (char *)"--lcores=0@0",	 NULL};
	static const struct dp_config dp = {.n_lcores = 1, .lcore = {{.node = SOCKET_ID_ANY}}};
	struct err err;

	return rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0 ? -1 : mempool_create(&dp, &err);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, arrive, leave)
	const struct CMUnitTest tests[] = {
		T(a_running_guest_is_announced_once),
		T(before_its_rings_run_it_waits),
		T(before_its_first_ring_runs_it_waits),
		T(the_last_address_counts),
		T(who_left_is_not_announced),
		T(without_an_mbuf_it_waits),
		ON_LIBRARY(a_library_port_leaves_it_to_the_library),
	};

	if (start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
