/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_top.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/ctl_print.h"
#include "control/ctl_rate.h"
#include "control/ctl_rpc.h"
#include "control/ctl_table.h"
#include "control/ctl_text.h"
#include "control/ctl_tty.h"

#define ANSWER_TIMEOUT_MS 2000
#define FIRST_LOOK_MS 250 /* so that a live display has rates at once */

/* All that sluiced says at one time. */
struct look {
	json_t *version, *ports, *uplinks, *lcores;
	int64_t time_us;
};

/* A line of the display's first table. */
struct row {
	const json_t *port;
	bool is_uplink;
	struct ctl_rate rate;
};

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
look_free(struct look *look)
{
	json_decref(look->version);
	json_decref(look->ports);
	json_decref(look->uplinks);
	json_decref(look->lcores);
	*look = (struct look){0};
}

/* Asks for everything; opens the connection where there is none. After a failure there is none. */
static int
look_take(struct ctl_rpc *rpc, struct look *look, struct err *err)
{
	struct {
		const char *method;
		json_t **result;
	} questions[] = {
		{"daemon.version", &look->version},
		{"port.list", &look->ports},
		{"uplink.list", &look->uplinks},
		{"lcore.list", &look->lcores},
	};
	int rc = rpc->fd < 0 ? ctl_rpc_open(rpc, rpc->path, ANSWER_TIMEOUT_MS, err) : 0;

	*look = (struct look){.time_us = now_us()};
	for (size_t i = 0; rc == 0 && i < sizeof(questions) / sizeof(questions[0]); i++)
		rc = ctl_rpc_result(rpc, questions[i].method, NULL, ANSWER_TIMEOUT_MS,
				    questions[i].result, err);
	if (rc < 0) {
		look_free(look);
		ctl_rpc_close(rpc);
	}
	return rc;
}

static const json_t *
find_named(const json_t *list, const json_t *name)
{
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry) if (json_equal(json_object_get(entry, "name"),
							  name)) return entry;
	return NULL;
}

/* Fills a row for each entry of `after`. */
static void
fill_rows(struct row *rows, const json_t *before, const json_t *after, double seconds,
	  bool is_uplink)
{
	json_t *port;
	size_t i;

	json_array_foreach(after, i, port)
	{
		const json_t *old = find_named(before, json_object_get(port, "name"));

		rows[i] = (struct row){.port = port, .is_uplink = is_uplink};
		ctl_rate_between(json_object_get(old, "stats"), json_object_get(port, "stats"),
				 seconds, &rows[i].rate);
	}
}

static int
compare_busiest(const void *a, const void *b)
{
	const struct ctl_rate *x = &((const struct row *)a)->rate;
	const struct ctl_rate *y = &((const struct row *)b)->rate;
	double left = x->rx_pps + x->tx_pps + x->drops, right = y->rx_pps + y->tx_pps + y->drops;

	return (left < right) - (left > right);
}

static void
row_cells(struct ctl_table *table, const struct row *row)
{
	const struct ctl_rate *rate = &row->rate;
	const double numbers[] = {rate->rx_pps, rate->rx_bits, rate->tx_pps, rate->tx_bits};
	char *name = ctl_print_field(row->port, "name");
	char *bridge = ctl_print_field(row->port, "bridge");
	char *state = ctl_print_field(row->port, "state");
	enum ctl_colour drop_colour = rate->drops > 0 ? CTL_RED : CTL_PLAIN;
	char buf[CTL_TEXT_SIZE];

	ctl_table_cell(table, CTL_BOLD, "%s", name);
	ctl_table_cell(table, CTL_PLAIN, "%s", bridge);
	ctl_table_cell(table, ctl_print_state_colour(state), "%s%s",
		       row->is_uplink ? "uplink " : "", state);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		ctl_table_cell(table, CTL_PLAIN, "%s", ctl_text_scaled(buf, numbers[i]));
	ctl_table_cell(table, drop_colour, "%s", ctl_text_scaled(buf, rate->drops));
	ctl_table_cell(table, drop_colour, "%s%s%s", rate->reason ? rate->side : "",
		       rate->reason ? " " : "", rate->reason ? rate->reason : "");
	free(name);
	free(bridge);
	free(state);
}

