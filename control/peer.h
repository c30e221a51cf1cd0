/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_PEER_H
#define CONTROL_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/* Who is at the other end of a control connection, and what he may do. */

enum peer_access {
	PEER_NOTHING,
	PEER_READ,
	PEER_ALL,
	PEER_OWNER /* all, and what only root and the daemon's own user may do */
};

struct peer_policy {
	uid_t uid; /* the daemon's own */
	gid_t group; /* (gid_t)-1: none */
	bool group_reads_only;
};

/* What somebody with these ids may do. Pure. Thread: any. */
enum peer_access peer_judge(const struct peer_policy *policy, uid_t uid, const gid_t *groups,
			    unsigned int n_groups);

/* Asks the kernel who connected `fd`: root and the daemon's own user own the daemon, members of the
 * group may do what the policy says. PEER_NOTHING if the kernel does not tell. Thread: control. */
enum peer_access peer_access(const struct peer_policy *policy, int fd);

#endif
