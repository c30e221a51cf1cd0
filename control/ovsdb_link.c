/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ovsdb_link.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/ovsdb_wire.h"

/*
 * One timer serves both lives of a link. Without a connection it makes the next try; with one it
 * starts anew with each byte that comes, asks for an echo when it ends, and when it ends again the
 * connection is given up.
 */

#define DATABASE "Open_vSwitch"
#define MONITOR "sluice" /* what the server calls our monitor by */
#define SILENCE_MS 5000 /* before an echo is asked for, and before its answer must have come */
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 5000
#define UNSENT_MAX (16 << 20) /* bytes that wait for the server to take them */

/* What an answer is owed to. */
struct request {
	TAILQ_ENTRY(request) link;
	json_int_t id;
	bool transaction;
	ovsdb_link_answer *answer; /* may be NULL */
	void *arg;
};

struct ovsdb_link {
	struct ovsdb_link_config config;
	char *path;
	struct event *timer;
	unsigned int retry_ms; /* to the next try */
	struct bufferevent *stream; /* NULL: not connected */
	struct ovsdb_wire wire;
	bool echo_asked; /* and nothing came since */
	bool up; /* the rows of this connection have come */
	char told[sizeof(((struct err *)0)->code)]; /* that it is down, and why; "": nothing */
	json_int_t last_id;
	TAILQ_HEAD(, request) requests; /* sent, not answered; oldest first */
	json_t *watched; /* what the server has of what we watch: ovsdb_rows_requests() */
	struct ovsdb_rows rows;
};

static void
timer_start(struct ovsdb_link *link, unsigned int ms)
{
	const struct timeval delay = {ms / 1000, ms % 1000 * 1000};

	evtimer_add(link->timer, &delay);
}

/* Takes over `message`. */
static int
send_message(struct ovsdb_link *link, json_t *message)
{
	struct evbuffer *output = bufferevent_get_output(link->stream);
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;
	ssize_t sent = 0;
	int rc = 0;

	json_decref(message);
	if (!text)
		return -ENOMEM;
	/* All of a message goes, or nothing. */
	if (len > UNSENT_MAX - evbuffer_get_length(output)) {
		free(text);
		return -ENOBUFS;
	}
	/* At once, not in the event loop's next turn: ovs-vswitchd may be about to answer the same. What
	 * is wrong with the socket the event loop will find. */
	if (!evbuffer_get_length(output))
		sent = send(bufferevent_getfd(link->stream), text, len, MSG_NOSIGNAL);
	if (sent < 0)
		sent = 0;
	if (bufferevent_write(link->stream, text + sent, len - sent) < 0)
		rc = -ENOMEM;
	free(text);
	return rc;
}

/* As ovsdb_link_request(), at any time while there is a connection. */
static int
ask(struct ovsdb_link *link, const char *method, json_t *params, ovsdb_link_answer *answer,
    void *arg)
{
	struct request *request = calloc(1, sizeof(*request));
	int rc;

	if (!request) {
		json_decref(params);
		return -ENOMEM;
	}
	*request = (struct request){
		.id = ++link->last_id,
		.transaction = !strcmp(method, "transact"),
		.answer = answer,
		.arg = arg,
	};
	rc = send_message(link, json_pack("{s:I, s:s, s:o}", "id", request->id, "method", method,
					  "params", params));
	if (rc < 0)
		free(request);
	else
		TAILQ_INSERT_TAIL(&link->requests, request, link);
	return rc;
}

static void
requests_drop(struct ovsdb_link *link)
{
	struct request *request;

	while ((request = TAILQ_FIRST(&link->requests))) {
		TAILQ_REMOVE(&link->requests, request, link);
		free(request);
	}
}

/* Gives the connection up, if there is one, tells why, and sees to the next. A server that is there
 * and talks nonsense is asked ever more seldom, too. */
