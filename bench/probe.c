/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tells how far apart two CPUs are, and keeps them from being moved.
 *
 * A hypervisor may put two virtual CPUs under one L3 cache or under two, and change that within
 * seconds; a vhost switch then runs 2 to 4 times slower, and a figure means nothing without it.
 *
 *   sluice-probe roundtrip CPU CPU MS    how long a cache line goes there and back, as JSON
 *   sluice-probe spin CPU...             keeps CPUs busy at SCHED_IDLE, until it is ended: virtual
 *                                        CPUs that never sleep are seldom moved
 *   sluice-probe pull CPU CPU MS         has two CPUs wake each other out of their sleep: a
 *                                        hypervisor likes to wake a CPU near the one that wakes it
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define BATCH_ROUNDTRIPS 100
#define BATCHES_MAX 100000
#define MS_MAX 10000
#define SPINNERS_MAX 64
#define PULL_SLEEP_US 1000 /* longer than a hypervisor polls before it lets a CPU go */

/* The line that goes to and fro. Odd: the second CPU's turn, even: the first one's. */
static struct {
	_Alignas(128) _Atomic uint64_t turn;
	_Alignas(128) _Atomic bool stop;
} ball;

static int
pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static void *
return_balls(void *arg)
{
	unsigned int cpu = *(unsigned int *)arg;

	if (pin(cpu) != 0)
		return NULL; /* the caller has checked that the CPU exists */
	while (!atomic_load_explicit(&ball.stop, memory_order_relaxed)) {
		uint64_t turn = atomic_load_explicit(&ball.turn, memory_order_acquire);

		if (turn & 1)
			atomic_store_explicit(&ball.turn, turn + 1, memory_order_release);
		else
			_mm_pause();
	}
	return NULL;
}

/* False if the other side does not answer before `end_ns`. */
static bool
play_batch(uint64_t end_ns)
{
	for (unsigned int i = 0; i < BATCH_ROUNDTRIPS; i++) {
		uint64_t turn = atomic_load_explicit(&ball.turn, memory_order_relaxed);
		unsigned int polls = 0;

		atomic_store_explicit(&ball.turn, turn + 1, memory_order_release);
		while (atomic_load_explicit(&ball.turn, memory_order_acquire) != turn + 2) {
			_mm_pause();
			if ((++polls & 0xfff) == 0 && now_ns() > end_ns)
				return false;
		}
	}
	return true;
}

/*
 * Plays for `ms` and prints the median over batches: one in which a CPU did something else in
 * between does not count. The counter's rate comes for free.
 */
static int
measure_roundtrip(unsigned int cpu, unsigned int partner_cpu, unsigned int ms)
{
	static uint64_t batch_cycles[BATCHES_MAX];
	pthread_t partner;
	uint64_t start_ns, end_ns, start_tsc, spent_ns, spent_tsc;
	unsigned int batches = 0;
	double tsc_hz;

	if (pin(cpu) != 0) {
		fprintf(stderr, "probe: cannot run on CPU %u\n", cpu);
		return 1;
	}
	if (pthread_create(&partner, NULL, return_balls, &partner_cpu) != 0) {
		fprintf(stderr, "probe: cannot start a thread\n");
		return 1;
	}
	start_ns = now_ns();
	start_tsc = __rdtsc();
	end_ns = start_ns + (uint64_t)ms * 1000000;
	while (batches < BATCHES_MAX && now_ns() < end_ns) {
		uint64_t before = __rdtsc();

		if (!play_batch(end_ns))
			break;
		batch_cycles[batches++] = __rdtsc() - before;
	}
	spent_tsc = __rdtsc() - start_tsc;
	spent_ns = now_ns() - start_ns;
	atomic_store(&ball.stop, true);
	pthread_join(partner, NULL);

	if (batches == 0) {
		fprintf(stderr, "probe: CPUs %u and %u did not meet within %u ms\n", cpu,
			partner_cpu, ms);
		return 1;
	}
	qsort(batch_cycles, batches, sizeof(batch_cycles[0]), compare_u64);
	tsc_hz = (double)spent_tsc * 1e9 / (double)spent_ns;
	printf("{\"roundtrip_ns\": %.1f, \"tsc_hz\": %.0f, \"batches\": %u}\n",
	       (double)batch_cycles[batches / 2] / BATCH_ROUNDTRIPS * 1e9 / tsc_hz, tsc_hz,
	       batches);
	return 0;
}

/* One side of a pull: is woken through a pipe, sleeps, and wakes the other one through its pipe. */
struct puller {
	unsigned int cpu;
	int from, to;
	uint64_t end_ns;
};

static void *
pull_side(void *arg)
{
	const struct puller *self = arg;
	char byte;

	if (pin(self->cpu) != 0)
		fprintf(stderr, "probe: cannot run on CPU %u\n", self->cpu);
	while (read(self->from, &byte, 1) == 1) {
		usleep(PULL_SLEEP_US);
		if (write(self->to, &byte, 1) != 1 || now_ns() > self->end_ns)
			break;
	}
	close(self->to);
	return NULL;
}

static int
pull(unsigned int cpu, unsigned int partner_cpu, unsigned int ms)
{
	uint64_t end_ns = now_ns() + (uint64_t)ms * 1000000;
	struct puller side[2];
	int to_first[2], to_second[2];
	pthread_t partner;

	signal(SIGPIPE, SIG_IGN);
	if (pipe(to_first) != 0 || pipe(to_second) != 0)
		return 1;
	side[0] = (struct puller){cpu, to_first[0], to_second[1], end_ns};
	side[1] = (struct puller){partner_cpu, to_second[0], to_first[1], end_ns};
	if (write(to_first[1], "", 1) != 1 ||
	    pthread_create(&partner, NULL, pull_side, &side[1]) != 0) {
		fprintf(stderr, "probe: cannot start a thread\n");
		return 1;
	}
	pull_side(&side[0]);
	pthread_join(partner, NULL);
	return 0;
}

static void *
spin(void *arg)
{
	const struct sched_param param = {0};

	if (pin(*(unsigned int *)arg) != 0 ||
	    pthread_setschedparam(pthread_self(), SCHED_IDLE, &param) != 0)
		return NULL;
	for (;;)
		_mm_pause();
}

static int
keep_busy(unsigned int *cpus, int count)
{
	for (int i = 0; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, spin, &cpus[i]) != 0) {
			fprintf(stderr, "probe: cannot start a thread\n");
			return 1;
		}
	}
	for (;;)
		pause();
}

/* False unless `text` is a number up to `max`. */
static bool
parse_number(const char *text, unsigned int max, unsigned int *number)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || *text == '-' || errno != 0 || value > max)
		return false;
	*number = (unsigned int)value;
	return true;
}

int
main(int argc, char **argv)
{
	unsigned int numbers[SPINNERS_MAX];
	int count = argc - 2;

	for (int i = 0; i < count && i < SPINNERS_MAX; i++)
		if (!parse_number(argv[i + 2], i < 2 ? CPU_SETSIZE - 1 : MS_MAX, &numbers[i]))
			count = 0;
	if (count == 3 && !strcmp(argv[1], "roundtrip"))
		return measure_roundtrip(numbers[0], numbers[1], numbers[2]);
	if (count == 3 && !strcmp(argv[1], "pull"))
		return pull(numbers[0], numbers[1], numbers[2]);
	if (count >= 1 && count <= SPINNERS_MAX && !strcmp(argv[1], "spin"))
		return keep_busy(numbers, count);
	fprintf(stderr,
		"usage: sluice-probe roundtrip CPU CPU MS | pull CPU CPU MS | spin CPU...\n");
	return 2;
}
