/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_migration.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "control/ctl_print.h"
#include "control/ctl_rpc.h"
#include "control/ctl_text.h"
#include "control/schema.h"

#define ANSWER_TIMEOUT_MS 10000
#define EVENT_TYPES SCHEMA_MIGRATION_EVENT_TYPES " port.up port.down"
#define NS_OF_MS 1e6

/* What the watch has seen of a port. */
struct seen {
	STAILQ_ENTRY(seen) link;
	char *name;
	int64_t away_ns; /* frames were parked from here on; 0: they never were */
	int64_t back_ns; /* and went somewhere; 0: not yet */
	bool moved; /* all of them, to where the guest is */
	double longest_ms; /* of the times before */
	unsigned int absences;
	uint64_t unparked, redirected, expired;
};

struct ctl_timeline {
	const struct ctl_screen *screen;
	int64_t first_ns, last_ns; /* 0: there was no event yet */
	STAILQ_HEAD(, seen) ports;
};

struct ctl_timeline *
ctl_timeline_create(const struct ctl_screen *screen)
{
	struct ctl_timeline *timeline = calloc(1, sizeof(*timeline));

	if (!timeline)
		errx(EXIT_FAILURE, "out of memory");
	timeline->screen = screen;
	STAILQ_INIT(&timeline->ports);
	return timeline;
}

void
ctl_timeline_destroy(struct ctl_timeline *timeline)
{
	struct seen *seen;

	while ((seen = STAILQ_FIRST(&timeline->ports))) {
		STAILQ_REMOVE_HEAD(&timeline->ports, link);
		free(seen->name);
		free(seen);
	}
	free(timeline);
}

static struct seen *
seen_of(struct ctl_timeline *timeline, const char *name)
{
	struct seen *seen;

	STAILQ_FOREACH(seen, &timeline->ports, link)
		if (!strcmp(seen->name, name))
			return seen;
	seen = calloc(1, sizeof(*seen));
	if (!seen)
		errx(EXIT_FAILURE, "out of memory");
	seen->name = ctl_text_safe(name);
	STAILQ_INSERT_TAIL(&timeline->ports, seen, link);
	return seen;
}

/* The longest time that frames had to wait. */
static double
longest_ms(const struct seen *seen)
{
	double ms = seen->back_ns ? (seen->back_ns - seen->away_ns) / NS_OF_MS : 0;

	return ms > seen->longest_ms ? ms : seen->longest_ms;
}

static void
goes_away(struct seen *seen, int64_t time_ns)
{
	/* A guest that is drained first and then stops is away once. */
	if (seen->away_ns && !seen->back_ns)
		return;
	seen->longest_ms = longest_ms(seen);
	seen->away_ns = time_ns;
	seen->back_ns = 0;
	seen->moved = false;
	seen->absences++;
}

/* The last of several signs counts: the rings run, then the frames are out. */
static void
comes_back(struct seen *seen, int64_t time_ns, bool moved)
{
	if (seen->away_ns && !seen->moved)
		seen->back_ns = time_ns;
	seen->moved |= moved;
}

/* How many frames an event says, as people read it, or "no". */
static const char *
frames(char *buf, const json_t *event, const char *key)
{
	uint64_t n = ctl_print_count(event, key);

	return n ? ctl_text_count(buf, n) : "no";
}

static char *
say_drain(const char *type, const json_t *event)
{
	const char *word = json_string_value(json_object_get(event, "then")) ?: "";
	const char *reason = json_string_value(json_object_get(event, "reason")) ?: "";
	char buf[CTL_TEXT_SIZE];

	if (!strcmp(type, "port.draining"))
		return ctl_text_format("draining: what its guest has queued goes out, then what is"
				       " for it is %s; %s ms at most",
				       !strcmp(word, "drop") ? "dropped" : "parked",
				       ctl_text_count(buf, ctl_print_count(event, "timeout_ms")));
	if (!strcmp(type, "port.drained"))
		return ctl_text_format("drained: %s frames of its guest went out; its memory is left"
				       " alone",
				       frames(buf, event, "forwarded"));
	return ctl_text_format("resumed, %s", !strcmp(reason, "drain-timeout") ?
						      "as it was NOT DRAINED in time" :
						      "as somebody asked");
}

