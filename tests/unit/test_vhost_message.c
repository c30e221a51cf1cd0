/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/vhost_message.h"

#define PACKED (1ULL << 34)
#define MQ (1ULL << 22)
#define GUEST_BYTES (1u << 20)

static struct vhost_message msg;
static struct vhost_guard guard;

static int
setup(void **state)
{
	(void)state;
	vhost_guard_init(&guard, 2);
	return 0;
}

/* Judges a message with a payload of two 32-bit words. */
static enum vhost_verdict
judge(uint32_t request, uint32_t a, uint32_t b)
{
	memset(&msg, 0, sizeof(msg));
	msg.request = request;
	msg.size = request == VU_SET_VRING_ADDR ? 40 : 8;
	msg.payload.ring.index = a;
	msg.payload.ring.num = b;
	return vhost_guard_before(&guard, &msg);
}

/* As judge(), and the library handles what passes. */
static enum vhost_verdict
handle(uint32_t request, uint32_t a, uint32_t b)
{
	enum vhost_verdict verdict = judge(request, a, b);

	if (verdict == VHOST_PASS)
		vhost_guard_after(&guard, &msg);
	return verdict;
}

static enum vhost_verdict
features(uint64_t bits)
{
	return handle(VU_SET_FEATURES, (uint32_t)bits, (uint32_t)(bits >> 32));
}

static void
start_ring(uint32_t ring, uint32_t size)
{
	assert_int_equal(handle(VU_SET_VRING_NUM, ring, size), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_BASE, ring, 0), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_ADDR, ring, 0), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_KICK, ring, 0), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_ENABLE, ring, 1), VHOST_PASS);
}

static void
a_well_behaved_start_stop_and_start_pass(void **state)
{
	uint32_t ring;

	(void)state;
	assert_int_equal(features(MQ), VHOST_PASS);
	for (ring = 0; ring < 4; ring++)
		start_ring(ring, 256);
	assert_int_equal(features(MQ | 1ULL << 26), VHOST_PASS); /* dirty logging */
	for (ring = 0; ring < 4; ring++)
		assert_int_equal(handle(VU_GET_VRING_BASE, ring, 0), VHOST_PASS);
	assert_int_equal(features(MQ | PACKED), VHOST_PASS);
	for (ring = 0; ring < 4; ring++)
		start_ring(ring, 300);
}

static void
a_ring_that_the_port_has_not_is_refused(void **state)
{
	(void)state;
	assert_int_equal(judge(VU_SET_VRING_NUM, 3, 256), VHOST_PASS);
	setup(NULL);
	assert_int_equal(judge(VU_SET_VRING_NUM, 4, 256), VHOST_CUT);
	assert_int_equal(judge(VU_SET_VRING_CALL, 4, 0), VHOST_CUT);
	assert_int_equal(judge(VU_SET_VRING_ENABLE, 0x80000000, 1), VHOST_CUT);
}

static void
ring_sizes_are_checked(void **state)
{
	(void)state;
	assert_int_equal(judge(VU_SET_VRING_NUM, 0, 0), VHOST_CUT);
	assert_int_equal(judge(VU_SET_VRING_NUM, 0, 65536), VHOST_CUT);
	assert_int_equal(judge(VU_SET_VRING_NUM, 0, 300), VHOST_CUT);
	assert_int_equal(judge(VU_SET_VRING_NUM, 0, 32768), VHOST_PASS);
}

static void
a_mapped_ring_keeps_its_size(void **state)
{
	(void)state;
	start_ring(0, 256);
	assert_int_equal(handle(VU_SET_VRING_NUM, 0, 256), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_ENABLE, 0, 0), VHOST_PASS);
	assert_int_equal(judge(VU_SET_VRING_NUM, 0, 512), VHOST_CUT);
	assert_int_equal(handle(VU_GET_VRING_BASE, 0, 0), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_NUM, 0, 512), VHOST_PASS);
}

static void
a_ring_needs_a_size_before_it_is_mapped(void **state)
{
	(void)state;
	assert_int_equal(judge(VU_SET_VRING_ADDR, 0, 0), VHOST_CUT);
	assert_int_equal(judge(VU_SET_VRING_KICK, 0, 0), VHOST_CUT);
	start_ring(0, 256);
	assert_int_equal(handle(VU_GET_VRING_BASE, 0, 0), VHOST_PASS);
	assert_int_equal(judge(VU_SET_VRING_KICK, 0, 0), VHOST_CUT);
}

