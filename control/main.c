/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <event2/event.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/events.h"
#include "control/follow.h"
#include "control/ids.h"
#include "control/lockfile.h"
#include "control/log.h"
#include "control/memory.h"
#include "control/methods.h"
#include "control/reservation.h"
#include "numa/cpulist.h"
#include "numa/sysfs.h"

/* Exit codes; sluiced(8). */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_BAD_OPTIONS = 2
};

/* Descriptors that guests' ports may need, and that control connections therefore leave alone. */
#define DESCRIPTORS_FOR_PORTS 4096

/* What start-up finds out and dp_start() is told. */
struct plan {
	struct memory_plan memory;
	struct reservation reservation;
	char control_cpus[CPULIST_SIZE];
	struct peer_policy policy;
};

int64_t
daemon_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void
daemon_quit(struct daemon *d)
{
	event_base_loopexit(d->base, NULL);
}

/* Our own default directories are made where they lack; those that somebody named must be there,
 * as a name that is wrong would otherwise go unnoticed. */
static int
make_directory(const char *path, mode_t mode, const char *option, struct err *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_set_param(err, errno, "bad-option", option,
				     "cannot make the directory %s: %s; make it for sluiced, or name"
				     " another with --%s",
				     path, strerror(errno), option);
	return 0;
}

static int
prepare_directories(struct daemon *d, struct err *err)
{
	const struct options *o = &d->options;
	bool exists;

	for (unsigned int i = 0; i < o->socket_dirs.n; i++) {
		const char *dir = o->socket_dirs.word[i];
		bool ours = !strcmp(dir, OPTIONS_SOCKET_DIR) && access(dir, F_OK) < 0;

		if (ours && o->config_check)
			continue;
		if (ours && (make_directory(OPTIONS_RUN_DIR, 0755, "socket-dir", err) < 0 ||
			     make_directory(dir, 0755, "socket-dir", err) < 0))
			return -1;
		if (sockpath_dirs_add(&d->model.socket_dirs, dir, err) < 0)
			return -1;
	}
	if (!strcmp(o->control, OPTIONS_CONTROL) && !o->config_check &&
	    make_directory(OPTIONS_RUN_DIR, 0755, "control", err) < 0)
		return -1;
	if (!strcmp(o->state_dir, "none"))
		return 0;
	d->model.state_dir = o->state_dir;
	exists = access(o->state_dir, F_OK) == 0;
	if (!exists && !o->config_check)
		return make_directory(o->state_dir, 0750, "state-dir", err);
	if (exists && access(o->state_dir, W_OK | X_OK) < 0)
		return err_set_param(err, errno, "bad-option", "state-dir",
				     "state directory %s is not writable for sluiced: %s; change"
				     " its owner or mode, or name another with --state-dir",
				     o->state_dir, strerror(errno));
	return 0;
}

/* Who may do what. A default group counts only where the host has it. */
static int
prepare_access(struct daemon *d, struct plan *plan, struct err *err)
{
	const struct options *o = &d->options;
	struct dp_socket_access *access = &d->model.socket_access;
	bool root = geteuid() == 0;

	plan->policy = (struct peer_policy){
		.uid = geteuid(),
		.group = -1,
		.group_reads_only = o->group_reads_only,
	};
	*access = (struct dp_socket_access){.owner = -1, .group = -1, .mode = o->socket_mode};
	if ((o->group || root) &&
	    ids_group(o->group ? o->group : OPTIONS_GROUP, &plan->policy.group) < 0)
		plan->policy.group = -1;
	if ((o->socket_group || root) &&
	    ids_group(o->socket_group ? o->socket_group : OPTIONS_SOCKET_GROUP, &access->group) < 0)
		access->group = -1;
	for (unsigned int i = 0; i < o->peer_users.n; i++)
		if (ids_user(o->peer_users.word[i], &access->peer_uid[access->n_peer_uids++]) < 0)
			return err_set_param(err, ENOENT, "bad-option", "peer-users",
					     "there is no user \"%s\"", o->peer_users.word[i]);
	return 0;
}

static int
plan_memory(struct daemon *d, struct plan *plan, struct err *err)
{
	struct memory_ports ports = memory_ports_of(&d->model);

	return memory_plan(&d->options, &d->topology, d->model.lcore, d->model.n_lcores, &ports,
			   &plan->memory, err);
}

