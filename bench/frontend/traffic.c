/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/frontend/traffic.h"

#define PROBE_EVERY_S 0.001
#define PROBES_AT_ONCE 16 /* where there are many addresses or tags to announce */
#define PROBES_INTO_THE_BLUE_S 0.005 /* --to: nobody here sees them arrive */
#define SETTLE_S 0.005
#define DRAIN_QUIET_S 0.2
#define DRAIN_MAX_S 3.0
#define IDLE_NAP_NS 1000000

static void
stage_enter(struct traffic *traffic, enum traffic_stage stage, uint64_t now_tsc)
{
	traffic->stage = stage;
	traffic->stage_since_tsc = now_tsc;
}

static double
seconds(const struct traffic *traffic, uint64_t from_tsc, uint64_t to_tsc)
{
	return to_tsc > from_tsc ? (double)(to_tsc - from_tsc) / traffic->tsc_hz : 0;
}

/* So many probes of a queue have had every address and every tag in turn. */
static uint64_t
announcements(const struct options *options, const struct queue *queue)
{
	unsigned int longest = options->macs > options->tags ? options->macs : options->tags;

	return longest > 1 ? longest + (uint64_t)queue->tx.slots : 1;
}

static bool
all_announced(const struct traffic *traffic)
{
	const struct options *options = traffic->options;
	unsigned int i, q;

	for (i = 0; i < options->guests; i++) {
		for (q = 0; q < options->queues; q++) {
			const struct queue *queue = &traffic->guests[i].queues[q];

			if (queue->announced < announcements(options, queue))
				return false;
		}
	}
	return true;
}

static bool
all_got_through(const struct traffic *traffic)
{
	const struct options *options = traffic->options;
	unsigned int i, q;

	for (i = 0; i < options->guests; i++) {
		for (q = 0; q < options->queues && traffic_peer(options, i) >= 0; q++) {
			if (!traffic->probed[i * options->queues + q])
				return false;
		}
	}
	return true;
}

static void
measure_begin(struct traffic *traffic, uint64_t now_tsc)
{
	unsigned int i, q;

	for (i = 0; i < traffic->options->guests; i++) {
		struct guest *guest = &traffic->guests[i];

		for (q = 0; q < traffic->options->queues; q++)
			guest->queues[q].due_base_tsc = now_tsc;
		guest->stats.last_rx_tsc = now_tsc;
	}
	traffic->rounds = traffic->cycles = traffic->busy_cycles = 0;
	traffic->tx_tries = traffic->tx_full = 0;
	traffic->rx_polls = traffic->rx_late = 0;
	traffic->start_tsc = now_tsc;
	atomic_store(&traffic->got_through, true);
	stage_enter(traffic, STAGE_MEASURE, now_tsc);
}

static void
measure_end(struct traffic *traffic, uint64_t now_tsc)
{
	unsigned int i;

	for (i = 0; i < traffic->options->guests; i++) {
		struct guest_stats *stats = &traffic->guests[i].stats;

		stats->rx_in_time = stats->rx_frames;
		stats->rx_bytes_in_time = stats->rx_bytes;
	}
	traffic->end_tsc = now_tsc;
	stage_enter(traffic, STAGE_DRAIN, now_tsc);
}

/* Everything that this process sent to itself has arrived. */
static bool
all_arrived(const struct traffic *traffic)
{
	uint64_t tx = 0, rx = 0;
	unsigned int i;

	for (i = 0; i < traffic->options->guests; i++) {
		tx += traffic->guests[i].stats.tx_frames;
		rx += traffic->guests[i].stats.rx_frames;
	}
	return rx >= tx && !traffic->options->has_to;
}

static bool
all_counted_out(const struct traffic *traffic)
{
	const struct options *options = traffic->options;
	unsigned int i;

	if (options->count == 0)
		return false;
	for (i = 0; i < options->guests; i++) {
		if (traffic_sends(options, i) &&
		    traffic->guests[i].stats.tx_frames < options->count)
			return false;
	}
	return true;
}

static void
stage_step(struct traffic *traffic, uint64_t now_tsc)
{
	const struct options *options = traffic->options;
	bool stop = atomic_load_explicit(&traffic->stop_wanted, memory_order_relaxed);
	double since = seconds(traffic, traffic->stage_since_tsc, now_tsc);
	bool over = stop || (options->duration_s > 0 && since >= options->duration_s);

	switch (traffic->stage) {
	case STAGE_SILENT:
		traffic->end_tsc = now_tsc;
		if (over)
			measure_end(traffic, now_tsc), stage_enter(traffic, STAGE_DONE, now_tsc);
		break;
	case STAGE_PROBE:
		if (stop || since > options->wait_s)
			stage_enter(traffic, STAGE_DONE, now_tsc);
		else if (all_announced(traffic) &&
			 (options->has_to ? since > PROBES_INTO_THE_BLUE_S :
					    all_got_through(traffic)))
			stage_enter(traffic, STAGE_SETTLE, now_tsc);
		break;
	case STAGE_SETTLE:
		if (since > SETTLE_S)
			measure_begin(traffic, now_tsc);
		break;
	case STAGE_MEASURE:
		if (over || all_counted_out(traffic))
			measure_end(traffic, now_tsc);
		break;
	case STAGE_DRAIN:
		if (all_arrived(traffic) || since > DRAIN_MAX_S ||
		    (since > DRAIN_QUIET_S &&
		     seconds(traffic, traffic->last_rx_tsc, now_tsc) > DRAIN_QUIET_S))
			stage_enter(traffic, STAGE_DONE, now_tsc);
		break;
	case STAGE_DONE:
		break;
	}
}

