/* SPDX-License-Identifier: BSD-3-Clause */
/* A direct port's rings: what each message takes from the lcores, for its time, and gives back. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "tests/unit/vhost_fixture.h"

#define VID 3
#define R(n) (1U << (n))
#define ALL (R(0) | R(1) | R(2) | R(3))
#define LOG_BYTES 4096
#define FEATURES (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_NET_F_MQ)
#define LOGGING (FEATURES | 1ULL << VHOST_F_LOG_ALL)

static struct vhost_message msg;
static int guest = -1; /* its end of the connection */

static void
begin(uint32_t request, uint32_t size)
{
	memset(&msg, 0, sizeof(msg));
	msg.request = request;
	msg.flags = VHOST_MESSAGE_NEED_REPLY;
	msg.size = size;
}

static void
pre(void)
{
	assert_int_equal(fake_message_ops()->pre_msg_handle(VID, &msg),
			 RTE_VHOST_MSG_RESULT_NOT_HANDLED);
}

static void
post(void)
{
	assert_int_equal(fake_message_ops()->post_msg_handle(VID, &msg),
			 RTE_VHOST_MSG_RESULT_NOT_HANDLED);
}

static void
pre_ring(uint32_t request, uint32_t ring, uint32_t num)
{
	begin(request, 8);
	msg.payload.ring.index = ring;
	msg.payload.ring.num = num;
	pre();
}

static void
pre_addr(uint32_t ring, uint64_t desc, uint64_t log)
{
	begin(VU_SET_VRING_ADDR, 40);
	msg.payload.addr.index = ring;
	msg.payload.addr.desc = desc;
	msg.payload.addr.avail = desc + 0x100;
	msg.payload.addr.used = desc + 0x300;
	msg.payload.addr.log = log;
	pre();
}

/* The message hands over `fd`, which is the library's from then on. */
static void
pre_fd(uint32_t request, uint32_t ring, int fd)
{
	begin(request, 8);
	msg.payload.u64 = ring;
	msg.fd[0] = fd;
	msg.n_fds = 1;
	pre();
}

static void
pre_log(uint64_t bytes, int *fd)
{
	*fd = memfd_create("log", 0);
	assert_int_equal(ftruncate(*fd, (off_t)bytes), 0);
	begin(VU_SET_LOG_BASE, 16);
	msg.payload.log.size = bytes;
	msg.fd[0] = *fd;
	msg.n_fds = 1;
	pre();
}

static void
set_state(uint16_t ring, int enable)
{
	assert_int_equal(fake_ops()->vring_state_changed(VID, ring, enable), 0);
}

static void
set_features(uint64_t features)
{
	begin(VU_SET_FEATURES, 8);
	msg.payload.u64 = features;
	pre();
	assert_int_equal(fake_ops()->features_changed(VID, features), 0);
	post();
}

/* The lcore has taken n chains and given them back. */
static void
lcore_moves(unsigned int ring, uint16_t n)
{
	v->ring[ring].next += n;
	v->ring[ring].used += n;
}

/* A guest with four rings, which run. */
static int
start(void **state)
{
	uint16_t i;

	if (open_server(state) != 0)
		return -1;
	guest = fake_arrive(config.path, VID);
	fake.negotiated = FEATURES;
	set_features(FEATURES);
	for (i = 0; i < FAKE_RINGS; i++) {
		fake.base[i] = 100 * i;
		pre_ring(VU_SET_VRING_NUM, i, FAKE_RING_SIZE);
		post();
		pre_addr(i, 0x1000 * i, 0);
		post();
		set_state(i, 1);
	}
	assert_int_equal(fake_live(), 0);
	assert_int_equal(fake_ops()->new_device(VID), 0);
	assert_int_equal(fake_live(), ALL);
	fake_log();
	fake.live_at_grace = 99;
	return 0;
}

static int
stop(void **state)
{
	close(guest);
	return close_server(state);
}