static int
prepare_cpus(struct daemon *d, struct plan *plan, struct err *err)
{
	struct model *m = &d->model;
	cpu_set_t control_cpus;
	int n;

	if (topology_read(&d->topology, err) < 0)
		return -1;
	if (!d->options.config_check)
		ovsdb_choose_lcores(&d->options, &d->topology);
	n = placement_lcores(&d->topology, d->options.lcores, m->lcore, DP_LCORES_MAX,
			     &control_cpus, err);
	if (n < 0)
		return n;
	m->n_lcores = n;
	d->lcore_watch = (struct lcore_watch){
		.sysfs = SYSFS_ROOT,
		.topology = &d->topology,
		.lcore = m->lcore,
		.n_lcores = m->n_lcores,
		.control_cpus = control_cpus,
	};
	cpulist_format(&control_cpus, plan->control_cpus, sizeof(plan->control_cpus));
	return plan_memory(d, plan, err);
}

/* One lock for a control socket, and one for a state directory. */
struct lock_paths {
	char control[PATH_MAX], state[PATH_MAX]; /* state "": none is kept */
};

static void
name_locks(const struct options *o, struct lock_paths *paths)
{
	*paths = (struct lock_paths){0};
	snprintf(paths->control, sizeof(paths->control), "%s.lock", o->control);
	if (strcmp(o->state_dir, "none") != 0)
		snprintf(paths->state, sizeof(paths->state), "%s/lock", o->state_dir);
}

static int
take_locks(const struct options *o, struct err *err)
{
	struct lock_paths paths;

	name_locks(o, &paths);
	if (lockfile_take(paths.control, "control", err) < 0)
		return -1;
	return paths.state[0] ? lockfile_take(paths.state, "state-dir", err) : 0;
}

static int
check_memory(const struct plan *plan, struct err *err)
{
	struct hugepages pages;

	if (hugepages_read(&pages, err) < 0)
		return -1;
	return memory_check(&plan->memory, &pages, err);
}

/* What leaves nothing behind, before the locks. Where memory lacks, the instance that has taken it is the
 * better answer. */
static int
check_memory_early(const struct options *o, const struct plan *plan, struct err *err)
{
	struct lock_paths paths;

	if (o->reserve_hugepages || check_memory(plan, err) == 0)
		return 0;
	name_locks(o, &paths);
	if (!o->config_check && lockfile_look(paths.control, err) == 0)
		lockfile_look(paths.state, err);
	return -1;
}

/* What is reserved stays locked until it is in use, or given back. */
static void
lock_hugepages(void)
{
	mkdir(OPTIONS_RUN_DIR, 0755);
	reservation_lock(OPTIONS_RUN_DIR "/hugepages.lock");
}

/* Now that the ports are known. */
static int
prepare_memory(struct daemon *d, struct plan *plan, struct err *err)
{
	const struct options *o = &d->options;
	struct reservation *r = &plan->reservation;
	char path[PATH_MAX];

	if (plan_memory(d, plan, err) < 0)
		return -1;
	if (o->config_check)
		return o->reserve_hugepages ? 0 : check_memory(plan, err);
	snprintf(path, sizeof(path), "%s.hugepages", o->control);
	reservation_open(r, SYSFS_ROOT, path);
	if (o->reserve_hugepages) {
		lock_hugepages();
		if (reservation_take(r, plan->memory.mib, plan->memory.n_nodes, err) < 0)
			return -1;
	} else {
		reservation_give_back(r);
	}
	return check_memory(plan, err);
}

/* Everything that can be found wrong without starting; first what leaves nothing behind. */
static int
prepare(struct daemon *d, struct plan *plan, struct err *err)
{
	if (prepare_access(d, plan, err) < 0 || prepare_cpus(d, plan, err) < 0 ||
	    check_memory_early(&d->options, plan, err) < 0 || prepare_directories(d, err) < 0)
		return -1;
	if (!d->options.config_check && take_locks(&d->options, err) < 0)
		return -1;
	if (d->options.config_check && d->model.state_dir && access(d->model.state_dir, F_OK) < 0)
		d->model.state_dir = NULL; /* will be made */
	if (model_load(&d->model, err) < 0)
		return -1;
	return prepare_memory(d, plan, err);
}

