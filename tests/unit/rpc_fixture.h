/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_RPC_FIXTURE_H
#define TESTS_UNIT_RPC_FIXTURE_H

#include <stdbool.h>
#include <sys/un.h>

#include "control/rpc.h"

/*
 * Client and server share one thread: whenever a test sends or reads, the server has its turn, until
 * what the test waits for is there or DEADLINE_S have passed.
 */
#define DEADLINE_S 10
#define PARTIAL_MS 50
#define CONNECTIONS_MAX 3

extern struct event_base *base;
extern struct rpc *rpc;
extern char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
extern unsigned int calls, calls_at_mark;
extern struct rpc_answer *answer; /* owed by the last "later" */

#define ECHO(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"echo\"}\n"
#define ECHOED(id) "{\"jsonrpc\":\"2.0\",\"result\":\"echo\",\"id\":" id "}"
#define BIG "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\"}\n"
#define BIG_SIZE 100000

void start_rpc(void);
double now_s(void);
int connect_client(void);

/* Sends all of it, as fast as the server takes it; false if it does not for a quarter second. */
bool try_send(int fd, const char *data, size_t len);
void send_text(int fd, const char *text);

/* Waits for the next line, to be freed; NULL: the server has closed the connection. */
char *read_line(int fd);
void assert_line(int fd, const char *expected);
void assert_error(int fd, int code); /* the next line is one */
void assert_closed(int fd);

/* Around each test. */
int setup_rpc(void **state);
int teardown_rpc(void **state);

#endif