/* At most `lines` rows (0: all); where they are not enough, the busiest. */
static void
print_ports(const struct ctl_screen *screen, struct row *rows, size_t n, size_t lines)
{
	static const struct ctl_column columns[] = {
		{.title = "PORT", .cut = true},
		{.title = "BRIDGE", .drop = 2},
		{.title = "STATE", .drop = 1},
		{.title = "RX PPS", .right = true},
		{.title = "RX BIT/S", .right = true},
		{.title = "TX PPS", .right = true},
		{.title = "TX BIT/S", .right = true},
		{.title = "DROPS/S", .right = true},
		{.title = "MOST BY"},
		{.title = NULL},
	};
	struct ctl_table *table;
	size_t shown = n;

	if (n == 0) {
		fprintf(screen->out,
			"no ports: `sluicectl port attach NAME --bridge BRIDGE` makes one\n");
		return;
	}
	if (lines > 0 && n > lines) {
		qsort(rows, n, sizeof(*rows), compare_busiest);
		shown = lines > 1 ? lines - 1 : 1;
	}
	table = ctl_table_create(columns);
	for (size_t i = 0; i < shown; i++)
		row_cells(table, &rows[i]);
	ctl_table_finish(table, screen);
	if (shown < n)
		fprintf(screen->out, "and %zu quieter ones\n", n - shown);
}

static void
print_lcores(const struct ctl_screen *screen, const json_t *lcores, size_t lines)
{
	static const struct ctl_column columns[] = {
		{.title = "LCORE", .right = true},  {.title = "CPU", .right = true},
		{.title = "NODE", .right = true},   {.title = "BUSY"},
		{.title = "", .right = true},	    {.title = "CYCLES/PKT", .right = true},
		{.title = "QUEUES", .right = true}, {.title = NULL},
	};
	static const char bar[] = "####################";
	size_t n = json_array_size(lcores);
	size_t shown = lines == 0 || n <= lines ? n : lines > 1 ? lines - 1 : 1;
	struct ctl_table *table = ctl_table_create(columns);

	for (size_t i = 0; i < shown; i++) {
		static const char *const keys[] = {"lcore", "cpu", "node"};
		const json_t *lcore = json_array_get(lcores, i);
		double busy = ctl_print_number(lcore, "busy_percent");
		double cycles = ctl_print_number(lcore, "cycles_per_packet");
		int full = busy <= 0 ? 0 : busy >= 100 ? 20 : (int)(busy / 5 + 0.5);
		enum ctl_colour colour = ctl_print_busy_colour(busy);

		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			char *text = ctl_print_field(lcore, keys[k]);

			ctl_table_cell(table, CTL_PLAIN, "%s", text);
			free(text);
		}
		ctl_table_cell(table, colour, "[%.*s%*s]", full, bar, 20 - full, "");
		ctl_table_cell(table, colour, "%.1f %%", busy);
		ctl_table_cell(table, CTL_PLAIN, cycles > 0 ? "%.0f" : "-", cycles);
		ctl_table_cell(table, CTL_PLAIN, "%zu",
			       json_array_size(json_object_get(lcore, "queues")));
	}
	ctl_table_finish(table, screen);
	if (shown < n)
		fprintf(screen->out, "and %zu more\n", n - shown);
}

static void
print_head(const struct ctl_screen *screen, const struct look *look)
{
	char *version = ctl_print_field(look->version, "version"), *safe = ctl_text_safe(version);
	char age[CTL_TEXT_SIZE], clock_text[16];
	time_t now = time(NULL);
	size_t up = 0, i;
	json_t *port;

	json_array_foreach(look->ports, i, port) up +=
		!strcmp(json_string_value(json_object_get(port, "state")) ?: "", "up");
	strftime(clock_text, sizeof(clock_text), "%H:%M:%S", localtime(&now));
	fprintf(screen->out, "%s  sluice %s, up for %s; %zu of %zu ports up\n", clock_text, safe,
		ctl_text_age(age, ctl_print_number(look->version, "uptime_s")), up,
		json_array_size(look->ports));
	fprintf(screen->out,
		"%srx: into the guest or from the wire; tx: the other way; drops are in neither%s\n\n",
		ctl_colour_on(screen, CTL_DIM), ctl_colour_off(screen, CTL_DIM));
	free(version);
	free(safe);
}

/* One block: what happened between two looks. */
static void
print_block(const struct ctl_screen *screen, const struct look *before, const struct look *after)
{
	double seconds = (after->time_us - before->time_us) / 1e6;
	size_t n_ports = json_array_size(after->ports), n_uplinks = json_array_size(after->uplinks);
	size_t n = n_ports + n_uplinks, n_lcores = json_array_size(after->lcores);
	struct row *rows = calloc(n + 1, sizeof(*rows));
	size_t port_lines = 0, lcore_lines = 0;

	if (!rows)
		errx(EXIT_FAILURE, "out of memory");
	if (screen->height > 0) {
		/* Head, blank lines, table heads, and the lines that tell what has no room. */
		size_t room = screen->height > 12 ? screen->height - 9 : 3;

		lcore_lines = n + n_lcores <= room || n_lcores <= room / 2 ? n_lcores : room / 2;
		if (n < room - lcore_lines)
			lcore_lines = room - n < n_lcores ? room - n : n_lcores;
		port_lines = room - lcore_lines;
	}
	fill_rows(rows, before->ports, after->ports, seconds, false);
	fill_rows(rows + n_ports, before->uplinks, after->uplinks, seconds, true);
	print_head(screen, after);
	print_ports(screen, rows, n, port_lines);
	fputc('\n', screen->out);
	print_lcores(screen, after->lcores, lcore_lines);
	free(rows);
}

