/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/table.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/event.h"
#include "datapath/inbox.h"
#include "datapath/rcu.h"
#include "datapath/worker.h"

struct snapshot_source table;

int
table_publish(void)
{
	struct snapshot *next = snapshot_build(&table);

	if (next == NULL)
		return -ENOMEM;
	snapshot_publish(next);
	return 0;
}

int
table_free_id(void)
{
	int id;

	for (id = 0; id < DP_PORTS_MAX; id++) {
		if (table.port[id] == NULL)
			return id;
	}
	return -ENOSPC;
}

static uint64_t
table_mac_key(const struct dp_rules *rules, unsigned int i)
{
	uint16_t vlan = rules->vlans.mode == DP_VLANS_ACCESS ? rules->vlans.vlan : DP_VLAN_ANY;

	return fdb_key(rules->mac[i].byte, vlan);
}

static void
table_del_macs(struct fdb *fdb, const struct dp_rules *rules, uint16_t port, unsigned int n)
{
	while (n-- > 0)
		fdb_del_static(fdb, table_mac_key(rules, n), port);
}

static int
table_add_macs(struct fdb *fdb, const struct dp_rules *rules, uint16_t port, struct err *err)
{
	unsigned int i;
	int ret;

	for (i = 0; i < rules->n_macs; i++) {
		const uint8_t *mac = rules->mac[i].byte;

		ret = fdb_add_static(fdb, table_mac_key(rules, i), port);
		if (ret == 0)
			continue;
		table_del_macs(fdb, rules, port, i);
		if (ret == -ENOSPC)
			return err_set(err, ENOSPC, "no-space",
				       "the bridge has no room for more static MACs");
		return err_set_param(err, EEXIST, "mac-in-use", "mac",
				     "mac %02x:%02x:%02x:%02x:%02x:%02x belongs to another port of "
				     "the bridge in that VLAN; give each port its own",
				     mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	}
	return 0;
}

int
table_add(struct port *p, struct err *err)
{
	struct fdb *fdb = table.fdb[p->bridge_ctl];
	int ret;

	ret = p->incoming_ctl ? 0 : table_add_macs(fdb, &p->rules_ctl, p->id, err);
	if (ret < 0)
		return ret;
	worker_reset_undelivered(p->id);
	table.port[p->id] = p;
	ret = table_publish();
	if (ret < 0) {
		table.port[p->id] = NULL;
		table_del_macs(fdb, &p->rules_ctl, p->id, p->rules_ctl.n_macs);
		return err_set(err, ENOMEM, "no-memory", "no memory for one more port");
	}
	return 0;
}

int
table_del(struct port *p)
{
	struct fdb *fdb = table.fdb[p->bridge_ctl];
	int ret;

	table.port[p->id] = NULL;
	ret = table_publish();
	if (ret < 0) {
		table.port[p->id] = p;
		return ret;
	}
	inbox_settle();
	/* What was taken out of an inbox last may have been parked. */
	rcu_synchronize();
	park_settle(p);
	rcu_synchronize();
	park_clear(p);
	event_discard_macs(p->id); /* which may be another's soon */
	table_del_macs(fdb, &p->rules_ctl, p->id, p->rules_ctl.n_macs);
	fdb_flush_port(fdb, p->id);
	return 0;
}

/*
 * Three steps, of which the lcores carry out the second by themselves, so that the queue does not stand still
 * for as long as the control thread may have to wait for a CPU:
 *
 *  1. A snapshot: the old lcore looks at the queue no more, and all put what is for it into the inbox of the
 *     new one, which keeps it.
 *  2. When every lcore has taken that snapshot the old one has all that it will get for the queue. It
 *     sends that, and gives the queue away (worker_give). The new one sends what it has kept, and what the
 *     old one has put into its inbox, and begins to look at it (worker_receive).
 *  3. Another snapshot: the new one needs not go through its own inbox.
 */
int
table_move(struct port_queue *q, uint8_t lcore)
{
	struct snapshot *between, *after;
	uint8_t before = q->lcore_ctl;

	q->lcore_ctl = lcore;
	q->moves_ctl = true;
	between = snapshot_build(&table);
	q->moves_ctl = false;
	after = snapshot_build(&table);
	if (between == NULL || after == NULL) {
		q->lcore_ctl = before;
		free(between);
		free(after);
		return -ENOMEM;
	}
	atomic_store(&q->pause_cycles, 0);
	worker_leave(before, q, between->generation, lcore);
	snapshot_publish(between);
	while (atomic_load(&q->pause_cycles) == 0)
		sched_yield(); /* as rcu_synchronize() */
	snapshot_publish(after);
	return 0;
}

static bool
table_same_stations(const struct dp_rules *a, const struct dp_rules *b)
{
	return memcmp(&a->vlans, &b->vlans, sizeof(a->vlans)) == 0 && a->n_macs == b->n_macs &&
	       memcmp(a->mac, b->mac, a->n_macs * sizeof(a->mac[0])) == 0;
}

int
table_set_rules(struct port *p, const struct dp_rules *rules, struct err *err)
{
	struct fdb *fdb = table.fdb[p->bridge_ctl];
	struct dp_rules old = p->rules_ctl;
	bool moves = !table_same_stations(&old, rules) && !p->incoming_ctl;
	unsigned int i;
	int ret;

	if (moves) {
		table_del_macs(fdb, &old, p->id, old.n_macs);
		ret = table_add_macs(fdb, rules, p->id, err);
		if (ret < 0)
			goto err_macs;
	}
	p->rules_ctl = *rules;
	ret = table_publish();
	if (ret < 0) {
		err_set(err, ENOMEM, "no-memory", "no memory for the port's new rules");
		goto err_publish;
	}
	__atomic_store_n(&p->mtu, rules->mtu, __ATOMIC_RELAXED);
	__atomic_store_n(&p->tx_retries, rules->tx_retries, __ATOMIC_RELAXED);
	__atomic_store_n(&p->park.ms, rules->park_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&p->park.frames_max, rules->park_frames, __ATOMIC_RELAXED);
	/* What was learned in VLANs that the port may not carry any more would lead nowhere. */
	if (moves || !rules->learn)
		fdb_flush_port(fdb, p->id);
	return 0;

err_publish:
	p->rules_ctl = old;
	if (!moves)
		return ret;
	table_del_macs(fdb, rules, p->id, rules->n_macs);
err_macs:
	/* Those that were elsewhere stay there. */
	for (i = 0; i < old.n_macs; i++)
		fdb_add_static(fdb, table_mac_key(&old, i), p->id);
	return ret;
}

void
table_forget_macs(const struct port *p)
{
	table_del_macs(table.fdb[p->bridge_ctl], &p->rules_ctl, p->id, p->rules_ctl.n_macs);
}

/* As which the MAC is given to a port: in its VLAN, in any, or, where it is to be valid in any, in one of
 * them. 0: it is not. */
static uint64_t
table_given_key(const struct port *p, unsigned int i)
{
	uint64_t key = table_mac_key(&p->rules_ctl, i);
	const struct fdb *fdb = table.fdb[p->bridge_ctl];
	uint64_t other = fdb_key(p->rules_ctl.mac[i].byte, DP_VLAN_ANY);
	uint16_t vlan;

	if (fdb_is_static(fdb, key))
		return key;
	if (fdb_is_static(fdb, other))
		return other;
	for (vlan = 0; key == other && vlan <= DP_VLAN_MAX; vlan++) {
		uint64_t in_vlan = fdb_key(p->rules_ctl.mac[i].byte, vlan);

		if (fdb_is_static(fdb, in_vlan))
			return in_vlan;
	}
	return 0;
}

uint16_t
table_port_of_mac(const struct port *p, unsigned int i)
{
	uint64_t given = table_given_key(p, i);

	return fdb_port_of(table.fdb[p->bridge_ctl],
			   given != 0 ? given : table_mac_key(&p->rules_ctl, i));
}

bool
table_mac_is_given(const struct port *p, unsigned int i)
{
	return table_given_key(p, i) != 0;
}

int
table_claim_macs(struct port *p)
{
	struct fdb *fdb = table.fdb[p->bridge_ctl];
	bool was_incoming = p->incoming_ctl;
	uint64_t key, given;
	unsigned int i;
	int ret, n = 0;

	for (i = 0; i < p->rules_ctl.n_macs; i++) {
		if (table_port_of_mac(p, i) == p->id)
			continue;
		key = table_mac_key(&p->rules_ctl, i);
		while ((given = table_given_key(p, i)) != 0 && given != key)
			fdb_del(fdb, given);
		/* Where the table is full the MAC is flooded to, as any that is not known. */
		fdb_claim(fdb, key, p->id);
		n++;
	}
	if (!was_incoming)
		return n;
	p->incoming_ctl = false;
	ret = table_publish();
	if (ret < 0)
		p->incoming_ctl = true;
	return ret < 0 ? ret : n;
}