static char *
say_parking(const json_t *event)
{
	char ms[CTL_TEXT_SIZE], n[CTL_TEXT_SIZE];

	return ctl_text_format("parking: its guest is away; %s frames and %s ms at most",
			       ctl_text_count(n, ctl_print_count(event, "park_frames")),
			       ctl_text_count(ms, ctl_print_count(event, "park_ms")));
}

/* What happened, in words, not yet safe. Freed by the caller. */
static char *
say(const char *type, const json_t *event)
{
	char *text = NULL, buf[CTL_TEXT_SIZE];
	char *mac = ctl_print_field(event, "mac");
	char *to = ctl_print_field(event, json_object_get(event, "uplink") ? "uplink" : "to");

	if (!strcmp(type, "port.draining") || !strcmp(type, "port.drained") ||
	    !strcmp(type, "port.resumed"))
		text = say_drain(type, event);
	else if (!strcmp(type, "port.parking"))
		text = say_parking(event);
	else if (!strcmp(type, "port.unparked"))
		text = ctl_text_format("unparked: %s parked frames went to its guest",
				       frames(buf, event, "frames"));
	else if (!strcmp(type, "port.moved"))
		text = ctl_text_format("moved: %s is at %s now", mac, to);
	else if (!strcmp(type, "port.redirected"))
		text = ctl_text_format("redirected: %s parked frames went after its guest",
				       frames(buf, event, "frames"));
	else if (!strcmp(type, "port.park_expired"))
		text = ctl_text_format("EXPIRED: %s parked frames were DROPPED, as its guest was not"
				       " heard of in time",
				       frames(buf, event, "frames"));
	else if (!strcmp(type, "port.incoming_up"))
		text = ctl_text_format("arrived: its guest runs on this host now");
	else if (!strcmp(type, "port.announced"))
		text = ctl_text_format("announced: %s is here (%d of %d)", mac,
				       (int)ctl_print_count(event, "round"),
				       (int)ctl_print_count(event, "rounds"));
	else if (!strcmp(type, "port.up"))
		text = ctl_text_format("up: its rings run");
	else if (!strcmp(type, "port.down"))
		text = ctl_text_format("down: its rings have stopped");
	else
		text = ctl_text_format("%s", type);
	free(mac);
	free(to);
	return text;
}

static enum ctl_colour
colour_of(const char *type, const json_t *event)
{
	const char *reason = json_string_value(json_object_get(event, "reason")) ?: "";

	if (!strcmp(type, "port.park_expired") || !strcmp(reason, "drain-timeout"))
		return CTL_RED;
	if (!strcmp(type, "port.unparked") || !strcmp(type, "port.redirected") ||
	    !strcmp(type, "port.incoming_up"))
		return CTL_GREEN;
	return CTL_PLAIN;
}

static void
count(struct seen *seen, const char *type, const json_t *event, int64_t time_ns)
{
	static const char *const back[] = {"port.up", "port.resumed", "port.moved", "port.unparked",
					   "port.redirected"};
	uint64_t n = ctl_print_count(event, "frames");

	if (!strcmp(type, "port.parking") || !strcmp(type, "port.drained"))
		goes_away(seen, time_ns);
	for (size_t i = 0; i < sizeof(back) / sizeof(back[0]); i++)
		if (!strcmp(type, back[i]))
			comes_back(seen, time_ns, !strcmp(type, "port.moved"));
	if (!strcmp(type, "port.unparked"))
		seen->unparked += n;
	else if (!strcmp(type, "port.redirected"))
		seen->redirected += n;
	else if (!strcmp(type, "port.park_expired"))
		seen->expired += n;
}

