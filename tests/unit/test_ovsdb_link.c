/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/ovsdb_wire.h"
#include "tests/unit/ovsdb_fixture.h"

/* What answers came: "ok JSON" or "error JSON", one behind the other. */
static char answers[1000];
static unsigned int downs_seen; /* of `downs`, by assert_refused() */

static void
answer_cb(void *arg, const json_t *result, const json_t *error)
{
	char *text = json_dumps(result ? result : error, JSON_COMPACT | JSON_ENCODE_ANY);
	const size_t len = strlen(answers);

	assert_true(!result != !error);
	snprintf(answers + len, sizeof(answers) - len, "%s %s %s;", (const char *)arg,
		 result ? "ok" : "error", text);
	free(text);
}

static int
start(void **state)
{
	int rc = setup_ovsdb(state);

	answers[0] = '\0';
	downs_seen = 0;
	return rc;
}

/* As start(), and the link has its rows. */
static int
start_up(void **state)
{
	int rc = start(state);

	if (rc == 0)
		server_greet();
	return rc;
}

static void
test_asks_for_rows(void **state)
{
	(void)state;
	server_accept();
	server_read_text("{'id': 1, 'method': 'get_schema', 'params': ['Open_vSwitch']}");
	server_send("{'id': 1, 'result': " SCHEMA ", 'error': null}");
	server_read_text("{'id': 2, 'method': 'monitor_cond', 'params': ['Open_vSwitch', 'sluice',"
			 " {'Open_vSwitch': [{'columns': ['next_cfg']}],"
			 " 'Bridge': [{'columns': ['name']}],"
			 " 'Port': [{'columns': ['name', 'tag']}],"
			 " 'Interface': [{'columns': ['name']}]}]}");
	assert_int_equal(ovsdb_link_request(ovsdb, "x", json_array(), NULL, NULL), -ENOTCONN);
	assert_int_equal(fresh, 0);
	server_send("{'id': 2, 'result': " ROWS ", 'error': null}");
	UNTIL(fresh == 1);
	assert_int_equal(next_cfg(), 3);
	server_send(CFG(4));
	UNTIL(changes == 1);
	assert_int_equal(next_cfg(), 4);
	assert_int_equal(fresh, 1);
	assert_int_equal(downs, 0);
}

/* Brackets and quotes within texts end nothing. */
static void
test_byte_by_byte(void **state)
{
	static const char text[] = " {\"id\":null,\"method\":\"locked\",\"params\":"
				   "[\"}]\\\"{[\\\\\"]}\r\n";

	(void)state;
	for (unsigned int i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(locks, i >= sizeof(text) - 3);
		assert_true(server_send_bytes(text + i, 1));
		turn();
		turn();
	}
	UNTIL(locks == 1);
	assert_string_equal(lock, "locked }]\"{[\\");
	assert_int_equal(downs, 0);
}

static void
test_several_at_once(void **state)
{
	(void)state;
	server_send(CFG(4) CFG(5) "\n" CFG(6) "{'id': null, 'method'");
	UNTIL(changes == 3);
	assert_int_equal(next_cfg(), 6);
	server_send(": 'stolen', 'params': ['a']}" CFG(7));
	UNTIL(changes == 4);
	assert_string_equal(lock, "stolen a");
	assert_int_equal(next_cfg(), 7);
	assert_int_equal(downs, 0);
}

/* What makes no sense ends the connection; the rows stay, and come anew with the next. */
static void
assert_refused(const char *code)
{
	UNTIL(downs > downs_seen);
	assert_int_equal(downs, ++downs_seen);
	assert_string_equal(down.code, code);
	server_read_end();
	assert_int_equal(ovsdb_link_request(ovsdb, "x", json_array(), NULL, NULL), -ENOTCONN);
}

static void
test_garbage(void **state)
{
	static const char *const garbage[] = {
		"hello",
		"]",
		"}",
		"[]",
		"{]",
		"{'id': 1,}",
		"{'a': '\xff'}",
		"{'a': '\\u0000'}",
		"{'a': 1e999}",
		"{}",
		"{'id': null, 'result': {}, 'error': null}",
		"{'id': 99, 'result': {}, 'error': null}", /* nobody asked */
		"{'id': 2, 'result': {}, 'error': null}", /* answered before */
		"{'id': null, 'method': 'update2', 'params': ['other', {}]}",
		"{'id': null, 'method': 'update2', 'params': ['sluice', {'Port': 1}]}",
		"{'id': null, 'method': 'update2', 'params': ['sluice']}",
		"{'id': null, 'method': 'update2'}",
		"{'id': null, 'method': 'update2', 'params': {}}",
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		server_send(CFG(5));
		UNTIL(next_cfg() == 5);
		server_send(garbage[i]);
		assert_refused("ovsdb-protocol");
		assert_int_equal(next_cfg(), 5);
		expire();
		server_greet();
		assert_int_equal(fresh, i + 2);
		assert_int_equal(next_cfg(), 3);
	}
	assert_true(server_send_bytes("\0", 1));
	assert_refused("ovsdb-protocol");
}