/* Lets go of a guest's rings: first takes in all that came back, so that their positions hold. */
static void
attend_pause(struct traffic *traffic, struct guest *guest)
{
	unsigned int i, q;

	if (atomic_load_explicit(&guest->paused, memory_order_relaxed))
		return;
	for (q = 0; q < traffic->options->queues; q++) {
		struct queue *queue = &guest->queues[q];

		for (i = 0; i < queue->rx.slots && receive_burst(traffic, guest, queue) > 0; i++)
			;
		ring_reap(&queue->tx, NULL, queue->tx.slots);
		queue->sleeping = false;
	}
	atomic_store_explicit(&guest->paused, true, memory_order_release);
}

static void
attend_resume(struct traffic *traffic, struct guest *guest)
{
	unsigned int q;

	if (!atomic_load_explicit(&guest->paused, memory_order_relaxed))
		return;
	for (q = 0; q < traffic->options->queues; q++) {
		receive_pending(traffic, guest, &guest->queues[q]);
		receive_reset(&guest->queues[q]);
	}
	atomic_store_explicit(&guest->paused, false, memory_order_release);
}

static bool
may_send(const struct traffic *traffic, const struct guest *guest)
{
	if (traffic->stage == STAGE_PROBE)
		return traffic->now_probing;
	return traffic->stage == STAGE_MEASURE && traffic_sends(traffic->options, guest->index);
}

/* Sends what is due. As fast as possible is in whole bursts: a switch that frees a few slots at a
 * time is not disturbed for less. */
static unsigned int
send_queue(struct traffic *traffic, struct guest *guest, struct queue *queue, uint64_t now_tsc)
{
	unsigned int want, least, sent = 0;

	if (traffic->stage == STAGE_PROBE) {
		want = announcements(traffic->options, queue) > 1 ? PROBES_AT_ONCE : 1;
		return transmit_burst(traffic, guest, queue, want, now_tsc, true);
	}
	want = transmit_due(traffic, guest, queue, now_tsc);
	if (want == 0)
		return 0;
	least = want < queue->tx.slots / 4u ? want : queue->tx.slots / 4u;
	if (traffic->options->rate_pps > 0 || ring_free_slots(&queue->tx) >= least)
		sent = transmit_burst(traffic, guest, queue, want, now_tsc, false);
	queue->due_sent += sent;
	traffic->tx_tries++;
	traffic->tx_full += sent < want;
	return sent;
}

static void
note_gap(struct guest_stats *stats, uint64_t before_frames, uint64_t now_tsc)
{
	uint64_t gap = now_tsc - stats->last_rx_tsc;

	if (stats->rx_frames == before_frames)
		return;
	if (stats->last_rx_tsc != 0 && now_tsc > stats->last_rx_tsc && gap > stats->longest_gap_tsc)
		stats->longest_gap_tsc = gap;
	stats->last_rx_tsc = now_tsc;
}

static unsigned int
serve_guest(struct traffic *traffic, struct guest *guest, uint64_t now_tsc)
{
	uint64_t before = guest->stats.rx_frames;
	bool sends = may_send(traffic, guest);
	unsigned int q, got, moved = 0;

	for (q = 0; q < traffic->options->queues; q++) {
		struct queue *queue = &guest->queues[q];

		if (sends)
			transmit_reap(traffic, queue);
		got = traffic->options->calls ?
			      receive_when_called(traffic, guest, queue, now_tsc) :
			      receive_burst(traffic, guest, queue);
		traffic->rx_late += queue->rx.was_full;
		moved += got;
		if (sends)
			moved += send_queue(traffic, guest, queue, now_tsc);
	}
	note_gap(&guest->stats, before, now_tsc);
	return moved;
}

static void
note_stop_due(struct traffic *traffic)
{
	uint64_t sent = 0;
	unsigned int i;

	if (traffic->options->stop_after == 0 ||
	    atomic_load_explicit(&traffic->stop_due, memory_order_relaxed))
		return;
	for (i = 0; i < traffic->options->guests; i++)
		sent += traffic->guests[i].stats.tx_frames;
	if (sent >= traffic->options->stop_after)
		atomic_store_explicit(&traffic->stop_due, true, memory_order_release);
}

