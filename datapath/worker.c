/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "datapath/doze.h"
#include "datapath/forward.h"
#include "datapath/inbox.h"
#include "datapath/memory.h"
#include "datapath/park.h"
#include "datapath/rcu.h"
#include "datapath/snapshot.h"
#include "datapath/stats.h"

/*
 * Idle time before the first nap, and the naps' length: doubled from the first to the last, after which the
 * lcore sleeps until it is woken; or, where something that it polls cannot wake it, naps on.
 */
#define WORKER_AWAKE_US 50
#define WORKER_NAP_FIRST_US 10
#define WORKER_NAP_LAST_US 80
#define WORKER_NAP_ON_US 200

/*
 * A queue that was found empty so many times in a row is cold: it costs a busy lcore nothing more
 * than a look every WORKER_SWEEP_US, which is what it may add to the way of its next frame. A round
 * that found nothing looks at all of them.
 */
#define WORKER_COLD 64
#define WORKER_AWAY 254 /* the lcore does not have it yet */
#define WORKER_COMES 255 /* nor looks at it before its inbox is empty */
#define WORKER_SWEEP_US 50
#define WORKER_POLLS_MAX (DP_PORTS_MAX * DP_QUEUES_MAX)

struct worker {
	struct dp_lcore_stats stats; /* writer: this lcore */
	bool idle_sleep;
	uint64_t sweep_cycles, swept_at;
	uint64_t charged_at; /* time until then was put to some queue's account, or to nobody's */
	uint64_t generation; /* of the snapshot that the next three are about */
	unsigned int n_hot;
	uint16_t hot[WORKER_POLLS_MAX]; /* indices into its poll list */
	uint8_t empty[WORKER_POLLS_MAX]; /* of each: in vain so many times; WORKER_COLD: is cold */
	unsigned int n_away; /* queues in its poll list that it does not have yet */
	/* The queue that it gives away; NULL: none. What is below is set before; writer of all: control. */
	_Atomic(struct port_queue *) leaving;
	uint64_t leaving_generation; /* of the snapshot in which it is another's */
	uint8_t leaving_to;
	enum {
		GIVE_BEGINS,
		GIVE_WAITS,
		GIVE_ENDS
	} give; /* how far it is with that */
	uint64_t give_token, left_tsc;
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
	uint64_t now;

	burst_clear(b);
	poll->rx(poll->queue, b);
	if (b->n == 0)
		return 0;
	ops = poll->queue->port->ops;
	taken = forward_burst(&w->forward, snap, poll->sp, poll->queue, b);
	if (ops->rx_done != NULL)
		ops->rx_done(poll->queue, b, taken);
	burst_release(b);
	now = rte_rdtsc();
	stats_add(&poll->queue->stats.busy_cycles, now - w->charged_at);
	w->charged_at = now;
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
		if (w->idle_sleep && poll[i].queue->port->ops->rx_disarm != NULL)
			poll[i].queue->port->ops->rx_disarm(poll[i].queue);
	}
	return in;
}

/* A new snapshot: what it polls may be something else. */
static void
worker_adopt(struct worker *w, const struct snapshot *snap, uint64_t now)
{
	unsigned int lcore = w->forward.lcore, i;

	w->generation = snap->generation;
	w->n_hot = 0;
	memset(w->empty, WORKER_COLD, snap->lcore[lcore].n);
	w->swept_at = now - w->sweep_cycles;
	w->n_away = 0;
	for (i = 0; i < snap->lcore[lcore].n; i++) {
		const struct snap_poll *poll = &snap->lcore[lcore].poll[i];

		if (likely(poll->sp->owner[poll->queue->index] == lcore))
			continue;
		w->empty[i] = WORKER_AWAY;
		w->n_away++;
	}
}

/* A step of giving a queue away, at the end of a round: see table_move(). */
static __rte_noinline void
worker_give(struct worker *w, struct port_queue *q, uint64_t now)
{
	if (w->generation < w->leaving_generation)
		return;
	switch (w->give) {
	case GIVE_BEGINS:
		w->left_tsc = now;
		w->give_token = rte_rcu_qsbr_start(rcu_qsbr);
		w->give = GIVE_WAITS;
		break;
	case GIVE_WAITS:
		if (rte_rcu_qsbr_check(rcu_qsbr, w->give_token, false) == 1)
			w->give = GIVE_ENDS;
		break;
	case GIVE_ENDS: /* the inbox was emptied since */
		park_release(q, w->forward.lcore);
		w->give = GIVE_BEGINS;
		q->left_tsc = w->left_tsc;
		atomic_store(&w->leaving, NULL);
		atomic_store(&q->lcore, w->leaving_to);
		break;
	}
}

/* The end of a round in which there are queues that come to this lcore. */
static __rte_noinline void
worker_receive(struct worker *w, const struct snapshot *snap)
{
	unsigned int lcore = w->forward.lcore, i;
	int64_t pause;

	for (i = 0; i < snap->lcore[lcore].n; i++) {
		struct port_queue *q = snap->lcore[lcore].poll[i].queue;

		if (w->empty[i] == WORKER_COMES) {
			w->empty[i] = WORKER_COLD;
			w->n_away--;
			park_adopt(q, lcore);
			/* Clocks of two CPUs may differ a little. */
			pause = (int64_t)(rte_rdtsc() - q->left_tsc);
			atomic_store(&q->pause_cycles, pause > 0 ? (uint64_t)pause : 1);
		} else if (w->empty[i] == WORKER_AWAY && atomic_load(&q->lcore) == lcore) {
			w->empty[i] = WORKER_COMES;
		}
	}
}

