/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/ctl_rpc.h"

#define TIMEOUT_MS 20000 /* nothing waits so long but for a defect */

/* One peer for one connection: it reads a request, says its piece, and hangs up. */
struct peer {
	char dir[32], path[64];
	int listener;
	const char *says; /* NULL: nothing, and it hangs up only when the other end does */
	char heard[512];
	pthread_t thread;
};

static void *
peer_run(void *arg)
{
	struct peer *peer = arg;
	int fd = accept(peer->listener, NULL, NULL);
	ssize_t n = recv(fd, peer->heard, sizeof(peer->heard) - 1, 0);

	if (peer->says && n >= 0) {
		/* In small pieces, so that lines come in parts. */
		for (const char *at = peer->says; *at; at += strnlen(at, 7))
			send(fd, at, strnlen(at, 7), MSG_NOSIGNAL);
	} else {
		while (recv(fd, peer->heard, sizeof(peer->heard) - 1, 0) > 0)
			;
	}
	close(fd);
	return NULL;
}

static void
peer_start(struct peer *peer, const char *says)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	*peer = (struct peer){.dir = "/tmp/test_ctl_rpc.XXXXXX", .says = says};
	assert_non_null(mkdtemp(peer->dir));
	snprintf(peer->path, sizeof(peer->path), "%s/sock", peer->dir);
	strcpy(addr.sun_path, peer->path);
	peer->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(peer->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(peer->listener, 1), 0);
	assert_int_equal(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
}

static void
peer_stop(struct peer *peer)
{
	pthread_join(peer->thread, NULL);
	close(peer->listener);
	unlink(peer->path);
	rmdir(peer->dir);
}

/* Calls "port.list" on a peer that says `says`. */
static int
call(const char *says, int timeout_ms, json_t **answer, struct err *err)
{
	struct ctl_rpc rpc;
	struct peer peer;
	int rc;

	peer_start(&peer, says);
	assert_int_equal(ctl_rpc_open(&rpc, peer.path, TIMEOUT_MS, err), 0);
	rc = ctl_rpc_call(&rpc, "port.list", NULL, timeout_ms, answer, err);
	ctl_rpc_close(&rpc);
	peer_stop(&peer);
	return rc;
}

static void
request_is_one_line(void **state)
{
	json_t *params = json_pack("{ss}", "name", "vm1"), *result, *request;
	struct ctl_rpc rpc;
	struct peer peer;
	struct err err;

	(void)state;
	peer_start(&peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[7]}\n");
	assert_int_equal(ctl_rpc_open(&rpc, peer.path, TIMEOUT_MS, &err), 0);
	assert_int_equal(ctl_rpc_result(&rpc, "port.get", params, TIMEOUT_MS, &result, &err), 0);
	assert_int_equal(json_integer_value(json_array_get(result, 0)), 7);
	ctl_rpc_close(&rpc);
	peer_stop(&peer);
	request = json_loads(peer.heard, 0, NULL);
	assert_non_null(request);
	assert_ptr_equal(strchr(peer.heard, '\n'), peer.heard + strlen(peer.heard) - 1);
	assert_string_equal(json_string_value(json_object_get(request, "method")), "port.get");
	assert_true(json_equal(json_object_get(request, "params"), params));
	json_decref(request);
	json_decref(params);
	json_decref(result);
}

static void
answer_is_found_among_others(void **state)
{
	json_t *answer;
	struct err err;

	(void)state;
	assert_int_equal(call("{\"method\":\"event\",\"params\":{}}\n{\"id\":99,\"result\":1}\n"
			      "{\"id\":1,\"result\":2}\n",
			      TIMEOUT_MS, &answer, &err),
			 0);
	assert_int_equal(json_integer_value(json_object_get(answer, "result")), 2);
	json_decref(answer);
}

static void
error_without_id_is_an_answer(void **state)
{
	json_t *answer;
	struct err err;

	(void)state;
	assert_int_equal(call("{\"id\":null,\"error\":{\"message\":\"no\"}}\n", TIMEOUT_MS, &answer,
			      &err),
			 0);
	assert_non_null(json_object_get(answer, "error"));
	json_decref(answer);
}