static void
rings_start_where_the_library_says(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < FAKE_RINGS; i++) {
		assert_int_equal(v->ring[i].next, 100 * i);
		assert_int_equal(v->ring[i].used, 100 * i);
		assert_int_equal(v->ring[i].size, FAKE_RING_SIZE);
		assert_ptr_equal(v->ring[i].split.desc, fake.ring[i].desc);
		assert_int_equal(fake.ring[i].used->flags, VRING_USED_F_NO_NOTIFY);
		assert_null(v->ring[i].log);
	}
}

/* Its index must be the library's before GET_VRING_BASE is answered; the others go on. */
static void
a_disabled_ring_goes_alone_and_tells_how_far_it_has_come(void **state)
{
	(void)state;
	lcore_moves(1, 7);
	set_state(1, 0);
	assert_int_equal(fake_live(), ALL & ~R(1));
	assert_int_equal(fake.live_at_grace, ALL & ~R(1));
	assert_string_equal(fake_log(), "grace base1");
	assert_int_equal(fake.base[1], 107);
	assert_false(info().queue[0].enabled_from_guest);
	fake.base[1] = 3; /* the front-end has set it back */
	set_state(1, 1);
	assert_int_equal(fake_live(), ALL);
	assert_int_equal(v->ring[1].next, 3);
	assert_string_equal(fake_log(), "");
}

/* The library frees nothing that belongs to it, but the answer is the front-end's go-ahead. */
static void
a_ring_is_away_before_its_disabling_is_answered(void **state)
{
	(void)state;
	pre_ring(VU_SET_VRING_ENABLE, 2, 0);
	assert_int_equal(fake_live(), ALL & ~R(2));
	assert_string_equal(fake_log(), "grace base2");
	post();
	assert_int_equal(fake_live(), ALL & ~R(2));
	set_state(2, 0);
	pre_ring(VU_SET_VRING_ENABLE, 2, 1);
	post();
	assert_int_equal(fake_live(), ALL & ~R(2));
	set_state(2, 1);
	assert_int_equal(fake_live(), ALL);
	pre_ring(VU_SET_VRING_ENABLE, 2, 1); /* once more: nothing changes */
	post();
	assert_int_equal(fake_live(), ALL);
	assert_string_equal(fake_log(), "");
}

/* Sends a memory table, which the library maps at one of two places. */
static void
remap(unsigned int which)
{
	int memory = memfd_create("guest", 0);

	assert_int_equal(ftruncate(memory, FAKE_MEMORY_BYTES), 0);
	begin(VU_SET_MEM_TABLE, 8 + sizeof(struct vhost_message_region));
	msg.payload.memory.n_regions = 1;
	msg.payload.memory.region[0].size = FAKE_MEMORY_BYTES;
	msg.fd[0] = memory;
	msg.n_fds = 1;
	pre();
	close(memory);
	fake_map(which);
}

static void
a_memory_table_takes_all_rings_and_gives_them_back_elsewhere(void **state)
{
	unsigned int i;

	(void)state;
	set_state(3, 0);
	fake_log();
	for (i = 0; i < 3; i++)
		lcore_moves(i, 5);
	remap(1);
	assert_int_equal(fake_live(), 0);
	assert_int_equal(fake.live_at_grace, 0);
	assert_string_equal(fake_log(), "grace base0 base1 base2");
	assert_int_equal(v->vid, VID); /* a guest is there */
	post();
	assert_int_equal(fake_live(), ALL & ~R(3));
	assert_ptr_equal(v->mem.region[0].host, fake.memory);
	for (i = 0; i < 3; i++) {
		assert_ptr_equal(v->ring[i].split.desc, fake.ring[i].desc);
		assert_int_equal(v->ring[i].next, 100 * i + 5);
	}
}

static void
without_memory_no_ring_comes_back(void **state)
{
	(void)state;
	remap(0);
	fake.memory = NULL;
	post();
	assert_int_equal(fake_live(), 0);
	fake_map(0);
	remap(1); /* the rings that were lost stay so until they are set up again */
	post();
	set_state(0, 1);
	assert_int_equal(fake_live(), R(0));
}

static void
a_ring_outside_the_memory_stays_away_alone(void **state)
{
	(void)state;
	remap(1);
	fake.ring[1].used = (struct vring_used *)(fake.memory + FAKE_MEMORY_BYTES);
	fake.ring[2].desc = NULL; /* the library could not translate it */
	post();
	assert_int_equal(fake_live(), R(0) | R(3));
}