/* What the first column counts from. */
static void
print_head(const struct ctl_timeline *timeline)
{
	const struct ctl_screen *screen = timeline->screen;
	time_t time_s = timeline->first_ns / 1000000000;
	char when[32];

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&time_s));
	fprintf(screen->out, "%s0 is %s.%06lld%s\n", ctl_colour_on(screen, CTL_DIM), when,
		(long long)(timeline->first_ns % 1000000000 / 1000),
		ctl_colour_off(screen, CTL_DIM));
	fprintf(screen->out, "%s%12s %10s  %-12s WHAT%s\n", ctl_colour_on(screen, CTL_BOLD), "MS",
		"LATER BY", "PORT", ctl_colour_off(screen, CTL_BOLD));
}

void
ctl_timeline_event(struct ctl_timeline *timeline, const json_t *event)
{
	const struct ctl_screen *screen = timeline->screen;
	int64_t time_ns = json_integer_value(json_object_get(event, "time_ns"));
	const char *type = json_string_value(json_object_get(event, "type")) ?: "-";
	const char *name = json_string_value(json_object_get(event, "port")) ?: "-";
	struct seen *seen = seen_of(timeline, name);
	enum ctl_colour colour = colour_of(type, event);
	char *text = say(type, event), *safe = ctl_text_safe(text);

	if (!timeline->first_ns) {
		timeline->first_ns = timeline->last_ns = time_ns;
		print_head(timeline);
	}
	fprintf(screen->out, "%12.3f %10.3f  %-12s %s%s%s\n",
		(time_ns - timeline->first_ns) / NS_OF_MS, (time_ns - timeline->last_ns) / NS_OF_MS,
		seen->name, ctl_colour_on(screen, colour), safe, ctl_colour_off(screen, colour));
	timeline->last_ns = time_ns;
	count(seen, type, event, time_ns);
	free(safe);
	free(text);
}

static void
summary_row(struct ctl_table *table, const struct seen *seen)
{
	const uint64_t counts[] = {seen->unparked, seen->redirected, seen->expired};
	char buf[CTL_TEXT_SIZE];

	ctl_table_cell(table, CTL_BOLD, "%s", seen->name);
	ctl_table_cell(table, CTL_PLAIN, "%u", seen->absences);
	if (seen->away_ns && !seen->back_ns)
		ctl_table_cell(table, CTL_YELLOW, "still away");
	else
		ctl_table_cell(table, CTL_PLAIN, seen->absences ? "%.3f" : "-", longest_ms(seen));
	for (size_t i = 0; i < 3; i++)
		ctl_table_cell(table, i == 2 && counts[i] ? CTL_RED : CTL_PLAIN, "%s",
			       ctl_text_count(buf, counts[i]));
}

void
ctl_timeline_summary(const struct ctl_timeline *timeline)
{
	static const struct ctl_column columns[] = {
		{.title = "PORT"},
		{.title = "TIMES AWAY", .right = true},
		{.title = "LONGEST MS", .right = true},
		{.title = "UNPARKED", .right = true},
		{.title = "REDIRECTED", .right = true},
		{.title = "EXPIRED", .right = true},
		{.title = NULL},
	};
	const struct seen *seen;
	struct ctl_table *table;

	if (STAILQ_EMPTY(&timeline->ports)) {
		fprintf(timeline->screen->out, "nothing happened\n");
		return;
	}
	table = ctl_table_create(columns);
	STAILQ_FOREACH(seen, &timeline->ports, link)
		summary_row(table, seen);
	fputc('\n', timeline->screen->out);
	ctl_table_finish(table, timeline->screen);
}

