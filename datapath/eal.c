/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/eal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_memory.h>
#include <rte_version.h>

#include "datapath/memory.h"
#include "numa/hugepages.h"
#include "numa/sysfs.h"
#include "numa/topology.h"

#define EAL_ARGS_MAX 64
#define EAL_FILES_MAX 128 /* page lists: RTE_MAX_MEMSEG_LISTS */

/* Control thread. EAL keeps pointers into the arguments as long as the process lives. */
static struct {
	char *arg[EAL_ARGS_MAX]; /* ours to free */
	char *argv[EAL_ARGS_MAX + 1]; /* EAL's copy, in which it moves pointers about */
	int argc;
	bool starting;
	int file[EAL_FILES_MAX]; /* filled by eal_stop() */
	unsigned int n_files;
} eal;

/*
 * EAL sleeps 100 ms to measure the rate of the time stamp counter where the CPU does not tell it
 * (22.11, set_tsc_freq()). That is most of the time for which guests miss us after a crash. Its
 * arithmetic takes the real length of the sleep, and 10 ms measure to some parts in a million.
 * The linker sends librte_eal's calls here (--wrap, in meson.build).
 */
#define EAL_TSC_SLEEP_NS 10000000

int __real_nanosleep(const struct timespec *wanted, struct timespec *left);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);

int
__wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
	static const struct timespec brief = {.tv_nsec = EAL_TSC_SLEEP_NS};

	return __real_nanosleep(eal.starting ? &brief : wanted, left);
}

static int
eal_add(const char *fmt, ...)
{
	va_list ap;
	int ret;

	if (eal.argc == EAL_ARGS_MAX)
		return -E2BIG;
	va_start(ap, fmt);
	ret = vasprintf(&eal.arg[eal.argc], fmt, ap);
	va_end(ap);
	if (ret < 0)
		return -ENOMEM;
	eal.argc++;
	return 0;
}

/* "0@(0-1),1@2,2@3": lcore 0 floats on the control CPUs, lcore i sits on its own. */
static int
eal_add_lcores(const struct dp_config *config)
{
	char text[32 * (DP_LCORES_MAX + 1) + 1024];
	size_t len;
	unsigned int i;

	len = (size_t)snprintf(text, sizeof(text), "--lcores=0@(%s)", config->control_cpus);
	for (i = 0; i < config->n_lcores && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",%u@%u", i + 1,
					config->lcore[i].cpu);
	return len < sizeof(text) ? eal_add("%s", text) : -E2BIG;
}

static int
eal_add_memory(const struct dp_config *config)
{
	char text[16 * DP_NODES_MAX] = "";
	size_t len = 0;
	unsigned int node;

	for (node = 0; node < config->n_nodes && len < sizeof(text); node++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u",
					node == 0 ? "" : ",", config->memory_mib[node]);
	return eal_add("--socket-mem=%s", text);
}

static int
eal_add_words(const char *words)
{
	const char *blanks = " \t\n";
	char *copy, *word, *save;
	int ret = 0;

	copy = strdup(words);
	if (copy == NULL)
		return -ENOMEM;
	for (word = strtok_r(copy, blanks, &save); word != NULL && ret == 0;
	     word = strtok_r(NULL, blanks, &save))
		ret = eal_add("%s", word);
	free(copy);
	return ret;
}

static int
eal_build_args(const struct dp_config *config)
{
	int ret = 0;

	ret |= eal_add("sluiced");
	ret |= eal_add_lcores(config);
	ret |= eal_add("--main-lcore=0");
	ret |= eal_add_memory(config);
	ret |= eal_add("--in-memory");
	/* A vhost-user back-end takes 8 memory regions at most from net_virtio_user, as uplink. */
	ret |= eal_add("--single-file-segments");
	ret |= eal_add("--no-telemetry");
	ret |= eal_add("--file-prefix=%s", config->file_prefix);
	/* An allow list with nothing on it: no device is touched, and one may be added later. */
	ret |= eal_add("--allow=0000:00:00.0");
	ret |= eal_add("--log-level=%s", config->debug ? "info" : "warning");
	/* Else it warns of each size of hugepage that the machine could have and has not. */
	ret |= eal_add("--log-level=lib.eal:%s", config->debug ? "info" : "error");
	/* What a guest does wrong is told as an event; the library would say it again, per message. */
	ret |= eal_add("--log-level=lib.vhost.*:%s", config->debug ? "info" : "critical");
	/* That a back-end is gone; uplink_socket.c sees it, and the driver says it for each thing that it does then. */
	ret |= eal_add("--log-level=pmd.net.virtio.driver:%s", config->debug ? "info" : "critical");
	if (config->eal_args != NULL)
		ret |= eal_add_words(config->eal_args);
	return ret == 0 ? 0 : -EINVAL;
}

/* EAL makes itself directories below RUNTIME_DIRECTORY; as all memory is without files they stay
 * empty, and go again. */