static void
link_break(struct ovsdb_link *link, const struct err *why)
{
	const bool was_up = link->up;

	if (link->stream)
		bufferevent_free(link->stream);
	link->stream = NULL;
	link->up = link->echo_asked = false;
	ovsdb_wire_clear(&link->wire);
	requests_drop(link);
	if (was_up && strcmp(why->code, "ovsdb-protocol"))
		link->retry_ms = RETRY_MIN_MS;
	timer_start(link, link->retry_ms);
	link->retry_ms *= 2;
	if (link->retry_ms > RETRY_MAX_MS)
		link->retry_ms = RETRY_MAX_MS;
	if (!was_up && !strcmp(link->told, why->code))
		return;
	snprintf(link->told, sizeof(link->told), "%s", why->code);
	link->config.on_down(link->config.arg, why);
}

static void __attribute__((format(printf, 3, 4)))
break_saying(struct ovsdb_link *link, const char *code, const char *fmt, ...)
{
	struct err why = {0};
	char text[sizeof(why.message)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	err_set(&why, EPIPE, code, "ovsdb-server on %s: %s", link->path, text);
	link_break(link, &why);
}

static void
break_refused(struct ovsdb_link *link, const json_t *error)
{
	const char *said = json_string_value(json_object_get(error, "error"));

	if (!said && json_is_string(error))
		said = json_string_value(error);
	break_saying(link, "ovsdb-refused", "it does not let us watch %s: %s", DATABASE,
		     said ? said : "it does not say why");
}

/* All rows have come. */
static void
rows_begin(void *arg, const json_t *result, const json_t *error)
{
	struct ovsdb_link *link = arg;
	struct ovsdb_rows rows;
	struct err why = {0};

	if (error) {
		break_refused(link, error);
		return;
	}
	if (ovsdb_rows_init(&rows) < 0) {
		break_saying(link, "no-memory", "no memory for its rows");
		return;
	}
	if (ovsdb_rows_update(&rows, result, &why) < 0) {
		ovsdb_rows_free(&rows);
		link_break(link, &why);
		return;
	}
	ovsdb_rows_free(&link->rows);
	link->rows = rows;
	link->rows.requests = json_incref(link->watched);
	link->up = true;
	link->told[0] = '\0';
	link->config.on_rows(link->config.arg, &link->rows, true);
}

/* The schema has come: asks for the rows. */
static void
watch(void *arg, const json_t *schema, const json_t *error)
{
	struct ovsdb_link *link = arg;

	json_decref(link->watched);
	link->watched = ovsdb_rows_requests(schema);
	if (error)
		break_refused(link, error);
	else if (!link->watched)
		break_saying(link, "ovsdb-refused", "its %s has not the tables that we need",
			     DATABASE);
	else if (ask(link, "monitor_cond", json_pack("[s, s, O]", DATABASE, MONITOR, link->watched),
		     rows_begin, link) < 0)
		break_saying(link, "no-memory", "no memory for a request");
}

static void
rows_change(struct ovsdb_link *link, const json_t *params)
{
	const char *monitor = json_string_value(json_array_get(params, 0));
	struct err why = {0};

	if (!link->up || !monitor || strcmp(monitor, MONITOR))
		break_saying(link, "ovsdb-protocol", "an update came that was not asked for");
	else if (ovsdb_rows_update(&link->rows, json_array_get(params, 1), &why) < 0)
		link_break(link, &why);
	else
		link->config.on_rows(link->config.arg, &link->rows, false);
}

/* What the server asks for, or tells. */
static void
handle_request(struct ovsdb_link *link, const char *method, json_t *params, json_t *id)
{
	const char *lock = json_string_value(json_array_get(params, 0));
	int rc = 0;

	if (!strcmp(method, "update2"))
		rows_change(link, params);
	else if (!strcmp(method, "monitor_canceled"))
		break_saying(link, "ovsdb-refused", "the database is being replaced");
	else if ((!strcmp(method, "locked") || !strcmp(method, "stolen")) && lock) {
		if (link->config.on_lock)
			link->config.on_lock(link->config.arg, method, lock);
	} else if (id && !json_is_null(id)) {
		if (!strcmp(method, "echo"))
			rc = send_message(link, json_pack("{s:O, s:O?, s:n}", "id", id, "result",
							  params, "error"));
		else
			rc = send_message(link, json_pack("{s:O, s:n, s:s}", "id", id, "result",
							  "error", "unknown method"));
	}
	if (rc < 0)
		break_saying(link, "ovsdb-protocol", "it does not read what it is sent");
}

/* Of what the operations of a transaction answered: the error, if there is one. */
static const json_t *
operation_error(const json_t *results)
{
	const json_t *result;
	size_t i;

	json_array_foreach(results, i,
			   result) if (json_is_string(json_object_get(result,
								      "error"))) return result;
	return NULL;
}

static void
handle_answer(struct ovsdb_link *link, const json_t *message)
{
	const json_t *id = json_object_get(message, "id");
	const json_t *result = json_object_get(message, "result");
	const json_t *error = json_object_get(message, "error");
	struct request *request;

	TAILQ_FOREACH(request, &link->requests, link)
		if (json_is_integer(id) && json_integer_value(id) == request->id)
			break;
	if (json_is_null(error))
		error = NULL;
	if (!request || (!error && (!result || (request->transaction && !json_is_array(result))))) {
		break_saying(link, "ovsdb-protocol", "an answer came that fits no request");
		return;
	}
	if (!error && request->transaction)
		error = operation_error(result);
	TAILQ_REMOVE(&link->requests, request, link);
	if (request->answer)
		request->answer(request->arg, error ? NULL : result, error);
	free(request);
}

static void
handle_message(struct ovsdb_link *link, const json_t *message)
{
	const json_t *method = json_object_get(message, "method");

	if (json_is_string(method))
		handle_request(link, json_string_value(method), json_object_get(message, "params"),
			       json_object_get(message, "id"));
	else
		handle_answer(link, message);
}

static void
readable_cb(struct bufferevent *stream, void *arg)
{
	struct ovsdb_link *link = arg;
	struct err why = {0};
	json_t *message;
	int rc;

	link->echo_asked = false;
	timer_start(link, SILENCE_MS);
	rc = ovsdb_wire_add(&link->wire, bufferevent_get_input(stream), &why);
	/* A message may break the link; then there is no next one. */
	while (rc >= 0 && (rc = ovsdb_wire_next(&link->wire, &message, &why)) > 0) {
		handle_message(link, message);
		json_decref(message);
	}
	if (rc < 0)
		link_break(link, &why);
}

static void
stream_cb(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	if (what & BEV_EVENT_EOF)
		break_saying(arg, "ovsdb-down", "it closed the connection");
	else if (what & BEV_EVENT_ERROR)
		break_saying(arg, "ovsdb-down", "%s", strerror(EVUTIL_SOCKET_ERROR()));
}

/* A connection to a unix socket is made at once or not at all. Returns the descriptor, or -errno. */
static int
connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static void
link_try(struct ovsdb_link *link)
{
	int fd = connect_to(link->path);

	if (fd < 0) {
		break_saying(link, "ovsdb-down", "%s", strerror(-fd));
		return;
	}
	link->stream = bufferevent_socket_new(link->config.base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!link->stream) {
		close(fd);
		break_saying(link, "no-memory", "no memory for the connection");
		return;
	}
	bufferevent_setcb(link->stream, readable_cb, NULL, stream_cb, link);
	bufferevent_enable(link->stream, EV_READ | EV_WRITE);
	timer_start(link, SILENCE_MS);
	if (ask(link, "get_schema", json_pack("[s]", DATABASE), watch, link) < 0)
		break_saying(link, "no-memory", "no memory for a request");
}

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct ovsdb_link *link = arg;

	(void)fd;
	(void)what;
	if (!link->stream) {
		link_try(link);
	} else if (link->echo_asked || ask(link, "echo", json_array(), NULL, NULL) < 0) {
		break_saying(link, "ovsdb-down", "it is silent");
	} else {
		link->echo_asked = true;
		timer_start(link, SILENCE_MS);
	}
}

