/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_MODEL_H
#define CONTROL_MODEL_H

#include <stdbool.h>
#include <sys/queue.h>

#include "control/reconnect.h"
#include "control/settings.h"
#include "control/share.h"
#include "control/sockpath.h"
#include "datapath/dp.h"
#include "numa/placement.h"

/*
 * The desired state: bridges, and the ports and uplinks on them, as somebody asked for them.
 *
 * model*.c are the only callers of dp.h's changing functions. Each change is checked against what
 * is there, made in the datapath and written to the state directory, or undone: a call that fails
 * has changed nothing. Everybody in control/ may read the structs; only model*.c write them.
 *
 * Ports and uplinks are one kind of thing with one space of names, as events and tables of MACs
 * name either. Thread: control, for all of it.
 */

struct model_bridge {
	TAILQ_ENTRY(model_bridge) link;
	struct bridge_settings set;
	int id; /* the datapath's; -1: not open yet */
	unsigned int n_ports; /* uplinks, too */
};

struct model_port {
	TAILQ_ENTRY(model_port) link;
	struct model_bridge *bridge;
	bool is_uplink;
	struct port_settings set;
	uint64_t features; /* virtio, offered to the guest; the same across restarts */
	bool guest_left; /* its guest was heard of elsewhere, and has not come back */
	int id; /* the datapath's; -1: it could not be restored, for this reason: */
	struct err failure;
	struct err guest_failure; /* why its last guest was cut off; no message: it was not */
	unsigned int n_lcores; /* of `lcore`; each counts from 1, as in dp.h */
	uint8_t lcore[DP_QUEUES_MAX]; /* of each queue pair */
	uint8_t node_seen[DP_QUEUES_MAX]; /* of each queue pair's memory, + 1; follow.c writes it */
	struct share share[DP_QUEUES_MAX]; /* of each queue pair; rebalance.c writes it */
};

TAILQ_HEAD(model_bridges, model_bridge);
TAILQ_HEAD(model_ports, model_port);

struct model {
	/* Set by main, then constant. */
	struct sockpath_dirs socket_dirs;
	struct dp_socket_access socket_access; /* for ports that say nothing else */
	const char *state_dir; /* NULL: no state is kept */
	unsigned int n_lcores;
	struct placement_lcore lcore[DP_LCORES_MAX];
	bool library; /* datapath of ports that say nothing else */
	struct reconnect *reconnect;

	bool saves_wait, save_is_due; /* model_hold_saves() */

	struct model_bridges bridges;
	struct model_ports ports; /* in the order in which they came */
	struct model_port *port_of_id[DP_PORTS_MAX];
};

void model_init(struct model *m);

/* Forgets everything; the datapath has stopped or stops next, the state on disk stays. */
void model_clear(struct model *m);

/*
 * Reads what the state directory holds into an empty model; the datapath need not run.
 * Errors: -EINVAL (code "bad-state-file"), -errno.
 */
int model_load(struct model *m, struct err *err);

/* Makes in the datapath what was loaded. A port or uplink that cannot be made is logged and kept,
 * with id -1; one whose MAC another has already is incoming. Errors: dp_bridge_add()'s. */
int model_open(struct model *m, struct err *err);

struct model_bridge *model_bridge_find(const struct model *m, const char *name);
struct model_port *model_port_find(const struct model *m, const char *name);

/* The names of all ports and uplinks, as a list: a new reference. */
json_t *model_port_names(const struct model *m);

/* Errors: -EEXIST (code "bridge-exists"), and dp_bridge_add()'s and store_save()'s. */
int model_bridge_add(struct model *m, const struct bridge_settings *set, struct err *err);

/* Errors: -ENOENT ("no-such-bridge"), -EBUSY ("bridge-busy"), and store_save()'s. */
int model_bridge_del(struct model *m, const char *name, struct err *err);

/*
 * Makes a guest's port. Errors: -EEXIST ("port-exists", "uplink-exists", "socket-in-use"),
 * -ENOENT ("no-such-bridge"), -EINVAL ("socket-path-refused", "bad-parameter"), and dp_port_add()'s
 * and store_save()'s. *port is the model's.
 */
int model_port_attach(struct model *m, const struct port_settings *set, struct model_port **port,
		      struct err *err);

/* Makes n guests' ports, or none of them. Errors: the same. */
int model_ports_attach(struct model *m, const struct port_settings *set, unsigned int n,
		       struct model_port **ports, struct err *err);

/* Errors: as for a port, and dp_uplink_add()'s. */
int model_uplink_add(struct model *m, const struct port_settings *set, struct model_port **port,
		     struct err *err);

/* Removes a port or an uplink. Errors: dp_port_del()'s and store_save()'s. */
int model_port_del(struct model *m, struct model_port *port, struct err *err);

/* Gives a port or an uplink the rules and the pinned lcores of `set`. Errors: dp_port_set_rules()'s,
 * dp_port_move()'s and store_save()'s; -EINVAL ("bad-state") for one that could not be restored. */
int model_port_change(struct model *m, struct model_port *port, const struct port_settings *set,
		      struct err *err);

/* Gives a queue pair of a port or an uplink to another lcore, counted from 1; nothing of it is
 * written to disk. Errors: dp_port_move()'s. */
int model_queue_move(struct model_port *port, unsigned int queue, unsigned int lcore,
		     struct err *err);

/* Is the queue pair to stay where it is? Not if it is pinned to an lcore that we do not have. */
bool model_queue_is_pinned(const struct model *m, const struct model_port *port,
			   unsigned int queue);

/* How many queue pairs each lcore polls; lcore 1 is the first. */
void model_count_queues(const struct model *m, unsigned int queues_on[DP_LCORES_MAX]);

/*
 * The guest of an incoming port runs: it is a port as any other from now on, after a restart too.
 * Where that cannot be written it is incoming once more after a restart, until its guest runs again.
 */
void model_port_arrived(struct model *m, struct model_port *port);

/* The guest of a port runs elsewhere: after a restart the port is silent until it comes back. */
void model_port_left(struct model *m, struct model_port *port);

/*
 * Until model_release_saves() nothing is written to the state directory, so that many changes cost one
 * file. For changes whose owner keeps them elsewhere, too: what cannot be written then is not undone.
 * Errors: store_save()'s.
 */
void model_hold_saves(struct model *m);
int model_release_saves(struct model *m, struct err *err);

/* Writes the desired state, as it is. Errors: store_save()'s. For model*.c. */
int model_save(struct model *m, struct err *err);

/* Makes a port in the datapath, from its `set`, `bridge` and `features`; writes no state. On failure
 * its id stays as it is. For model*.c. */
int model_port_open(struct model *m, struct model_port *port, struct err *err);

#endif
