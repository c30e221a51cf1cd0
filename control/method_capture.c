/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "control/methods.h"
#include "control/report.h"

/* As the schema says. */
#define SNAPLEN 262144
#define MAX_BYTES (INT64_C(1) << 30)

static struct model_port *
find_port(const struct model *m, const char *name, struct err *err)
{
	struct model_port *port = model_port_find(m, name);

	if (!port)
		err_set_param(err, ENOENT, "no-such-port", "port",
			      "there is no port or uplink %s; `sluicectl port list` and `sluicectl"
			      " uplink list` show those there are",
			      name);
	else if (port->id < 0)
		err_set_param(err, EINVAL, "bad-state", "port", "%s could not be restored (%s)",
			      name, port->failure.message);
	return port && port->id >= 0 ? port : NULL;
}

METHOD(method_capture_start)
{
	const char *name = json_string_value(json_object_get(params, "port"));
	const json_t *snaplen = json_object_get(params, "snaplen");
	const json_t *max_bytes = json_object_get(params, "max_bytes");
	const struct model_port *port;
	struct recorder_request request = {
		.name = name,
		.file = json_string_value(json_object_get(params, "file")),
		.snaplen = snaplen ? json_integer_value(snaplen) : SNAPLEN,
		.max_bytes = max_bytes ? json_integer_value(max_bytes) : MAX_BYTES,
	};

	/* It shows what guests say to each other, and makes files with sluiced's rights. */
	if (rpc_access(connection) != PEER_OWNER) {
		err_set(err, EPERM, "not-permitted",
			"capture.start is not permitted: call as root or as the daemon's user");
		return NULL;
	}
	port = find_port(&d->model, name, err);
	if (!port)
		return NULL;
	request.port = port->id;
	if (recorder_start(&d->recorder, &request, err) < 0)
		return NULL;
	return json_pack("{s:s, s:s, s:i, s:I}", "port", name, "file", request.file, "snaplen",
			 (int)request.snaplen, "max_bytes", (json_int_t)request.max_bytes);
}

METHOD(method_capture_stop)
{
	const char *name = json_string_value(json_object_get(params, "port"));
	struct recording *rec = recorder_stop(&d->recorder, name);
	json_t *result;

	(void)connection;
	if (!rec) {
		if (model_port_find(&d->model, name) || find_port(&d->model, name, err))
			err_set_param(err, ENOENT, "no-such-capture", "port",
				      "%s is not being captured; `sluicectl capture list` shows"
				      " what is",
				      name);
		return NULL;
	}
	result = report_recording(rec);
	recorder_free(rec);
	return result;
}

METHOD(method_capture_list)
{
	json_t *list = json_array();
	const struct recording *rec;

	(void)connection;
	(void)params;
	(void)err;
	TAILQ_FOREACH(rec, &d->recorder.recordings, link)
		json_array_append_new(list, report_recording(rec));
	return list;
}
