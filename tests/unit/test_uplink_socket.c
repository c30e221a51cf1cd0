/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/uplink_device.h"
#include "datapath/uplink_socket.h"
#include "tests/unit/scratch_dir.h"

static const uint32_t question[3] = {1, 1, 0};
static const uint32_t answer[5] = {1, 5, 8, 0x40000000, 0};

static void
parses(const char *devargs, enum dp_uplink_kind kind, bool listens, unsigned int queues,
       const char *path)
{
	struct err err = {.message = ""};
	struct dp_uplink_socket s;

	assert_int_equal(dp_uplink_parse(devargs, &s, &err), 0);
	assert_string_equal(err.message, "");
	assert_int_equal(s.kind, kind);
	assert_int_equal(s.listens, listens);
	assert_int_equal(s.queues, queues);
	assert_string_equal(s.path, path);
}

static void
devargs_say_what_an_uplink_is(void **state)
{
	const enum dp_uplink_kind front = DP_UPLINK_FRONT_END, back = DP_UPLINK_BACK_END;

	(void)state;
	parses("0000:3b:00.0", DP_UPLINK_DEVICE, false, 0, "");
	parses("net_af_packet0,iface=up0,qpairs=2", DP_UPLINK_DEVICE, false, 0, "");
	parses("net_virtio_user0,path=/dev/null", DP_UPLINK_DEVICE, false, 0, "");
	parses("net_virtio_user0,path=/s/t", front, false, 1, "/s/t");
	parses("virtio_user7,path=/s/t,server=1,queues=16,mac=02:00:00:00:00:01", front, true, 16,
	       "/s/t");
	parses("net_virtio_user0,server=0,path=/s/t", front, false, 1, "/s/t");
	parses("net_vhost0,iface=/s/t", back, true, 1, "/s/t");
	parses("net_vhost0,iface=/s/t,queues=4,client=1", back, false, 4, "/s/t");
}

static void
other_devargs_are_refused(void **state)
{
	static const char *const bad[] = {
		"net_virtio_user0,path=/s/t,queues=0",
		"net_virtio_user0,path=/s/t,queues=17",
		"net_virtio_user0,path=/s/t,queues=two",
		"net_virtio_user0,path=/s/t,server=yes",
		"net_virtio_user0,path",
		"net_virtio_user0,path=",
		"net_virtio_user0,path=s",
		"net_vhost0,iface=s/t",
		"bus=vdev,name=net_null0",
		"class=eth",
		"class=eth,mac=02:00:00:00:00:01",
		"driver=net_null",
		"bus=vdev,name=net_null0/class=eth",
		"net_null0,bus=vdev/class=eth",
		"net_vhost0",
		"net_vhost0,iface=/s/t,tso=1",
		"net_vhost0,iface=/0123456789012345678901234567890123456789012345678901234567890123"
		"4567890123456789012345678901234567890123456789",
	};
	struct dp_uplink_socket s;
	struct err err;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(dp_uplink_parse(bad[i], &s, &err), -EINVAL);
		assert_string_equal(err.code, "bad-devargs");
		assert_string_equal(err.param, "devargs");
	}
}

static void
the_driver_is_always_told_to_connect(void **state)
{
	char args[DP_DEVARGS_SIZE];
	char path[DP_DEVARGS_SIZE];

	(void)state;
	assert_int_equal(uplink_device_args("net_virtio_user0,server=1,queues=2,path=x", "/s/x",
					    args, NULL),
			 0);
	assert_string_equal(args, "net_virtio_user0,path=/s/x,queues=2");
	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(uplink_device_args("net_virtio_user0,path=x", path, args, NULL), -EINVAL);
}

/* ---- both ends of a socket --------------------------------------------------------------- */

static struct sockaddr_un
address(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	return un;
}