static void
after_a_failed_message_the_rings_stay_away(void **state)
{
	(void)state;
	remap(1);
	/* The library fails: no post hook. */
	begin(VU_SET_OWNER, 0);
	assert_int_equal(fake_message_ops()->pre_msg_handle(VID, &msg), RTE_VHOST_MSG_RESULT_ERR);
	assert_int_equal(fake_live(), 0);
	fake_log();
	fake_leave(VID);
	assert_string_equal(fake_log(), "grace down grace disconnected");
}

/* QEMU sends it so when it turns dirty logging on and off. */
static void
the_same_addresses_take_nothing_away(void **state)
{
	(void)state;
	pre_addr(1, 0x1000, 0xabc000);
	fake.ring[1].log_guest_addr = 0xabc000;
	assert_int_equal(fake_live(), ALL);
	post();
	assert_int_equal(fake_live(), ALL);
	assert_int_equal(v->ring[1].log_addr, 0xabc000);
	assert_int_not_equal(v->ring[0].log_addr, 0xabc000);
	assert_string_equal(fake_log(), "");
}

static void
other_addresses_take_the_ring(void **state)
{
	(void)state;
	lcore_moves(1, 4);
	pre_addr(1, 0x7000, 0);
	assert_int_equal(fake_live(), ALL & ~R(1));
	assert_int_equal(fake.live_at_grace, ALL & ~R(1));
	assert_string_equal(fake_log(), "grace base1");
	fake.ring[1].desc = (struct vring_desc *)(fake.memory + 0x7000);
	post();
	assert_int_equal(fake_live(), ALL);
	assert_ptr_equal(v->ring[1].split.desc, fake.memory + 0x7000);
	assert_int_equal(v->ring[1].next, 104);
	pre_addr(1, 0x7000, 0); /* which are the same now */
	post();
	assert_string_equal(fake_log(), "");
}

static void
another_base_is_where_the_ring_goes_on(void **state)
{
	(void)state;
	pre_ring(VU_SET_VRING_BASE, 2, 77);
	assert_int_equal(fake_live(), ALL & ~R(2));
	fake.base[2] = 77;
	post();
	assert_int_equal(fake_live(), ALL);
	assert_int_equal(v->ring[2].next, 77);
}

/* The descriptor is closed in between. What is to be told in that time is told later. */
static void
another_call_descriptor_leaves_the_ring(void **state)
{
	int fd = eventfd(0, 0);

	(void)state;
	v->ring[0].call_fd = 1000;
	v->ring[1].call_fd = 1001;
	/* A call is due from the start: who had the ring before may have died owing one. */
	assert_true(v->ring[0].call_due && v->ring[1].call_due);
	v->ring[0].call_due = v->ring[1].call_due = false;
	pre_fd(VU_SET_VRING_CALL, 1, fd);
	assert_int_equal(fake_live(), ALL);
	assert_int_equal(v->ring[1].call_fd, -1);
	assert_string_equal(fake_log(), "grace");
	set_state(1, 0); /* the library says so, and then so again */
	set_state(1, 1);
	assert_int_equal(fake_live(), ALL);
	fake.ring[1].callfd = fd;
	post();
	assert_int_equal(fake_live(), ALL);
	assert_int_equal(v->ring[1].call_fd, fd);
	assert_true(v->ring[1].call_due);
	assert_int_equal(v->ring[0].call_fd, 1000);
	assert_false(v->ring[0].call_due);
	assert_string_equal(fake_log(), "");
	/* But later it means what it says. */
	pre_ring(VU_SET_VRING_ENABLE, 1, 1);
	post();
	set_state(1, 0);
	assert_int_equal(fake_live(), ALL & ~R(1));
	v->ring[0].call_fd = v->ring[1].call_fd = -1;
	close(fd);
}

