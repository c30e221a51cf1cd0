/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/rpc.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/envelope.h"
#include "control/log.h"

#define BACKLOG 1024 /* connections that wait for accept() */
#define LINES_AT_ONCE 64 /* of one connection, before others have their turn */
#define WRITE_TIMEOUT_S 30 /* for a client to take the next byte of what it asked for */
#define ACCEPT_PAUSE_MS 100 /* after accept() failed, for lack of descriptors */

struct rpc_answer {
	LIST_ENTRY(rpc_answer) link;
	struct rpc_connection *connection; /* NULL: it is gone */
	json_t *id; /* NULL: the client wants none */
};

struct rpc_connection {
	LIST_ENTRY(rpc_connection) link;
	struct rpc *rpc;
	struct bufferevent *stream;
	struct event *next; /* takes up the lines that were left when others had their turn */
	struct event *partial; /* runs while a line is begun and not finished */
	enum peer_access access;
	uint32_t topics;
	const struct request *request; /* that is being carried out */
	bool answers_later; /* it, not now */
	LIST_HEAD(, rpc_answer) owed;
	bool eof; /* the client will send no more */
	bool ended; /* no more requests; to be closed when all replies are out */
	bool cut; /* ended, and to be closed at once */
};

struct rpc {
	struct rpc_config config;
	struct evconnlistener *listener;
	struct event *accept_again;
	dev_t dev; /* of the socket that we made */
	ino_t ino;
	unsigned int n_connections;
	LIST_HEAD(, rpc_connection) connections;
};

static void
connection_destroy(struct rpc_connection *c)
{
	struct rpc_answer *answer;

	while ((answer = LIST_FIRST(&c->owed))) {
		LIST_REMOVE(answer, link);
		answer->connection = NULL;
	}
	LIST_REMOVE(c, link);
	c->rpc->n_connections--;
	event_free(c->next);
	event_free(c->partial);
	bufferevent_free(c->stream);
	free(c);
}

static size_t
backlog(const struct rpc_connection *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->stream));
}

/* Takes ownership of `message`; NULL (no memory) ends the connection, as its client waits for it. */
static void
send_message(struct rpc_connection *c, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	if (text) {
		bufferevent_write(c->stream, text, strlen(text));
		bufferevent_write(c->stream, "\n", 1);
	} else {
		c->ended = true;
	}
	free(text);
	json_decref(message);
}

static void
handle_line(struct rpc_connection *c, const char *line, size_t len)
{
	struct err err = {0};
	struct request req;
	json_t *result = NULL;
	int code = request_parse(&req, line, len, &err);
	bool valid = code == 0;

	c->request = &req;
	c->answers_later = false;
	if (valid)
		code = c->rpc->config.call(c->rpc->config.arg, c, req.method, req.params, &result,
					   &err);
	/* A line that is no request has no id to leave out, so it is answered in any case. */
	if (c->answers_later || (valid && !req.id))
		json_decref(result);
	else if (code)
		send_message(c, reply_error(req.id, code, &err));
	else
		send_message(c, reply_result(req.id, result));
	c->request = NULL;
	request_free(&req);
}

static void
refuse_long_line(struct rpc_connection *c)
{
	struct err err = {0};

	err_set(&err, EMSGSIZE, "", "a line has more than %d bytes", RPC_LINE_MAX);
	send_message(c, reply_error(NULL, ENVELOPE_INVALID, &err));
	c->ended = true;
}

static bool
is_blank(const char *line)
{
	return line[strspn(line, " \t\r")] == '\0';
}

/* The next line of the input, to be freed, or NULL. The last one may lack its end. */
static char *
cut_line(struct rpc_connection *c, size_t *len)
{
	struct evbuffer *input = bufferevent_get_input(c->stream);
	char *line = evbuffer_readln(input, len, EVBUFFER_EOL_LF);

	*len = line ? *len : evbuffer_get_length(input);
	if (line || !c->eof || !*len)
		return line;
	line = calloc(1, *len + 1);
	if (line)
		evbuffer_remove(input, line, *len);
	return line;
}

/* Does what the next line of the input asks for. False: there is none (yet). */
static bool
take_line(struct rpc_connection *c)
{
	size_t len;
	char *line = cut_line(c, &len);

	if (!line) {
		if (len > RPC_LINE_MAX)
			refuse_long_line(c);
		return false;
	}
	if (len > RPC_LINE_MAX)
		refuse_long_line(c);
	else if (!is_blank(line) || strlen(line) < len)
		handle_line(c, line, len);
	free(line);
	return true;
}

/* Does what the input asks for, within the limits; decides how the connection goes on. May destroy
 * the connection. */
