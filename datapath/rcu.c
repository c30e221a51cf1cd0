/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/rcu.h"

#include <errno.h>
#include <sched.h>

#include <rte_malloc.h>

struct rte_rcu_qsbr *rcu_qsbr;

int
rcu_create(unsigned int n_lcores)
{
	uint32_t n_threads = n_lcores + 1; /* thread ids are lcore ids */
	unsigned int lcore;

	rcu_qsbr = rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(n_threads), RTE_CACHE_LINE_SIZE);
	if (rcu_qsbr == NULL)
		return -ENOMEM;
	rte_rcu_qsbr_init(rcu_qsbr, n_threads);
	for (lcore = 1; lcore <= n_lcores; lcore++)
		rte_rcu_qsbr_thread_register(rcu_qsbr, lcore);
	return 0;
}

void
rcu_destroy(void)
{
	rte_free(rcu_qsbr);
	rcu_qsbr = NULL;
}

void
rcu_synchronize(void)
{
	uint64_t token = rte_rcu_qsbr_start(rcu_qsbr);

	/* An lcore that is waited for may have to run on this very CPU. */
	while (rte_rcu_qsbr_check(rcu_qsbr, token, false) == 0)
		sched_yield();
}