static unsigned int
one_round(struct traffic *traffic, uint64_t now_tsc)
{
	unsigned int i, moved = 0;

	traffic->now_probing = now_tsc >= traffic->next_probe_tsc;
	for (i = 0; i < traffic->options->guests; i++) {
		struct guest *guest = &traffic->guests[i];

		if (atomic_load_explicit(&guest->pause_wanted, memory_order_acquire)) {
			attend_pause(traffic, guest);
			continue;
		}
		attend_resume(traffic, guest);
		moved += serve_guest(traffic, guest, now_tsc);
	}
	if (traffic->now_probing)
		traffic->next_probe_tsc = now_tsc + (uint64_t)(PROBE_EVERY_S * traffic->tsc_hz);
	return moved;
}

static void
pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* options_parse() has checked that this CPU may be used. */
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *
stream_main(void *arg)
{
	struct traffic *traffic = arg;
	const struct timespec nap = {.tv_nsec = IDLE_NAP_NS};
	uint64_t now_tsc, before_tsc;
	unsigned int i, moved;

	pin(traffic->options->cpu);
	now_tsc = __rdtsc();
	traffic->start_tsc = now_tsc;
	stage_enter(traffic, traffic->options->idle ? STAGE_SILENT : STAGE_PROBE, now_tsc);
	while (traffic->stage != STAGE_DONE) {
		moved = one_round(traffic, now_tsc);
		if (moved == 0 && traffic->options->idle)
			nanosleep(&nap, NULL);
		note_stop_due(traffic);
		stage_step(traffic, now_tsc);
		before_tsc = now_tsc;
		now_tsc = __rdtsc();
		if (traffic->stage == STAGE_MEASURE) {
			traffic->rounds++;
			traffic->cycles += now_tsc - before_tsc;
			traffic->busy_cycles += moved > 0 ? now_tsc - before_tsc : 0;
		}
	}
	for (i = 0; i < traffic->options->guests; i++) {
		atomic_store_explicit(&traffic->guests[i].paused, true, memory_order_release);
		atomic_store_explicit(&traffic->guests[i].unattended, true, memory_order_release);
	}
	atomic_store_explicit(&traffic->done, true, memory_order_release);
	return NULL;
}

/* Cycles a second of the time stamp counter, against the kernel's clock. */
static double
tsc_measure(void)
{
	const struct timespec nap = {.tv_nsec = 20000000};
	struct timespec from, to;
	uint64_t from_tsc, to_tsc;

	clock_gettime(CLOCK_MONOTONIC_RAW, &from);
	from_tsc = __rdtsc();
	nanosleep(&nap, NULL);
	clock_gettime(CLOCK_MONOTONIC_RAW, &to);
	to_tsc = __rdtsc();
	return (double)(to_tsc - from_tsc) /
	       ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
}

int
traffic_open(struct traffic *traffic, const struct options *options, struct guest *guests,
	     struct err *err)
{
	unsigned int i;

	memset(traffic, 0, sizeof(*traffic));
	traffic->options = options;
	traffic->guests = guests;
	traffic->tsc_hz = tsc_measure();
	traffic->probed = calloc(options->guests * options->queues, sizeof(*traffic->probed));
	traffic->scratch = calloc(1, TRAFFIC_SCRATCH_BYTES);
	traffic->streams = mmap(NULL, TRAFFIC_STREAMS * sizeof(*traffic->streams),
				PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (traffic->streams == MAP_FAILED || !traffic->probed || !traffic->scratch) {
		traffic_close(traffic);
		return err_set(err, ENOMEM, "no-memory", "Out of memory for the streams.");
	}
	for (i = 0; i < options->guests; i++) {
		if (transmit_prepare(traffic, &guests[i]) < 0) {
			traffic_close(traffic);
			return err_set(err, ENOMEM, "no-memory", "Out of memory for the frames.");
		}
	}
	return 0;
}

void
traffic_close(struct traffic *traffic)
{
	free(traffic->probed);
	free(traffic->scratch);
	if (traffic->streams != MAP_FAILED)
		munmap(traffic->streams, TRAFFIC_STREAMS * sizeof(*traffic->streams));
}

int
traffic_start(struct traffic *traffic, struct err *err)
{
	unsigned int i;
	int ret = pthread_create(&traffic->thread, NULL, stream_main, traffic);

	if (ret != 0)
		return err_set(err, ret, "thread", "Cannot start the stream thread: %s.",
			       strerror(ret));
	for (i = 0; i < traffic->options->guests; i++)
		guest_resume(&traffic->guests[i]);
	return 0;
}

void
traffic_join(struct traffic *traffic, bool stop)
{
	if (stop)
		atomic_store(&traffic->stop_wanted, true);
	pthread_join(traffic->thread, NULL);
}
