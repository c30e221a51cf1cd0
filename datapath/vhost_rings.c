/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_rings.h"

#include <numaif.h>
#include <rte_vhost.h>

#include "datapath/rcu.h"

/* Whether the port has such a ring of ours. */
static bool
vhost_rings_has(const struct port_vhost *v, uint32_t vring)
{
	return !v->library && vring < 2U * v->base.n_queues;
}

uint32_t
vhost_rings_detach(struct port_vhost *v, int vid, uint32_t wanted)
{
	uint32_t detached = 0;
	unsigned int i, n = v->library ? 0 : 2 * v->base.n_queues;

	for (i = 0; i < n; i++)
		if ((wanted & 1U << i) && vring_detach(&v->ring[i]))
			detached |= 1U << i;
	if (detached == 0)
		return 0;
	rcu_synchronize();
	for (i = 0; i < n; i++)
		if (detached & 1U << i)
			vring_settle(&v->ring[i], vid);
	return detached;
}

/* The memory node of an address; -1: not known. Faults its page in where it is not. */
static int
node_of(const void *at)
{
	int node;

	return get_mempolicy(&node, NULL, 0, (void *)(uintptr_t)at, MPOL_F_NODE | MPOL_F_ADDR) ==
			       0 ?
		       node :
		       -1;
}

void
vhost_rings_locate(struct port_vhost *v, int vid, uint32_t wanted)
{
	for (unsigned int i = 0; i < v->base.n_queues; i++) {
		struct rte_vhost_vring from = {.size = 0};

		if (!(wanted & 1U << 2 * i) || !atomic_load(&v->enabled[2 * i]) ||
		    rte_vhost_get_vhost_vring(vid, (uint16_t)(2 * i), &from) != 0 ||
		    from.desc == NULL)
			continue;
		atomic_store(&v->node[i], node_of(from.desc));
		atomic_store(&v->desc[i], from.desc);
	}
}

void
vhost_rings_forget(struct port_vhost *v)
{
	for (unsigned int i = 0; i < v->base.n_queues; i++) {
		atomic_store(&v->desc[i], NULL);
		atomic_store(&v->node[i], -1);
	}
}

void
vhost_rings_attach(struct port_vhost *v, int vid, uint32_t wanted)
{
	uint64_t features = atomic_load(&v->negotiated);
	unsigned int i, n = v->library ? 0 : 2 * v->base.n_queues;

	for (i = 0; i < n; i++)
		if ((wanted & 1U << i) && atomic_load(&v->enabled[i]) && !v->ring[i].attached_cb)
			vring_attach(&v->ring[i], vid, features, &v->mem);
}

bool
vhost_rings_are_logged(const struct port_vhost *v)
{
	return atomic_load(&v->negotiated) & 1ULL << VHOST_F_LOG_ALL;
}

void
vhost_rings_log(struct port_vhost *v)
{
	const struct dirty_log *log = vhost_rings_are_logged(v) ? v->log_cb : NULL;
	unsigned int i, n = v->library ? 0 : 2 * v->base.n_queues;

	for (i = 0; i < n; i++)
		atomic_store(&v->ring[i].log, log);
}

void
vhost_rings_exchange_log(struct port_vhost *v, struct dirty_log *log)
{
	struct dirty_log *old = v->log_cb;

	v->log_cb = log;
	vhost_rings_log(v);
	rcu_synchronize();
	dirty_log_close(old);
}

void
vhost_rings_drop_call(struct port_vhost *v, uint32_t vring)
{
	if (!vhost_rings_has(v, vring))
		return;
	atomic_store(&v->ring[vring].call_fd, -1);
	rcu_synchronize();
}

bool
vhost_rings_give_up_further(struct port_vhost *v, int vid)
{
	bool used = false;
	unsigned int i;

	for (i = 2; i < 2 * DP_QUEUES_MAX; i++)
		used |= atomic_exchange(&v->enabled[i], 0);
	vhost_rings_detach(v, vid, ~3U);
	return !v->library || !used || atomic_load(&v->vid) < 0;
}

void
vhost_rings_drop_kick(struct port_vhost *v, uint32_t vring)
{
	if (vhost_rings_has(v, vring))
		vring_drop_kick(&v->ring[vring]);
}

void
vhost_rings_take_call(struct port_vhost *v, int vid, uint32_t vring)
{
	struct rte_vhost_vring from;

	if (!vhost_rings_has(v, vring) ||
	    rte_vhost_get_vhost_vring(vid, (uint16_t)vring, &from) != 0)
		return;
	atomic_store(&v->ring[vring].call_fd, from.callfd);
	vring_owe_call(&v->ring[vring]);
}

void
vhost_rings_take_kick(struct port_vhost *v, int vid, uint32_t vring)
{
	struct rte_vhost_vring from;

	if (vhost_rings_has(v, vring) && v->ring[vring].attached_cb &&
	    rte_vhost_get_vhost_vring(vid, (uint16_t)vring, &from) == 0)
		vring_take_kick(&v->ring[vring], from.kickfd);
}
