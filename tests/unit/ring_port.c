/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/ring_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <rte_eal.h>
#include <rte_vhost.h>

#include "datapath/event.h"
#include "datapath/mempool.h"

#define PORTS_MAX 4
#define LCORE 1
#define MEMORY_BYTES (16 << 20)
#define MEMORY_ADDR UINT64_C(0x40000000) /* the guest's */

struct ring_port_world ring_port_world;
struct burst burst;

static struct ring_port *ports[PORTS_MAX]; /* by vid */

/* ---- instead of librte_vhost, the clock and the event queue ---------------------------------- */

int __wrap_rte_vhost_get_vhost_vring(int vid, uint16_t number, struct rte_vhost_vring *vring);
int __wrap_rte_vhost_get_vring_base(int vid, uint16_t number, uint16_t *avail, uint16_t *used);
int __wrap_rte_vhost_set_vring_base(int vid, uint16_t number, uint16_t avail, uint16_t used);
uint64_t __wrap_rte_get_tsc_hz(void);
void __wrap_event_post(enum dp_event_type type, uint16_t port, uint64_t value);

int
__wrap_rte_vhost_get_vhost_vring(int vid, uint16_t number, struct rte_vhost_vring *vring)
{
	const struct guest_ring *g = &ports[vid]->guest[number];

	*vring = (struct rte_vhost_vring){.size = g->size, .callfd = g->call_fd, .kickfd = -1};
	vring->desc = g->packed ? (void *)g->desc : g->split.desc;
	vring->avail = g->packed ? (void *)g->driver : g->split.avail;
	vring->used = g->packed ? (void *)g->device : g->split.used;
	return 0;
}

int
__wrap_rte_vhost_get_vring_base(int vid, uint16_t number, uint16_t *avail, uint16_t *used)
{
	const struct guest_ring *g = &ports[vid]->guest[number];

	*avail = *used = (uint16_t)(g->packed ? g->seen | g->seen_wrap << 15 : g->seen);
	return 0;
}

int
__wrap_rte_vhost_set_vring_base(int vid, uint16_t number, uint16_t avail, uint16_t used)
{
	(void)vid;
	(void)number;
	assert_int_equal(avail, used);
	ring_port_world.base = avail;
	return 0;
}

uint64_t
__wrap_rte_get_tsc_hz(void)
{
	return ring_port_world.tsc_hz;
}

void
__wrap_event_post(enum dp_event_type type, uint16_t port, uint64_t value)
{
	(void)port;
	(void)value;
	ring_port_world.events[type]++;
}

int
ring_port_start(void)
{
	char *argv[] = {(char *)"test",	       (char *)"--no-huge",	 (char *)"--no-pci",
			(char *)"--no-shconf", (char *)"--no-telemetry", (char *)"-m",
			(char *)"128",	       (char *)"--lcores=0@0",	 NULL};
	static const struct dp_config config = {.n_lcores = 1, .lcore = {{.node = SOCKET_ID_ANY}}};
	struct err err;

	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0 || mempool_create(&config, &err) < 0)
		return -1;
	burst.lcore = LCORE;
	return 0;
}

/* ---- a port and its guest -------------------------------------------------------------------- */

static void *
take_memory(struct ring_port *p, size_t bytes)
{
	size_t at = RTE_ALIGN_CEIL(p->memory_taken, 4096);

	assert_true(at + bytes <= MEMORY_BYTES);
	p->memory_taken = at + bytes;
	return p->memory + at;
}

static void
ring_open(struct ring_port *p, unsigned int number, const struct ring_port_spec *spec)
{
	uint32_t wanted = number == 0 ? spec->in_bytes : spec->out_bytes;
	struct guest_ring *g = &p->guest[number];

	g->packed = spec->packed;
	g->device_writes = number == 0;
	g->size = g->free = spec->size ? spec->size : 64;
	g->next_wrap = g->seen_wrap = true;
	g->call_fd = eventfd(0, EFD_NONBLOCK);
	if (g->packed) {
		g->desc = take_memory(p, g->size * sizeof(*g->desc));
		g->driver = take_memory(p, sizeof(*g->driver));
		g->device = take_memory(p, sizeof(*g->device));
	} else {
		vring_init(&g->split, g->size, take_memory(p, vring_size(g->size, 64)), 64);
	}
	g->buffer_bytes = RING_PORT_HDR_BYTES + (wanted ? wanted : 2048);
	g->buffer = take_memory(p, (size_t)g->size * g->buffer_bytes);
	guest_wants_calls(p, number, false);
}

static void
attach(struct ring_port *p, unsigned int number, int vid, uint64_t features)
{
	struct virtq *r = &p->vq[number];

	r->number = (uint16_t)number;
	r->attention = &p->queue.attention;
	vring_attach(r, vid, features, &p->vhost.mem);
	assert_true(r->live);
	/* What is owed from the start is paid. */
	assert_true(r->call_due);
	r->call_due = false;
	p->queue.attention = false;
}

void
ring_port_open(struct ring_port *p, const struct ring_port_spec *spec)
{
	uint64_t features = spec->features | RTE_BIT64(VIRTIO_F_VERSION_1) |
			    (spec->packed ? RTE_BIT64(VIRTIO_F_RING_PACKED) : 0);
	struct port *port = &p->vhost.base;
	int vid;

	memset(p, 0, sizeof(*p));
	for (vid = 0; ports[vid] != NULL; vid++)
		assert_true(vid + 1 < PORTS_MAX);
	ports[vid] = p;
	p->memory = aligned_alloc(4096, MEMORY_BYTES);
	assert_non_null(p->memory);
	memset(p->memory, 0, MEMORY_BYTES);
	ring_open(p, 0, spec);
	ring_open(p, 1, spec);
	p->vhost.mem.n = 1;
	p->vhost.mem.region[0] = (struct guestmem_region){MEMORY_ADDR, MEMORY_BYTES, p->memory};
	p->vhost.vid = vid;
	p->queue.port = port;
	p->queue.to_guest = &p->vq[0];
	p->queue.from_guest = &p->vq[1];
	port->queue = &p->queue;
	port->n_queues = 1;
	port->mtu = RING_PORT_MTU;
	attach(p, 0, vid, features);
	attach(p, 1, vid, features);
}