static void
another_kick_descriptor_leaves_the_ring(void **state)
{
	int fd = eventfd(0, 0), other = eventfd(0, 0), own;

	(void)state;
	pre_fd(VU_SET_VRING_KICK, 1, fd);
	set_state(1, 0);
	assert_int_equal(fake_live(), ALL);
	set_state(1, 1);
	fake.ring[1].kickfd = fd;
	post();
	assert_int_equal(fake_live(), ALL);
	assert_string_equal(fake_log(), "");
	/* We have one of our own, which stays open until no lcore can wait for it. */
	own = v->ring[1].kick_fd;
	assert_true(own >= 0 && own != fd);
	close(fd);
	pre_fd(VU_SET_VRING_KICK, 1, other);
	assert_string_equal(fake_log(), "grace");
	assert_int_equal(v->ring[1].kick_fd, -1);
	assert_int_equal(fcntl(own, F_GETFD), -1);
	set_state(1, 0);
	set_state(1, 1);
	fake.ring[1].kickfd = other;
	post();
	own = v->ring[1].kick_fd;
	assert_int_not_equal(fcntl(own, F_GETFD), -1);
	/* It goes with the ring. */
	fake_log();
	pre_ring(VU_SET_VRING_ENABLE, 1, 0);
	post();
	assert_int_equal(fcntl(own, F_GETFD), -1);
	close(other);
}

static void
assert_log(const struct dirty_log *log)
{
	unsigned int i;

	for (i = 0; i < FAKE_RINGS; i++)
		assert_ptr_equal(v->ring[i].log, log);
}

static void
a_log_is_used_when_the_features_say_so(void **state)
{
	int fd;

	(void)state;
	pre_log(LOG_BYTES, &fd);
	post();
	assert_non_null(v->log_cb);
	assert_log(NULL);
	fake_log();
	set_features(LOGGING);
	assert_log(v->log_cb);
	assert_string_equal(fake_log(), "grace"); /* before it is answered */
	assert_int_equal(v->log_cb->pages, LOG_BYTES * 8);
	set_features(FEATURES);
	assert_log(NULL);
	assert_int_equal(fake_live(), ALL);
	close(fd);
}

static void
a_new_log_takes_the_place_of_the_old_one(void **state)
{
	const struct dirty_log *first;
	int fd[2];

	(void)state;
	pre_log(LOG_BYTES, &fd[0]);
	post();
	set_features(LOGGING);
	first = v->log_cb;
	fake_log();
	pre_log(2 * LOG_BYTES, &fd[1]);
	assert_string_equal(fake_log(), "grace"); /* nobody marks the old one any more */
	assert_ptr_not_equal(v->log_cb, first);
	assert_log(v->log_cb);
	assert_int_equal(v->log_cb->bytes, 2 * LOG_BYTES);
	post();
	assert_int_equal(fake_live(), ALL);
	/* A ring that comes later logs, too; and what was logged is in the file. */
	set_state(1, 0);
	set_state(1, 1);
	assert_log(v->log_cb);
	dirty_log_mark(v->ring[1].log, 5 << DIRTY_LOG_PAGE_SHIFT, 1);
	{
		uint8_t byte = 0;

		assert_int_equal(pread(fd[1], &byte, 1, 0), 1);
		assert_int_equal(byte, 1 << 5);
	}
	fake_leave(VID);
	assert_null(v->log_cb);
	assert_log(NULL);
	close(fd[0]);
	close(fd[1]);
}

/* The library destroys the device, and reads its own index, before it answers. */
static void
the_base_is_right_when_it_is_asked_for(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < FAKE_RINGS; i++)
		lcore_moves(i, 9);
	pre_ring(VU_GET_VRING_BASE, 0, 0);
	fake_ops()->destroy_device(VID);
	assert_int_equal(fake.live_at_grace, 0);
	assert_int_equal(fake_live(), 0);
	for (i = 0; i < FAKE_RINGS; i++)
		assert_int_equal(fake.base[i], 100 * i + 9);
	assert_string_equal(fake_log(), "grace base0 base1 base2 base3 grace down");
	post();
	set_state(0, 0);
	/* What is set up now is the next life's. */
	pre_ring(VU_GET_VRING_BASE, 1, 0);
	post();
	set_state(1, 0);
	assert_int_equal(fake_live(), 0);
	pre_ring(VU_SET_VRING_NUM, 0, FAKE_RING_SIZE);
	post();
	pre_ring(VU_SET_VRING_BASE, 0, 44);
	post();
	fake.base[0] = 44;
	set_state(0, 1);
	assert_int_equal(fake_live(), 0);
	assert_int_equal(fake_ops()->new_device(VID), 0);
	assert_int_equal(fake_live(), R(0) | R(2) | R(3));
	assert_int_equal(v->ring[0].next, 44);
	assert_string_equal(fake_log(), "up");
}