struct ovsdb_link *
ovsdb_link_create(const struct ovsdb_link_config *config, struct err *err)
{
	struct ovsdb_link *link = calloc(1, sizeof(*link));

	if (!link)
		goto no_memory;
	TAILQ_INIT(&link->requests);
	link->config = *config;
	link->retry_ms = RETRY_MIN_MS;
	link->path = strdup(config->path);
	link->timer = evtimer_new(config->base, timer_cb, link);
	if (!link->path || !link->timer || ovsdb_rows_init(&link->rows) < 0)
		goto no_memory;
	timer_start(link, 0);
	return link;

no_memory:
	ovsdb_link_destroy(link);
	err_set(err, ENOMEM, "no-memory", "no memory for the link to ovsdb-server");
	return NULL;
}

void
ovsdb_link_destroy(struct ovsdb_link *link)
{
	if (!link)
		return;
	if (link->stream)
		bufferevent_free(link->stream);
	ovsdb_wire_clear(&link->wire);
	requests_drop(link);
	ovsdb_rows_free(&link->rows);
	json_decref(link->watched);
	if (link->timer)
		event_free(link->timer);
	free(link->path);
	free(link);
}

int
ovsdb_link_request(struct ovsdb_link *link, const char *method, json_t *params,
		   ovsdb_link_answer *answer, void *arg)
{
	if (link->up)
		return ask(link, method, params, answer, arg);
	json_decref(params);
	return -ENOTCONN;
}