static int
listen_at(const char *path)
{
	struct sockaddr_un un = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static int
connect_to(const char *path)
{
	struct sockaddr_un un = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void
assert_asked(int fd)
{
	uint32_t got[5];

	assert_int_equal(recv(fd, got, sizeof(got), 0), sizeof(question));
	assert_memory_equal(got, question, sizeof(question));
}

static void
reply(int fd, const void *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static void
open_socket(struct uplink_socket *s, const char *path, bool listens)
{
	const struct dp_socket_access access = {.owner = (uid_t)-1,
						.group = (gid_t)-1,
						.mode = 0640};
	struct err err = {.message = ""};
	struct stat st;

	assert_int_equal(uplink_socket_open(s, path, listens, &access, &err), 0);
	assert_string_equal(err.message, "");
	if (!listens)
		return;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0640);
}

static void
one_that_connects(void **state)
{
	const char *path = scratch_path(state, "s");
	struct uplink_socket s;
	int listener, fd;

	open_socket(&s, path, false);
	assert_int_equal(uplink_socket_connect(&s), -ENOENT);
	listener = listen_at(path);
	assert_int_equal(uplink_socket_connect(&s), 0);
	assert_int_equal(uplink_socket_connect(&s), -EALREADY);
	fd = accept(listener, NULL, NULL);
	assert_asked(fd);
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_QUIET);
	reply(fd, answer, sizeof(answer));
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_ANSWERS);
	/* What comes now is for the driver. */
	reply(fd, answer, sizeof(answer));
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_QUIET);
	close(fd);
	while (recv(uplink_socket_take(&s), &fd, 1, 0) > 0)
		;
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_GONE);
	uplink_socket_hang_up(&s);
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_QUIET);
	close(listener);
	assert_int_equal(uplink_socket_connect(&s), -ECONNREFUSED);
	uplink_socket_close(&s);
	/* It is not ours. */
	assert_int_equal(unlink(path), 0);
}

static void
a_wrong_answer_ends_it(void **state)
{
	static const uint32_t wrong[][5] = {{1, 5, 8, 0}, {2, 5, 8, 0, 0}, {0}};
	static const size_t size[] = {12, 20, 0};
	const char *path = scratch_path(state, "s");
	int listener = listen_at(path), fd;
	struct uplink_socket s;
	unsigned int i;
	char byte;

	open_socket(&s, path, false);
	for (i = 0; i < 3; i++) {
		assert_int_equal(uplink_socket_connect(&s), 0);
		fd = accept(listener, NULL, NULL);
		assert_asked(fd);
		reply(fd, wrong[i], size[i]);
		if (size[i] == 0)
			shutdown(fd, SHUT_RDWR);
		assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_GONE);
		assert_true(recv(fd, &byte, 1, 0) <= 0);
		close(fd);
	}
	uplink_socket_close(&s);
	close(listener);
	unlink(path);
}

static void
one_that_listens(void **state)
{
	const char *path = scratch_path(state, "s");
	int silent, second, third;
	struct uplink_socket s;
	char byte;

	open_socket(&s, path, true);
	assert_int_equal(uplink_socket_connect(&s), -EINVAL);
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_QUIET);
	silent = connect_to(path);
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_QUIET);
	assert_asked(silent);
	/* Who does not answer is in nobody's way. */
	second = connect_to(path);
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_QUIET);
	assert_true(recv(silent, &byte, 1, 0) <= 0);
	assert_asked(second);
	reply(second, answer, sizeof(answer));
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_ANSWERS);
	/* Who does, is disturbed by nobody. */
	third = connect_to(path);
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_QUIET);
	assert_int_equal(recv(third, &byte, 1, MSG_DONTWAIT), -1);
	close(second);
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_GONE);
	uplink_socket_hang_up(&s);
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_QUIET);
	assert_asked(third);
	uplink_socket_close(&s);
	assert_int_equal(access(path, F_OK), -1);
	close(silent);
	close(third);
}

static void
the_driver_does_not_wait_for_ever(void **state)
{
	const char *path = scratch_path(state, "s");
	struct uplink_socket s;
	struct timeval limit;
	socklen_t size = sizeof(limit);
	int fd;

	open_socket(&s, path, true);
	fd = connect_to(path);
	uplink_socket_look(&s);
	reply(fd, answer, sizeof(answer));
	assert_int_equal(uplink_socket_look(&s), UPLINK_SOCKET_ANSWERS);
	assert_int_equal(fcntl(uplink_socket_take(&s), F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(getsockopt(uplink_socket_take(&s), SOL_SOCKET, SO_RCVTIMEO, &limit, &size),
			 0);
	assert_true(limit.tv_sec == 2);
	uplink_socket_close(&s);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_dir_make, scratch_dir_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devargs_say_what_an_uplink_is),
		cmocka_unit_test(other_devargs_are_refused),
		cmocka_unit_test(the_driver_is_always_told_to_connect),
		TEST(one_that_connects),
		TEST(a_wrong_answer_ends_it),
		TEST(one_that_listens),
		TEST(the_driver_does_not_wait_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
