/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_MIGRATION_FIXTURE_H
#define TESTS_UNIT_MIGRATION_FIXTURE_H

#include "tests/unit/forward_fixture.h"

/*
 * forward_fixture's ports, whose guests may be away, with the control thread's part of a migration. One
 * thread plays that and the lcores, one after the other; so a test says when each of them has got how far.
 *
 * To be linked with --wrap=rcu_synchronize and --wrap=inbox_settle.
 */
#define OTHER 2 /* lcore */
#define GOT_MAX 1024

/* A clock that is so fast that it seems to stand still: what ends after milliseconds ends when a test says so. */
#define TSC_HZ (1ULL << 40)

/* What is at the outside of each port. Frames are told apart by their lengths. */
extern struct end {
	unsigned int room; /* of an uplink's device */
	unsigned int n;
	uint32_t bytes[GOT_MAX];
} ends[PORTS];

extern struct dp_rules rules; /* of ports that are added */

/* What happens elsewhere while the control thread waits; NULL: nothing. */
extern void (*in_grace_period)(void), (*in_inbox_settle)(void);

/* As add_port(), with rules that say how long it parks. */
void add(uint16_t id, bool has_mac);
struct port *port(uint16_t id);
struct park_port *park_of(uint16_t id);

/* The guest's rings stop, and it is awaited elsewhere. */
void goes_away(uint16_t id);

/* This thread is that lcore from here on. */
void become(unsigned int lcore);

/* A look of the lcore at what it has parked. */
void runs_parks(void);

/* LCORE forwards so many frames of port `from`, from `first` bytes on each one byte longer. */
void sends(uint16_t from, uint8_t dst, uint8_t src, uint16_t first, uint16_t n);

/* The port has got exactly that since the last time. */
void assert_got_bytes(uint16_t id, uint16_t first, unsigned int n);

/* The control thread takes in what lies there, up to its next event; it must be that. Returns its value. */
uint64_t expect(enum dp_event_type type, uint16_t id);
void expect_nothing(void);

/* No mbuf is in use, and no page of the park. */
void assert_pools_full(void);

/* Around each test. */
int setup_migration(void **state);
int teardown_migration(void **state);

#endif