static void
test_update_before_rows(void **state)
{
	(void)state;
	server_accept();
	server_send("{'id': null, 'method': 'update2', 'params': ['sluice', {}]}");
	assert_refused("ovsdb-protocol");
	assert_int_equal(changes, 0);
}

/* Sends a text of n bytes in a message; false: the link has closed before the end. */
static bool
send_big(size_t n)
{
	static const char head[] = "{\"id\":null,\"method\":\"locked\",\"params\":[\"";
	static char chunk[1 << 20];
	bool sent;

	memset(chunk, '{', sizeof(chunk));
	sent = server_send_bytes(head, sizeof(head) - 1);
	for (; sent && n; n -= n < sizeof(chunk) ? n : sizeof(chunk))
		sent = server_send_bytes(chunk, n < sizeof(chunk) ? n : sizeof(chunk));
	return sent && server_send_bytes("\"]}", 3);
}

static void
test_big(void **state)
{
	(void)state;
	assert_true(send_big(OVSDB_WIRE_MESSAGE_MAX / 4));
	UNTIL(locks == 1);
	server_send(CFG(5));
	UNTIL(next_cfg() == 5);
	assert_false(send_big(100 << 20));
	assert_refused("ovsdb-protocol");
	assert_int_equal(locks, 1);
	expire();
	server_greet();
}

static void
test_deep(void **state)
{
	static char brackets[100000];
	char text[200];

	(void)state;
	memset(brackets, '[', sizeof(brackets));
	/* As deep as the limit allows, and it comes back. */
	snprintf(text, sizeof(text), "{'id': 0, 'method': 'echo', 'params': %.*s", 63, brackets);
	server_send(text);
	memset(text, ']', 63);
	assert_true(server_send_bytes(text, 63));
	server_send("}");
	json_decref(server_read());
	server_send("{'id': 0, 'method': 'echo', 'params': ");
	server_send_bytes(brackets, sizeof(brackets));
	assert_refused("ovsdb-protocol");
}

static void
test_requests_of_the_server(void **state)
{
	(void)state;
	server_send("{'id': 'echo', 'method': 'echo', 'params': ['x', 1]}");
	server_read_text("{'id': 'echo', 'result': ['x', 1], 'error': null}");
	server_send("{'id': 'e', 'method': 'echo'}");
	server_read_text("{'id': 'e', 'result': null, 'error': null}");
	server_send("{'id': 7, 'method': 'frob', 'params': []}");
	server_read_text("{'id': 7, 'result': null, 'error': 'unknown method'}");
	/* News that we know nothing of, or that say nothing. */
	server_send("{'id': null, 'method': 'frob', 'params': []}");
	server_send("{'id': null, 'method': 'locked', 'params': [7]}");
	server_send("{'id': null, 'method': 'locked'}");
	server_send("{'id': null, 'method': 'echo', 'params': []}");
	server_send(CFG(5));
	UNTIL(next_cfg() == 5);
	assert_int_equal(locks, 0);
	assert_int_equal(downs, 0);
}

static void
test_silence(void **state)
{
	(void)state;
	assert_int_equal(armed_ms, 5000);
	expire();
	server_read_text("{'id': 3, 'method': 'echo', 'params': []}");
	assert_int_equal(armed_ms, 5000);
	armed_ms = 0;
	server_send("{'id': 3, 'result': [], 'error': null}" CFG(4));
	UNTIL(changes == 1);
	assert_int_equal(armed_ms, 5000);
	/* Anything counts as a sign of life, as does half a message. */
	expire();
	server_read_text("{'id': 4, 'method': 'echo', 'params': []}");
	server_send(CFG(5) "{");
	UNTIL(changes == 2);
	expire();
	server_read_text("{'id': 5, 'method': 'echo', 'params': []}");
	assert_int_equal(downs, 0);
	expire();
	assert_int_equal(downs, 1);
	assert_string_equal(down.code, "ovsdb-down");
	server_read_end();
	assert_int_equal(armed_ms, 100);
	expire();
	server_greet();
	assert_int_equal(fresh, 2);
}

