/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "datapath/forward.h"
#include "datapath/inbox.h"
#include "datapath/park.h"
#include "datapath/rcu.h"
#include "datapath/snapshot.h"
#include "datapath/stats.h"

/* Idle time before the first nap, and the naps' length: doubled from the first to the last. */
#define WORKER_AWAKE_US 50
#define WORKER_NAP_FIRST_US 10
#define WORKER_NAP_LAST_US 200

/*
 * A queue that was found empty so many times in a row is cold: it costs a busy lcore nothing more
 * than a look every WORKER_SWEEP_US, which is what it may add to the way of its next frame. A round
 * that found nothing looks at all of them.
 */
#define WORKER_COLD 64
#define WORKER_SWEEP_US 50
#define WORKER_POLLS_MAX (DP_PORTS_MAX * DP_QUEUES_MAX)

struct worker {
	struct dp_lcore_stats stats; /* writer: this lcore */
	bool idle_sleep;
	uint64_t sweep_cycles, swept_at;
	uint64_t generation; /* of the snapshot that the next three are about */
	unsigned int n_hot;
	uint16_t hot[WORKER_POLLS_MAX]; /* indices into its poll list */
	uint8_t empty[WORKER_POLLS_MAX]; /* of each: in vain so many times; WORKER_COLD: is cold */
	struct burst burst;
	struct forward forward;
} __rte_cache_aligned;

static struct {
	unsigned int n; /* written before the lcores start */
	struct worker *of[DP_LCORES_MAX + 1]; /* each on its lcore's node */
	atomic_bool stop;
} workers;

/* One look at one queue. Returns how many frames that moved. */
static inline unsigned int
worker_poll(struct worker *w, const struct snapshot *snap, const struct snap_poll *poll)
{
	const struct port_ops *ops;
	struct burst *b = &w->burst;
	uint16_t taken;

	burst_clear(b);
	poll->rx(poll->queue, b);
	if (b->n == 0)
		return 0;
	ops = poll->queue->port->ops;
	taken = forward_burst(&w->forward, snap, poll->sp, poll->queue, b);
	if (ops->rx_done != NULL)
		ops->rx_done(poll->queue, b, taken);
	burst_release(b);
	return taken;
}

/* Looks at the queues that had something lately. */
static unsigned int
worker_poll_hot(struct worker *w, const struct snapshot *snap)
{
	const struct snap_poll *poll = snap->lcore[w->forward.lcore].poll;
	unsigned int i = 0, in = 0, moved;

	while (i < w->n_hot) {
		uint16_t k = w->hot[i];

		moved = worker_poll(w, snap, &poll[k]);
		in += moved;
		if (likely(moved != 0))
			w->empty[k] = 0;
		else if (++w->empty[k] == WORKER_COLD) {
			w->hot[i] = w->hot[--w->n_hot];
			continue;
		}
		i++;
	}
	return in;
}

/* Looks at all the others. */
static unsigned int
worker_sweep(struct worker *w, const struct snapshot *snap)
{
	const struct snap_poll *poll = snap->lcore[w->forward.lcore].poll;
	unsigned int n = snap->lcore[w->forward.lcore].n, i, in = 0, moved;

	for (i = 0; i < n; i++) {
		if (w->empty[i] != WORKER_COLD)
			continue;
		moved = worker_poll(w, snap, &poll[i]);
		if (likely(moved == 0))
			continue;
		in += moved;
		w->empty[i] = 0;
		w->hot[w->n_hot++] = (uint16_t)i;
	}
	return in;
}

/* One look at what this lcore has to do. Returns how many frames that moved. */
static unsigned int
worker_round(struct worker *w, uint64_t now)
{
	const struct snapshot *snap = atomic_load_explicit(&snapshot_current, memory_order_acquire);
	unsigned int lcore = w->forward.lcore, in;

	if (unlikely(snap->generation != w->generation)) {
		w->generation = snap->generation;
		w->n_hot = 0;
		memset(w->empty, WORKER_COLD, snap->lcore[lcore].n);
		w->swept_at = now - w->sweep_cycles;
	}
	in = worker_poll_hot(w, snap);
	if (in == 0 || now - w->swept_at >= w->sweep_cycles) {
		in += worker_sweep(w, snap);
		w->swept_at = now;
	}
	stats_add(&w->stats.packets, in);
	in += park_run(&w->forward, snap, &w->burst);
	return in + (workers.n > 1 ? inbox_take(lcore) : 0);
}