/* One look at what this lcore has to do. Returns how many frames that moved. */
static unsigned int
worker_round(struct worker *w, uint64_t now)
{
	const struct snapshot *snap = atomic_load_explicit(&snapshot_current, memory_order_acquire);
	unsigned int lcore = w->forward.lcore, in;
	struct port_queue *leaving;

	w->charged_at = now;
	if (unlikely(snap->generation != w->generation))
		worker_adopt(w, snap, now);
	in = worker_poll_hot(w, snap);
	if (in == 0 || now - w->swept_at >= w->sweep_cycles) {
		in += worker_sweep(w, snap);
		w->swept_at = now;
	}
	stats_add(&w->stats.packets, in);
	in += park_run(&w->forward, snap, &w->burst);
	if (workers.n == 1)
		return in;
	in += inbox_take(lcore);
	leaving = atomic_load_explicit(&w->leaving, memory_order_acquire);
	if (unlikely(leaving != NULL))
		worker_give(w, leaving, now);
	if (unlikely(w->n_away != 0))
		worker_receive(w, snap);
	return in + (leaving != NULL || w->n_away != 0);
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

/* Whether everything that may come will wake the lcore. */
static bool
worker_arm(const struct worker *w, const struct snapshot *snap)
{
	unsigned int lcore = w->forward.lcore, i;

	if (!park_is_idle(lcore) || (workers.n > 1 && !inbox_is_empty(lcore)))
		return false;
	for (i = 0; i < snap->lcore[lcore].n; i++) {
		struct port_queue *q = snap->lcore[lcore].poll[i].queue;

		if (q->port->ops->rx_arm == NULL || !q->port->ops->rx_arm(q, lcore))
			return false;
	}
	return true;
}

/*
 * Sleeps until there is something to do. Returns false where nothing would wake it, so that it must not.
 *
 * Whatever changes from doze_begin() on wakes it. A queue that is armed must stay as it is until it sleeps, or be
 * disarmed: so all are cold before any is armed, since one that becomes hot is disarmed, and no other.
 */
static bool
worker_sleep(struct worker *w)
{
	const struct snapshot *snap;
	unsigned int lcore = w->forward.lcore, in = 0;
	bool armed;

	doze_begin(lcore);
	snap = atomic_load(&snapshot_current);
	if (snap->generation != w->generation || atomic_load(&workers.stop)) {
		doze_end(lcore);
		return true;
	}
	w->n_hot = 0;
	memset(w->empty, WORKER_COLD, snap->lcore[lcore].n);
	armed = worker_arm(w, snap);
	if (armed) {
		/* What came before that is found by looking once more, at everything. */
		atomic_thread_fence(memory_order_seq_cst);
		in = worker_sweep(w, snap);
		stats_add(&w->stats.packets, in);
		/* A look may have left something to do. */
		armed = in == 0 && worker_arm(w, snap);
	}
	if (armed) {
		rcu_offline(lcore);
		doze_wait(lcore);
		rcu_online(lcore);
		stats_add(&w->stats.sleeps, 1);
	}
	doze_end(lcore);
	return armed || in > 0;
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
	__atomic_store_n(&w->stats.tid, gettid(), __ATOMIC_RELAXED);
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
			if (nap_us <= WORKER_NAP_LAST_US) {
				worker_nap(w, nap_us);
				nap_us *= 2;
				now = rte_rdtsc();
			} else if (worker_sleep(w)) {
				busy_at = now = rte_rdtsc();
				nap_us = WORKER_NAP_FIRST_US;
			} else {
				worker_nap(w, WORKER_NAP_ON_US);
				now = rte_rdtsc();
			}
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
		struct worker *w = rte_zmalloc_socket("worker", sizeof(*w), RTE_CACHE_LINE_SIZE,
						      memory_node(c->node));

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
	for (lcore = 1; lcore <= workers.n; lcore++)
		while (__atomic_load_n(&workers.of[lcore]->stats.tid, __ATOMIC_RELAXED) == 0)
			sched_yield();
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
	doze_wake_all();
	for (lcore = 1; lcore <= DP_LCORES_MAX; lcore++) {
		if (workers.of[lcore] == NULL)
			continue;
		rte_eal_wait_lcore(lcore);
		rte_free(workers.of[lcore]);
		workers.of[lcore] = NULL;
	}
	workers.n = 0;
}

void
worker_leave(unsigned int lcore, struct port_queue *q, uint64_t generation, uint8_t to)
{
	struct worker *w = workers.of[lcore];

	w->leaving_generation = generation;
	w->leaving_to = to;
	atomic_store(&w->leaving, q);
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
		.tid = __atomic_load_n(&from->tid, __ATOMIC_RELAXED),
		.naps = __atomic_load_n(&from->naps, __ATOMIC_RELAXED),
		.sleeps = __atomic_load_n(&from->sleeps, __ATOMIC_RELAXED),
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