/* As many descriptors as the kernel lets us have. Returns how many that is. */
static unsigned int
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open files: %s", strerror(errno));
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur > 1 << 20 ? 1 << 20 : limit.rlim_cur;
}

static int
start_datapath(struct daemon *d, const struct plan *plan, struct err *err)
{
	char file_prefix[32], doorbell[DP_PATH_SIZE], control[DP_PATH_SIZE];
	struct dp_config config;
	int rc;

	snprintf(control, sizeof(control), "%s", d->options.control);
	config = (struct dp_config){
		.n_lcores = d->model.n_lcores,
		.control_cpus = plan->control_cpus,
		.n_nodes = plan->memory.n_nodes,
		.memory_grows = plan->memory.grows,
		.file_prefix = file_prefix,
		.eal_args = d->options.eal,
		.run_dir = dirname(control),
		.doorbell_path = doorbell,
		.idle_sleep = !d->options.idle_poll,
		.park_mib = d->options.park_mib,
		.debug = d->options.log_level == LOG_DEBUG,
	};

	for (unsigned int i = 0; i < config.n_lcores; i++)
		config.lcore[i] = (struct dp_lcore_config){
			.cpu = d->model.lcore[i].cpu,
			.node = d->model.lcore[i].node,
		};
	memcpy(config.memory_mib, plan->memory.mib, sizeof(config.memory_mib));
	memcpy(config.memory_node, plan->memory.node, sizeof(config.memory_node));
	snprintf(file_prefix, sizeof(file_prefix), "sluice-%ld", (long)getpid());
	snprintf(doorbell, sizeof(doorbell), "%s.bell", d->options.control);
	rc = dp_start(&config, err);
	reservation_unlock();
	if (rc < 0)
		return rc;
	for (unsigned int i = 0; i < config.n_lcores; i++) {
		int node = config.lcore[i].node;

		log_info("lcore %u forwards on CPU %u of node %d", i + 1, config.lcore[i].cpu,
			 node);
		if (config.memory_node[node] != node)
			log_warning("lcore %u works with memory of node %d, which is slower:"
				    " sluiced has none of node %d",
				    i + 1, config.memory_node[node], node);
	}
	log_info("all else runs on CPUs %s", config.control_cpus);
	return 0;
}

static int
start_control(struct daemon *d, const struct plan *plan, unsigned int descriptors, struct err *err)
{
	struct rpc_config config = {
		.base = d->base,
		.path = d->options.control,
		.policy = plan->policy,
		.connections_max = RPC_CONNECTIONS_MAX,
		.partial_line_ms = RPC_PARTIAL_LINE_MS,
		.call = methods_call,
		.arg = d,
	};

	if (descriptors < RPC_CONNECTIONS_MAX + DESCRIPTORS_FOR_PORTS)
		config.connections_max = descriptors / 4;
	d->rpc = rpc_start(&config, err);
	return d->rpc ? 0 : -1;
}

static void
datapath_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	events_pump(arg);
}

static void
on_overload(const struct load_lcore *lcore, void *arg)
{
	events_overload(arg, lcore);
}

static void
on_lcore_spot(unsigned int lcore, const struct lcore_spot *spot, void *arg)
{
	events_lcore_spot(arg, lcore, spot);
}

static void
on_recording_ended(void *arg, const struct recording *recording)
{
	events_capture_stopped(arg, recording);
}

static void
second_cb(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	events_pump(d);
	events_log_second(d);
	load_sample(&d->load, on_overload, d);
	follow_second(d);
	rebalance_second(d);
	lcore_watch_look(&d->lcore_watch, on_lcore_spot, d);
}

/* Who tells us to stop before run(), or once more after it, finds nothing half done: reserved hugepages
 * would stay. */
static void
hold_signals(bool hold)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void
signal_cb(evutil_socket_t signal, short what, void *arg)
{
	(void)what;
	log_notice("stopping: %s", strsignal(signal));
	daemon_quit(arg);
}

