/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/links.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define RETRY_MS 1

double
links_now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*
 * Comes to a connection and says hello. Returns 0 (the switch not there, or gone again: try later)
 * or -errno with *err where trying again would not help.
 */
static int
link_renew(struct guest *guest, struct err *err)
{
	bool was_paused = atomic_load(&guest->paused);
	int ret = guest_reach(guest, err);

	if (ret <= 0)
		return ret;
	guest_pause(guest);
	ret = guest_handshake(guest, err);
	if (!was_paused)
		guest_resume(guest);
	if (ret < 0)
		guest_disconnect(guest);
	return ret == -EPIPE || ret == -EIO ? 0 : ret;
}

int
links_connect(struct guest *guests, unsigned int count, double wait_s, const _Atomic bool *stop,
	      struct err *err)
{
	double deadline_s = links_now_s() + wait_s;
	unsigned int i, missing;
	int ret;

	do {
		for (i = 0, missing = count; i < count; i++) {
			ret = guests[i].connected ? 0 : link_renew(&guests[i], err);
			if (ret < 0)
				return ret;
			if (!guests[i].connected && missing == count)
				missing = i;
		}
		if (missing == count)
			return 0;
		poll(NULL, 0, RETRY_MS);
	} while (links_now_s() < deadline_s && !atomic_load(stop));
	return err_set_param(err, ETIMEDOUT, "no-switch", "socket",
			     "No switch at %s within %.1f s: start it first, or raise --wait.",
			     guests[missing].endpoint.path, wait_s);
}

/* True if the other end is gone. Answers that nobody waits for are thrown away. */
static bool
is_gone(const struct guest *guest)
{
	char waste[512];
	ssize_t got = recv(guest->proto.fd, waste, sizeof(waste), MSG_DONTWAIT);

	return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

void
links_serve(struct guest *guests, unsigned int count, int timeout_ms)
{
	struct pollfd fds[OPTIONS_MAX_GUESTS];
	struct err err;
	unsigned int i;

	for (i = 0; i < count; i++) {
		fds[i].fd = guests[i].connected ? guests[i].proto.fd : guests[i].listen_fd;
		fds[i].events = POLLIN | POLLRDHUP;
		fds[i].revents = 0;
		if (!guests[i].connected && timeout_ms > RETRY_MS)
			timeout_ms = RETRY_MS;
	}
	poll(fds, count, timeout_ms);
	for (i = 0; i < count; i++) {
		if (guests[i].connected && fds[i].revents != 0 && is_gone(&guests[i]))
			guest_disconnect(&guests[i]);
		if (!guests[i].connected && link_renew(&guests[i], &err) < 0)
			fprintf(stderr, "guest %u: %s\n", i, err.message);
	}
}
