/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/store.h"
#include "tests/unit/scratch_dir.h"

static void
no_file_is_no_document(void **state)
{
	json_t *doc = NULL;

	assert_int_equal(store_load(*state, &doc, NULL), 0);
	assert_null(doc);
}

static void
what_was_saved_is_loaded(void **state)
{
	json_t *doc = json_pack("{s:[i,i]}", "x", 1, 2), *back = NULL;
	struct stat st;

	assert_int_equal(store_save(*state, doc, NULL), 0);
	assert_int_equal(store_load(*state, &back, NULL), 0);
	assert_true(json_equal(doc, back));
	assert_int_equal(json_integer_value(json_object_get(back, "version")), STORE_VERSION);
	assert_int_equal(stat(scratch_path(state, STORE_FILE), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_not_equal(access(scratch_path(state, STORE_FILE ".new"), F_OK), 0);
	json_decref(doc);
	json_decref(back);
}

static void
what_a_crash_left_half_written_is_ignored(void **state)
{
	json_t *doc = json_object(), *back = NULL;

	assert_int_equal(store_save(*state, doc, NULL), 0);
	scratch_file(state, STORE_FILE ".new", "{\"vers");
	assert_int_equal(store_load(*state, &back, NULL), 0);
	assert_true(json_equal(doc, back));
	assert_int_equal(store_save(*state, doc, NULL), 0);
	json_decref(doc);
	json_decref(back);
}

static void
a_damaged_file_is_named_and_kept(void **state)
{
	static const char *const damaged[] = {
		"",
		"{",
		"[]",
		"{\"version\": 2}",
		"{\"version\": \"1\"}",
		"\xff",
		"{\"a\":1,\"a\":1}",
		"{}x",
		"null",
	};

	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		const char *path = scratch_file(state, STORE_FILE, damaged[i]);
		struct err err = {0};
		struct stat st;
		json_t *doc = NULL;

		assert_int_equal(store_load(*state, &doc, &err), -EINVAL);
		assert_null(doc);
		assert_string_equal(err.code, "bad-state-file");
		assert_non_null(strstr(err.message, path));
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, strlen(damaged[i]));
	}
}

static void
a_failed_save_leaves_the_old_document(void **state)
{
	json_t *doc = json_object(), *other = json_pack("{s:i}", "x", 1), *back = NULL;
	struct err err = {0};

	assert_int_equal(store_save(*state, doc, NULL), 0);
	/* What cannot be opened for writing, not even by root. */
	assert_int_equal(mkdir(scratch_path(state, STORE_FILE ".new"), 0700), 0);
	assert_true(store_save(*state, other, &err) < 0);
	assert_string_equal(err.code, "store-failed");
	assert_int_equal(store_load(*state, &back, NULL), 0);
	assert_true(json_equal(doc, back));
	json_decref(doc);
	json_decref(other);
	json_decref(back);
}

static void
a_missing_directory_is_refused(void **state)
{
	const char *missing = scratch_path(state, "missing");
	json_t *doc, *some = json_object();
	struct err err = {0};

	assert_int_equal(store_load(missing, &doc, &err), -ENOENT);
	assert_non_null(strstr(err.message, missing));
	assert_int_equal(store_save(missing, some, &err), -ENOENT);
	json_decref(some);
}

static void
a_link_is_not_followed(void **state)
{
	json_t *doc;

	assert_int_equal(symlink(scratch_file(state, "other", "{\"version\": 1}"),
				 scratch_path(state, STORE_FILE)),
			 0);
	assert_int_equal(store_load(*state, &doc, NULL), -ELOOP);
}

/* Opening it would wait for a writer, or a reader. */
static void
a_fifo_is_not_waited_for(void **state)
{
	json_t *doc = json_object(), *back;
	struct err err = {0};

	assert_int_equal(mkfifo(scratch_path(state, STORE_FILE), 0600), 0);
	assert_int_equal(store_load(*state, &back, &err), -EINVAL);
	assert_string_equal(err.code, "bad-state-file");
	assert_non_null(strstr(err.message, STORE_FILE));
	assert_int_equal(mkfifo(scratch_path(state, STORE_FILE ".new"), 0600), 0);
	assert_int_equal(store_save(*state, doc, NULL), 0);
	assert_int_equal(store_load(*state, &back, NULL), 0);
	assert_true(json_equal(doc, back));
	json_decref(doc);
	json_decref(back);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_dir_make, scratch_dir_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_file_is_no_document),
		TEST(what_was_saved_is_loaded),
		TEST(what_a_crash_left_half_written_is_ignored),
		TEST(a_damaged_file_is_named_and_kept),
		TEST(a_failed_save_leaves_the_old_document),
		TEST(a_missing_directory_is_refused),
		TEST(a_link_is_not_followed),
		TEST(a_fifo_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
