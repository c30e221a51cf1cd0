/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_VHOST_FIXTURE_H
#define TESTS_UNIT_VHOST_FIXTURE_H

#include "tests/unit/fake_vhost.h"

/* A port in a directory of its own, on the fake librte_vhost. */
#define PORT_ID 7

extern char dir[64];
extern struct dp_port_config config; /* of a server port vm1 with two queue pairs, mode 0640 */
extern struct port *port;
extern struct port_vhost *v; /* the same */

/* Around each test: only the directory, or a server port in it as well. A test that leaves a file,
 * or librte_vhost a socket, fails. */
int setup(void **state);
int teardown(void **state);
int open_server(void **state);
int open_library_server(void **state); /* its rings are librte_vhost's */
int close_server(void **state);
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define ON_SERVER(test) cmocka_unit_test_setup_teardown(test, open_server, close_server)
#define ON_LIBRARY(test)                                                        \
	{                                                                       \
#test "/library", test, open_library_server, close_server, NULL \
	}
#define ON_BOTH(test) ON_SERVER(test), ON_LIBRARY(test)

/* Opens `port` as `config` says. */
void open_port(void);

struct dp_port_info info(void);

/* A listener of somebody else on the path; its descriptor. */
int foreign_listener(const char *path);

/* A guest comes as `vid` and its rings run; its end of the connection. */
int bring_up(int vid);

#endif
