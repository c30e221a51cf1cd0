/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/peer.h"

#include <stdlib.h>
#include <sys/socket.h>

enum peer_access
peer_judge(const struct peer_policy *policy, uid_t uid, const gid_t *groups, unsigned int n_groups)
{
	if (uid == 0 || uid == policy->uid)
		return PEER_OWNER;
	for (unsigned int i = 0; i < n_groups; i++)
		if (policy->group != (gid_t)-1 && groups[i] == policy->group)
			return policy->group_reads_only ? PEER_READ : PEER_ALL;
	return PEER_NOTHING;
}

enum peer_access
peer_access(const struct peer_policy *policy, int fd)
{
	enum peer_access access = PEER_NOTHING;
	struct ucred cred;
	socklen_t size = sizeof(cred), more = 0;
	gid_t *groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return PEER_NOTHING;
	/* Asked with no room the kernel says how much it needs. */
	getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &more);
	groups = malloc(sizeof(*groups) + more);
	if (!groups)
		return PEER_NOTHING;
	groups[0] = cred.gid;
	if (more && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, &groups[1], &more) < 0)
		more = 0;
	access = peer_judge(policy, cred.uid, groups, 1 + more / sizeof(*groups));
	free(groups);
	return access;
}
