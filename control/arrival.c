/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/arrival.h"

#include <event2/event.h>
#include <stdlib.h>

#include "control/daemon.h"
#include "control/events.h"
#include "control/log.h"

/* QEMU's: 50 ms to begin with, and 100 ms more each time. */
#define FIRST_PAUSE_MS 50
#define PAUSE_STEP_MS 100

struct arrival {
	LIST_ENTRY(arrival) link;
	struct daemon *daemon;
	int port; /* the datapath's id */
	unsigned int round; /* of ARRIVAL_ROUNDS, the last one that was told */
	struct event *next;
};

static void
arrival_destroy(struct arrival *a)
{
	LIST_REMOVE(a, link);
	event_free(a->next);
	free(a);
}

/* Tells it once more. Destroys the arrival after the last round. */
static void
tell(struct arrival *a)
{
	unsigned int pause_ms = FIRST_PAUSE_MS + PAUSE_STEP_MS * a->round;
	const struct timeval pause = {0, pause_ms * 1000};

	a->round++;
	dp_port_announce(a->port);
	events_announced(a->daemon, a->daemon->model.port_of_id[a->port], a->round);
	if (a->round == ARRIVAL_ROUNDS)
		arrival_destroy(a);
	else
		evtimer_add(a->next, &pause);
}

static void
next_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell(arg);
}

void
arrival_begin(struct daemon *d, const struct model_port *port)
{
	struct arrival *a;

	if (!port->set.rules.n_macs)
		return;
	arrival_end(d, port->id);
	a = calloc(1, sizeof(*a));
	if (a)
		a->next = evtimer_new(d->base, next_cb, a);
	if (!a || !a->next) {
		log_error("port %s: no memory to announce it again", port->set.name);
		dp_port_announce(port->id);
		free(a);
		return;
	}
	a->daemon = d;
	a->port = port->id;
	LIST_INSERT_HEAD(&d->arrivals, a, link);
	tell(a);
}

void
arrival_end(struct daemon *d, int port)
{
	struct arrival *a;

	LIST_FOREACH(a, &d->arrivals, link)
		if (a->port == port) {
			arrival_destroy(a);
			return;
		}
}

void
arrival_clear(struct daemon *d)
{
	while (!LIST_EMPTY(&d->arrivals))
		arrival_destroy(LIST_FIRST(&d->arrivals));
}
