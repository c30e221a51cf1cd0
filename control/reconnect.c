/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/reconnect.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/log.h"
#include "datapath/dp.h"

#define BACKOFF_MIN_MS 1
#define BACKOFF_MAX_MS 1000

/* A guest that has bound its socket listens a moment later: so many tries are a millisecond apart. */
#define HURRIED_TRIES 20

/* Between bind() and listen() there are microseconds: so old a socket that refuses was left behind. */
#define STALE_S 1

/* A file may appear under its name by bind() or rename(). */
#define WATCHED (IN_CREATE | IN_MOVED_TO | IN_ATTRIB)

struct client {
	LIST_ENTRY(client) link;
	struct reconnect *owner;
	int port;
	int watch; /* of its directory, shared with other clients there; -1: none */
	unsigned int backoff_ms;
	unsigned int tries; /* at BACKOFF_MIN_MS */
	bool connected;
	bool clears;
	ino_t ino; /* of the socket that we were connected to, */
	struct timespec ctim; /* and when it was made; a number may come again */
	struct event *timer;
	char path[DP_PATH_SIZE];
};

struct reconnect {
	LIST_HEAD(, client) clients;
	int inotify_fd;
	struct event_base *base;
	struct event *readable;
};

static const char *
file_name(const struct client *c)
{
	return strrchr(c->path, '/') + 1;
}

static void
watch_add(struct client *c)
{
	char dir[DP_PATH_SIZE];

	snprintf(dir, sizeof(dir), "%.*s", (int)(file_name(c) - c->path), c->path);
	/* The kernel returns the same number for a directory that is watched already. */
	c->watch = inotify_add_watch(c->owner->inotify_fd, dir, WATCHED | IN_ONLYDIR);
}

static void
watch_del(struct client *c)
{
	struct client *other;

	if (c->watch < 0)
		return;
	LIST_FOREACH(other, &c->owner->clients, link)
		if (other != c && other->watch == c->watch)
			return;
	inotify_rm_watch(c->owner->inotify_fd, c->watch);
}

static void
schedule(struct client *c, unsigned int delay_ms)
{
	struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000};

	evtimer_add(c->timer, &delay);
}

/* Tries again later, and the next time later still. */
static void
back_off(struct client *c)
{
	schedule(c, c->backoff_ms);
	c->backoff_ms = c->backoff_ms * 2 < BACKOFF_MAX_MS ? c->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void
back_off_no_more(struct client *c)
{
	c->backoff_ms = BACKOFF_MIN_MS;
	c->tries = 0;
}

/* Notes which socket this is that we are connected to. */
static void
note_socket(struct client *c)
{
	struct stat st;

	if (lstat(c->path, &st) < 0)
		return;
	c->ino = st.st_ino;
	c->ctim = st.st_ctim;
}

/* The socket refuses: removes it if it was left behind. */
static void
clear_stale(const struct client *c)
{
	struct timespec now;
	struct stat st;
	bool was_ours;

	if (!c->clears || lstat(c->path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	was_ours = st.st_ino == c->ino && !memcmp(&st.st_ctim, &c->ctim, sizeof(c->ctim));
	if (!was_ours && now.tv_sec - st.st_ctim.tv_sec <= STALE_S)
		return;
	if (unlink(c->path) == 0)
		log_notice("%s was left behind by who listened there; removed", c->path);
	else
		log_warning("%s was left behind by who listened there, and cannot be removed: %s",
			    c->path, strerror(errno));
}

static void
try_connect(struct client *c)
{
	int rc;

	if (c->connected)
		return;
	if (c->watch < 0)
		watch_add(c);
	rc = dp_port_connect(c->port);
	if (rc == 0 || rc == -EALREADY) {
		c->connected = true;
		note_socket(c);
		evtimer_del(c->timer);
		return;
	}
	log_debug("port %d: connecting to %s: %s", c->port, c->path, strerror(-rc));
	/* Only a socket that is there but not listening yet is worth hurrying for. */
	if (rc != -ECONNREFUSED) {
		schedule(c, BACKOFF_MAX_MS);
		return;
	}
	clear_stale(c);
	if (c->tries < HURRIED_TRIES) {
		c->tries++;
		schedule(c, BACKOFF_MIN_MS);
	} else {
		back_off(c);
	}
}

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	try_connect(arg);
}

static void
on_inotify(struct reconnect *r, const struct inotify_event *event)
{
	struct client *c;

	LIST_FOREACH(c, &r->clients, link) {
		/* Too many events at once: some are lost, so anything may have happened. */
		bool lost = event->mask & IN_Q_OVERFLOW;

		if (!lost && c->watch != event->wd)
			continue;
		if (event->mask & IN_IGNORED)
			c->watch = -1; /* the directory is gone; the next try looks again */
		else if (lost || (event->len && !strcmp(event->name, file_name(c)))) {
			back_off_no_more(c);
			try_connect(c);
		}
	}
}

static void
inotify_cb(evutil_socket_t fd, short what, void *arg)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	(void)what;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			on_inotify(arg, event);
			at += sizeof(*event) + event->len;
		}
	}
}

