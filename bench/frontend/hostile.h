/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_HOSTILE_H
#define FRONTEND_HOSTILE_H

#include <stdbool.h>

#include "bench/frontend/traffic.h"

/*
 * A guest that does harm on purpose: through its rings (hostile_ring.c), its messages
 * (hostile_message.c), or what its host shares with the switch (hostile_host.c). Guest 0 is the hostile one; guest 1, where a kind needs it, sends to it.
 */
struct harm {
	const struct options *options;
	struct guest *guest;
	struct traffic *traffic;
	const _Atomic bool *stop;
	unsigned int done; /* how many times the harm was done */
};

enum hostile_need {
	NEED_CONNECTION, /* a fresh connection, nothing said on it */
	NEED_RINGS, /* all handshake done, rings run */
	NEED_SENDER, /* rings run, and a second guest that sends to the first */
	NEED_TRAFFIC, /* two guests that exchange traffic meanwhile */
};

struct hostile_kind {
	const char *name;
	const char *what;
	enum hostile_need need;
	bool mute; /* the connection is in the middle of a message: nothing can be asked on it */
	/* Done before the handshake, or NULL. */
	int (*prepare)(struct harm *harm, struct err *err);
	/* Done when what is needed is there, or NULL. Returns 0 or -errno with *err. */
	int (*act)(struct harm *harm, struct err *err);
};

extern const struct hostile_kind hostile_ring_kinds[]; /* ends with a NULL name */
extern const struct hostile_kind hostile_message_kinds[]; /* as above */
extern const struct hostile_kind hostile_host_kinds[]; /* as above */

/* Prints the kinds of harm, one a line with what it does. Thread: control. */
void hostile_list(void);

/*
 * Connects, does the harm that the command line names, and prints what became of the connection.
 * Returns the process's exit status: 0 the harm was done, 1 it could not be, 2 no such kind.
 * Thread: control. May wait: for the switch.
 */
int hostile_run(const struct options *options, const _Atomic bool *stop);

#endif
