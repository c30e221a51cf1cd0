/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forwards bursts of 64-byte frames from one guest's ring to another's, by sluice's own functions, in
 * one process and with nothing else: for callgrind, which counts the instructions of forward_once().
 * The guests' side is the generator's, and is not counted.
 *
 *   sluice-instructions split|packed|two|indirect|vlan BURSTS
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <rte_vhost.h>

#include "bench/sample_guest.h"
#include "datapath/forward.h"
#include "datapath/port_vhost.h"
#include "datapath/vring.h"
#include "datapath/vring_direct.h"

struct kind {
	const char *name;
	bool packed;
	uint16_t segments; /* of a frame that is sent */
	bool indirect;
	uint16_t vlan; /* 0: both ports are trunks of everything; else access ports */
};

static const struct kind kinds[] = {
	{"split", false, 1, false, 0},	{"packed", true, 1, false, 0},
	{"two", false, 2, false, 0},	{"indirect", false, 2, true, 0},
	{"vlan", false, 1, false, 100},
};

/* A guest and its port. Guest 0 sends to guest 1. */
struct side {
	struct sample_guest *guest;
	struct guestmem mem;
	struct virtq vq[2]; /* by vhost-user's numbers: 0 to the guest, 1 from it */
	struct port_vhost vhost;
	struct port_queue queue;
};

static struct side sides[2];
static struct forward forward = {.lcore = 1};
static struct burst burst;

static const struct port_ops ops = {
	.rx = vring_direct_rx,
	.rx_done = vring_direct_rx_done,
	.tx_frames = vring_direct_tx_frames,
};

/* What librte_vhost would tell of a connection; `vid` is the side. Linked in its place. */
int __wrap_rte_vhost_get_vhost_vring(int vid, uint16_t number, struct rte_vhost_vring *vring);
int __wrap_rte_vhost_get_vring_base(int vid, uint16_t number, uint16_t *avail, uint16_t *used);

int
__wrap_rte_vhost_get_vhost_vring(int vid, uint16_t number, struct rte_vhost_vring *vring)
{
	struct sample_ring ring = sample_guest_ring(sides[vid].guest, number);

	*vring = (struct rte_vhost_vring){
		.desc = ring.desc,
		.avail = ring.avail,
		.used = ring.used,
		.size = ring.size,
		.callfd = -1,
	};
	return 0;
}

int
__wrap_rte_vhost_get_vring_base(int vid, uint16_t number, uint16_t *avail, uint16_t *used)
{
	*avail = *used = sample_guest_ring(sides[vid].guest, number).base;
	return 0;
}

static void
die(const char *why)
{
	fprintf(stderr, "sluice-instructions: %s\n", why);
	exit(1);
}

static void
side_open(uint8_t side, const struct kind *kind)
{
	struct side *s = &sides[side];
	struct port *p = &s->vhost.base;
	struct sample_memory memory;
	uint64_t features = RTE_BIT64(VIRTIO_F_VERSION_1) | RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF) |
			    RTE_BIT64(VIRTIO_RING_F_INDIRECT_DESC);
	uint16_t n;

	if (kind->packed)
		features |= RTE_BIT64(VIRTIO_F_RING_PACKED);
	s->guest = sample_guest_open(side, kind->packed, kind->segments, kind->indirect);
	memory = sample_guest_memory(s->guest);
	s->mem.n = 1;
	s->mem.region[0] = (struct guestmem_region){memory.addr, memory.bytes, memory.host};
	for (n = 0; n < 2; n++) {
		s->vq[n].number = n;
		s->vq[n].port = side;
		s->vq[n].attention = &s->queue.attention;
		vring_attach(&s->vq[n], side, features, &s->mem);
		if (!s->vq[n].live)
			die("a ring was not accepted");
	}
	s->queue.port = p;
	s->queue.to_guest = &s->vq[0];
	s->queue.from_guest = &s->vq[1];
	port_queue_give(&s->queue, 1);
	p->ops = &ops;
	p->id = side;
	p->n_queues = 1;
	p->queue = &s->queue;
	p->mtu = p->rules_ctl.mtu = 1500;
	p->rules_ctl.learn = true;
	if (kind->vlan != 0)
		p->rules_ctl.vlans = (struct dp_vlans){DP_VLANS_ACCESS, .vlan = kind->vlan};
	p->rules_ctl.vlans.all = kind->vlan == 0;
}

/* A bridge of both, which has learned both. */
static struct snapshot *
make_snapshot(const struct kind *kind)
{
	static struct snapshot_source source;
	struct snapshot *snap;
	uint8_t side;

	source.fdb[0] = fdb_create(65536, 300);
	for (side = 0; side < 2; side++) {
		const uint8_t mac[6] = {2, 0, 0, 0, 0, side};

		source.port[side] = &sides[side].vhost.base;
		if (source.fdb[0] == NULL ||
		    fdb_learn(source.fdb[0], fdb_key(mac, kind->vlan), side, 4096) != 0)
			die("no memory for the MACs");
	}
	snap = snapshot_build(&source);
	if (snap == NULL)
		die("no memory for the snapshot");
	return snap;
}

/* What a worker does with a queue that has something: this is counted. */
static __attribute__((noinline)) void
forward_once(const struct snapshot *snap, const struct snap_poll *poll)
{
	uint16_t taken;

	burst.n = burst.n_segs = 0;
	poll->rx(poll->queue, &burst);
	taken = forward_burst(&forward, snap, poll->sp, poll->queue, &burst);
	poll->queue->port->ops->rx_done(poll->queue, &burst, taken);
	burst_release(&burst);
}

/* Returns how many frames came through. */
static unsigned long
run(const struct snapshot *snap, unsigned long bursts)
{
	unsigned long i, delivered = 0;

	for (i = 0; i < bursts; i++) {
		sample_guest_send(sides[0].guest, BURST_MAX);
		forward_once(snap, &snap->lcore[1].poll[0]);
		sample_guest_settle(sides[0].guest);
		delivered += sample_guest_settle(sides[1].guest);
	}
	return delivered;
}

int
main(int argc, char **argv)
{
	unsigned long bursts = argc == 3 ? strtoul(argv[2], NULL, 10) : 0, delivered;
	const struct kind *kind = NULL;
	uint8_t side;
	size_t i;

	for (i = 0; argc == 3 && i < RTE_DIM(kinds); i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			kind = &kinds[i];
	if (kind == NULL || bursts == 0) {
		fprintf(stderr,
			"usage: sluice-instructions split|packed|two|indirect|vlan BURSTS\n");
		return 2;
	}
	for (side = 0; side < 2; side++)
		side_open(side, kind);
	delivered = run(make_snapshot(kind), bursts);
	printf("%lu\n", delivered);
	if (delivered != bursts * BURST_MAX)
		die("not all frames came through");
	return 0;
}
