/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/rpc_fixture.h"

static void
notify(unsigned int bit)
{
	rpc_notify(rpc, 1U << bit, json_pack("{s:i}", "bit", bit));
}

static void
subscribers_get_their_topics(void **state)
{
	int fd = connect_client(), other = connect_client();

	(void)state;
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n");
	free(read_line(fd));
	send_text(other, ECHO("1"));
	notify(2);
	notify(3);
	assert_line(fd, "{\"bit\":3}");
	assert_line(other, ECHOED("1"));
	send_text(other, ECHO("2"));
	assert_line(other, ECHOED("2"));
	close(fd);
	close(other);
}

static void
a_subscriber_that_does_not_read_is_cut_off(void **state)
{
	int fd = connect_client(), other = connect_client();
	double deadline = now_s() + DEADLINE_S;
	char *line;

	(void)state;
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n");
	free(read_line(fd));
	while (send(fd, "\n", 1, MSG_NOSIGNAL) == 1 && now_s() < deadline) {
		for (int i = 0; i < 1000; i++)
			notify(3);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	assert_true(now_s() < deadline);
	while ((line = read_line(fd)))
		free(line);
	close(fd);
	send_text(other, ECHO("1"));
	assert_line(other, ECHOED("1"));
	close(other);
}

static void
a_subscriber_is_cut_off_within_its_request(void **state)
{
	int fd = connect_client(), other = connect_client();

	(void)state;
	send_text(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n"
		      "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"flood\"}\n");
	for (char *line; (line = read_line(fd));)
		free(line);
	close(fd);
	send_text(other, ECHO("1"));
	assert_line(other, ECHOED("1"));
	close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_rpc, teardown_rpc)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(subscribers_get_their_topics),
		TEST(a_subscriber_that_does_not_read_is_cut_off),
		TEST(a_subscriber_is_cut_off_within_its_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
