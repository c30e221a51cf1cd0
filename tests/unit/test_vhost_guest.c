/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_vhost.h>

#include "datapath/vhost_guest.h"
#include "datapath/vhost_peer.h"
#include "tests/unit/vhost_fixture.h"

#define GUEST_BYTES (1u << 20)

static struct vhost_message msg;

/* A message comes; what the pre hook says. */
static enum rte_vhost_msg_result
pre(int vid, uint32_t request, uint32_t a, uint32_t b)
{
	memset(&msg, 0, sizeof(msg));
	msg.request = request;
	msg.flags = VHOST_MESSAGE_NEED_REPLY;
	msg.size = request == VU_SET_VRING_ADDR ? 40 : 8;
	msg.payload.ring.index = a;
	msg.payload.ring.num = b;
	return fake_message_ops()->pre_msg_handle(vid, &msg);
}

static void
post(int vid)
{
	assert_int_equal(fake_message_ops()->post_msg_handle(vid, &msg),
			 RTE_VHOST_MSG_RESULT_NOT_HANDLED);
}

static void
the_vid_is_stored_last(void **state)
{
	int fd = fake_arrive(config.path, 3);

	(void)state;
	assert_string_equal(fake_log(), "connected");
	assert_int_equal(v->vid, -1);
	assert_int_equal(fake_ops()->vring_state_changed(3, 0, 1), 0);
	fake.negotiated = 0x42;
	fake.vid_at_node = 99;
	fake.node[0] = 1;
	assert_int_equal(fake_ops()->new_device(3), 0);
	assert_int_equal(fake.vid_at_node, -1);
	assert_int_equal(v->vid, 3);
	assert_string_equal(fake_log(), "up");
	assert_true(info().up);
	assert_true(info().queue[0].enabled_to_guest);
	assert_false(info().queue[0].enabled_from_guest);
	assert_int_equal(info().negotiated, 0x42);
	assert_int_equal(info().node, 1);
	assert_int_equal(info().peer_uid, getuid());
	assert_int_equal(info().peer_pid, getpid());
	close(fd);
}

static void
destroy_device_waits_without_the_vid(void **state)
{
	int fd = bring_up(3);

	(void)state;
	fake.vid_at_grace = 99;
	fake_ops()->destroy_device(3);
	assert_int_equal(fake.vid_at_grace, -1);
	assert_string_equal(fake_log(), "grace down");
	assert_true(info().connected);
	fake_ops()->destroy_connection(3);
	assert_string_equal(fake_log(), "grace disconnected");
	assert_false(info().connected);
	assert_int_equal(info().peer_pid, 0);
	close(fd);
}

static void
ring_state_never_waits(void **state)
{
	int fd = bring_up(3);

	(void)state;
	fake_ops()->vring_state_changed(3, 1, 1);
	assert_int_equal(v->enabled[1], 1);
	fake_ops()->vring_state_changed(3, 1, 0);
	assert_int_equal(v->enabled[1], 0);
	fake_ops()->vring_state_changed(3, 4, 1); /* not ours: the port has two pairs */
	assert_int_equal(v->enabled[4], 0);
	fake_ops()->features_changed(3, 0x99);
	assert_int_equal(v->negotiated, 0x99);
	assert_int_equal(v->vid, 3);
	assert_string_equal(fake_log(), ""); /* no grace period, no event */
	close(fd);
}

static void
an_unlisted_uid_is_refused(void **state)
{
	(void)state;
	config.access.n_peer_uids = 1;
	config.access.peer_uid[0] = getuid() + 1;
	open_port();
	assert_int_equal(fake_arrive(config.path, 3), -1);
	assert_string_equal(fake_log(), "refused");
	assert_false(info().connected);
	port->ops->close(port);
}

static void
a_listed_uid_is_let_in(void **state)
{
	(void)state;
	config.access.n_peer_uids = 2;
	config.access.peer_uid[0] = getuid() + 1;
	config.access.peer_uid[1] = getuid();
	open_port();
	close(bring_up(3));
	port->ops->close(port);
}

static void
a_second_guest_is_refused_while_the_first_lives(void **state)
{
	int fd = bring_up(3);

	(void)state;
	assert_int_equal(fake_arrive(config.path, 4), -1);
	assert_string_equal(fake_log(), "refused");
	assert_int_equal(v->vid, 3);
	close(fd);
}

