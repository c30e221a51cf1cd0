/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/events.h"
#include "control/methods.h"

METHOD(method_events_subscribe)
{
	uint32_t topics = events_topics(json_object_get(params, "types"));

	(void)d;
	(void)err;
	rpc_subscribe(connection, topics);
	return json_pack("{s:o}", "types", events_types(topics));
}