static void
serve(struct rpc_connection *c)
{
	static const struct timeval at_once;
	const unsigned int partial_ms = c->rpc->config.partial_line_ms;
	const struct timeval partial_line = {partial_ms / 1000, partial_ms % 1000 * 1000};
	unsigned int n = 0;

	while (!c->ended && n < LINES_AT_ONCE && backlog(c) < RPC_BACKLOG_PAUSE && take_line(c))
		n++;
	if (n)
		evtimer_del(c->partial);
	if (c->eof && !evbuffer_get_length(bufferevent_get_input(c->stream)))
		c->ended = true;
	if (c->ended) {
		bufferevent_disable(c->stream, EV_READ);
		evtimer_del(c->partial);
		if (c->cut || (!backlog(c) && LIST_EMPTY(&c->owed)))
			connection_destroy(c);
	} else if (backlog(c) >= RPC_BACKLOG_PAUSE) {
		bufferevent_disable(c->stream, EV_READ); /* drained_cb() goes on */
	} else if (n == LINES_AT_ONCE) {
		evtimer_add(c->next, &at_once);
	} else if (evbuffer_get_length(bufferevent_get_input(c->stream)) &&
		   !evtimer_pending(c->partial, NULL)) {
		evtimer_add(c->partial, &partial_line);
	}
}

static void
readable_cb(struct bufferevent *stream, void *arg)
{
	(void)stream;
	serve(arg);
}

static void
next_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	serve(arg);
}

/* All replies are out. */
static void
drained_cb(struct bufferevent *stream, void *arg)
{
	struct rpc_connection *c = arg;

	if (!c->ended && !c->eof)
		bufferevent_enable(stream, EV_READ);
	serve(c);
}

static void
partial_cb(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_connection *c = arg;
	struct err err = {0};

	(void)fd;
	(void)what;
	err_set(&err, ETIMEDOUT, "", "a line was not finished within %u ms",
		c->rpc->config.partial_line_ms);
	send_message(c, reply_error(NULL, ENVELOPE_INVALID, &err));
	c->ended = true;
	serve(c);
}

static void
on_eof(struct rpc_connection *c)
{
	c->eof = true;
	serve(c);
}

static void
stream_cb(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	if (what & BEV_EVENT_EOF)
		on_eof(arg);
	else if (what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		connection_destroy(arg);
}

static struct rpc_connection *
connection_create(struct rpc *rpc, int fd)
{
	static const struct timeval write_timeout = {WRITE_TIMEOUT_S, 0};
	struct rpc_connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->rpc = rpc;
	LIST_INIT(&c->owed);
	c->access = peer_access(&rpc->config.policy, fd);
	c->next = evtimer_new(rpc->config.base, next_cb, c);
	c->partial = evtimer_new(rpc->config.base, partial_cb, c);
	if (!c->next || !c->partial)
		goto fail;
	c->stream = bufferevent_socket_new(rpc->config.base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c->stream)
		goto fail;
	bufferevent_setcb(c->stream, readable_cb, drained_cb, stream_cb, c);
	/* One byte more than a line and its end: enough to know that a line is too long. */
	bufferevent_setwatermark(c->stream, EV_READ, 0, RPC_LINE_MAX + 1);
	bufferevent_set_timeouts(c->stream, NULL, &write_timeout);
	bufferevent_enable(c->stream, EV_READ | EV_WRITE);
	LIST_INSERT_HEAD(&rpc->connections, c, link);
	rpc->n_connections++;
	return c;

fail:
	if (c->next)
		event_free(c->next);
	if (c->partial)
		event_free(c->partial);
	free(c);
	return NULL;
}

/* Says why, as far as the socket takes it at once, and closes. */
static void
refuse_connection(const struct rpc *rpc, int fd)
{
	struct err err = {0};
	json_t *reply;
	char *text;

	err_set(&err, EBUSY, "too-many-connections",
		"%u control connections are open, which is the limit; close some",
		rpc->n_connections);
	reply = reply_error(NULL, ENVELOPE_DOMAIN, &err);
	text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	if (text)
		dprintf(fd, "%s\n", text);
	free(text);
	json_decref(reply);
	close(fd);
}

static void
accept_cb(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
	  void *arg)
{
	struct rpc *rpc = arg;

	(void)listener;
	(void)address;
	(void)len;
	if (rpc->n_connections >= rpc->config.connections_max)
		refuse_connection(rpc, fd);
	else if (!connection_create(rpc, fd))
		close(fd);
}

/* accept() fails again and again while descriptors lack: leave it alone for a moment. */
static void
accept_error_cb(struct evconnlistener *listener, void *arg)
{
	static const struct timeval pause = {0, ACCEPT_PAUSE_MS * 1000};
	struct rpc *rpc = arg;

	log_warning("control socket: accept: %s", strerror(errno));
	evconnlistener_disable(listener);
	evtimer_add(rpc->accept_again, &pause);
}

static void
accept_again_cb(evutil_socket_t fd, short what, void *arg)
{
	struct rpc *rpc = arg;

	(void)fd;
	(void)what;
	evconnlistener_enable(rpc->listener);
}

/* A listening socket that nobody can open before it has its group and mode. Returns -errno. */
static int
listen_on(const char *path, gid_t group)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, rc;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	mask = umask(0777);
	rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (rc < 0)
		goto fail;
	if ((group != (gid_t)-1 && chown(path, -1, group) < 0) || chmod(path, 0660) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		rc = -errno;
		unlink(path);
		goto fail_rc;
	}
	return fd;

fail:
	rc = -errno;
fail_rc:
	close(fd);
	return rc;
}

