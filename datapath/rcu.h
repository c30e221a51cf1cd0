/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_RCU_H
#define DATAPATH_RCU_H

#include <rte_rcu_qsbr.h>

/*
 * The one quiescent-state variable of the process.
 *
 * Every lcore reports once a round that it holds nothing that it read from a shared structure
 * (rcu_quiescent), and goes offline before it sleeps. Who has made something unreachable calls
 * rcu_synchronize() and may free it then: a grace period is as long as the longest round, some
 * microseconds. See doc/threads.md.
 */
extern struct rte_rcu_qsbr *rcu_qsbr; /* set once by rcu_create(), before the lcores start */

/* Room for lcores 1..n. Returns 0 or -ENOMEM. Thread: control. */
int rcu_create(unsigned int n_lcores);
void rcu_destroy(void);

/* Thread: the lcore itself. */
static inline void
rcu_online(unsigned int lcore)
{
	rte_rcu_qsbr_thread_online(rcu_qsbr, lcore);
}

static inline void
rcu_offline(unsigned int lcore)
{
	rte_rcu_qsbr_thread_offline(rcu_qsbr, lcore);
}

static inline void
rcu_quiescent(unsigned int lcore)
{
	rte_rcu_qsbr_quiescent(rcu_qsbr, lcore);
}

/*
 * Waits until every online lcore has been quiescent once. Thread: any but a forwarding lcore.
 * May wait: one grace period. Hold no lock that an lcore could want.
 */
void rcu_synchronize(void);

#endif
