/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/log.h"

#define INTERVAL_US 10000
#define FRAMES_AT_ONCE 4096 /* of one recording, before all else has its turn */

static bool
runs(const struct recording *rec)
{
	return rec->out.fd >= 0;
}

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Ends a recording that runs; `why` NULL: somebody asked for it. */
static void
end(struct recorder *r, struct recording *rec, const char *why)
{
	int rc;

	rec->lost = dp_capture_stop(rec->port);
	rc = pcapng_finish(&rec->out, rec->start_ns, now_ns(), rec->packets + rec->lost, rec->lost);
	if (rc < 0)
		log_warning("%s: the end of %s could not be written: %s", rec->name, rec->file,
			    strerror(-rc));
	close(rec->out.fd);
	rec->out.fd = -1;
	log_info("%s: captured %" PRIu64 " frames to %s, lost %" PRIu64 "%s%s", rec->name,
		 rec->packets, rec->file, rec->lost, why ? "; it ended since " : "",
		 why ? why : "");
	if (!why)
		return;
	snprintf(rec->why, sizeof(rec->why), "%s", why);
	r->ended(r->arg, rec);
}

/*
 * Writes up to `n` frames that passed until `end_ns`. Returns how many; fewer than n: there are no
 * more, or the recording has ended.
 */
static unsigned int
drain(struct recorder *r, struct recording *rec, unsigned int n, int64_t end_ns)
{
	struct dp_captured frame;
	unsigned int done;
	char why[80];
	int rc = 0;

	for (done = 0; done < n && dp_capture_read(rec->port, &frame); done++) {
		if (frame.time_ns > end_ns)
			break;
		if (rec->out.bytes + pcapng_frame_size(frame.bytes) + pcapng_end_size() >
		    rec->max_bytes) {
			end(r, rec, "the file has max_bytes");
			return done;
		}
		rc = pcapng_frame(&rec->out, frame.time_ns, !frame.to_guest, frame.frame_bytes,
				  frame.data, frame.bytes);
		if (rc < 0)
			break;
		rec->packets++;
	}
	if (rc == 0)
		rc = pcapng_flush(&rec->out);
	if (rc < 0) {
		snprintf(why, sizeof(why), "the file cannot be written: %s", strerror(-rc));
		end(r, rec, why);
		return 0;
	}
	return done;
}

static void
drain_cb(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *r = arg;
	struct timeval next = {0, INTERVAL_US};
	struct recording *rec;
	bool any = false;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(rec, &r->recordings, link) {
		if (!runs(rec))
			continue;
		if (drain(r, rec, FRAMES_AT_ONCE, INT64_MAX) == FRAMES_AT_ONCE)
			next.tv_usec = 0;
		any = any || runs(rec);
	}
	if (any)
		event_add(r->timer, &next);
}

int
recorder_init(struct recorder *r, struct event_base *base,
	      void (*ended)(void *arg, const struct recording *recording), void *arg)
{
	*r = (struct recorder){.ended = ended, .arg = arg};
	TAILQ_INIT(&r->recordings);
	r->timer = evtimer_new(base, drain_cb, r);
	return r->timer ? 0 : -ENOMEM;
}

void
recorder_free(struct recording *rec)
{
	if (rec)
		free(rec->file);
	free(rec);
}

static struct recording *
find(struct recorder *r, const char *name)
{
	struct recording *rec;

	TAILQ_FOREACH(rec, &r->recordings, link)
		if (!strcmp(rec->name, name))
			return rec;
	return NULL;
}

static void
forget(struct recorder *r, struct recording *rec)
{
	TAILQ_REMOVE(&r->recordings, rec, link);
	recorder_free(rec);
}

/* Takes what passed up to now, and ends. */
static void
drain_and_end(struct recorder *r, struct recording *rec, const char *why)
{
	int64_t end_ns = now_ns();

	while (runs(rec) && drain(r, rec, FRAMES_AT_ONCE, end_ns) == FRAMES_AT_ONCE)
		;
	if (runs(rec))
		end(r, rec, why);
}

void
recorder_clear(struct recorder *r)
{
	struct recording *rec;

	if (!r->timer)
		return;
	while ((rec = TAILQ_FIRST(&r->recordings))) {
		drain_and_end(r, rec, NULL);
		forget(r, rec);
	}
	event_free(r->timer);
	r->timer = NULL;
}

/* Returns the descriptor. */
static int
open_file(const char *file, struct err *err)
{
	int fd, rc;

	if (file[0] != '/')
		return err_set_param(err, EINVAL, "bad-parameter", "file",
				     "file must be an absolute path, not \"%s\"", file);
	/* O_EXCL follows no symbolic link, either. */
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	rc = errno;
	if (rc == EEXIST)
		return err_set_param(err, rc, "file-exists", "file",
				     "file %s is there already; remove it or choose another name",
				     file);
	return err_set_param(err, rc, "file-refused", "file",
			     "file %s cannot be made: %s; choose a place where sluiced may write",
			     file, strerror(rc));
}

static struct recording *
create(const struct recorder_request *request)
{
	struct recording *rec = calloc(1, sizeof(*rec));

	if (!rec)
		return NULL;
	rec->file = strdup(request->file);
	if (!rec->file) {
		free(rec);
		return NULL;
	}
	rec->port = request->port;
	snprintf(rec->name, sizeof(rec->name), "%s", request->name);
	rec->snaplen = request->snaplen;
	rec->max_bytes = request->max_bytes;
	rec->start_ns = now_ns();
	return rec;
}

int
recorder_start(struct recorder *r, const struct recorder_request *request, struct err *err)
{
	static const struct timeval interval = {0, INTERVAL_US};
	struct recording *old = find(r, request->name), *rec;
	int rc;

	if (old && runs(old))
		return err_set_param(err, EBUSY, "capture-runs", "port",
				     "%s is being captured to %s; stop that first", request->name,
				     old->file);
	rec = create(request);
	if (!rec)
		return err_set(err, ENOMEM, "no-memory", "no memory for a capture");
	rc = open_file(rec->file, err);
	if (rc < 0)
		goto fail;
	pcapng_start(&rec->out, rc, rec->name, rec->snaplen);
	rc = dp_capture_start(rec->port, rec->snaplen, err);
	if (rc < 0)
		goto fail_file;
	if (old)
		forget(r, old);
	TAILQ_INSERT_TAIL(&r->recordings, rec, link);
	event_add(r->timer, &interval);
	log_info("%s: capturing to %s", rec->name, rec->file);
	return 0;

fail_file:
	close(rec->out.fd);
	unlink(rec->file);
fail:
	recorder_free(rec);
	return rc;
}

struct recording *
recorder_stop(struct recorder *r, const char *name)
{
	struct recording *rec = find(r, name);

	if (!rec)
		return NULL;
	drain_and_end(r, rec, NULL);
	TAILQ_REMOVE(&r->recordings, rec, link);
	return rec;
}

void
recorder_port_goes(struct recorder *r, int port)
{
	struct recording *rec, *next;

	for (rec = TAILQ_FIRST(&r->recordings); rec; rec = next) {
		next = TAILQ_NEXT(rec, link);
		if (rec->port != port)
			continue;
		drain_and_end(r, rec, "the port goes");
		forget(r, rec);
	}
}
