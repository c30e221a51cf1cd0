/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_DAEMON_FIXTURE_H
#define TESTS_UNIT_DAEMON_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/daemon.h"
#include "tests/unit/fake_dp.h"

/*
 * Requests and events as a client sees them, over a datapath that does what the test says. Client
 * and server share one thread: while a test waits for a message, the server has its turn.
 */
extern struct daemon d;
extern int client, watcher; /* connections: one asks, the other has subscribed */

int connect_client(void);
void send_request(int fd, const char *method, const char *params);

/* Waits for the next message; NULL: there is none within a turn of the server (`now`). */
json_t *read_message(int fd, bool now);
json_t *read_result(int fd);

/* The answer must be the refusal with this code, in words that hold these. */
void assert_refused(int fd, const char *code, const char *words);
void assert_number(json_t *object, const char *key, json_int_t value);
void call(const char *method, const char *params);

/* The next event must be of the type. A new reference to its facts. */
json_t *next_event(const char *type);
void assert_event(const char *type);

/* Port p, the one of bridge b. */
#define PORT "\"name\": \"p\", \"bridge\": \"b\", \"mac\": \"02:00:00:00:00:01\""
void attach(const char *params); /* and its guest runs */
void run_guest(void);
void assert_state(const char *state);
struct dp_port_info *info(void);

/* The datapath has something to tell about the port. It lies unread for now; or is taken in. */
void event_later(enum dp_event_type type, uint64_t value);
void happen(enum dp_event_type type, uint64_t value);

/* Around each test. */
int setup_daemon(void **state);
int teardown_daemon(void **state);

#endif