int
ovsdb_link_transact(struct ovsdb_link *link, json_t *operations, ovsdb_link_answer *answer,
		    void *arg)
{
	int rc = json_array_insert_new(operations, 0, json_string(DATABASE));

	if (rc == 0)
		return ovsdb_link_request(link, "transact", operations, answer, arg);
	json_decref(operations);
	return -ENOMEM;
}

/* A look: a link that lives until its first rows have come. */
struct look {
	struct event_base *base;
	struct ovsdb_rows *rows;
	bool seen;
	struct err why; /* it has not come so far */
};

static void
look_rows_cb(void *arg, const struct ovsdb_rows *rows, bool fresh)
{
	struct look *look = arg;

	if (fresh && !look->seen)
		*look->rows = (struct ovsdb_rows){.tables = json_incref(rows->tables)};
	look->seen = true;
	event_base_loopbreak(look->base);
}

static void
look_down_cb(void *arg, const struct err *why)
{
	struct look *look = arg;

	look->why = *why;
}

int
ovsdb_link_look(const char *path, unsigned int timeout_ms, struct ovsdb_rows *rows, struct err *err)
{
	const struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	struct look look = {.base = event_base_new(), .rows = rows};
	const struct ovsdb_link_config config = {
		.base = look.base,
		.path = path,
		.on_rows = look_rows_cb,
		.on_down = look_down_cb,
		.arg = &look,
	};
	struct ovsdb_link *link;

	if (!look.base)
		return err_set(err, ENOMEM, "no-memory", "no memory for the event loop");
	link = ovsdb_link_create(&config, err);
	if (!link) {
		event_base_free(look.base);
		return -ENOMEM;
	}
	event_base_loopexit(look.base, &timeout);
	event_base_dispatch(look.base);
	ovsdb_link_destroy(link);
	event_base_free(look.base);
	if (look.seen)
		return 0;
	if (!look.why.code[0])
		return err_set(err, ETIMEDOUT, "ovsdb-down",
			       "ovsdb-server on %s: it did not answer within %u ms", path,
			       timeout_ms);
	if (err)
		*err = look.why;
	return -ECONNREFUSED;
}