/* Sleeps for a moment; nothing wakes it, so `nap_us` bounds what it adds to a frame's latency. */
static void
worker_nap(struct worker *w, unsigned int nap_us)
{
	struct timespec ts = {.tv_nsec = nap_us * 1000L};

	rcu_offline(w->forward.lcore);
	nanosleep(&ts, NULL);
	rcu_online(w->forward.lcore);
	stats_add(&w->stats.naps, 1);
}

static int
worker_main(void *arg)
{
	struct worker *w = arg;
	unsigned int lcore = w->forward.lcore, nap_us = WORKER_NAP_FIRST_US;
	uint64_t awake_cycles = rte_get_tsc_hz() / 1000000 * WORKER_AWAKE_US;
	uint64_t now, then = rte_rdtsc(), busy_at = then;
	char name[16];

	snprintf(name, sizeof(name), "sluice/%u", lcore);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 1);
	rcu_online(lcore);
	while (!atomic_load_explicit(&workers.stop, memory_order_relaxed)) {
		unsigned int moved = worker_round(w, then);

		rcu_quiescent(lcore);
		now = rte_rdtsc();
		if (moved > 0) {
			stats_add(&w->stats.busy_cycles, now - then);
			busy_at = now;
			nap_us = WORKER_NAP_FIRST_US;
		} else if (w->idle_sleep && now - busy_at > awake_cycles) {
			worker_nap(w, nap_us);
			nap_us = RTE_MIN(2 * nap_us, (unsigned int)WORKER_NAP_LAST_US);
			now = rte_rdtsc();
		}
		stats_add(&w->stats.total_cycles, now - then);
		stats_add(&w->stats.rounds, 1);
		then = now;
	}
	rcu_offline(lcore);
	return 0;
}

int
worker_start(const struct dp_config *config)
{
	unsigned int lcore;
	int ret = -ENOMEM;

	for (lcore = 1; lcore <= config->n_lcores; lcore++) {
		const struct dp_lcore_config *c = &config->lcore[lcore - 1];
		struct worker *w =
			rte_zmalloc_socket("worker", sizeof(*w), RTE_CACHE_LINE_SIZE, c->node);

		if (w == NULL)
			goto err_stop;
		w->stats.lcore = lcore;
		w->stats.cpu = c->cpu;
		w->stats.node = c->node;
		w->idle_sleep = config->idle_sleep;
		w->forward.lcore = lcore;
		w->burst.lcore = (uint8_t)lcore;
		w->sweep_cycles = rte_get_tsc_hz() / 1000000 * WORKER_SWEEP_US;
		workers.of[lcore] = w;
	}
	workers.n = config->n_lcores;
	for (lcore = 1; lcore <= workers.n; lcore++) {
		ret = rte_eal_remote_launch(worker_main, workers.of[lcore], lcore);
		if (ret < 0)
			goto err_stop;
	}
	return 0;

err_stop:
	worker_stop();
	return ret;
}

void
worker_stop(void)
{
	unsigned int lcore;

	atomic_store(&workers.stop, true);
	for (lcore = 1; lcore <= DP_LCORES_MAX; lcore++) {
		if (workers.of[lcore] == NULL)
			continue;
		rte_eal_wait_lcore(lcore);
		rte_free(workers.of[lcore]);
		workers.of[lcore] = NULL;
	}
	workers.n = 0;
}

int
worker_stats(unsigned int lcore, struct dp_lcore_stats *stats)
{
	const struct dp_lcore_stats *from;

	if (lcore == 0 || lcore > workers.n)
		return -ENOENT;
	from = &workers.of[lcore]->stats;
	*stats = (struct dp_lcore_stats){
		.lcore = from->lcore,
		.cpu = from->cpu,
		.node = from->node,
		.busy_cycles = __atomic_load_n(&from->busy_cycles, __ATOMIC_RELAXED),
		.total_cycles = __atomic_load_n(&from->total_cycles, __ATOMIC_RELAXED),
		.packets = __atomic_load_n(&from->packets, __ATOMIC_RELAXED),
		.rounds = __atomic_load_n(&from->rounds, __ATOMIC_RELAXED),
		.naps = __atomic_load_n(&from->naps, __ATOMIC_RELAXED),
	};
	return 0;
}

uint64_t
worker_undelivered(uint16_t port)
{
	uint64_t sum = 0;
	unsigned int lcore;

	for (lcore = 1; lcore <= workers.n; lcore++)
		sum += __atomic_load_n(&workers.of[lcore]->forward.undelivered[port],
				       __ATOMIC_RELAXED);
	return sum;
}

void
worker_reset_undelivered(uint16_t port)
{
	unsigned int lcore;

	for (lcore = 1; lcore <= workers.n; lcore++)
		__atomic_store_n(&workers.of[lcore]->forward.undelivered[port], 0,
				 __ATOMIC_RELAXED);
}