/* A server that takes the connection and says nothing, from the start. */
static void
test_silence_at_once(void **state)
{
	(void)state;
	server_accept();
	json_decref(server_read());
	expire();
	server_read_text("{'id': 2, 'method': 'echo', 'params': []}");
	expire();
	assert_int_equal(downs, 1);
	server_read_end();
}

static void
test_back_off(void **state)
{
	static const unsigned int expected[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};

	(void)state;
	server_close();
	UNTIL(downs == 1);
	for (unsigned int i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		assert_int_equal(armed_ms, expected[i]);
		expire();
	}
	assert_int_equal(downs, 1); /* for one state one call */
	unlink(path);
	expire();
	assert_int_equal(downs, 1);

	server_listen();
	expire();
	server_greet();
	server_close();
	UNTIL(downs == 2);
	assert_string_equal(down.code, "ovsdb-down");
	assert_int_equal(armed_ms, 100); /* it had been well */
	assert_int_equal(next_cfg(), 3);

	/* One that talks nonsense each time is asked ever more seldom. */
	downs_seen = downs;
	server_listen();
	for (unsigned int i = 0; i < 3; i++) {
		expire();
		server_greet();
		server_send("nonsense");
		assert_refused("ovsdb-protocol");
		assert_int_equal(armed_ms, expected[i + 1]);
	}
}

static void
test_refused(void **state)
{
	static const char *const answer[] = {
		"{'id': 1, 'result': null, 'error': {'error': 'unknown database'}}",
		"{'id': 1, 'error': 'unknown method'}",
		"{'id': 1, 'result': {'tables': {}}, 'error': null}",
		"{'id': 1, 'result': 7, 'error': null}",
	};

	(void)state;
	server_accept();
	server_send(answer[0]);
	assert_refused("ovsdb-refused");
	assert_non_null(strstr(down.message, "unknown database"));
	for (json_int_t i = 1; i < 4; i++) {
		char text[100];

		expire();
		server_accept();
		snprintf(text, sizeof(text), "{'id': %d%s", (int)i + 1,
			 answer[i] + strlen("{'id': 1"));
		server_send(text);
		server_read_end();
		assert_int_equal(downs, 1); /* it is the same */
	}
	server_close();
	expire();
	assert_int_equal(downs, 2);
	assert_string_equal(down.code, "ovsdb-down");
	assert_int_equal(fresh, 0);
}

/* The database is taken away, or gets another schema. */
static void
test_monitor_canceled(void **state)
{
	(void)state;
	server_send("{'id': null, 'method': 'monitor_canceled', 'params': ['sluice']}");
	assert_refused("ovsdb-refused");
	assert_int_equal(next_cfg(), 3);
	expire();
	server_greet();
}

static int
transact(const char *operations, const char *name)
{
	return ovsdb_link_transact(ovsdb, parse(operations), answer_cb, (char *)name);
}

static void
test_answers(void **state)
{
	(void)state;
	assert_int_equal(transact("[{'op': 'comment'}]", "a"), 0);
	assert_int_equal(ovsdb_link_request(ovsdb, "lock", parse("['l']"), answer_cb, (char *)"b"),
			 0);
	assert_int_equal(ovsdb_link_request(ovsdb, "lock", parse("['m']"), NULL, NULL), 0);
	server_read_text("{'id': 3, 'method': 'transact',"
			 " 'params': ['Open_vSwitch', {'op': 'comment'}]}");
	server_read_text("{'id': 4, 'method': 'lock', 'params': ['l']}");
	server_read_text("{'id': 5, 'method': 'lock', 'params': ['m']}");
	server_send("{'id': 5, 'result': {}, 'error': null}"
		    "{'id': 4, 'result': {'locked': true}, 'error': null}" CFG(4));
	UNTIL(changes == 1);
	assert_string_equal(answers, "b ok {\"locked\":true};");
	server_send("{'id': 3, 'result': [{}, {'count': 1}], 'error': null}" CFG(5));
	UNTIL(changes == 2);
	assert_string_equal(answers, "b ok {\"locked\":true};a ok [{},{\"count\":1}];");
}

static void
test_failed_transactions(void **state)
{
	(void)state;
	assert_int_equal(transact("[]", "a"), 0);
	assert_int_equal(transact("[]", "b"), 0);
	assert_int_equal(transact("[]", "c"), 0);
	server_send("{'id': 3, 'result': [{}, {'error': 'timed out'}, null], 'error': null}"
		    "{'id': 4, 'result': null, 'error': {'error': 'x'}}"
		    "{'id': 5, 'error': 'unknown method'}" CFG(4));
	UNTIL(changes == 1);
	assert_string_equal(answers, "a error {\"error\":\"timed out\"};b error {\"error\":\"x\"};"
				     "c error \"unknown method\";");
	assert_int_equal(transact("[]", "d"), 0);
	server_send("{'id': 6, 'result': {}, 'error': null}"); /* no list */
	assert_refused("ovsdb-protocol");
}

