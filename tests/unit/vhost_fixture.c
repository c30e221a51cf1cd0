/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/vhost_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_vhost.h>

char dir[64];
struct dp_port_config config;
struct port *port;
struct port_vhost *v;

int
setup(void **state)
{
	(void)state;
	fake_reset();
	strcpy(dir, "/tmp/sluice-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	memset(&config, 0, sizeof(config));
	strcpy(config.name, "vm1");
	snprintf(config.path, sizeof(config.path), "%s/vm1", dir);
	config.queues = 2;
	config.access.owner = (uid_t)-1;
	config.access.group = (gid_t)-1;
	config.access.mode = 0640;
	return 0;
}

int
teardown(void **state)
{
	(void)state;
	return rmdir(dir); /* fails where a test has left a file */
}

void
open_port(void)
{
	struct err err;

	assert_int_equal(port_vhost_open(&config, PORT_ID, &port, &err), 0);
	v = port_vhost_of(port);
	fake.watched = v;
	fake_log();
}

int
open_server(void **state)
{
	if (setup(state) != 0)
		return -1;
	open_port();
	return 0;
}

int
open_library_server(void **state)
{
	if (setup(state) != 0)
		return -1;
	config.library = true;
	open_port();
	return 0;
}

int
close_server(void **state)
{
	port->ops->close(port);
	assert_int_equal(fake.registered, 0);
	return teardown(state);
}

/* Opens a listener of somebody else on the path. */
int
foreign_listener(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

struct dp_port_info
info(void)
{
	struct dp_port_info i = {0};

	port->ops->info(port, &i);
	return i;
}

/* A guest comes and its rings run. */
int
bring_up(int vid)
{
	int fd = fake_arrive(config.path, vid);

	assert_true(fd >= 0);
	fake.negotiated = 0x1234;
	assert_int_equal(fake_ops()->new_device(vid), 0);
	assert_int_equal(v->vid, vid);
	fake_log();
	return fd;
}