static void
a_guest_that_hung_up_gives_way(void **state)
{
	int second;

	(void)state;
	close(bring_up(3));
	fake.vid_at_grace = 99;
	second = fake_arrive(config.path, 4);
	assert_true(second >= 0);
	assert_string_equal(fake_log(), "grace down grace disconnected connected");
	assert_int_equal(fake.vid_at_grace, -1);
	assert_int_equal(fake_ops()->new_device(4), 0);
	fake_log();

	/* It is known by its own descriptor, though the old one's is still open. */
	assert_false(vhost_peer_gone(fake_fd(4)));
	assert_true(vhost_peer_gone(fake_fd(3)));

	/* What comes late for the old one does not disturb the new one. */
	assert_int_equal(fake_ops()->new_device(3), -1);
	fake_ops()->vring_state_changed(3, 0, 1);
	fake_ops()->features_changed(3, 0);
	assert_int_equal(pre(3, VU_SET_OWNER, 0, 0), RTE_VHOST_MSG_RESULT_ERR);
	fake_leave(3);
	assert_int_equal(v->vid, 4);
	assert_int_equal(v->enabled[0], 0);
	assert_int_equal(v->negotiated, 0x1234);
	assert_string_equal(fake_log(), "");
	assert_int_equal(info().reconnects, 1);

	/* And the descriptor of a third is told from those of the others. */
	assert_int_equal(fake_arrive(config.path, 5), -1);
	assert_string_equal(fake_log(), "refused");
	close(second);
}