static int
eal_init(const struct dp_config *config)
{
	char path[PATH_MAX];
	int ret;

	memcpy(eal.argv, eal.arg, sizeof(eal.arg));
	setenv("RUNTIME_DIRECTORY", config->run_dir, 1);
	eal.starting = true;
	ret = rte_eal_init(eal.argc, eal.argv);
	eal.starting = false;
	snprintf(path, sizeof(path), "%s/dpdk/%s", config->run_dir, config->file_prefix);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", config->run_dir);
	rmdir(path);
	return ret;
}

/*
 * Much of DPDK takes memory on the node of the thread that asks, and on no other: of a control thread
 * whose CPUs are all of one node. Where that node serves none, EAL is to believe that the thread floats
 * over others, too; then it looks wherever there is memory. EAL has no other way to be told.
 */
static void
eal_leave_node(const struct dp_config *config)
{
	unsigned int node = rte_socket_id();
	cpu_set_t home, all, more;

	if (node >= DP_NODES_MAX || config->memory_mib[node] > 0 ||
	    pthread_getaffinity_np(pthread_self(), sizeof(home), &home) != 0 ||
	    topology_read_online(&all, SYSFS_ROOT, NULL) < 0)
		return;
	CPU_OR(&more, &home, &all);
	if (rte_thread_set_affinity(&more) == 0)
		pthread_setaffinity_np(pthread_self(), sizeof(home), &home);
}

/* Which files the memory is in; the pages of a page list share one, and follow each other. */
static int
eal_note_file(const struct rte_memseg_list *list, const struct rte_memseg *page, void *arg)
{
	int fd;

	(void)arg;
	if (list->external)
		return 0;
	fd = rte_memseg_get_fd_thread_unsafe(page);
	if (fd >= 0 && eal.n_files < EAL_FILES_MAX &&
	    (eal.n_files == 0 || eal.file[eal.n_files - 1] != fd))
		eal.file[eal.n_files++] = fd;
	return 0;
}

/* EAL leaves its memory mapped until the process has ended: too late for us to take its hugepages out of
 * the kernel's pools. Without their files' contents they are free. */
static void
eal_free_pages(void)
{
	while (eal.n_files > 0) {
		if (ftruncate(eal.file[--eal.n_files], 0) < 0)
			break; /* they are free in a moment, anyway */
	}
}

/* The kernel has not given what the nodes are to have: which of them has no more, or else none. */
static int
eal_no_memory(const struct dp_config *config, struct err *err)
{
	struct hugepages pages = {0};
	unsigned int node;

	hugepages_read(&pages, NULL);
	for (node = 0; node < config->n_nodes; node++) {
		uint64_t kib = config->memory_mib[node] * UINT64_C(1024);

		if (hugepages_usable_kib(&pages, (int)node) < kib)
			return err_set_param(err, ENOMEM, "no-hugepages", "memory",
					     "DPDK could not get its hugepages: others have taken those "
					     "of node %u, or the kernel has promised to; reserve more "
					     "of them (sysctl vm.nr_hugepages) or ask for less with "
					     "--memory",
					     node);
		hugepages_use(&pages, (int)node, kib);
	}
	return err_set_param(err, ENOMEM, "no-hugepages", "memory",
			     "the kernel refuses hugepages to sluiced, though enough are free: %s",
			     MEMORY_REFUSED);
}

/*
 * The kernel makes the table of descriptors larger when the 64th, 256th ... is opened, and waits meanwhile, 10 ms
 * and more, for all CPUs to have let go of the old one if the process has threads: each of them would be a guest that is
 * served late, and all those behind it. Now there are none.
 */
#define EAL_FDS_MAX 16384 /* 1,024 guests with two rings each, and more; 8 bytes each */

static void
eal_widen_fd_table(void)
{
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC,
		   (int)RTE_MIN(limit.rlim_cur, (rlim_t)EAL_FDS_MAX) - 1);
	if (fd >= 0)
		close(fd);
}

int
eal_start(const struct dp_config *config, struct err *err)
{
	int error;

	eal_widen_fd_table();
	if (eal_build_args(config) < 0)
		return err_set_param(err, EINVAL, "bad-eal-args", "eal",
				     "the EAL arguments are too many (at most %d)", EAL_ARGS_MAX);
	/* librte_vhost notes each message of each guest at "info". */
	rte_log_set_global_level(config->debug ? RTE_LOG_INFO : RTE_LOG_WARNING);
	if (eal_init(config) >= 0) {
		eal_leave_node(config);
		return 0;
	}
	error = rte_errno;
	rte_memseg_walk(eal_note_file, NULL);
	eal_free_pages();
	if (error == ENOMEM)
		return eal_no_memory(config, err);
	return err_set_param(err, EINVAL, "bad-eal-args", "eal",
			     "DPDK's environment did not start (%s); its own message is above, "
			     "check --eal, --lcores and --memory",
			     rte_strerror(error));
}

void
eal_stop(void)
{
	rte_memseg_walk(eal_note_file, NULL);
	rte_eal_cleanup();
	eal_free_pages();
	while (eal.argc > 0)
		free(eal.arg[--eal.argc]);
}

const char *
dp_dpdk_version(void)
{
	return rte_version();
}
