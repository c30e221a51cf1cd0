/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OPTIONS_H
#define CONTROL_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "datapath/dp.h"
#include "numa/err.h"

/*
 * What the operator asked for, from the configuration file and the command line: one table of keys
 * serves both, and the command line wins. doc/man/sluice.conf.5 explains every key.
 */

#define OPTIONS_FILE "/etc/sluice/sluice.conf" /* read if it is there and no other is named */
#define OPTIONS_RUN_DIR "/run/sluice"
#define OPTIONS_CONTROL OPTIONS_RUN_DIR "/control.sock"
#define OPTIONS_SOCKET_DIR OPTIONS_RUN_DIR "/ports"
#define OPTIONS_STATE_DIR "/var/lib/sluice"
#define OPTIONS_GROUP "sluice"
#define OPTIONS_SOCKET_GROUP "kvm"

#define OPTIONS_LIST_MAX 16

/* A list of words that grows as it is read. */
struct options_list {
	unsigned int n;
	char *word[OPTIONS_LIST_MAX];
};

struct options {
	bool config_check;
	char *control;
	struct options_list socket_dirs; /* at least one */
	char *state_dir; /* "none": no state */
	char *lcores; /* placement_check_spec() has passed it */
	bool lcores_given; /* somebody wrote it */
	char *ovsdb; /* "unix:PATH"; NULL: none */
	unsigned int n_memory; /* 0: auto */
	unsigned int memory_mib[DP_NODES_MAX];
	bool reserve_hugepages;
	char *group; /* NULL: OPTIONS_GROUP if there is one */
	bool group_reads_only;
	unsigned int park_mib; /* most memory for parked frames */
	bool library; /* datapath of ports that say nothing else */
	bool idle_poll;
	bool rebalance_off; /* queues change lcores only when asked to */
	char *eal;
	int log_level;
	char *socket_group; /* NULL: OPTIONS_SOCKET_GROUP if there is one */
	mode_t socket_mode;
	struct options_list peer_users; /* empty: anybody who can open the socket */
};

enum options_verdict {
	OPTIONS_GO, /* start, or check and stop if config_check */
	OPTIONS_DONE, /* --help or --version was answered */
	OPTIONS_BAD, /* *err says why */
};

/*
 * Reads the command line, and the file that it names or OPTIONS_FILE. *o is filled and owns heap
 * memory in every case: options_free(). Thread: control.
 */
enum options_verdict options_parse(struct options *o, int argc, char **argv, struct err *err);

void options_free(struct options *o);

#endif
