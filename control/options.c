/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/options.h"

#include <confuse.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/conffile.h"
#include "control/ids.h"
#include "control/log.h"
#include "control/ovsdb.h"
#include "numa/placement.h"

/* Beside the control socket lies the doorbell, whose name is longer by this. */
#define BESIDE_LEN_MAX 5
#define PARK_MIB_MAX (1 << 20)

struct key {
	const char *name;
	const char *arg; /* for --help */
	const char *help;
	int (*set)(struct options *o, const char *value, struct err *err);
	struct options_list *(*list)(struct options *o); /* NULL: one value */
};

#define REFUSE(key, err, ...) err_set_param(err, EINVAL, "bad-option", key, __VA_ARGS__)

static void
set_text(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
}

static int
list_append(struct options_list *list, const char *key, const char *value, struct err *err)
{
	if (list->n == OPTIONS_LIST_MAX)
		return REFUSE(key, err, "%s has more than %d entries", key, OPTIONS_LIST_MAX);
	list->word[list->n++] = strdup(value);
	return 0;
}

static void
list_clear(struct options_list *list)
{
	while (list->n)
		free(list->word[--list->n]);
}

static int
set_control(struct options *o, const char *value, struct err *err)
{
	if (!*value || strlen(value) + BESIDE_LEN_MAX >= DP_PATH_SIZE)
		return REFUSE("control", err, "control must be a path of 1 to %d bytes",
			      DP_PATH_SIZE - 1 - BESIDE_LEN_MAX);
	set_text(&o->control, value);
	return 0;
}

static int
set_socket_dir(struct options *o, const char *value, struct err *err)
{
	if (*value != '/')
		return REFUSE("socket-dir", err, "socket-dir \"%s\" must begin with /", value);
	return list_append(&o->socket_dirs, "socket-dir", value, err);
}

static struct options_list *
list_socket_dirs(struct options *o)
{
	return &o->socket_dirs;
}

static int
set_state_dir(struct options *o, const char *value, struct err *err)
{
	if (*value != '/' && strcmp(value, "none") != 0)
		return REFUSE("state-dir", err,
			      "state-dir \"%s\" must begin with /, or be \"none\"", value);
	set_text(&o->state_dir, value);
	return 0;
}

static int
set_lcores(struct options *o, const char *value, struct err *err)
{
	struct err why;

	if (placement_check_spec(value, &why) < 0)
		return REFUSE("lcores", err, "%s", why.message);
	set_text(&o->lcores, value);
	o->lcores_given = true;
	return 0;
}

static int
set_memory(struct options *o, const char *value, struct err *err)
{
	unsigned int n = 0, mib[DP_NODES_MAX];
	const char *at = value;

	if (!strcmp(value, "auto")) {
		o->n_memory = 0;
		return 0;
	}
	do {
		char *end;
		unsigned long size = strtoul(at, &end, 10);

		if (n == DP_NODES_MAX || end == at || *at < '0' || *at > '9' || size > 1 << 22 ||
		    (*end != ',' && *end != '\0'))
			return REFUSE("memory", err,
				      "memory must be \"auto\" or MiB for each node, such as"
				      " 512,512, not \"%s\"",
				      value);
		mib[n++] = size;
		at = end + (*end == ',');
		if (*end == ',' && !*at)
			return REFUSE("memory", err, "memory \"%s\" ends with a comma", value);
	} while (*at);
	o->n_memory = n;
	memcpy(o->memory_mib, mib, sizeof(mib));
	return 0;
}

/* One of two words; *second says which. */
static int
set_either(const char *key, const char *value, const char *word, const char *word2, bool *second,
	   struct err *err)
{
	if (strcmp(value, word) != 0 && strcmp(value, word2) != 0)
		return REFUSE(key, err, "%s must be \"%s\" or \"%s\", not \"%s\"", key, word, word2,
			      value);
	*second = !strcmp(value, word2);
	return 0;
}