static void
the_kind_of_ring_stays_while_a_ring_has_memory(void **state)
{
	(void)state;
	assert_int_equal(features(MQ), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_NUM, 1, 256), VHOST_PASS);
	assert_int_equal(features(MQ), VHOST_PASS);
	assert_int_equal(features(MQ | PACKED), VHOST_CUT);
}

static void
without_multiqueue_further_rings_are_forgotten(void **state)
{
	(void)state;
	assert_int_equal(features(MQ), VHOST_PASS);
	start_ring(2, 256);
	assert_int_equal(features(0), VHOST_PASS);
	assert_int_equal(judge(VU_SET_VRING_KICK, 2, 0), VHOST_CUT);
}

static void
a_packed_base_lies_in_the_ring(void **state)
{
	(void)state;
	assert_int_equal(features(PACKED), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_BASE, 0, 0x8000 | 299), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_NUM, 0, 300), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_ADDR, 0, 0), VHOST_PASS);
	assert_int_equal(judge(VU_SET_VRING_BASE, 0, 300), VHOST_CUT);
	assert_int_equal(handle(VU_GET_VRING_BASE, 0, 0), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_NUM, 0, 16), VHOST_PASS);
	assert_int_equal(judge(VU_SET_VRING_ADDR, 0, 0), VHOST_CUT); /* the old base is out of it */
}

static void
what_is_not_offered_is_refused(void **state)
{
	static const uint32_t refused[] = {0,  21, 22, 23, 24, 25, 26, 27,
					   28, 29, 30, 31, 32, 38, 41, UINT32_MAX};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(judge(refused[i], 0, 0), VHOST_CUT);
}

static void
a_short_payload_is_refused(void **state)
{
	(void)state;
	judge(VU_SET_VRING_NUM, 0, 256);
	setup(NULL);
	msg.size = 4;
	assert_int_equal(vhost_guard_before(&guard, &msg), VHOST_CUT);
}

static void
after_a_failure_the_next_message_ends_the_connection(void **state)
{
	(void)state;
	assert_int_equal(judge(VU_SET_VRING_NUM, 0, 256), VHOST_PASS);
	assert_true(vhost_guard_broken(&guard)); /* vhost_guard_after() never came */
	assert_int_equal(judge(VU_SET_OWNER, 0, 0), VHOST_CUT);
}

static void
a_refusal_closes_descriptors_and_asks_for_no_reply(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	judge(VU_SET_OWNER, 0, 0);
	msg.request = 31;
	msg.flags = 1 | VHOST_MESSAGE_NEED_REPLY;
	msg.fd[0] = fds[0];
	msg.fd[1] = fds[1];
	msg.n_fds = 2;
	assert_int_equal(vhost_guard_before(&guard, &msg), VHOST_CUT);
	assert_int_equal(msg.flags, 1);
	assert_int_equal(msg.n_fds, 0);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
}

static void
the_queue_number_is_the_ports(void **state)
{
	(void)state;
	assert_int_equal(judge(VU_GET_QUEUE_NUM, 0, 0), VHOST_ANSWERED);
	assert_int_equal(msg.payload.u64, 2);
	assert_int_equal(msg.size, 8);
}

static void
reset_owner_is_ignored(void **state)
{
	(void)state;
	assert_int_equal(judge(VU_RESET_OWNER, 0, 0), VHOST_IGNORED);
}

/* A memory table of one region. */
static enum vhost_verdict
mem_table(uint64_t size, uint64_t offset, int fd)
{
	setup(NULL);
	memset(&msg, 0, sizeof(msg));
	msg.request = VU_SET_MEM_TABLE;
	msg.size = 8 + sizeof(struct vhost_message_region);
	msg.payload.memory.n_regions = 1;
	msg.payload.memory.region[0].size = size;
	msg.payload.memory.region[0].mmap_offset = offset;
	msg.fd[0] = dup(fd);
	msg.n_fds = 1;
	return vhost_guard_before(&guard, &msg);
}