/* Removes the socket, unless somebody has put something else in its place. */
static void
unlink_ours(const struct rpc *rpc)
{
	struct stat st;

	if (lstat(rpc->config.path, &st) == 0 && st.st_dev == rpc->dev && st.st_ino == rpc->ino)
		unlink(rpc->config.path);
}

struct rpc *
rpc_start(const struct rpc_config *config, struct err *err)
{
	struct rpc *rpc;
	struct stat st;
	int fd;

	fd = listen_on(config->path, config->policy.group);
	if (fd < 0) {
		err_set_param(err, fd, "bad-option", "control", "control socket %s: %s",
			      config->path, strerror(-fd));
		return NULL;
	}
	rpc = calloc(1, sizeof(*rpc));
	if (!rpc)
		goto no_memory;
	rpc->config = *config;
	if (lstat(config->path, &st) == 0) {
		rpc->dev = st.st_dev;
		rpc->ino = st.st_ino;
	}
	LIST_INIT(&rpc->connections);
	rpc->accept_again = evtimer_new(config->base, accept_again_cb, rpc);
	rpc->listener = evconnlistener_new(config->base, accept_cb, rpc,
					   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!rpc->accept_again || !rpc->listener)
		goto no_memory;
	evconnlistener_set_error_cb(rpc->listener, accept_error_cb);
	return rpc;

no_memory:
	if (rpc && rpc->listener)
		evconnlistener_free(rpc->listener);
	else
		close(fd);
	if (rpc && rpc->accept_again)
		event_free(rpc->accept_again);
	free(rpc);
	unlink(config->path);
	err_set(err, ENOMEM, "no-memory", "no memory for the control socket");
	return NULL;
}

void
rpc_stop(struct rpc *rpc)
{
	struct rpc_connection *c;

	unlink_ours(rpc);
	evconnlistener_free(rpc->listener);
	rpc->listener = NULL;
	evtimer_del(rpc->accept_again);
	LIST_FOREACH(c, &rpc->connections, link) {
		struct evbuffer *output = bufferevent_get_output(c->stream);

		bufferevent_disable(c->stream, EV_READ | EV_WRITE);
		evbuffer_unfreeze(output, 1); /* a bufferevent's output is for it alone to read */
		evbuffer_write(output, bufferevent_getfd(c->stream));
	}
}

void
rpc_destroy(struct rpc *rpc)
{
	while (!LIST_EMPTY(&rpc->connections))
		connection_destroy(LIST_FIRST(&rpc->connections));
	event_free(rpc->accept_again);
	free(rpc);
}

enum peer_access
rpc_access(const struct rpc_connection *connection)
{
	return connection->access;
}

struct rpc_answer *
rpc_answer_later(struct rpc_connection *connection)
{
	struct rpc_answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		return NULL;
	answer->connection = connection;
	answer->id = json_incref((json_t *)connection->request->id);
	LIST_INSERT_HEAD(&connection->owed, answer, link);
	connection->answers_later = true;
	return answer;
}

bool
rpc_answers_later(const struct rpc_connection *connection)
{
	return connection->answers_later;
}

void
rpc_answer(struct rpc_answer *answer, json_t *result, const struct err *err)
{
	static const struct timeval at_once;
	struct rpc_connection *c = answer->connection;

	if (c) {
		LIST_REMOVE(answer, link);
		if (answer->id)
			send_message(c, result ? reply_result(answer->id, result) :
						 reply_error(answer->id, ENVELOPE_DOMAIN, err));
		else
			json_decref(result);
		/* It may be the last that a connection has waited for. */
		if (c->ended)
			evtimer_add(c->next, &at_once);
	} else {
		json_decref(result);
	}
	json_decref(answer->id);
	free(answer);
}

void
rpc_subscribe(struct rpc_connection *connection, uint32_t topics)
{
	connection->topics = topics;
}

void
rpc_notify(struct rpc *rpc, uint32_t topic, json_t *message)
{
	static const struct timeval at_once;
	char *text = json_dumps(message, JSON_COMPACT);
	struct rpc_connection *c;

	LIST_FOREACH(c, &rpc->connections, link) {
		if (!text || !(c->topics & topic) || c->ended)
			continue;
		if (backlog(c) > RPC_BACKLOG_CUT) {
			log_warning("a subscriber does not read its events; it was cut off");
			/* Not here: it may be the one whose request is being carried out. */
			c->ended = c->cut = true;
			evtimer_add(c->next, &at_once);
			continue;
		}
		bufferevent_write(c->stream, text, strlen(text));
		bufferevent_write(c->stream, "\n", 1);
	}
	free(text);
	json_decref(message);
}