struct reconnect *
reconnect_create(struct event_base *base, struct err *err)
{
	struct reconnect *r = calloc(1, sizeof(*r));

	if (!r)
		goto no_memory;
	r->base = base;
	r->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (r->inotify_fd < 0) {
		err_set(err, errno, "no-inotify",
			"no inotify instance: %s; raise the sysctl fs.inotify.max_user_instances",
			strerror(errno));
		free(r);
		return NULL;
	}
	r->readable = event_new(base, r->inotify_fd, EV_READ | EV_PERSIST, inotify_cb, r);
	if (!r->readable || event_add(r->readable, NULL) < 0) {
		reconnect_destroy(r);
		goto no_memory;
	}
	return r;

no_memory:
	err_set(err, ENOMEM, "no-memory", "no memory for the reconnection of ports");
	return NULL;
}

static struct client *
find(struct reconnect *r, int port)
{
	struct client *c;

	LIST_FOREACH(c, &r->clients, link)
		if (c->port == port)
			return c;
	return NULL;
}

static void
client_destroy(struct client *c)
{
	watch_del(c);
	LIST_REMOVE(c, link);
	event_free(c->timer);
	free(c);
}

void
reconnect_destroy(struct reconnect *r)
{
	if (!r)
		return;
	while (!LIST_EMPTY(&r->clients))
		client_destroy(LIST_FIRST(&r->clients));
	if (r->readable)
		event_free(r->readable);
	close(r->inotify_fd);
	free(r);
}

int
reconnect_add(struct reconnect *r, int port, const char *path, bool clears)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->timer = evtimer_new(r->base, timer_cb, c);
	if (!c->timer) {
		free(c);
		return -ENOMEM;
	}
	c->owner = r;
	c->port = port;
	c->clears = clears;
	c->backoff_ms = BACKOFF_MIN_MS;
	snprintf(c->path, sizeof(c->path), "%s", path);
	LIST_INSERT_HEAD(&r->clients, c, link);
	/* The watch comes before the first try: a socket made in between is seen by one of them. */
	watch_add(c);
	try_connect(c);
	return 0;
}

void
reconnect_del(struct reconnect *r, int port)
{
	struct client *c = find(r, port);

	if (c)
		client_destroy(c);
}

void
reconnect_lost(struct reconnect *r, int port)
{
	struct client *c = find(r, port);

	if (!c || !c->connected)
		return;
	c->connected = false;
	if (c->backoff_ms == BACKOFF_MIN_MS) {
		c->backoff_ms *= 2;
		try_connect(c);
		return;
	}
	back_off(c);
}

void
reconnect_up(struct reconnect *r, int port)
{
	struct client *c = find(r, port);

	if (c)
		back_off_no_more(c);
}