static void
refusal_has_its_sentence_and_code(void **state)
{
	struct ctl_rpc rpc;
	struct peer peer;
	struct err err;
	json_t *result;

	(void)state;
	peer_start(&peer, "{\"id\":1,\"error\":{\"code\":-32000,\"message\":\"no such port\"}}\n");
	assert_int_equal(ctl_rpc_open(&rpc, peer.path, TIMEOUT_MS, &err), 0);
	assert_int_equal(ctl_rpc_result(&rpc, "port.get", NULL, TIMEOUT_MS, &result, &err),
			 -EREMOTEIO);
	assert_string_equal(err.message, "no such port");
	assert_string_equal(err.code, "refused");
	ctl_rpc_close(&rpc);
	peer_stop(&peer);
	peer_start(&peer, "{\"id\":1,\"error\":{\"code\":-32000,\"message\":\"no such port\","
			  "\"data\":{\"code\":\"no-such-port\"}}}\n");
	assert_int_equal(ctl_rpc_open(&rpc, peer.path, TIMEOUT_MS, &err), 0);
	assert_int_equal(ctl_rpc_result(&rpc, "port.get", NULL, TIMEOUT_MS, &result, &err),
			 -EREMOTEIO);
	assert_string_equal(err.code, "no-such-port");
	ctl_rpc_close(&rpc);
	peer_stop(&peer);
}

static void
notifications_follow(void **state)
{
	struct ctl_rpc rpc;
	struct peer peer;
	json_t *message;
	struct err err;

	(void)state;
	peer_start(&peer,
		   "{\"id\":1,\"result\":{}}\n{\"method\":\"event\",\"params\":{\"seq\":1}}\n"
		   "{\"method\":\"event\",\"params\":{\"seq\":2}}\n");
	assert_int_equal(ctl_rpc_open(&rpc, peer.path, TIMEOUT_MS, &err), 0);
	assert_int_equal(ctl_rpc_result(&rpc, "events.subscribe", NULL, TIMEOUT_MS, &message, &err),
			 0);
	json_decref(message);
	for (int seq = 1; seq <= 2; seq++) {
		const json_t *event;

		assert_int_equal(ctl_rpc_next(&rpc, &message, &err), 0);
		event = json_object_get(message, "params");
		assert_int_equal(json_integer_value(json_object_get(event, "seq")), seq);
		json_decref(message);
	}
	assert_int_equal(ctl_rpc_next(&rpc, &message, &err), -ECONNRESET);
	ctl_rpc_close(&rpc);
	peer_stop(&peer);
}

static void
long_answers_are_whole(void **state)
{
	size_t len = 3 << 20;
	char *says = malloc(len + 64);
	json_t *answer;
	struct err err;

	(void)state;
	strcpy(says, "{\"id\":1,\"result\":\"");
	memset(says + strlen(says), 'x', len);
	strcpy(says + strlen("{\"id\":1,\"result\":\"") + len, "\"}\n");
	assert_int_equal(call(says, TIMEOUT_MS, &answer, &err), 0);
	assert_int_equal(json_string_length(json_object_get(answer, "result")), len);
	json_decref(answer);
	free(says);
}

static void
silence_ends(void **state)
{
	json_t *answer;
	struct err err;

	(void)state;
	assert_int_equal(call(NULL, 50, &answer, &err), -ETIMEDOUT);
	assert_string_equal(err.code, "unreachable");
	assert_null(answer);
}

static void
other_ends_are_told_apart(void **state)
{
	json_t *answer;
	struct err err;

	(void)state;
	assert_int_equal(call("", TIMEOUT_MS, &answer, &err), -ECONNRESET);
	assert_int_equal(call("{\"id\":1,\"resu", TIMEOUT_MS, &answer, &err), -ECONNRESET);
	assert_int_equal(call("HTTP/1.1 400 Bad Request\r\n", TIMEOUT_MS, &answer, &err), -EPROTO);
	assert_int_equal(call("[1]\n", TIMEOUT_MS, &answer, &err), -EPROTO);
}

static void
assert_no_way(const char *path, int rc, const char *piece)
{
	struct ctl_rpc rpc;
	struct err err;

	assert_int_equal(ctl_rpc_open(&rpc, path, TIMEOUT_MS, &err), rc);
	assert_string_equal(err.code, "unreachable");
	assert_non_null(strstr(err.message, path));
	assert_non_null(strstr(err.message, piece));
}

static void
sockets_that_lead_nowhere(void **state)
{
	char long_path[200] = "/", dir[] = "/tmp/test_ctl_rpc.XXXXXX", path[64];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	memset(long_path + 1, 'x', 150);
	assert_no_way(long_path, -ENAMETOOLONG, "107 bytes");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	assert_no_way(path, -ENOENT, "start sluiced");
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_no_way(path, -ECONNREFUSED, "not running");
	unlink(path);
	fclose(fopen(path, "w"));
	assert_no_way(path, -ECONNREFUSED, "no socket");
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_is_one_line),
		cmocka_unit_test(answer_is_found_among_others),
		cmocka_unit_test(error_without_id_is_an_answer),
		cmocka_unit_test(refusal_has_its_sentence_and_code),
		cmocka_unit_test(notifications_follow),
		cmocka_unit_test(long_answers_are_whole),
		cmocka_unit_test(silence_ends),
		cmocka_unit_test(other_ends_are_told_apart),
		cmocka_unit_test(sockets_that_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
