/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_LCORE_FIXTURE_H
#define TESTS_UNIT_LCORE_FIXTURE_H

#include "control/daemon.h"

/*
 * A daemon without a control socket, on lcores of memory nodes as a test wants them, and guests that
 * give these work. To be linked with --wrap=rpc_notify, as events end here.
 */
extern struct daemon d;

/* For cmocka: makes and removes what lies beneath; *state is a directory. */
int lcore_fixture_setup(void **state);
int lcore_fixture_teardown(void **state);

/* One lcore for each entry of the list: the node that it is on; the nodes lie in a row. */
void lcore_fixture_lcores(const int *node, unsigned int n);

/* A port with so many queue pairs; its guest is not there yet. `pins`: as port.set has it, or NULL. */
struct model_port *lcore_fixture_port(const char *name, unsigned int queues, const char *pins);

/* What the work of a queue takes of an lcore's time. */
void lcore_fixture_work(const struct model_port *port, unsigned int queue, unsigned int percent);

/* Seconds go by. */
void lcore_fixture_seconds(unsigned int n);

/* The rings of its guest run; nodes[i] is that of queue i, -1: not known. */
void lcore_fixture_up(const struct model_port *port, const int *nodes);

/* The next event of the type that has not been taken, which is kept until the end, or NULL. */
json_t *lcore_fixture_event(const char *type);

#endif
