/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
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

#include "control/sockpath.h"
#include "tests/unit/scratch_dir.h"

/* DIR/in is the socket directory, DIR/out is none. */
static struct sockpath_dirs dirs;

static int
setup(void **state)
{
	if (scratch_dir_make(state) < 0 || mkdir(scratch_path(state, "in"), 0755) < 0 ||
	    mkdir(scratch_path(state, "in/sub"), 0755) < 0 ||
	    mkdir(scratch_path(state, "out"), 0755) < 0)
		return -1;
	return sockpath_dirs_add(&dirs, scratch_path(state, "in"), NULL);
}

static int
teardown(void **state)
{
	sockpath_dirs_free(&dirs);
	return scratch_dir_remove(state);
}

static void
assert_path(const char *text, const char *name, const char *expected)
{
	char path[DP_PATH_SIZE];
	struct err err = {0};

	if (sockpath_resolve(&dirs, text, name, path, &err) != 0)
		fail_msg("%s: %s", text, err.message);
	assert_string_equal(path, expected);
}

static void
assert_refused(const char *text)
{
	char path[DP_PATH_SIZE] = "untouched";
	struct err err = {0};

	if (sockpath_resolve(&dirs, text, "p", path, &err) != -EINVAL)
		fail_msg("%s became %s", text, path);
	assert_string_equal(err.code, "socket-path-refused");
	assert_string_equal(err.param, "socket");
	assert_string_equal(path, "untouched");
}

static void
paths_become_canonical(void **state)
{
	const char *in_p = scratch_path(state, "in/p");

	assert_path(NULL, "p", in_p);
	assert_path("p", "x", in_p);
	assert_path(in_p, "x", in_p);
	assert_path(scratch_path(state, "in/./p"), "x", in_p);
	assert_path(scratch_path(state, "in//sub//..p"), "x", scratch_path(state, "in/sub/..p"));
	assert_path("sub/p", "x", scratch_path(state, "in/sub/p"));
	assert_int_equal(symlink("in", scratch_path(state, "link")), 0);
	assert_path(scratch_path(state, "link/p"), "x", in_p);
}

static void
paths_outside_are_refused(void **state)
{
	assert_refused(scratch_path(state, "out/p"));
	assert_refused(scratch_path(state, "in"));
	assert_refused(scratch_path(state, "in/"));
	assert_refused(scratch_path(state, "in/."));
	assert_refused(scratch_path(state, "in/.."));
	assert_refused(scratch_path(state, "in/../out/p"));
	assert_refused(scratch_path(state, "in/sub/../p"));
	assert_refused("../out/p");
	assert_refused("..");
	assert_refused(scratch_path(state, "inx/p"));
	assert_refused(scratch_path(state, "in/missing/p"));
	assert_refused("/");
	assert_refused("/p");
	assert_refused("");
	assert_refused("a\nb");
	assert_refused("a\x7f");
}

/* A link in the middle of the path gives way to its target, whichever is longer. */
static void
a_linked_directory_keeps_the_file_name(void **state)
{
	static const char *const links[] = {"longer-than-sub", "sbu", "s"};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		char given[100];

		snprintf(given, sizeof(given), "in/%s", links[i]);
		assert_int_equal(symlink("sub", scratch_path(state, given)), 0);
		snprintf(given, sizeof(given), "%s/a-name-of-its-own", links[i]);
		assert_path(given, "x", scratch_path(state, "in/sub/a-name-of-its-own"));
	}
}

static void
links_do_not_lead_out(void **state)
{
	assert_int_equal(symlink("../out", scratch_path(state, "in/link")), 0);
	assert_refused(scratch_path(state, "in/link/p"));
	assert_int_equal(symlink("sub/p", scratch_path(state, "in/inside")), 0);
	assert_refused(scratch_path(state, "in/inside"));
	scratch_file(state, "in/file", "precious");
	assert_refused(scratch_path(state, "in/file"));
}

static void
a_directory_of_a_similar_name_is_another(void **state)
{
	assert_int_equal(mkdir(scratch_path(state, "in2"), 0755), 0);
	assert_refused(scratch_path(state, "in2/p"));
	assert_int_equal(sockpath_dirs_add(&dirs, scratch_path(state, "in2"), NULL), 0);
	assert_path(scratch_path(state, "in2/p"), "x", scratch_path(state, "in2/p"));
}

static void
a_socket_has_107_bytes_at_most(void **state)
{
	char name[DP_PATH_SIZE + 1];
	size_t room = DP_PATH_SIZE - 1 - strlen(scratch_path(state, "in/"));

	memset(name, 'x', sizeof(name));
	name[room] = '\0';
	assert_path(name, "x", scratch_path(state, strcat(strcpy((char[200]){0}, "in/"), name)));
	name[room] = 'x';
	name[room + 1] = '\0';
	assert_refused(name);
}

static void
a_directory_must_be_usable(void **state)
{
	struct sockpath_dirs none = {0};
	struct err err = {0};

	assert_int_equal(sockpath_dirs_add(&none, scratch_path(state, "missing"), &err), -ENOENT);
	assert_non_null(strstr(err.message, "missing"));
	assert_int_equal(sockpath_dirs_add(&none, scratch_file(state, "file", ""), &err), -ENOTDIR);
	assert_true(sockpath_dirs_add(&none, "/proc/self/fdinfo", &err) < 0);
	assert_non_null(strstr(err.message, "/proc/self/fdinfo"));
	assert_int_equal(none.n, 0);
	for (unsigned int i = 0; i < SOCKPATH_DIRS_MAX; i++)
		assert_int_equal(sockpath_dirs_add(&none, scratch_path(state, "in"), &err), 0);
	assert_int_equal(sockpath_dirs_add(&none, scratch_path(state, "in"), &err), -ENOSPC);
	sockpath_dirs_free(&none);
}

/* A socket at `path`; -1 where it shall have no listener any more. */
static int
make_socket(const char *path, bool listening)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listening) {
		assert_int_equal(listen(fd, 1), 0);
		return fd;
	}
	close(fd);
	return -1;
}

static void
only_a_stale_socket_is_cleared(void **state)
{
	const char *path = scratch_path(state, "in/p");
	struct err err = {0};
	int fd;

	assert_int_equal(sockpath_clear(path, &err), 0);
	make_socket(path, false);
	assert_int_equal(sockpath_clear(path, &err), 0);
	assert_int_not_equal(access(path, F_OK), 0);

	fd = make_socket(path, true);
	assert_int_equal(sockpath_clear(path, &err), -EEXIST);
	assert_string_equal(err.code, "socket-in-use");
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);

	scratch_file(state, "in/p", "precious");
	assert_int_equal(sockpath_clear(path, &err), -EEXIST);
	assert_string_equal(err.code, "socket-path-refused");
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);

	make_socket(scratch_path(state, "in/stale"), false);
	assert_int_equal(symlink("stale", path), 0);
	assert_int_equal(sockpath_clear(path, &err), -EEXIST);
	assert_int_equal(access(scratch_path(state, "in/stale"), F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths_become_canonical),
		TEST(paths_outside_are_refused),
		TEST(a_linked_directory_keeps_the_file_name),
		TEST(links_do_not_lead_out),
		TEST(a_directory_of_a_similar_name_is_another),
		TEST(a_socket_has_107_bytes_at_most),
		TEST(a_directory_must_be_usable),
		TEST(only_a_stale_socket_is_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
