/* SPDX-License-Identifier: BSD-3-Clause */
#include <unistd.h>

#include "control/log.h"
#include "control/methods.h"
#include "control/report.h"

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

METHOD(method_host_capabilities)
{
	json_t *capabilities = json_array();

	(void)connection;
	(void)params;
	(void)err;
	/* sluiced does not start without hugepages, so an lcore is all that can lack. */
	if (d->model.n_lcores)
		json_array_append_new(capabilities, json_string("dpdk"));
	return json_pack("{s:o, s:[s, s], s:i, s:o, s:s}", "capabilities", capabilities,
			 "vhost_modes", "server", "client", "max_queues", DP_QUEUES_MAX, "features",
			 report_features(dp_vhost_features()), "version", SLUICE_VERSION);
}
