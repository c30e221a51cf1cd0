/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/frontend/hostile.h"
#include "bench/frontend/links.h"
#include "bench/frontend/migrate.h"
#include "bench/frontend/report.h"
#include "bench/frontend/stopcheck.h"

/* Set by the signal handler, read by the control thread. */
static _Atomic bool interrupted;

static void
on_signal(int number)
{
	(void)number;
	atomic_store(&interrupted, true);
}

static void
signals_catch(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* What is done once, under traffic, and what came of it. */
struct tasks {
	bool stop_checked;
	bool log_started;
	bool failed;
	uint64_t *reaped; /* by guest and queue: receive buffers back before the log was on */
	json_t *result;
};

static void
task_failed(struct tasks *tasks, const char *what, const struct err *err)
{
	fprintf(stderr, "sluice-frontend: %s: %s\n", what, err->message);
	tasks->failed = true;
}

static void
start_log(struct traffic *traffic, struct tasks *tasks)
{
	const struct options *options = traffic->options;
	struct err err;
	unsigned int i, q;

	tasks->log_started = true;
	for (i = 0; i < options->guests; i++) {
		struct guest *guest = &traffic->guests[i];

		if (guest_start_log(guest, &err) < 0)
			task_failed(tasks, "--log", &err);
		guest_pause(guest);
		for (q = 0; q < options->queues; q++)
			tasks->reaped[i * options->queues + q] = guest->queues[q].rx.reaped;
		guest_resume(guest);
	}
}

static void
migrate(struct traffic *traffic, struct tasks *tasks)
{
	const struct options *options = traffic->options;
	struct guest *last = &traffic->guests[options->guests - 1];
	struct err err;
	bool complete;
	json_t *result = migrate_guest(last, &options->migrate, &complete, &err);

	if (result == NULL) {
		task_failed(tasks, "--migrate", &err);
		return;
	}
	tasks->failed |= !complete;
	json_object_set_new(tasks->result, "migration", result);
}

static void
tasks_under_traffic(struct traffic *traffic, struct tasks *tasks)
{
	const struct options *options = traffic->options;
	struct err err;
	json_t *rings;
	bool agrees;

	if (options->log && !tasks->log_started)
		start_log(traffic, tasks);
	if (tasks->stop_checked || !atomic_load(&traffic->stop_due))
		return;
	tasks->stop_checked = true;
	if (options->migrate.path != NULL) {
		migrate(traffic, tasks);
		return;
	}
	rings = stopcheck_run(traffic, &agrees, &err);
	if (rings == NULL) {
		task_failed(tasks, "--stop-after", &err);
		return;
	}
	tasks->failed |= !agrees;
	json_object_set_new(tasks->result, "stop", rings);
}

static void
tasks_after_traffic(struct traffic *traffic, struct tasks *tasks)
{
	const struct options *options = traffic->options;
	json_t *logs = json_array();
	bool complete = true;
	unsigned int i;

	for (i = 0; tasks->log_started && i < options->guests; i++) {
		if (traffic->guests[i].log != NULL)
			json_array_append_new(logs,
					      stopcheck_log(&traffic->guests[i],
							    &tasks->reaped[i * options->queues],
							    &complete));
	}
	if (tasks->log_started)
		json_object_set(tasks->result, "log", logs);
	json_decref(logs);
	if (options->stop_after > 0 && !tasks->stop_checked)
		fprintf(stderr, "sluice-frontend: --stop-after: so many frames were never sent\n");
	tasks->failed |= !complete || (options->stop_after > 0 && !tasks->stop_checked);
}

static int
run_traffic(const struct options *options, struct guest *guests, struct err *err)
{
	struct tasks tasks = {0};
	struct traffic traffic;
	struct totals totals;
	const char *why;
	bool passed;

	if (links_connect(guests, options->guests, options->wait_s, &interrupted, err) < 0 ||
	    traffic_open(&traffic, options, guests, err) < 0)
		return -1;
	fprintf(stderr, "ready\n");
	tasks.result = json_object();
	tasks.reaped = calloc(options->guests * options->queues, sizeof(*tasks.reaped));
	if (traffic_start(&traffic, err) < 0)
		return -1;
	while (!atomic_load(&traffic.done) && !atomic_load(&interrupted)) {
		links_serve(guests, options->guests, options->stop_after ? 1 : 10);
		tasks_under_traffic(&traffic, &tasks);
	}
	traffic_join(&traffic, true);
	tasks_after_traffic(&traffic, &tasks);
	totals = report_totals(&traffic);
	passed = report_passed(&traffic, &totals, &why) && !tasks.failed;
	report_print(&traffic, &totals, tasks.result);
	if (why != NULL)
		fprintf(stderr, "sluice-frontend: %s\n", why);
	json_decref(tasks.result);
	free(tasks.reaped);
	traffic_close(&traffic);
	return passed ? 0 : 1;
}

int
main(int argc, char **argv)
{
	static struct options options; /* main thread; large */
	struct guest *guests;
	struct err err;
	int ret = options_parse(&options, argc, argv, &err);

	if (ret > 0)
		return 0;
	if (ret < 0) {
		fprintf(stderr, "sluice-frontend: %s\n", err.message);
		return 2;
	}
	signals_catch();
	if (options.hostile != NULL)
		return hostile_run(&options, &interrupted);
	guests = guests_open(&options, &err);
	ret = guests == NULL ? -1 : run_traffic(&options, guests, &err);
	if (ret < 0)
		fprintf(stderr, "sluice-frontend: %s\n", err.message);
	if (guests != NULL)
		guests_close(guests, options.guests);
	return ret < 0 ? 1 : ret;
}
