/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/host.h"

#include "control/report.h"
#include "numa/hugepages.h"

static bool
has_hugepages(void)
{
	struct hugepages pages;

	if (hugepages_read(&pages, NULL) < 0)
		return false;
	for (unsigned int i = 0; i < pages.n; i++)
		if (pages.entry[i].total)
			return true;
	return false;
}

/* What the uplinks carry: a guest that sends more is not heard beyond this host. */
static unsigned int
lowest_mtu(const struct model *m, const struct model_bridge *bridge)
{
	unsigned int mtu = DP_MTU_MAX;
	const struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link)
		if (port->is_uplink && (!bridge || port->bridge == bridge) &&
		    port->set.rules.mtu < mtu)
			mtu = port->set.rules.mtu;
	return mtu;
}

json_t *
host_capabilities(const struct model *m, const struct model_bridge *bridge)
{
	json_t *capabilities = json_array();

	if (m->n_lcores && has_hugepages())
		json_array_append_new(capabilities, json_string("dpdk"));
	return json_pack("{s:o, s:[s, s], s:i, s:i, s:o, s:s}", "capabilities", capabilities,
			 "vhost_modes", "server", "client", "max_queues", DP_QUEUES_MAX, "mtu",
			 (int)lowest_mtu(m, bridge), "features",
			 report_features(dp_vhost_features()), "version", SLUICE_VERSION);
}
