/* SPDX-License-Identifier: BSD-3-Clause */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl_migration.h"

static struct ctl_timeline *timeline;
static struct ctl_screen screen;
static char *text;
static size_t size;

static int
setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	screen.out = open_memstream(&text, &size);
	timeline = ctl_timeline_create(&screen);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ctl_timeline_destroy(timeline);
	fclose(screen.out);
	free(text);
	return 0;
}

/* An event so many microseconds after 2001-09-09 01:46:40 UTC; ' stands for ". */
static void
happen(json_int_t us, const char *type, const char *port, const char *facts)
{
	char json[200];
	json_t *event;

	snprintf(json, sizeof(json), "{%s}", facts);
	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	event = json_loads(json, 0, NULL);
	assert_non_null(event);
	json_object_set_new(event, "time_ns",
			    json_integer(INT64_C(1000000000000000000) + us * 1000));
	json_object_set_new(event, "type", json_string(type));
	json_object_set_new(event, "port", json_string(port));
	ctl_timeline_event(timeline, event);
	json_decref(event);
}

static void
assert_printed(const char *expected)
{
	fflush(screen.out);
	assert_string_equal(text, expected);
	rewind(screen.out);
}

/* The row of the port in the summary has these words. */
static void
assert_summary(const char *port, const char *expected)
{
	char row[200] = "", *at;

	fflush(screen.out);
	rewind(screen.out);
	ctl_timeline_summary(timeline);
	fflush(screen.out);
	for (char *line = strtok_r(text, "\n", &at); line; line = strtok_r(NULL, "\n", &at))
		if (!strncmp(line, port, strlen(port)))
			for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
				snprintf(row + strlen(row), sizeof(row) - strlen(row), "%s%s",
					 *row ? " " : "", word);
	assert_string_equal(row, expected);
}

static void
a_migration_reads_as_a_timeline(void **state)
{
	(void)state;
	happen(0, "port.draining", "vm1", "'then': 'park', 'timeout_ms': 1000");
	happen(1204, "port.drained", "vm1", "'forwarded': 12, 'parked': 0");
	happen(48770, "port.parking", "vm1", "'park_ms': 2000, 'park_frames': 16384");
	happen(50000, "port.announced", "vm2",
	       "'mac': ['02:00:00:00:00:02'], 'round': 1, 'rounds': 6");
	happen(113201, "port.moved", "vm1", "'uplink': 'up0', 'mac': ['02:00:00:00:00:01']");
	happen(113240, "port.redirected", "vm1", "'frames': 1065");
	assert_printed(
		"0 is 2001-09-09 01:46:40.000000\n"
		"          MS   LATER BY  PORT         WHAT\n"
		"       0.000      0.000  vm1          draining: what its guest has queued goes out, then"
		" what is for it is parked; 1,000 ms at most\n"
		"       1.204      1.204  vm1          drained: 12 frames of its guest went out; its"
		" memory is left alone\n"
		"      48.770     47.566  vm1          parking: its guest is away; 16,384 frames and"
		" 2,000 ms at most\n"
		"      50.000      1.230  vm2          announced: 02:00:00:00:00:02 is here (1 of 6)\n"
		"     113.201     63.201  vm1          moved: 02:00:00:00:00:01 is at up0 now\n"
		"     113.240      0.039  vm1          redirected: 1,065 parked frames went after its"
		" guest\n");
}

static void
the_summary_says_how_long_a_guest_was_away(void **state)
{
	(void)state;
	happen(0, "port.parking", "vm1", "");
	happen(70000, "port.up", "vm1", "");
	happen(70500, "port.unparked", "vm1", "'frames': 7");
	happen(100000, "port.drained", "vm1", "");
	happen(110000, "port.parking", "vm1", "");
	happen(150000, "port.redirected", "vm1", "'frames': 2000");
	happen(150100, "port.moved", "vm1", "");
	/* It is not away any more, whatever else is there for it. */
	happen(900000, "port.redirected", "vm1", "'frames': 1");
	assert_summary("vm1", "vm1 2 70.500 7 2,001 0");
}

static void
the_summary_says_who_did_not_come_back(void **state)
{
	(void)state;
	happen(0, "port.parking", "vm1", "");
	happen(2000000, "port.park_expired", "vm1", "'frames': 9");
	happen(2000000, "port.incoming_up", "vm2", "");
	assert_summary("vm1", "vm1 1 still away 0 0 9");
	assert_summary("vm2", "vm2 0 - 0 0 0");
}

static void
a_drain_that_fails_is_told(void **state)
{
	(void)state;
	happen(0, "port.resumed", "vm1", "'reason': 'drain-timeout'");
	fflush(screen.out);
	assert_non_null(strstr(text, "NOT DRAINED"));
}

static void
nothing_steers_the_terminal(void **state)
{
	(void)state;
	happen(0, "port.\033[2J", "vm\0331", "");
	fflush(screen.out);
	assert_null(strchr(text, '\033'));
}

static void
when_nothing_happens_it_says_so(void **state)
{
	(void)state;
	ctl_timeline_summary(timeline);
	assert_printed("nothing happened\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_migration_reads_as_a_timeline),
		TEST(the_summary_says_how_long_a_guest_was_away),
		TEST(the_summary_says_who_did_not_come_back),
		TEST(a_drain_that_fails_is_told),
		TEST(nothing_steers_the_terminal),
		TEST(when_nothing_happens_it_says_so),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