static int
set_reserve_hugepages(struct options *o, const char *value, struct err *err)
{
	return set_either("reserve-hugepages", value, "no", "yes", &o->reserve_hugepages, err);
}

static int
set_park_memory(struct options *o, const char *value, struct err *err)
{
	unsigned int mib;
	char end;

	if (*value < '0' || *value > '9' || sscanf(value, "%7u%c", &mib, &end) != 1 ||
	    mib > PARK_MIB_MAX)
		return REFUSE("park-memory", err,
			      "park-memory must be MiB from 0 to %d, such as 64, not \"%s\"",
			      PARK_MIB_MAX, value);
	o->park_mib = mib;
	return 0;
}

static int
set_group(struct options *o, const char *value, struct err *err)
{
	gid_t gid;

	if (ids_group(value, &gid) < 0)
		return REFUSE("group", err, "there is no group \"%s\"; make it with groupadd %s",
			      value, value);
	set_text(&o->group, value);
	return 0;
}

static int
set_group_access(struct options *o, const char *value, struct err *err)
{
	return set_either("group-access", value, "all", "read", &o->group_reads_only, err);
}

static int
set_datapath(struct options *o, const char *value, struct err *err)
{
	return set_either("datapath", value, "direct", "library", &o->library, err);
}

static int
set_idle(struct options *o, const char *value, struct err *err)
{
	return set_either("idle", value, "sleep", "poll", &o->idle_poll, err);
}

static int
set_rebalance(struct options *o, const char *value, struct err *err)
{
	return set_either("rebalance", value, "auto", "off", &o->rebalance_off, err);
}

static int
set_ovsdb(struct options *o, const char *value, struct err *err)
{
	size_t len = strlen(value), prefix = strlen(OVSDB_TARGET_PREFIX);

	if (strncmp(value, OVSDB_TARGET_PREFIX, prefix) != 0 || value[prefix] != '/' ||
	    len - prefix >= DP_PATH_SIZE)
		return REFUSE("ovsdb", err,
			      "ovsdb must be " OVSDB_TARGET_PREFIX
			      "PATH with an absolute path of at"
			      " most %d bytes, such as unix:/run/openvswitch/db.sock, not \"%s\"",
			      DP_PATH_SIZE - 1, value);
	set_text(&o->ovsdb, value);
	return 0;
}

/* DPDK prints its help and ends the process. */
static bool
asks_for_help(const char *words)
{
	for (const char *at = words; *at; at += strcspn(at, " \t\n")) {
		at += strspn(at, " \t\n");
		if (!strncmp(at, "--he", 4) || (at[0] == '-' && at[1] == 'h'))
			return true;
	}
	return false;
}

static int
set_eal(struct options *o, const char *value, struct err *err)
{
	if (asks_for_help(value))
		return REFUSE("eal", err,
			      "eal must not ask DPDK for its help, which would end sluiced; see"
			      " the manual of DPDK for its arguments");
	set_text(&o->eal, value);
	return 0;
}

static int
set_log_level(struct options *o, const char *value, struct err *err)
{
	int level = log_level_of(value);

	if (level < 0)
		return REFUSE("log-level", err,
			      "log-level must be one of error warning notice info debug, not"
			      " \"%s\"",
			      value);
	o->log_level = level;
	return 0;
}

static int
set_socket_group(struct options *o, const char *value, struct err *err)
{
	gid_t gid;

	if (ids_group(value, &gid) < 0)
		return REFUSE("socket-group", err, "there is no group \"%s\"", value);
	set_text(&o->socket_group, value);
	return 0;
}

static int
set_socket_mode(struct options *o, const char *value, struct err *err)
{
	if (ids_mode(value, &o->socket_mode) < 0)
		return REFUSE("socket-mode", err,
			      "socket-mode must be octal permissions such as 0660, not \"%s\"",
			      value);
	return 0;
}

