/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_OVSDB_FIXTURE_H
#define TESTS_UNIT_OVSDB_FIXTURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "control/ovsdb_link.h"

/*
 * A link, and a fake ovsdb-server for it, in one thread: whenever a test waits, the link has its turn,
 * for at most DEADLINE_S. The link's timer stands still until expire(). In texts ' stands for ".
 */
#define DEADLINE_S 20
#define P "11111111-2222-3333-4444-555555555555"
#define SCHEMA                                                                                \
	"{'tables': {'Open_vSwitch': {'columns': {'next_cfg': {}}},"                          \
	" 'Bridge': {'columns': {'name': {}}}, 'Port': {'columns': {'name': {}, 'tag': {}}}," \
	" 'Interface': {'columns': {'name': {}}}}}"
#define ROWS "{'Open_vSwitch': {'" P "': {'initial': {'next_cfg': 3}}}}"
#define CFG(n)                                                                         \
	"{'id': null, 'method': 'update2', 'params': ['sluice', {'Open_vSwitch': {'" P \
	"': {'modify': {'next_cfg': " #n "}}}}]}"

#define UNTIL(condition)                                                      \
	do {                                                                  \
		for (double end = now_s() + DEADLINE_S; !(condition); turn()) \
			if (now_s() > end)                                    \
				fail_msg("never: %s", #condition);            \
	} while (0)

extern struct event_base *base;
extern struct ovsdb_link *ovsdb;
extern int listener, peer; /* the server's */
extern char path[];
extern unsigned int fresh, changes, downs, locks; /* what the link has told */
extern struct err down; /* last */
extern char lock[32]; /* last: "METHOD ID" */
extern unsigned int armed_ms; /* what the timer was last set to */
extern bool real_time; /* the timer runs */

double now_s(void);
void turn(void); /* the link's */

/* The server comes and goes. */
void server_listen(void);
void server_close(void);

/* Takes the link's connection; and answers until it has its rows. */
void server_accept(void);
void server_greet(void);

/* Sends all of it, or what the link takes before it closes: false. */
bool server_send_bytes(const char *data, size_t len);
void server_send(const char *text);

/* The next message of the link: a new reference. */
json_t *server_read(void);
void server_read_text(const char *expected);
void server_read_end(void); /* the link closes */

/* The time of the link's timer has come. */
void expire(void);

json_t *parse(const char *text);
json_int_t next_cfg(void); /* in the link's rows; -1: there are none */

/* Around each test: a server that listens, a link that knows. */
int setup_ovsdb(void **state);
int teardown_ovsdb(void **state);

#endif