/* Neither when the connection breaks nor through the next one. */
static void
test_answers_that_never_come(void **state)
{
	(void)state;
	assert_int_equal(transact("[]", "a"), 0);
	server_close();
	UNTIL(downs == 1);
	downs_seen = downs;
	server_listen();
	expire();
	server_greet();
	server_send("{'id': 3, 'result': [], 'error': null}");
	assert_refused("ovsdb-protocol");
	assert_string_equal(answers, "");
}

static void
test_server_does_not_read(void **state)
{
	static char text[(1 << 20) + 1];
	unsigned int n = 0;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	while (n < 100 && !ovsdb_link_request(ovsdb, "x", json_pack("[s]", text), NULL, NULL)) {
		n++;
		turn();
	}
	assert_in_range(n, 15, 20);
	assert_int_equal(ovsdb_link_request(ovsdb, "x", json_pack("[s]", text), NULL, NULL),
			 -ENOBUFS);
	assert_int_equal(downs, 0);
	/* It takes up reading, and all goes on. */
	for (size_t left = (size_t)n << 20; left;) {
		ssize_t got = recv(peer, text, sizeof(text), 0);

		left -= got > 0 ? (left < (size_t)got ? left : (size_t)got) : 0;
		turn();
	}
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(ovsdb_link_request(ovsdb, "x", json_pack("[s]", text), NULL, NULL), 0);
	/* Nor can it make us hoard answers to its echoes. */
	for (n = 0; n < 100 && !downs; n++) {
		char head[] = "{\"id\":1,\"method\":\"echo\",\"params\":[\"";

		server_send_bytes(head, sizeof(head) - 1);
		server_send_bytes(text, sizeof(text) - 1);
		server_send_bytes("\"]}", 3);
		turn();
	}
	UNTIL(downs == 1);
}

/* Answers as server_greet() does, in a thread of its own. */
static void *
look_server(void *arg)
{
	static const char *const answer[] = {"{'id': 1, 'result': " SCHEMA ", 'error': null}",
					     "{'id': 2, 'result': " ROWS ", 'error': null}"};
	struct pollfd wait = {.fd = *(int *)arg, .events = POLLIN};
	int fd = poll(&wait, 1, DEADLINE_S * 1000) == 1 ? accept(wait.fd, NULL, NULL) : -1;
	char buf[4096];

	for (unsigned int i = 0; i < 2 && recv(fd, buf, sizeof(buf), 0) > 0; i++) {
		json_t *message = parse(answer[i]);
		char *text = json_dumps(message, 0);

		send(fd, text, strlen(text), MSG_NOSIGNAL);
		free(text);
		json_decref(message);
	}
	close(fd);
	return NULL;
}

static void
test_look(void **state)
{
	struct ovsdb_rows rows;
	struct err err = {0};
	pthread_t server;
	const char *uuid;

	(void)state;
	real_time = true;
	assert_int_equal(pthread_create(&server, NULL, look_server, &listener), 0);
	assert_int_equal(ovsdb_link_look(path, DEADLINE_S * 1000, &rows, &err), 0);
	assert_non_null(ovsdb_rows_root(&rows, &uuid));
	assert_string_equal(uuid, P);
	ovsdb_rows_free(&rows);
	pthread_join(server, NULL);
}

static void
test_look_in_vain(void **state)
{
	struct ovsdb_rows rows;
	struct err err = {0};
	char long_path[200];

	(void)state;
	real_time = true;
	assert_int_equal(ovsdb_link_look(path, 20, &rows, &err), -ETIMEDOUT); /* nobody answers */
	assert_string_equal(err.code, "ovsdb-down");
	server_close();
	memset(&err, 0, sizeof(err));
	assert_int_equal(ovsdb_link_look(path, 20, &rows, &err), -ECONNREFUSED);
	assert_string_equal(err.code, "ovsdb-down");
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(ovsdb_link_look(long_path, 20, &rows, NULL), -ECONNREFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_asks_for_rows, start, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_byte_by_byte, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_several_at_once, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_garbage, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_update_before_rows, start, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_big, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_deep, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_requests_of_the_server, start_up,
						teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_silence, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_silence_at_once, start, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_back_off, start, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_refused, start, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_monitor_canceled, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_answers, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_failed_transactions, start_up, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_answers_that_never_come, start_up,
						teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_server_does_not_read, start_up,
						teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_look, start, teardown_ovsdb),
		cmocka_unit_test_setup_teardown(test_look_in_vain, start, teardown_ovsdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
