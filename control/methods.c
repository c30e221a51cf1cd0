/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/methods.h"

#include <errno.h>
#include <string.h>

#include "control/envelope.h"
#include "control/offline.h"
#include "control/schema.h"

static const struct {
	const char *name;
	METHOD((*handle));
} handlers[] = {
	{"daemon.version", method_daemon_version},
	{"daemon.stop", method_daemon_stop},
	{"ovsdb.status", method_ovsdb_status},
	{"bridge.add", method_bridge_add},
	{"bridge.del", method_bridge_del},
	{"bridge.list", method_bridge_list},
	{"bridge.macs", method_bridge_macs},
	{"uplink.add", method_uplink_add},
	{"uplink.del", method_uplink_del},
	{"uplink.list", method_uplink_list},
	{"port.attach", method_port_attach},
	{"port.detach", method_port_detach},
	{"port.list", method_port_list},
	{"port.get", method_port_get},
	{"port.set", method_port_set},
	{"port.drain", method_port_drain},
	{"port.resume", method_port_resume},
	{"port.next_name", method_port_next_name},
	{"port.stats", method_port_stats},
	{"lcore.list", method_lcore_list},
	{"lcore.rebalance", method_lcore_rebalance},
	{"numa.show", method_numa_show},
	{"host.capabilities", method_host_capabilities},
	{"migration.prepare", method_migration_prepare},
	{"migration.abort", method_migration_abort},
	{"capture.start", method_capture_start},
	{"capture.stop", method_capture_stop},
	{"capture.list", method_capture_list},
	{"events.subscribe", method_events_subscribe},
};
#define N_HANDLERS (sizeof(handlers) / sizeof(handlers[0]))

static int
check_access(const struct method *method, enum peer_access access, struct err *err)
{
	if (access >= PEER_ALL || (access == PEER_READ && !method->changes))
		return 0;
	return err_set(err, EPERM, "not-permitted",
		       access == PEER_READ ?
			       "%s is not permitted: your group may only read" :
			       "%s is not permitted: call as root, as the daemon's user or as a"
			       " member of its group",
		       method->name);
}

int
methods_call(void *arg, struct rpc_connection *connection, const char *name, const json_t *params,
	     json_t **result, struct err *err)
{
	const struct method *method = schema_find(name);
	offline_method *offline;

	if (!method) {
		err_set(err, ENOSYS, "", "there is no method \"%.64s\"", name);
		return ENVELOPE_NO_METHOD;
	}
	if (check_access(method, rpc_access(connection), err) < 0)
		return ENVELOPE_DOMAIN;
	if (schema_check(method, params, err) < 0)
		return ENVELOPE_PARAMS;
	offline = offline_find(name, params);
	if (offline)
		*result = offline(params, err);
	for (size_t i = 0; !offline && i < N_HANDLERS; i++)
		if (!strcmp(handlers[i].name, name))
			*result = handlers[i].handle(arg, connection, params, err);
	if (*result || rpc_answers_later(connection))
		return 0;
	if (!err->message[0])
		err_set(err, ENOMEM, "no-memory", "no memory for the answer");
	return reply_code(err);
}