/* Serves until somebody calls daemon_quit(). Returns 0 or -1. */
static int
run(struct daemon *d, struct err *err)
{
	static const struct timeval second = {LOAD_INTERVAL_S, 0};
	struct event *events[] = {
		evsignal_new(d->base, SIGTERM, signal_cb, d),
		evsignal_new(d->base, SIGINT, signal_cb, d),
		evsignal_new(d->base, SIGHUP, signal_cb, d),
		event_new(d->base, dp_event_fd(), EV_READ | EV_PERSIST, datapath_cb, d),
		event_new(d->base, -1, EV_PERSIST, second_cb, d),
	};
	const unsigned int n = sizeof(events) / sizeof(events[0]);
	int rc = 0;

	for (unsigned int i = 0; i < n; i++)
		if (!events[i] || event_add(events[i], i == n - 1 ? &second : NULL) < 0)
			rc = err_set(err, ENOMEM, "no-memory", "no memory for the event loop");
	if (rc == 0) {
		sd_notify(0, "READY=1");
		printf("sluiced: ready, control socket %s\n", d->options.control);
		fflush(stdout);
		hold_signals(false);
		if (event_base_dispatch(d->base) < 0)
			rc = err_set(err, EIO, "event-loop", "the event loop failed");
		hold_signals(true);
		sd_notify(0, "STOPPING=1");
	}
	for (unsigned int i = 0; i < n; i++)
		if (events[i])
			event_free(events[i]);
	return rc;
}

/* libevent's usual clock moves once in a tick of the kernel (4 ms); reconnect's tries are closer. */
static struct event_base *
new_event_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

/* Start in order, serve, stop in reverse. */
static int
serve(struct daemon *d, const struct plan *plan, struct err *err)
{
	unsigned int descriptors = raise_descriptor_limit();
	int rc;

	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write() */
	if (sockpath_clear(d->options.control, err) < 0)
		return -1;
	rc = start_datapath(d, plan, err);
	if (rc < 0)
		return rc;
	rc = lcore_watch_start(&d->lcore_watch, err);
	if (rc < 0)
		goto stop_datapath;
	d->base = new_event_base();
	rc = d->base ? 0 : err_set(err, ENOMEM, "no-memory", "no memory for the event loop");
	if (rc < 0)
		goto stop_datapath;
	d->model.library = d->options.library;
	d->model.reconnect = reconnect_create(d->base, err);
	rc = d->model.reconnect ? 0 : -1;
	if (rc < 0)
		goto stop_datapath;
	rc = recorder_init(&d->recorder, d->base, on_recording_ended, d);
	if (rc < 0) {
		err_set(err, ENOMEM, "no-memory", "no memory for the event loop");
		goto stop_reconnect;
	}
	rc = model_open(&d->model, err);
	if (rc < 0)
		goto stop_recorder;
	rc = start_control(d, plan, descriptors, err);
	if (rc < 0)
		goto stop_recorder;

	d->ovsdb = d->options.ovsdb ? ovsdb_start(d, err) : NULL;
	rc = d->options.ovsdb && !d->ovsdb ? -1 : run(d, err);

	ovsdb_stop(d->ovsdb);
	arrival_clear(d);
	drain_clear(d);
	takeback_clear(d);
	rpc_stop(d->rpc);
stop_recorder:
	recorder_clear(&d->recorder);
stop_reconnect:
	reconnect_destroy(d->model.reconnect);
stop_datapath:
	dp_stop();
	/* Only now the connections end, for those who wait for it. */
	if (d->rpc)
		rpc_destroy(d->rpc);
	if (d->base)
		event_base_free(d->base);
	return rc;
}

int
main(int argc, char **argv)
{
	struct daemon d = {.started_ns = daemon_now_ns()};
	struct plan plan = {0};
	struct err err = {0};
	int status = EXIT_DONE;

	signal(SIGPIPE, SIG_IGN);
	model_init(&d.model);
	switch (options_parse(&d.options, argc, argv, &err)) {
	case OPTIONS_DONE:
		break;
	case OPTIONS_BAD:
		log_error("%s", err.message);
		status = EXIT_BAD_OPTIONS;
		break;
	case OPTIONS_GO:
		log_start(d.options.log_level);
		hold_signals(true);
		if (prepare(&d, &plan, &err) < 0 ||
		    (!d.options.config_check && serve(&d, &plan, &err) < 0)) {
			fflush(stdout); /* what DPDK said of its arguments comes first */
			log_error("%s", err.message);
			status = EXIT_FAILED;
		} else if (d.options.config_check) {
			printf("configuration ok\n");
		}
		if (plan.reservation.n) {
			lock_hugepages();
			reservation_give_back(&plan.reservation);
		}
	}
	model_clear(&d.model);
	options_free(&d.options);
	return status;
}
