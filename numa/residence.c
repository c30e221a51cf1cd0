/* SPDX-License-Identifier: BSD-3-Clause */
#include "numa/residence.h"

#include <errno.h>
#include <numaif.h>
#include <string.h>

int
residence_of(void *page)
{
	int status;

	return move_pages(0, 1, &page, NULL, &status, 0) < 0 ? -errno : status;
}

int
residence_check(void *page, int node, struct err *err)
{
	int status = -1;

	if (move_pages(0, 1, &page, NULL, &status, 0) < 0 || status == node)
		return 0;
	if (status < 0)
		return err_set(err, EXDEV, "wrong-node",
			       "memory of node %d was asked for, and the kernel does not say where "
			       "it is (%s)",
			       node, strerror(-status));
	return err_set(err, EXDEV, "wrong-node",
		       "memory of node %d was asked for, and the kernel gave some of node %d; "
		       "reserve hugepages on node %d, or leave it out with --memory",
		       node, status, node);
}
