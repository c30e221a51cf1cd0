/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_vhost.h>

#include <linux/virtio_config.h>

#include "tests/unit/vhost_fixture.h"

static void
a_server_port_listens_with_its_mode(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(lstat(config.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(v->vid, -1);
	assert_false(info().connected);
}

static void
a_socket_gets_its_group(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	config.access.group = 12345;
	open_port();
	assert_int_equal(lstat(config.path, &st), 0);
	assert_int_equal(st.st_gid, 12345);
	assert_int_equal(st.st_uid, geteuid());
	port->ops->close(port);
}

static void
the_bell_rings_when_the_port_listens(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(port_vhost_open(&config, PORT_ID, &port, &err), 0);
	assert_string_equal(fake_log(), "ring");
	port->ops->close(port);
}

static void
features_are_taken_away_not_set(void **state)
{
	(void)state;
	assert_int_equal(fake.disabled, ~dp_vhost_features());
	assert_int_equal(dp_vhost_features() >> VIRTIO_NET_F_HOST_UFO & 1, 0);
	assert_int_equal(dp_vhost_features() >> VIRTIO_NET_F_GUEST_UFO & 1, 0);
	assert_int_equal(dp_vhost_features() >> VIRTIO_F_IOMMU_PLATFORM & 1, 0);
	assert_int_equal(fake.protocol_features >> VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD & 1, 0);
	assert_int_equal(fake.protocol_features >> VHOST_USER_PROTOCOL_F_PAGEFAULT & 1, 0);
	assert_int_equal(info().features, dp_vhost_features());
}

static void
a_live_listener_is_left_alone(void **state)
{
	int fd = foreign_listener(config.path);
	struct err err;
	struct stat st;

	(void)state;
	assert_int_equal(port_vhost_open(&config, PORT_ID, &port, &err), -EEXIST);
	assert_string_equal(err.code, "socket-in-use");
	assert_int_equal(fake.registered, 0);
	assert_int_equal(lstat(config.path, &st), 0);
	close(fd);
	unlink(config.path);
}

static void
a_path_that_is_taken_at_the_last_moment_is_left_alone(void **state)
{
	struct err err;

	(void)state;
	fake.made_during_start = config.path;
	assert_int_equal(port_vhost_open(&config, PORT_ID, &port, &err), -EEXIST);
	assert_string_equal(err.code, "socket-exists");
	assert_int_equal(fake.registered, 0);
	assert_int_equal(unlink(config.path), 0);
}

static void
a_path_is_used_once(void **state)
{
	struct port *second;
	struct err err;

	(void)state;
	config.client = true;
	assert_int_equal(port_vhost_open(&config, PORT_ID + 1, &second, &err), -EEXIST);
	assert_string_equal(err.code, "socket-in-use");
}

static void
a_failed_start_leaves_nothing(void **state)
{
	struct err err;

	(void)state;
	fake.start_fails = true;
	assert_int_equal(port_vhost_open(&config, PORT_ID, &port, &err), -EIO);
	assert_int_equal(fake.registered, 0);
	fake.start_fails = false;
	open_port(); /* and nothing is remembered */
	port->ops->close(port);
}

static void
an_unknown_directory_is_refused(void **state)
{
	struct err err;

	(void)state;
	snprintf(config.path, sizeof(config.path), "%s/none/vm1", dir);
	assert_int_equal(port_vhost_open(&config, PORT_ID, &port, &err), -ENOENT);
	assert_string_equal(err.code, "socket-dir");
	assert_int_equal(fake.registered, 0);
}

static void
the_longest_path_can_be_used(void **state)
{
	size_t len = strlen(config.path);

	(void)state;
	memset(config.path + len, 'x', sizeof(config.path) - 1 - len);
	assert_int_equal(strlen(config.path), 107);
	open_port();
	close(bring_up(0));
	port->ops->close(port);
}

static void
close_leaves_the_socket_of_another(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	open_port();
	unlink(config.path);
	fd = foreign_listener(config.path);
	port->ops->close(port);
	assert_int_equal(lstat(config.path, &st), 0);
	close(fd);
	unlink(config.path);
}

static void
close_waits_for_lcores_before_it_frees(void **state)
{
	int fd;

	(void)state;
	open_port();
	fd = bring_up(3);
	port->ops->close(port);
	/* destroy_device ran inside unregister; destroy_connection never does. */
	assert_string_equal(fake_log(), "grace down unregistered grace disconnected ring");
	assert_int_equal(fake.vid_at_grace, -1);
	close(fd);
}

static void
a_client_connects_when_somebody_is_there(void **state)
{
	int listener;
	FILE *file;

	(void)state;
	config.client = true;
	fake.client_vid = 2;
	open_port();
	assert_int_equal(port->ops->connect(port), -ENOENT);
	file = fopen(config.path, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(port->ops->connect(port), -ENOTSOCK);
	unlink(config.path);
	listener = foreign_listener(config.path);
	assert_int_equal(port->ops->connect(port), 0);
	assert_string_equal(fake_log(), "connected");
	assert_int_equal(info().peer_pid, getpid());
	assert_int_equal(port->ops->connect(port), -EALREADY);

	fake_leave(2);
	assert_string_equal(fake_log(), "grace disconnected");
	assert_int_equal(port->ops->connect(port), 0);
	assert_int_equal(info().reconnects, 1);
	assert_int_equal(fake.registered, 1);
	fake_leave(2);
	close(listener);
	assert_int_equal(port->ops->connect(port), -ECONNREFUSED);
	assert_int_equal(fake.registered, 0);

	port->ops->close(port);
	assert_int_equal(unlink(config.path), 0); /* it was not ours to remove */
}

static void
a_client_refuses_an_unlisted_peer(void **state)
{
	int listener = foreign_listener(config.path);

	(void)state;
	config.client = true;
	config.access.n_peer_uids = 1;
	config.access.peer_uid[0] = getuid() + 1;
	open_port();
	assert_int_equal(port->ops->connect(port), -EPERM);
	assert_string_equal(fake_log(), "refused unregistered");
	assert_false(info().connected);
	port->ops->close(port);
	close(listener);
	unlink(config.path);
}

/* What forwarding asks before it chooses a queue pair. */
static void
a_pair_is_ready_while_its_ring_is(void **state)
{
	int fd = fake_arrive(config.path, 3);

	(void)state;
	assert_false(port->ops->tx_ready(port, 0));
	fake_ops()->vring_state_changed(3, 2, 1);
	assert_int_equal(fake_ops()->new_device(3), 0);
	assert_false(port->ops->tx_ready(port, 0));
	assert_true(port->ops->tx_ready(port, 1));
	fake_ops()->vring_state_changed(3, 2, 0);
	assert_false(port->ops->tx_ready(port, 1));
	close(fd);
}

static void
the_library_has_rings_of_its_own(void **state)
{
	(void)state;
	assert_true(info().library);
	assert_null(v->ring);
	assert_null(port->queue[0].to_guest);
	assert_null(port->ops->rx_done); /* takes what it gets */
	assert_null(port->ops->tx_frames);
	assert_null(info().queue[0].stopped_to_guest);
}

static void
a_direct_port_has_a_ring_for_each_direction(void **state)
{
	unsigned int i;

	(void)state;
	assert_false(info().library);
	for (i = 0; i < 2; i++) {
		assert_ptr_equal(port->queue[i].to_guest, &v->ring[2 * i]);
		assert_ptr_equal(port->queue[i].from_guest, &v->ring[2 * i + 1]);
		assert_int_equal(port->queue[i].to_guest->number, 2 * i);
		assert_int_equal(port->queue[i].from_guest->number, 2 * i + 1);
		assert_int_equal(port->queue[i].to_guest->port, PORT_ID);
	}
}

static void
a_server_port_does_not_connect(void **state)
{
	(void)state;
	assert_int_equal(port->ops->connect(port), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_SERVER(a_server_port_listens_with_its_mode),
		IN_DIR(a_socket_gets_its_group),
		IN_DIR(the_bell_rings_when_the_port_listens),
		ON_SERVER(features_are_taken_away_not_set),
		IN_DIR(a_live_listener_is_left_alone),
		IN_DIR(a_path_that_is_taken_at_the_last_moment_is_left_alone),
		ON_SERVER(a_path_is_used_once),
		IN_DIR(a_failed_start_leaves_nothing),
		IN_DIR(an_unknown_directory_is_refused),
		IN_DIR(the_longest_path_can_be_used),
		IN_DIR(close_leaves_the_socket_of_another),
		IN_DIR(close_waits_for_lcores_before_it_frees),
		IN_DIR(a_client_connects_when_somebody_is_there),
		IN_DIR(a_client_refuses_an_unlisted_peer),
		ON_BOTH(a_pair_is_ready_while_its_ring_is),
		ON_LIBRARY(the_library_has_rings_of_its_own),
		ON_SERVER(a_direct_port_has_a_ring_for_each_direction),
		ON_SERVER(a_server_port_does_not_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
