/* SPDX-License-Identifier: BSD-3-Clause */
#include <unistd.h>

#include "control/host.h"
#include "control/log.h"
#include "control/methods.h"

METHOD(method_daemon_version)
{
	(void)connection;
	(void)params;
	(void)err;
	return json_pack("{s:s, s:s, s:s, s:i, s:I}", "name", "sluice", "version", SLUICE_VERSION,
			 "dpdk", dp_dpdk_version(), "pid", (int)getpid(), "uptime_s",
			 (json_int_t)((daemon_now_ns() - d->started_ns) / 1000000000));
}

METHOD(method_daemon_stop)
{
	(void)connection;
	(void)params;
	(void)err;
	log_notice("stopping, as daemon.stop asks");
	daemon_quit(d);
	return json_object();
}

METHOD(method_ovsdb_status)
{
	(void)connection;
	(void)params;
	(void)err;
	return ovsdb_status(d->ovsdb);
}

METHOD(method_host_capabilities)
{
	(void)connection;
	(void)params;
	(void)err;
	return host_capabilities(&d->model, NULL);
}
