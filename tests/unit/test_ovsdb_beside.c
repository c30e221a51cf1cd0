/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_beside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/log.h"

static struct event_base *base;
static struct ovsdb_beside b;
static char sent[300]; /* one word for each request */
static ovsdb_link_answer *answer;
static void *answer_arg;

int __wrap_ovsdb_link_request(struct ovsdb_link *link, const char *method, json_t *params,
			      ovsdb_link_answer *callback, void *arg);
int __wrap_ovsdb_link_transact(struct ovsdb_link *link, json_t *operations,
			       ovsdb_link_answer *callback, void *arg);

static void
note(const char *word)
{
	size_t len = strlen(sent);

	snprintf(sent + len, sizeof(sent) - len, "%s%s", len ? " " : "", word);
}

int
__wrap_ovsdb_link_request(struct ovsdb_link *link, const char *method, json_t *params,
			  ovsdb_link_answer *callback, void *arg)
{
	(void)link;
	assert_string_equal(json_string_value(json_array_get(params, 0)), "ovs_vswitchd");
	json_decref(params);
	note(method);
	if (callback) {
		answer = callback;
		answer_arg = arg;
	}
	return 0;
}

/* An answer: "=N", which must assert the lock first. */
int
__wrap_ovsdb_link_transact(struct ovsdb_link *link, json_t *operations, ovsdb_link_answer *callback,
			   void *arg)
{
	const json_t *first = json_array_get(operations, 0),
		     *second = json_array_get(operations, 1);
	char word[20];

	(void)link;
	(void)callback;
	(void)arg;
	assert_string_equal(json_string_value(json_object_get(first, "op")), "assert");
	assert_string_equal(json_string_value(json_object_get(first, "lock")), "ovs_vswitchd");
	snprintf(word, sizeof(word), "=%lld",
		 (long long)json_integer_value(json_object_get(json_object_get(second, "row"),
							       "cur_cfg")));
	json_decref(operations);
	note(word);
	return 0;
}

static void
assert_sent(const char *words)
{
	assert_string_equal(sent, words);
	sent[0] = '\0';
}

static void
locked(bool is)
{
	json_t *result = json_pack("{s:b}", "locked", is);

	assert_non_null(answer);
	answer(answer_arg, result, NULL);
	json_decref(result);
}

static int
setup(void **state)
{
	(void)state;
	log_start(-1);
	sent[0] = '\0';
	base = event_base_new();
	assert_int_equal(ovsdb_beside_init(&b, base, NULL), 0);
	ovsdb_beside_up(&b);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ovsdb_beside_clear(&b);
	event_base_free(base);
	return 0;
}

/* As if the time of its timer had come. */
static void
time_passes(void)
{
	assert_true(evtimer_pending(b.grace, NULL));
	event_active(b.grace, EV_TIMEOUT, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
without_vswitchd_we_answer(void **state)
{
	(void)state;
	ovsdb_beside_done(&b, 3, 2, false);
	assert_sent("lock =3");
	assert_false(ovsdb_beside_runs(&b));
	/* More to answer before the first is. */
	ovsdb_beside_done(&b, 4, 2, false);
	assert_sent("");
	locked(true);
	assert_sent("unlock lock =4");
	locked(true);
	assert_sent("unlock");
	ovsdb_beside_done(&b, 4, 4, false);
	assert_sent("");
	ovsdb_beside_done(&b, 5, 4, false);
	assert_sent("lock =5");
}

static void
with_vswitchd_it_answers(void **state)
{
	(void)state;
	ovsdb_beside_done(&b, 3, 3, false);
	assert_sent("lock");
	locked(false);
	assert_true(ovsdb_beside_runs(&b));
	ovsdb_beside_done(&b, 4, 3, false);
	ovsdb_beside_done(&b, 4, 3, true);
	assert_sent("");
	/* It ends: what it did not answer we do, unless it comes back soon. */
	ovsdb_beside_lock(&b, "locked", "somebody's");
	assert_sent("");
	ovsdb_beside_lock(&b, "locked", "ovs_vswitchd");
	assert_sent("unlock");
	ovsdb_beside_done(&b, 4, 3, false);
	assert_sent("");
	time_passes();
	assert_sent("lock =4");
	locked(true);
	assert_sent("unlock");
	assert_false(ovsdb_beside_runs(&b));
}

static void
one_that_came_is_noticed(void **state)
{
	(void)state;
	ovsdb_beside_done(&b, 3, 3, false);
	locked(true);
	assert_sent("lock unlock");
	ovsdb_beside_done(&b, 3, 3, false);
	assert_sent("");
	ovsdb_beside_done(&b, 3, 3, true);
	assert_sent("lock");
	locked(false);
	assert_true(ovsdb_beside_runs(&b));
}

/* A vswitchd that was there before the connection broke is not pushed aside when both come back. */
static void
after_a_broken_connection_it_is_let_in_first(void **state)
{
	(void)state;
	ovsdb_beside_done(&b, 3, 3, false);
	locked(false);
	assert_sent("lock");
	ovsdb_beside_down(&b);
	ovsdb_beside_up(&b);
	ovsdb_beside_done(&b, 5, 3, false);
	assert_sent("");
	assert_true(ovsdb_beside_runs(&b));
	time_passes();
	assert_sent("lock =5");
	locked(false);
	/* The time passes while there is no connection. */
	ovsdb_beside_lock(&b, "locked", "ovs_vswitchd");
	ovsdb_beside_down(&b);
	time_passes();
	assert_sent("unlock");
	ovsdb_beside_up(&b);
	ovsdb_beside_done(&b, 6, 5, false);
	assert_sent("");
	time_passes();
	assert_sent("lock =6");
}

static void
an_answer_that_was_lost_is_asked_for_again(void **state)
{
	(void)state;
	ovsdb_beside_done(&b, 3, 2, false);
	assert_sent("lock =3");
	ovsdb_beside_down(&b);
	ovsdb_beside_up(&b);
	ovsdb_beside_done(&b, 3, 2, false);
	assert_sent("lock =3");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_vswitchd_we_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(with_vswitchd_it_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_came_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(after_a_broken_connection_it_is_let_in_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_answer_that_was_lost_is_asked_for_again, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