void
ring_port_close(struct ring_port *p)
{
	ports[p->vq[0].vid] = NULL;
	close(p->guest[0].call_fd);
	close(p->guest[1].call_fd);
	free(p->memory);
}

static void
step(const struct guest_ring *g, uint16_t *at, bool *wrap)
{
	*at += 1;
	if (g->packed && *at == g->size) {
		*at = 0;
		*wrap = !*wrap;
	}
}

/* Gives the next buffer with so many bytes. */
static void
give(struct ring_port *p, struct guest_ring *g, uint32_t bytes)
{
	uint16_t id = g->next % g->size, flags = g->device_writes ? VRING_DESC_F_WRITE : 0;
	uint64_t addr =
		MEMORY_ADDR + (uint64_t)(g->buffer + (size_t)id * g->buffer_bytes - p->memory);

	assert_true(g->free > 0 && bytes <= g->buffer_bytes);
	g->free--;
	if (g->packed) {
		flags |= (uint16_t)(1 << (g->next_wrap ? VRING_PACKED_DESC_F_AVAIL :
							 VRING_PACKED_DESC_F_USED));
		g->desc[id] = (struct vring_packed_desc){addr, bytes, id, flags};
	} else {
		g->split.desc[id] = (struct vring_desc){addr, bytes, flags, 0};
		g->split.avail->ring[id] = id;
		g->split.avail->idx++;
	}
	step(g, &g->next, &g->next_wrap);
}

void
guest_gives(struct ring_port *p, unsigned int number, unsigned int n)
{
	for (; n > 0; n--)
		give(p, &p->guest[number], p->guest[number].buffer_bytes);
}

bool
guest_takes(struct ring_port *p, unsigned int number, struct guest_used *used)
{
	struct guest_ring *g = &p->guest[number];
	uint16_t place = g->seen % g->size;

	if (g->packed) {
		const struct vring_packed_desc *d = &g->desc[place];
		bool avail = d->flags & 1 << VRING_PACKED_DESC_F_AVAIL;

		if (avail != !!(d->flags & 1 << VRING_PACKED_DESC_F_USED) || avail != g->seen_wrap)
			return false;
		*used = (struct guest_used){d->id, d->len};
	} else {
		const struct vring_used_elem *elem = &g->split.used->ring[place];

		if (g->split.used->idx == g->seen)
			return false;
		*used = (struct guest_used){(uint16_t)elem->id, elem->len};
	}
	assert_int_equal(used->id, place);
	step(g, &g->seen, &g->seen_wrap);
	g->free++;
	return true;
}

const uint8_t *
guest_buffer(const struct ring_port *p, const struct guest_used *used)
{
	return p->guest[0].buffer + (size_t)used->id * p->guest[0].buffer_bytes;
}

void
guest_sends(struct ring_port *p, const void *hdr, const void *frame, uint32_t bytes)
{
	struct guest_ring *g = &p->guest[1];
	uint8_t *at = g->buffer + (size_t)(g->next % g->size) * g->buffer_bytes;
	struct guest_used used;

	while (guest_takes(p, 1, &used))
		;
	assert_true(RING_PORT_HDR_BYTES + bytes <= g->buffer_bytes);
	memset(at, 0, RING_PORT_HDR_BYTES);
	if (hdr != NULL)
		memcpy(at, hdr, sizeof(struct virtio_net_hdr));
	memcpy(at + RING_PORT_HDR_BYTES, frame, bytes);
	give(p, g, RING_PORT_HDR_BYTES + bytes);
}

void
guest_wants_calls(struct ring_port *p, unsigned int number, bool wanted)
{
	struct guest_ring *g = &p->guest[number];

	if (g->packed)
		g->driver->flags =
			wanted ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE;
	else
		g->split.avail->flags = wanted ? 0 : VRING_AVAIL_F_NO_INTERRUPT;
}

unsigned int
calls(struct ring_port *p, unsigned int number)
{
	eventfd_t n = 0;

	return eventfd_read(p->guest[number].call_fd, &n) == 0 ? (unsigned int)n : 0;
}

void
lcore_polls(struct ring_port *p)
{
	burst_clear(&burst);
	vring_direct_rx(&p->queue, &burst);
}

void
lcore_forwards(struct ring_port *from, struct ring_port *to, uint16_t untagged)
{
	struct frame *f[BURST_MAX];
	bool as_is = true;
	uint16_t i;

	lcore_polls(from);
	for (i = 0; i < burst.n; i++) {
		f[i] = &burst.frame[i];
		frame_set_vlan(f[i], frame_tag_vlan(f[i]));
		f[i]->uses = 1;
		as_is &= f[i]->marks == 0 && f[i]->vlan == untagged &&
			 !burst_exceeds_mtu(frame_l3_bytes(f[i]), to->queue.port->mtu);
	}
	vring_direct_tx_frames(&to->queue, &burst, f, burst.n, as_is, untagged);
	vring_direct_rx_done(&from->queue, &burst, burst.n);
	burst_release(&burst);
}