/* Puts a finished text on the terminal in one go, without flicker; what has no room is left out. */
static void
show(const char *text, size_t height)
{
	fputs("\033[H", stdout);
	for (size_t i = 0; *text && i < height; i++) {
		size_t n = strcspn(text, "\n");

		/* Erased first: behind a full line the cursor still stands on its last column. */
		printf("%s\033[K%.*s", i > 0 ? "\r\n" : "", (int)n, text);
		text += n + (text[n] == '\n');
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}

static void
draw(const struct look *before, const struct look *after, const struct err *err)
{
	struct ctl_screen screen;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		errx(EXIT_FAILURE, "out of memory");
	ctl_screen_open(&screen, stdout);
	screen.out = out;
	if (err) {
		char *safe = ctl_text_safe(err->message);

		ctl_screen_wrap(&screen, 0, screen.width, safe);
		fprintf(out, "\ntrying again; q ends\n");
		free(safe);
	} else if (before->ports) {
		print_block(&screen, before, after);
		fprintf(out, "\n%sq ends%s\n", ctl_colour_on(&screen, CTL_DIM),
			ctl_colour_off(&screen, CTL_DIM));
	}
	if (fclose(out))
		errx(EXIT_FAILURE, "out of memory");
	show(text, screen.height);
	free(text);
}

/* The live display, until somebody ends it. */
static int
run_live(struct ctl_rpc *rpc, int interval_ms, struct err *err)
{
	struct look before = {0}, after = {0};
	enum ctl_tty_event event = CTL_TTY_TIMEOUT;
	struct ctl_tty tty;
	int64_t next_us = 0;
	int rc = look_take(rpc, &after, err);

	/* Who starts it where no sluiced is wants to know that, not to wait. */
	if (rc == 0)
		rc = ctl_tty_open(&tty, err);
	if (rc < 0) {
		look_free(&after);
		return rc;
	}
	next_us = after.time_us + FIRST_LOOK_MS * 1000;
	while (event != CTL_TTY_QUIT) {
		int64_t left_us = next_us - now_us();

		event = ctl_tty_wait(&tty, left_us > 0 ? left_us / 1000 + 1 : 0);
		if (event == CTL_TTY_TIMEOUT) {
			look_free(&before);
			before = after;
			rc = look_take(rpc, &after, err);
			next_us = now_us() + (int64_t)interval_ms * 1000;
		}
		if (event != CTL_TTY_QUIT)
			draw(&before, &after, rc < 0 ? err : NULL);
	}
	ctl_tty_close(&tty);
	look_free(&before);
	look_free(&after);
	return 0;
}

static int
run_plain(struct ctl_rpc *rpc, int interval_s, json_int_t count, struct err *err)
{
	struct ctl_screen screen = {.out = stdout};
	struct look before, after = {0};
	int rc = look_take(rpc, &before, err);

	for (json_int_t i = 0; rc == 0 && i < count; i++) {
		sleep(interval_s);
		rc = look_take(rpc, &after, err);
		if (rc < 0)
			break;
		if (i > 0)
			fputc('\n', stdout);
		print_block(&screen, &before, &after);
		fflush(stdout);
		look_free(&before);
		before = after;
	}
	look_free(&before);
	return rc;
}

int
ctl_top_run(const struct ctl_request *request, struct err *err)
{
	const json_t *interval = json_object_get(request->options, "interval");
	const json_t *count = json_object_get(request->options, "count");
	int interval_s = interval ? json_integer_value(interval) : 1;
	bool once = json_is_true(json_object_get(request->options, "once"));
	struct ctl_rpc rpc = {.fd = -1, .path = request->control};
	int rc;

	if (isatty(STDOUT_FILENO) && !count && !once)
		rc = run_live(&rpc, interval_s * 1000, err);
	else
		rc = run_plain(&rpc, interval_s, count && !once ? json_integer_value(count) : 1,
			       err);
	ctl_rpc_close(&rpc);
	return rc;
}
