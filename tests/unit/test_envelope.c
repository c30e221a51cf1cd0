/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/envelope.h"

static void
a_request_is_taken_apart(void **state)
{
	static const char line[] =
		"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"a.b\",\"params\":{\"x\":1}}";
	struct request req;
	struct err err;

	(void)state;
	assert_int_equal(request_parse(&req, line, strlen(line), &err), 0);
	assert_string_equal(req.method, "a.b");
	assert_int_equal(json_integer_value(req.id), 5);
	assert_int_equal(json_integer_value(json_object_get(req.params, "x")), 1);
	request_free(&req);
	assert_null(req.root);
}

static void
no_id_is_a_notification_and_null_is_an_id(void **state)
{
	static const char without[] = "{\"jsonrpc\":\"2.0\",\"method\":\"a.b\"}";
	static const char null[] = "{\"jsonrpc\":\"2.0\",\"method\":\"a.b\",\"id\":null}";
	struct request req;
	struct err err;

	(void)state;
	assert_int_equal(request_parse(&req, without, strlen(without), &err), 0);
	assert_null(req.id);
	assert_null(req.params);
	request_free(&req);
	assert_int_equal(request_parse(&req, null, strlen(null), &err), 0);
	assert_true(json_is_null(req.id));
	request_free(&req);
}

static void
bad_lines_are_told_apart(void **state)
{
	static const struct {
		const char *line;
		int code;
		const char *id; /* that the reply must carry */
	} cases[] = {
		{"", ENVELOPE_PARSE, NULL},
		{"x", ENVELOPE_PARSE, NULL},
		{"{", ENVELOPE_PARSE, NULL},
		{"{} {}", ENVELOPE_PARSE, NULL},
		{"{\"id\":1,\"id\":1}", ENVELOPE_PARSE, NULL},
		{"{\"id\":\"\\u0000\"}", ENVELOPE_PARSE, NULL},
		{"{\"id\":\"\xff\"}", ENVELOPE_PARSE, NULL},
		{"{\"id\":1e999}", ENVELOPE_PARSE, NULL},
		{"1", ENVELOPE_INVALID, NULL},
		{"null", ENVELOPE_INVALID, NULL},
		{"[]", ENVELOPE_INVALID, NULL},
		{"{}", ENVELOPE_INVALID, NULL},
		{"{\"id\":{}}", ENVELOPE_INVALID, NULL},
		{"{\"id\":true}", ENVELOPE_INVALID, NULL},
		{"{\"id\":7}", ENVELOPE_INVALID, "7"},
		{"{\"id\":7,\"jsonrpc\":2.0,\"method\":\"a\"}", ENVELOPE_INVALID, "7"},
		{"{\"id\":7,\"jsonrpc\":\"1.0\",\"method\":\"a\"}", ENVELOPE_INVALID, "7"},
		{"{\"id\":7,\"jsonrpc\":\"2.0\"}", ENVELOPE_INVALID, "7"},
		{"{\"id\":7,\"jsonrpc\":\"2.0\",\"method\":7}", ENVELOPE_INVALID, "7"},
		{"{\"id\":7,\"jsonrpc\":\"2.0\",\"method\":\"a\",\"x\":1}", ENVELOPE_INVALID, "7"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct request req;
		struct err err = {0};
		char *id;

		if (request_parse(&req, cases[i].line, strlen(cases[i].line), &err) !=
		    cases[i].code)
			fail_msg("%s: not %d", cases[i].line, cases[i].code);
		assert_true(err.message[0]);
		id = req.id ? json_dumps(req.id, JSON_ENCODE_ANY) : NULL;
		if (cases[i].id)
			assert_string_equal(id, cases[i].id);
		else
			assert_null(id);
		free(id);
		request_free(&req);
	}
}

static void
a_nul_in_the_line_is_refused(void **state)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}\0";
	struct request req;
	struct err err;

	(void)state;
	assert_int_equal(request_parse(&req, line, sizeof(line) - 1, &err), ENVELOPE_PARSE);
	request_free(&req);
}

static void
deep_nesting_is_refused(void **state)
{
	char line[100000];
	struct request req;
	struct err err;

	(void)state;
	memset(line, '[', sizeof(line));
	assert_int_equal(request_parse(&req, line, sizeof(line), &err), ENVELOPE_PARSE);
	request_free(&req);
}

static void
a_number_too_large_is_left_to_the_schema(void **state)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"a\",\"params\":"
				   "{\"big\":9223372036854775808,\"good\":[5,0.5]}}";
	struct request req;
	struct err err;
	json_t *good;

	(void)state;
	assert_int_equal(request_parse(&req, line, strlen(line), &err), 0);
	assert_true(json_is_integer(req.id));
	assert_true(json_is_real(json_object_get(req.params, "big")));
	good = json_object_get(req.params, "good");
	assert_int_equal(json_integer_value(json_array_get(good, 0)), 5);
	assert_true(json_is_real(json_array_get(good, 1)));
	request_free(&req);
}

static void
assert_text(json_t *reply, const char *expected)
{
	char *text = json_dumps(reply, JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(text, expected);
	free(text);
	json_decref(reply);
}

static void
replies_have_the_form_of_the_contract(void **state)
{
	struct err err = {0};
	json_t *id = json_string("x");

	(void)state;
	assert_text(reply_result(id, json_true()),
		    "{\"id\":\"x\",\"jsonrpc\":\"2.0\",\"result\":true}");
	assert_text(reply_result(NULL, json_array()),
		    "{\"id\":null,\"jsonrpc\":\"2.0\",\"result\":[]}");
	err_set(&err, EINVAL, "", "no");
	assert_text(
		reply_error(id, ENVELOPE_PARSE, &err),
		"{\"error\":{\"code\":-32700,\"message\":\"no\"},\"id\":\"x\",\"jsonrpc\":\"2.0\"}");
	err_set_param(&err, EINVAL, "bad", "p", "no");
	assert_text(reply_error(NULL, ENVELOPE_DOMAIN, &err),
		    "{\"error\":{\"code\":-32000,\"data\":{\"code\":\"bad\",\"param\":\"p\"},"
		    "\"message\":\"no\"},\"id\":null,\"jsonrpc\":\"2.0\"}");
	err_set_key(&err, EINVAL, "bad", "p", "k", "no");
	assert_text(reply_error(NULL, reply_code(&err), &err),
		    "{\"error\":{\"code\":-32000,\"data\":{\"code\":\"bad\",\"key\":\"k\","
		    "\"param\":\"p\"},\"message\":\"no\"},\"id\":null,\"jsonrpc\":\"2.0\"}");
	err_set_param(&err, EINVAL, "bad-parameter", "p", "no");
	assert_int_equal(reply_code(&err), ENVELOPE_PARAMS);
	json_decref(id);
}

static void
a_message_cut_within_a_character_is_still_sent(void **state)
{
	struct err err = {0};
	json_t *reply, *message;

	(void)state;
	strcpy(err.message, "caf\xc3");
	strcpy(err.param, "\xc3");
	reply = reply_error(NULL, ENVELOPE_PARAMS, &err);
	message = json_object_get(json_object_get(reply, "error"), "message");
	assert_string_equal(json_string_value(message), "caf");
	json_decref(reply);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(no_id_is_a_notification_and_null_is_an_id),
		cmocka_unit_test(bad_lines_are_told_apart),
		cmocka_unit_test(a_nul_in_the_line_is_refused),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(a_number_too_large_is_left_to_the_schema),
		cmocka_unit_test(replies_have_the_form_of_the_contract),
		cmocka_unit_test(a_message_cut_within_a_character_is_still_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