static void
a_memory_table_must_be_mappable(void **state)
{
	int fd = memfd_create("guest", 0), fds[2];

	(void)state;
	assert_int_equal(ftruncate(fd, GUEST_BYTES), 0);
	assert_int_equal(mem_table(GUEST_BYTES, 0, fd), VHOST_PASS);
	vhost_message_drop(&msg);
	assert_int_equal(mem_table(GUEST_BYTES / 2, GUEST_BYTES / 2, fd), VHOST_PASS);
	vhost_message_drop(&msg);
	assert_int_equal(mem_table(0, 0, fd), VHOST_CUT);
	assert_int_equal(mem_table(GUEST_BYTES + 1, 0, fd), VHOST_CUT);
	assert_int_equal(mem_table(GUEST_BYTES, 4096, fd), VHOST_CUT);
	assert_int_equal(mem_table(GUEST_BYTES, UINT64_MAX - 4096, fd), VHOST_CUT);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(mem_table(GUEST_BYTES, 0, fds[0]), VHOST_CUT);
	close(fds[0]);
	close(fds[1]);
	close(fd);
}

static void
a_memory_table_has_a_descriptor_for_each_region(void **state)
{
	int fd = memfd_create("guest", 0);

	(void)state;
	assert_int_equal(ftruncate(fd, GUEST_BYTES), 0);
	assert_int_equal(mem_table(GUEST_BYTES, 0, fd), VHOST_PASS);
	guard.unfinished = 0;
	msg.payload.memory.n_regions = 2;
	assert_int_equal(vhost_guard_before(&guard, &msg), VHOST_CUT);
	mem_table(GUEST_BYTES, 0, fd);
	guard.unfinished = 0;
	msg.payload.memory.n_regions = 9;
	assert_int_equal(vhost_guard_before(&guard, &msg), VHOST_CUT);
	close(fd);
}

static void
a_call_descriptor_is_an_eventfd_that_does_not_block(void **state)
{
	int fd = eventfd(0, 0), fds[2];

	(void)state;
	judge(VU_SET_OWNER, 0, 0);
	msg.request = VU_SET_VRING_CALL;
	msg.fd[0] = fd;
	msg.n_fds = 1;
	assert_int_equal(vhost_guard_before(&guard, &msg), VHOST_PASS);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	assert_int_equal(pipe(fds), 0);
	msg.fd[0] = fds[1];
	assert_int_equal(vhost_guard_before(&guard, &msg), VHOST_CUT);
	close(fds[0]);
}

/* Lcores wait for it. */
static void
a_kick_descriptor_is_an_eventfd(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(handle(VU_SET_VRING_NUM, 0, 256), VHOST_PASS);
	assert_int_equal(handle(VU_SET_VRING_BASE, 0, 0), VHOST_PASS);
	msg.request = VU_SET_VRING_KICK;
	msg.payload.u64 = 0;
	msg.n_fds = 1;
	msg.fd[0] = eventfd(0, 0);
	assert_int_equal(vhost_guard_before(&guard, &msg), VHOST_PASS);
	close(msg.fd[0]);
	vhost_guard_after(&guard, &msg);
	assert_int_equal(pipe(fds), 0);
	msg.fd[0] = fds[0];
	assert_int_equal(vhost_guard_before(&guard, &msg), VHOST_CUT);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_well_behaved_start_stop_and_start_pass, setup),
		cmocka_unit_test_setup(a_ring_that_the_port_has_not_is_refused, setup),
		cmocka_unit_test_setup(ring_sizes_are_checked, setup),
		cmocka_unit_test_setup(a_mapped_ring_keeps_its_size, setup),
		cmocka_unit_test_setup(a_ring_needs_a_size_before_it_is_mapped, setup),
		cmocka_unit_test_setup(the_kind_of_ring_stays_while_a_ring_has_memory, setup),
		cmocka_unit_test_setup(without_multiqueue_further_rings_are_forgotten, setup),
		cmocka_unit_test_setup(a_packed_base_lies_in_the_ring, setup),
		cmocka_unit_test_setup(what_is_not_offered_is_refused, setup),
		cmocka_unit_test_setup(a_short_payload_is_refused, setup),
		cmocka_unit_test_setup(after_a_failure_the_next_message_ends_the_connection, setup),
		cmocka_unit_test_setup(a_refusal_closes_descriptors_and_asks_for_no_reply, setup),
		cmocka_unit_test_setup(the_queue_number_is_the_ports, setup),
		cmocka_unit_test_setup(reset_owner_is_ignored, setup),
		cmocka_unit_test_setup(a_memory_table_must_be_mappable, setup),
		cmocka_unit_test_setup(a_memory_table_has_a_descriptor_for_each_region, setup),
		cmocka_unit_test_setup(a_call_descriptor_is_an_eventfd_that_does_not_block, setup),
		cmocka_unit_test_setup(a_kick_descriptor_is_an_eventfd, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