static void
a_broken_ring_says_why_until_it_is_set_up_again(void **state)
{
	(void)state;
	assert_null(info().queue[0].stopped_from_guest);
	vring_stop(&v->ring[1], VRING_BAD_CHAIN);
	assert_string_equal(fake_log(), "stopped");
	assert_int_equal(fake_live(), ALL & ~R(1));
	assert_non_null(info().queue[0].stopped_from_guest);
	assert_null(info().queue[0].stopped_to_guest);
	assert_null(info().queue[1].stopped_from_guest);
	set_state(1, 0);
	assert_string_equal(fake_log(), "grace base1");
	set_state(1, 1);
	assert_int_equal(fake_live(), ALL);
	assert_null(info().queue[0].stopped_from_guest);
}

static void
a_ring_that_cannot_be_right_is_not_used(void **state)
{
	(void)state;
	set_state(1, 0);
	fake.ring[1].size = FAKE_RING_SIZE - 1; /* a split ring's is a power of two */
	set_state(1, 1);
	assert_int_equal(fake_live(), ALL & ~R(1));
	set_state(1, 0);
	fake.ring[1].size = FAKE_RING_SIZE;
	fake.ring[1].used = (struct vring_used *)((uint8_t *)fake.ring[1].used + 1);
	set_state(1, 1);
	assert_int_equal(fake_live(), ALL & ~R(1));
	set_state(1, 0);
	fake_map(0);
	set_state(1, 1);
	assert_int_equal(fake_live(), ALL);
}

/* The next guest's rings start from what it says, not from what the last one left. */
static void
a_guest_that_comes_back_starts_afresh(void **state)
{
	(void)state;
	vring_stop(&v->ring[0], VRING_BAD_INDEX);
	close(guest);
	fake_leave(VID);
	guest = fake_arrive(config.path, VID);
	memset(fake.base, 0, sizeof(fake.base));
	assert_int_equal(fake_ops()->new_device(VID), 0);
	assert_int_equal(fake_live(), 0);
	set_state(0, 1);
	set_state(1, 1);
	assert_int_equal(fake_live(), R(0) | R(1));
	assert_int_equal(v->ring[1].next, 0);
	assert_null(info().queue[0].stopped_to_guest);
}

/* The port's own number of rings is the limit, whatever the front-end says. */
static void
rings_that_the_port_does_not_have_change_nothing(void **state)
{
	(void)state;
	set_state(4, 1);
	set_state(200, 0);
	assert_int_equal(fake_live(), ALL);
	assert_string_equal(fake_log(), "");
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		T(rings_start_where_the_library_says),
		T(a_disabled_ring_goes_alone_and_tells_how_far_it_has_come),
		T(a_ring_is_away_before_its_disabling_is_answered),
		T(a_memory_table_takes_all_rings_and_gives_them_back_elsewhere),
		T(without_memory_no_ring_comes_back),
		T(a_ring_outside_the_memory_stays_away_alone),
		T(after_a_failed_message_the_rings_stay_away),
		T(the_same_addresses_take_nothing_away),
		T(other_addresses_take_the_ring),
		T(another_base_is_where_the_ring_goes_on),
		T(another_call_descriptor_leaves_the_ring),
		T(another_kick_descriptor_leaves_the_ring),
		T(a_log_is_used_when_the_features_say_so),
		T(a_new_log_takes_the_place_of_the_old_one),
		T(the_base_is_right_when_it_is_asked_for),
		T(a_broken_ring_says_why_until_it_is_set_up_again),
		T(a_ring_that_cannot_be_right_is_not_used),
		T(a_guest_that_comes_back_starts_afresh),
		T(rings_that_the_port_does_not_have_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