static int
subscribe(struct ctl_rpc *rpc, struct err *err)
{
	json_t *types = json_array(), *params = json_pack("{s:o}", "types", types), *result = NULL;
	int rc;

	for (const char *at = EVENT_TYPES; *at; at += strspn(at, " ")) {
		size_t len = strcspn(at, " ");

		json_array_append_new(types, json_stringn(at, len));
		at += len;
	}
	rc = ctl_rpc_result(rpc, "events.subscribe", params, ANSWER_TIMEOUT_MS, &result, err);
	json_decref(params);
	json_decref(result);
	return rc;
}

/* Whether the command line asks for this port. */
static bool
is_wanted(const struct ctl_request *request, const json_t *port)
{
	const json_t *wanted = json_object_get(request->params, "ports");
	json_t *name;
	size_t i;

	json_array_foreach(wanted, i, name) if (json_equal(name, port)) return true;
	return !wanted;
}

/* Where the ports that were named are now: one that is not there may be misspelt. */
static int
print_start(const struct ctl_screen *screen, const struct ctl_request *request, struct ctl_rpc *rpc,
	    struct err *err)
{
	json_t *list, *name, *port;
	size_t i, k;
	int rc = ctl_rpc_result(rpc, "port.list", NULL, ANSWER_TIMEOUT_MS, &list, err);

	if (rc < 0)
		return rc;
	json_array_foreach(json_object_get(request->params, "ports"), i, name)
	{
		const char *state = "not there; it is watched for";
		char *text, *safe;

		json_array_foreach(list, k,
				   port) if (json_equal(name, json_object_get(port, "name")))
			state = json_string_value(json_object_get(port, "state")) ?: "-";
		text = ctl_text_format("port %s is %s", json_string_value(name), state);
		safe = ctl_text_safe(text);
		fprintf(screen->out, "%s\n", safe);
		free(safe);
		free(text);
	}
	json_decref(list);
	return 0;
}

static int
flush(FILE *out, struct err *err)
{
	return fflush(out) == EOF ? err_set(err, EPIPE, "output", "cannot write the output") : 0;
}

/* Takes events until a signal (0) or a failure. */
static int
follow(const struct ctl_request *request, struct ctl_rpc *rpc, struct ctl_timeline *timeline,
       struct err *err)
{
	FILE *out = timeline->screen->out;

	for (;;) {
		json_t *message;
		const json_t *event;
		int rc = flush(out, err);

		if (rc == 0)
			rc = ctl_rpc_next(rpc, &message, err);
		if (rc < 0)
			return rc == -EINTR ? 0 : rc;
		event = json_object_get(message, "params");
		if (is_wanted(request, json_object_get(event, "port"))) {
			if (request->json)
				ctl_print_json(out, event, true);
			else
				ctl_timeline_event(timeline, event);
		}
		json_decref(message);
	}
}

/* SIGINT and SIGTERM as a descriptor: they end the watch, not the program. */
static int
signals_open(struct err *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "signalfd", "cannot watch for signals: %s",
			       strerror(errno));
	sigprocmask(SIG_BLOCK, &set, NULL);
	return fd;
}

int
ctl_migration_watch(const struct ctl_screen *screen, const struct ctl_request *request,
		    struct err *err)
{
	struct ctl_timeline *timeline;
	struct ctl_rpc rpc;
	int rc = ctl_rpc_open(&rpc, request->control, ANSWER_TIMEOUT_MS, err);

	if (rc < 0)
		return rc;
	if (!request->json)
		rc = print_start(screen, request, &rpc, err);
	if (rc == 0)
		rc = subscribe(&rpc, err);
	if (rc == 0) {
		rpc.stop_fd = signals_open(err);
		rc = rpc.stop_fd < 0 ? rpc.stop_fd : 0;
	}
	if (rc == 0) {
		timeline = ctl_timeline_create(screen);
		rc = follow(request, &rpc, timeline, err);
		if (!request->json)
			ctl_timeline_summary(timeline);
		ctl_timeline_destroy(timeline);
		close(rpc.stop_fd);
	}
	ctl_rpc_close(&rpc);
	return rc;
}