static int
set_peer_users(struct options *o, const char *value, struct err *err)
{
	uid_t uid;

	if (ids_user(value, &uid) < 0)
		return REFUSE("peer-users", err, "there is no user \"%s\"", value);
	return list_append(&o->peer_users, "peer-users", value, err);
}

static struct options_list *
list_peer_users(struct options *o)
{
	return &o->peer_users;
}

static const struct key keys[] = {
	{"control", "SOCKET", "control socket [" OPTIONS_CONTROL "]", set_control, NULL},
	{"socket-dir", "DIR",
	 "where guests' sockets may lie; may be repeated\n[" OPTIONS_SOCKET_DIR "]", set_socket_dir,
	 list_socket_dirs},
	{"state-dir", "DIR",
	 "where bridges and ports are remembered, or \"none\"\n[" OPTIONS_STATE_DIR "]",
	 set_state_dir, NULL},
	{"lcores", "LIST",
	 "CPUs that forward, such as 2-5, or \"auto\", or so many of\n"
	 "each memory node: auto:2, auto:2,0,1 [auto]",
	 set_lcores, NULL},
	{"memory", "MiB[,MiB...]", "hugepage memory for each node, or \"auto\" [auto]", set_memory,
	 NULL},
	{"reserve-hugepages", "yes|no",
	 "have the kernel reserve the hugepages that lack, and\ngive them back in the end [no]",
	 set_reserve_hugepages, NULL},
	{"park-memory", "MiB", "most memory for frames of guests between two hosts [64]",
	 set_park_memory, NULL},
	{"group", "NAME", "group that may use the control socket [" OPTIONS_GROUP "]", set_group,
	 NULL},
	{"group-access", "all|read", "what that group may do [all]", set_group_access, NULL},
	{"datapath", "direct|library",
	 "who handles guests' rings: sluice, or DPDK's library [direct]", set_datapath, NULL},
	{"idle", "poll|sleep", "what a CPU without work does [sleep]", set_idle, NULL},
	{"rebalance", "auto|off", "queues of a CPU that has too much go to others [auto]",
	 set_rebalance, NULL},
	{"ovsdb", "unix:PATH",
	 "Open_vSwitch database whose bridges of datapath_type sluice\nare served [none]",
	 set_ovsdb, NULL},
	{"eal", "\"ARGS\"", "more arguments for DPDK's EAL", set_eal, NULL},
	{"log-level", "LEVEL", "error, warning, notice, info or debug [info]", set_log_level, NULL},
	{"socket-group", "NAME", "group of guests' sockets [" OPTIONS_SOCKET_GROUP "]",
	 set_socket_group, NULL},
	{"socket-mode", "MODE", "permissions of guests' sockets [0660]", set_socket_mode, NULL},
	{"peer-users", "USER", "user who may open guests' sockets; may be repeated\n[all]",
	 set_peer_users, list_peer_users},
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

/* Where the callbacks of libconfuse, which hands no argument through, find their work. Set only
 * while file_read() runs; control thread. */
static struct reading {
	struct options *options;
	const char *file;
	struct err *err;
	unsigned int taken[N_KEYS]; /* how many values */
	bool complete[N_KEYS];
	bool failed;
} * reading;

/* The first complaint counts; what follows is its echo. */
static void
file_error_cb(cfg_t *cfg, const char *fmt, va_list args)
{
	char text[400];

	if (reading->failed)
		return;
	reading->failed = true;
	vsnprintf(text, sizeof(text), fmt, args);
	err_set(reading->err, EINVAL, "bad-option", "%s:%d: %s", reading->file, cfg->line, text);
}

/* Called after a value; in a list after each of them, and once more at its end. */
static int
file_value_cb(cfg_t *cfg, cfg_opt_t *opt)
{
	struct err err;

	for (size_t k = 0; k < N_KEYS; k++) {
		if (strcmp(keys[k].name, cfg_opt_name(opt)) != 0)
			continue;
		if (reading->complete[k]) {
			cfg_error(cfg, "%s is given twice", keys[k].name);
			return -1;
		}
		reading->complete[k] = !keys[k].list || reading->taken[k] == cfg_opt_size(opt);
		for (; reading->taken[k] < cfg_opt_size(opt); reading->taken[k]++) {
			const char *value = cfg_opt_getnstr(opt, reading->taken[k]);

			if (keys[k].set(reading->options, value, &err) < 0) {
				cfg_error(cfg, "%s", err.message);
				return -1;
			}
		}
	}
	return 0;
}

/* Returns 0 or -errno: the file cannot be read, or something in it is refused. */
static int
file_read(struct options *o, const char *file, struct err *err)
{
	struct reading state = {.options = o, .file = file, .err = err};
	cfg_opt_t opts[N_KEYS + 1] = {0};
	cfg_t *cfg;
	char *text;
	int rc = 0;

	text = conffile_read(file, err);
	if (!text)
		return -EINVAL;
	for (size_t k = 0; k < N_KEYS; k++) {
		cfg_opt_t one = CFG_STR(keys[k].name, NULL, CFGF_NODEFAULT);
		cfg_opt_t many = CFG_STR_LIST(keys[k].name, NULL, CFGF_NODEFAULT);

		opts[k] = keys[k].list ? many : one;
	}
	opts[N_KEYS] = (cfg_opt_t)CFG_END();
	cfg = cfg_init(opts, CFGF_NONE);
	reading = &state;
	cfg_set_error_function(cfg, file_error_cb);
	for (size_t k = 0; k < N_KEYS; k++)
		cfg_set_validate_func(cfg, keys[k].name, file_value_cb);
	if (cfg_parse_buf(cfg, text) != CFG_SUCCESS) {
		rc = -EINVAL;
		if (!state.failed)
			err_set(err, EINVAL, "bad-option", "%s cannot be parsed", file);
	}
	reading = NULL;
	cfg_free(cfg);
	free(text);
	return rc;
}

/* The help of a key may have several lines; each is put under the first. */
static void
help_line(const char *option, const char *text)
{
	while (*text) {
		int n = strcspn(text, "\n");

		printf("  %-28s %.*s\n", option, n, text);
		text += n + (text[n] == '\n');
		option = "";
	}
}

static void
help(void)
{
	char option[64];

	printf("Usage: sluiced [OPTION]...\n"
	       "Switch between the vhost-user ports of virtual machines and uplinks.\n\n"
	       "Stays in the foreground; SIGTERM stops it. Steer it with sluicectl.\n\n");
	help_line("-c, --config FILE", "configuration file [" OPTIONS_FILE " if it is there]");
	help_line("    --config-check", "check everything that can be, start nothing");
	for (size_t k = 0; k < N_KEYS; k++) {
		snprintf(option, sizeof(option), "    --%s %s", keys[k].name, keys[k].arg);
		help_line(option, keys[k].help);
	}
	help_line("    --version", "print the version");
	help_line("-h, --help", "print this");
	printf("\nAll but the first two and the last two are keys of the configuration file, too:\n"
	       "sluice.conf(5). The command line wins.\n\n"
	       "Try it:  sluiced --control /tmp/sluice.sock --socket-dir /tmp --state-dir none\n"
	       "Exit status: 0 stopped in order; 1 could not start or go on; 2 wrong command line\n"
	       "or configuration.\n");
}

enum {
	OPT_CHECK = 1000,
	OPT_VERSION,
	OPT_KEY
};

static void
long_options(struct option *opts)
{
	*opts++ = (struct option){"config", required_argument, NULL, 'c'};
	*opts++ = (struct option){"config-check", no_argument, NULL, OPT_CHECK};
	*opts++ = (struct option){"version", no_argument, NULL, OPT_VERSION};
	*opts++ = (struct option){"help", no_argument, NULL, 'h'};
	for (size_t k = 0; k < N_KEYS; k++)
		*opts++ = (struct option){keys[k].name, required_argument, NULL, OPT_KEY + k};
	*opts = (struct option){0};
}

/* What the command line says, before any value is looked at. */
struct command_line {
	const char *file;
	const char *stray; /* a word that belongs to no option, or NULL */
	bool check, help, version;
	unsigned int n;
	struct {
		unsigned int key;
		const char *value;
	} * value;
};

static int
command_line_read(struct command_line *line, int argc, char **argv, struct err *err)
{
	struct option opts[N_KEYS + 5];
	int c;

	long_options(opts);
	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, ":c:h", opts, NULL)) != -1) {
		if (c == 'c') {
			line->file = optarg;
		} else if (c == 'h') {
			line->help = true;
		} else if (c == OPT_CHECK) {
			line->check = true;
		} else if (c == OPT_VERSION) {
			line->version = true;
		} else if (c >= OPT_KEY) {
			line->value[line->n].key = c - OPT_KEY;
			line->value[line->n++].value = optarg;
		} else {
			return err_set(err, EINVAL, "bad-option", "%s %s; see sluiced --help",
				       argv[optind - 1],
				       c == ':' ? "needs a value" : "is no option of sluiced");
		}
	}
	line->stray = argv[optind];
	return 0;
}

