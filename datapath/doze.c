/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/doze.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "datapath/dp.h"

static struct doze {
	_Atomic bool dozes;
	int wake_fd, epoll_fd; /* constant while lcores run */
} __rte_cache_aligned doze[DP_LCORES_MAX + 1];

static unsigned int doze_n; /* as those */

int
doze_create(unsigned int n_lcores, struct err *err)
{
	unsigned int lcore;

	for (lcore = 1; lcore <= n_lcores; lcore++) {
		struct doze *d = &doze[lcore];

		d->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		doze_n = lcore;
		if (d->wake_fd < 0 || d->epoll_fd < 0 || !doze_watch(lcore, d->wake_fd)) {
			doze_destroy();
			return err_set(err, EMFILE, "too-many-files",
				       "no descriptors are left for %u lcores; raise the limit of "
				       "open files (systemd: LimitNOFILE=)",
				       n_lcores);
		}
	}
	return 0;
}

void
doze_destroy(void)
{
	for (; doze_n > 0; doze_n--) {
		close(doze[doze_n].wake_fd);
		close(doze[doze_n].epoll_fd);
	}
}

void
doze_wake(unsigned int lcore)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (unlikely(atomic_load_explicit(&doze[lcore].dozes, memory_order_relaxed)))
		eventfd_write(doze[lcore].wake_fd, 1);
}

void
doze_wake_all(void)
{
	unsigned int lcore;

	for (lcore = 1; lcore <= doze_n; lcore++)
		doze_wake(lcore);
}

void
doze_begin(unsigned int lcore)
{
	atomic_store_explicit(&doze[lcore].dozes, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

void
doze_wait(unsigned int lcore)
{
	struct epoll_event event[32]; /* which of them is found by looking */

	epoll_wait(doze[lcore].epoll_fd, event, RTE_DIM(event), -1);
}

void
doze_end(unsigned int lcore)
{
	atomic_store_explicit(&doze[lcore].dozes, false, memory_order_relaxed);
}

bool
doze_watch(unsigned int lcore, int fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	return epoll_ctl(doze[lcore].epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void
doze_ignore(unsigned int lcore, int fd)
{
	epoll_ctl(doze[lcore].epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}
