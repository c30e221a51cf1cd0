/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/announce.h"

#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>

#include "datapath/doze.h"
#include "datapath/mempool.h"
#include "datapath/port_vhost.h"

#define ANNOUNCE_AT_ONCE 4 /* each is copied for every port of the bridge */

void
announce_put(struct port *p, unsigned int slot, const uint8_t mac[6], uint16_t vlan)
{
	uint64_t value = (uint64_t)vlan << 48;

	memcpy(&value, mac, RTE_ETHER_ADDR_LEN);
	atomic_store(&port_vhost_of(p)->announce[slot], value);
	atomic_store(&p->queue[0].attention, true);
	doze_wake_all();
}

/* Whether the guest announces itself in the VLAN, 0: without a tag, which is in its access or native
 * VLAN where it has one. */
static bool
announce_is_in(const struct dp_vlans *vlans, uint16_t vlan)
{
	if (vlans->vlan != 0 && (vlan == 0 || vlan == vlans->vlan))
		return vlan == 0;
	return vlans->all ? vlan == 0 : (vlans->trunks[vlan / 64] & RTE_BIT64(vlan % 64)) != 0;
}

void
announce_all(struct port *p)
{
	const struct dp_rules *rules = &p->rules_ctl;
	uint16_t vlan[DP_VLAN_MAX + 1], v, n_vlans = 0;
	unsigned int slot, total, pair;

	for (v = 0; v <= DP_VLAN_MAX; v++) {
		if (announce_is_in(&rules->vlans, v))
			vlan[n_vlans++] = v;
	}
	total = rules->n_macs * n_vlans;
	for (slot = 1; slot < ANNOUNCE_SLOTS && slot <= total; slot++) {
		pair = p->announce_next_ctl++ % total;
		announce_put(p, slot, rules->mac[pair % rules->n_macs].byte,
			     vlan[pair / rules->n_macs]);
	}
}

void
announce_clear(struct port *p)
{
	unsigned int slot;

	for (slot = 0; slot < ANNOUNCE_SLOTS; slot++)
		atomic_store(&port_vhost_of(p)->announce[slot], 0);
}

void
announce_take(struct port_queue *q, struct burst *b, bool runs)
{
	struct port_vhost *p = port_vhost_of(q->port);
	struct rte_mbuf *m[ANNOUNCE_AT_ONCE];
	struct rte_ether_addr mac;
	unsigned int slot;
	uint16_t n = 0;

	if (q->index != 0)
		return;
	for (slot = 0; slot < ANNOUNCE_SLOTS; slot++) {
		uint64_t value = atomic_load(&p->announce[slot]);

		if (value == 0)
			continue;
		if (n == ANNOUNCE_AT_ONCE) {
			atomic_store(&q->attention, true);
			break;
		}
		memcpy(&mac, &value, sizeof(mac));
		m[n] = runs && port_hold(&p->base) == PARK_NO_HOLD ?
			       rte_net_make_rarp_packet(mempool_of_lcore(b->lcore), &mac) :
			       NULL;
		if (m[n] == NULL) {
			atomic_store(&q->attention, true);
			continue;
		}
		m[n]->vlan_tci = (uint16_t)(value >> 48);
		if (m[n]->vlan_tci != 0 && rte_vlan_insert(&m[n]) < 0) {
			rte_pktmbuf_free(m[n]);
			continue;
		}
		n++;
		/* Unless there is another one by now. */
		atomic_compare_exchange_strong(&p->announce[slot], &value, 0);
	}
	burst_of_mbufs(b, m, n);
}