static int
command_line_apply(struct options *o, const struct command_line *line, struct err *err)
{
	bool seen[N_KEYS] = {false};

	for (unsigned int i = 0; i < line->n; i++) {
		const struct key *key = &keys[line->value[i].key];

		/* A list of the command line takes the place of the file's. */
		if (key->list && !seen[line->value[i].key])
			list_clear(key->list(o));
		seen[line->value[i].key] = true;
		if (key->set(o, line->value[i].value, err) < 0)
			return -EINVAL;
	}
	/* Last, since a word is often left over because the value before it is missing. */
	if (line->stray)
		return err_set(err, EINVAL, "bad-option",
			       "\"%s\" stands alone: sluiced takes options only; see sluiced --help",
			       line->stray);
	return 0;
}

enum options_verdict
options_parse(struct options *o, int argc, char **argv, struct err *err)
{
	struct command_line line = {.value = calloc(argc + 1, sizeof(*line.value))};
	enum options_verdict verdict = OPTIONS_BAD;

	*o = (struct options){
		.control = strdup(OPTIONS_CONTROL),
		.state_dir = strdup(OPTIONS_STATE_DIR),
		.lcores = strdup("auto"),
		.eal = strdup(""),
		.park_mib = 64,
		.log_level = LOG_INFO,
		.socket_mode = 0660,
	};
	if (!line.value || command_line_read(&line, argc, argv, err) < 0)
		goto out;
	if (line.help || line.version) {
		if (line.help)
			help();
		else
			printf("sluiced %s (%s)\n", SLUICE_VERSION, dp_dpdk_version());
		verdict = OPTIONS_DONE;
		goto out;
	}
	if (!line.file && access(OPTIONS_FILE, F_OK) == 0)
		line.file = OPTIONS_FILE;
	if (line.file && file_read(o, line.file, err) < 0)
		goto out;
	if (command_line_apply(o, &line, err) < 0)
		goto out;
	o->config_check = line.check;
	if (!o->socket_dirs.n)
		list_append(&o->socket_dirs, "socket-dir", OPTIONS_SOCKET_DIR, err);
	verdict = OPTIONS_GO;
out:
	free(line.value);
	return verdict;
}

void
options_free(struct options *o)
{
	list_clear(&o->socket_dirs);
	list_clear(&o->peer_users);
	free(o->control);
	free(o->state_dir);
	free(o->lcores);
	free(o->ovsdb);
	free(o->group);
	free(o->eal);
	free(o->socket_group);
	*o = (struct options){0};
}
