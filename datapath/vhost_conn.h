/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VHOST_CONN_H
#define DATAPATH_VHOST_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/dp.h"

/*
 * The sockets of the connections that librte_vhost has, by vid, and how to end one from outside.
 *
 * The descriptors are librte_vhost's: it closes them when it likes, and their numbers come again. So
 * a socket is also known by its cookie, a number that the kernel never gives twice, and nothing is
 * done to a descriptor before it has shown the right one.
 */

/* Notes a new connection of the port. Thread: as its callbacks. */
void vhost_conn_open(int vid, uint16_t port, int fd);

/* Its descriptor is closed, or about to be. Thread: as its callbacks. */
void vhost_conn_close(int vid);

/* librte_vhost has closed all connections of the port, of which it tells nobody. Thread: control. */
void vhost_conn_close_port(uint16_t port);

/* The descriptor of an open connection, or -1. Thread: as its callbacks. */
int vhost_conn_fd(int vid);

/* Is the descriptor that of an open connection, or a copy of one? Thread: any. */
bool vhost_conn_is_known(int fd);

/*
 * Ends the connection because of something that no front-end does by accident, and says so with the
 * event `why` and its value. librte_vhost finds it hung up and takes it apart as usual. The port refuses new ones for
 * VHOST_CONN_PENALTY_MS: what the peer did cost an lcore time, and is not to be repeated at once.
 * Without effect where the connection has ended. Thread: any, in a signal handler too. May wait: no.
 */
void vhost_conn_cut(int vid, enum dp_event_type why, uint64_t value);

#define VHOST_CONN_PENALTY_MS 1000

/* Is the port to refuse a new connection? Thread: as the callbacks. */
bool vhost_conn_refused(uint16_t port);

/* A new port bears no penalty of who had its number before. Thread: control. */
void vhost_conn_forgive(uint16_t port);

/* Whether an answer fits the socket. librte_vhost writes it with the locks of all queues held, and lcores
 * spin on those: a peer that does not read answers must be gone before there is one that does not fit.
 * Thread: librte_vhost's. */
bool vhost_conn_can_answer(int vid);

#endif