static void
who_does_not_read_answers_is_cut(void **state)
{
	int fd = bring_up(3);
	char full[4096] = {0};

	(void)state;
	assert_int_equal(pre(3, VU_SET_OWNER, 0, 0), RTE_VHOST_MSG_RESULT_NOT_HANDLED);
	while (send(fake_fd(3), full, sizeof(full), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(pre(3, VU_SET_OWNER, 0, 0), RTE_VHOST_MSG_RESULT_ERR);
	assert_string_equal(fake_log(), "bad-message");
	close(fd);
}

static void
a_read_in_the_middle_of_a_message_does_not_wait_for_ever(void **state)
{
	struct timeval limit = {0};
	socklen_t len = sizeof(limit);
	int fd = bring_up(3);

	(void)state;
	assert_int_equal(getsockopt(fake_fd(3), SOL_SOCKET, SO_RCVTIMEO, &limit, &len), 0);
	assert_int_equal(limit.tv_sec, 0);
	assert_in_range(limit.tv_usec, 1, 20000);
	close(fd);
}

/* New memory for the guest; its descriptor. */
static int
pre_memory(void)
{
	int memory = memfd_create("guest", 0);

	assert_int_equal(ftruncate(memory, GUEST_BYTES), 0);
	memset(&msg, 0, sizeof(msg));
	msg.request = VU_SET_MEM_TABLE;
	msg.size = 8 + sizeof(struct vhost_message_region);
	msg.payload.memory.n_regions = 1;
	msg.payload.memory.region[0].size = GUEST_BYTES;
	msg.fd[0] = memory;
	msg.n_fds = 1;
	assert_int_equal(fake_message_ops()->pre_msg_handle(3, &msg),
			 RTE_VHOST_MSG_RESULT_NOT_HANDLED);
	return memory;
}

static void
a_message_that_changes_memory_takes_the_vid_for_its_time(void **state)
{
	int fd = bring_up(3), memory = pre_memory();

	(void)state;
	assert_int_equal(v->vid, -1);
	post(3);
	assert_int_equal(v->vid, 3);
	assert_string_equal(fake_log(), ""); /* the locks are held: nobody waited */
	close(memory);
	close(fd);
}

static void
other_messages_leave_the_vid(void **state)
{
	int fd = bring_up(3);

	(void)state;
	assert_int_equal(pre(3, VU_SET_VRING_ENABLE, 0, 1), RTE_VHOST_MSG_RESULT_NOT_HANDLED);
	assert_int_equal(v->vid, 3);
	post(3);
	assert_int_equal(v->vid, 3);
	close(fd);
}

static void
before_the_rings_run_a_message_gives_no_vid(void **state)
{
	int fd = fake_arrive(config.path, 3);

	(void)state;
	assert_int_equal(pre(3, VU_SET_VRING_NUM, 0, 256), RTE_VHOST_MSG_RESULT_NOT_HANDLED);
	post(3);
	assert_int_equal(v->vid, -1);
	close(fd);
}

static void
after_a_failed_message_the_vid_stays_away(void **state)
{
	int fd = bring_up(3);

	(void)state;
	assert_int_equal(pre(3, VU_SET_VRING_NUM, 0, 256), RTE_VHOST_MSG_RESULT_NOT_HANDLED);
	assert_int_equal(v->vid, -1); /* the library fails now: no post */
	assert_int_equal(fake_ops()->new_device(3), -1);
	assert_int_equal(v->vid, -1);
	assert_int_equal(pre(3, VU_SET_OWNER, 0, 0), RTE_VHOST_MSG_RESULT_ERR);
	assert_int_equal(msg.flags & VHOST_MESSAGE_NEED_REPLY, 0);
	assert_string_equal(fake_log(), "bad-message");
	/* The library ends the connection; the grace period has still to be waited for. */
	fake_leave(3);
	assert_string_equal(fake_log(), "grace down grace disconnected");
	close(fd);
}

static void
a_new_connection_starts_afresh(void **state)
{
	int fd = bring_up(3);

	(void)state;
	fake_ops()->vring_state_changed(3, 0, 1);
	pre(3, VU_SET_VRING_NUM, 0, 256);
	close(fd);
	fake_leave(3);
	assert_int_equal(v->enabled[0], 0);
	fd = bring_up(3);
	assert_int_equal(v->enabled[0], 0);
	assert_int_equal(pre(3, VU_SET_OWNER, 0, 0), RTE_VHOST_MSG_RESULT_NOT_HANDLED);
	post(3);
	assert_int_equal(v->vid, 3);
	close(fd);
}

/* Each pair by its ring to the guest, wherever librte_vhost has its own. */
static void
each_queue_is_on_its_rings_node(void **state)
{
	int fd = fake_arrive(config.path, 3), memory;

	(void)state;
	fake.rings = 4;
	fake.node[0] = 1;
	fake.node[2] = 2;
	fake_ops()->vring_state_changed(3, 0, 1);
	assert_int_equal(fake_ops()->new_device(3), 0);
	assert_int_equal(info().queue[0].node, 1);
	assert_int_equal(info().queue[1].node, -1);
	assert_int_equal(info().node, 1);
	fake_ops()->vring_state_changed(3, 2, 1);
	assert_int_equal(info().queue[1].node, 2);
	assert_int_equal(info().node, -1);

	/* New memory, all of it elsewhere. */
	memory = pre_memory();
	fake_map(1);
	fake.node[0] = fake.node[2] = 3;
	post(3);
	assert_int_equal(info().queue[0].node, 3);
	assert_int_equal(info().queue[1].node, 3);
	close(memory);
	close(fd);
	fake_leave(3);
	assert_int_equal(info().queue[0].node, -1);
	assert_int_equal(info().node, -1);
}

static void
memory_that_moves_is_found_again(void **state)
{
	int fd = bring_up(3);

	(void)state;
	port->ops->locate(port);
	assert_int_equal(info().queue[0].node, -1);
	fake_ops()->vring_state_changed(3, 0, 1);
	assert_int_equal(info().queue[0].node, 0);
	fake.node[0] = 1;
	port->ops->locate(port);
	assert_int_equal(info().queue[0].node, 1);
	/* It is on its way just now. */
	fake.node[0] = -ENOENT;
	port->ops->locate(port);
	assert_int_equal(info().queue[0].node, 1);
	/* What the library may have unmapped is not asked for. */
	fake.node[0] = 2;
	fake_ops()->destroy_device(3);
	port->ops->locate(port);
	assert_int_equal(info().queue[0].node, 1);
	close(fd);
}

static void
the_queue_number_is_answered(void **state)
{
	int fd = fake_arrive(config.path, 3);

	(void)state;
	assert_int_equal(pre(3, VU_GET_QUEUE_NUM, 0, 0), RTE_VHOST_MSG_RESULT_REPLY);
	assert_int_equal(msg.payload.u64, 2);
	assert_int_equal(pre(3, VU_SET_VRING_NUM, 4, 256), RTE_VHOST_MSG_RESULT_ERR);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(the_vid_is_stored_last),
		ON_BOTH(destroy_device_waits_without_the_vid),
		ON_LIBRARY(ring_state_never_waits),
		IN_DIR(an_unlisted_uid_is_refused),
		IN_DIR(a_listed_uid_is_let_in),
		ON_BOTH(a_second_guest_is_refused_while_the_first_lives),
		ON_BOTH(a_guest_that_hung_up_gives_way),
		ON_BOTH(who_does_not_read_answers_is_cut),
		ON_BOTH(a_read_in_the_middle_of_a_message_does_not_wait_for_ever),
		ON_LIBRARY(a_message_that_changes_memory_takes_the_vid_for_its_time),
		ON_BOTH(other_messages_leave_the_vid),
		ON_LIBRARY(before_the_rings_run_a_message_gives_no_vid),
		ON_LIBRARY(after_a_failed_message_the_vid_stays_away),
		ON_BOTH(a_new_connection_starts_afresh),
		ON_BOTH(each_queue_is_on_its_rings_node),
		ON_BOTH(memory_that_moves_is_found_again),
		ON_BOTH(the_queue_number_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
