/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/park.h"

#include <sched.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "datapath/deliver.h"
#include "datapath/event.h"
#include "datapath/park_pool.h"
#include "datapath/port.h"
#include "datapath/stats.h"
#include "datapath/vnet_guest.h"

/* What stands before the bytes of a frame. A frame may go on in the next pages. */
struct park_entry {
	uint32_t bytes;
	bool segmented;
	uint8_t needs;
	uint32_t segment_l3_bytes;
	struct virtio_net_hdr vnet;
};

/* What each lcore keeps; its own. */
static struct park *parks[DP_LCORES_MAX + 1];

/* See park_relay(). Written before the lcores start. */
static struct rte_ether_addr park_relay_mac;

int
park_create(unsigned int mib)
{
	rte_eth_random_addr(park_relay_mac.addr_bytes);
	return park_pool_create(mib);
}

void
park_destroy(void)
{
	park_pool_destroy();
}

/* ---- what is kept ------------------------------------------------------------------------- */

/* A page behind the last one. */
static struct park_page *
park_add_page(struct park *park)
{
	_Atomic uint32_t *n_pages = &park->q->port->park.n_pages;
	struct park_page *page = park_pool_take(atomic_load(n_pages));

	if (page == NULL)
		return NULL;
	atomic_fetch_add(n_pages, 1);
	page->next = NULL;
	page->used = 0;
	if (park->last != NULL)
		park->last->next = page;
	else
		park->first = page;
	park->last = page;
	return page;
}

static void
park_free_pages(struct port *p, struct park_page *page)
{
	while (page != NULL) {
		struct park_page *next = page->next;

		park_pool_free(page);
		atomic_fetch_sub(&p->park.n_pages, 1);
		page = next;
	}
}

/* Where one stands in the pages. */
struct park_cursor {
	struct park_page *page;
	uint32_t at;
};

/* To the next bytes, which are in the next page where this one has no more. Returns how many of `bytes`
 * are there in one piece. */
static uint32_t
park_step(struct park_cursor *c, uint32_t bytes)
{
	if (c->at == c->page->used && c->page->next != NULL) {
		c->page = c->page->next;
		c->at = 0;
	}
	return RTE_MIN(bytes, c->page->used - c->at);
}

/* The entry that begins at the cursor, which goes to its frame. An entry is not cut: where it does not
 * fit, its page ends before. */
static struct park_entry
park_entry(struct park_cursor *c)
{
	struct park_entry entry;

	park_step(c, sizeof(entry));
	memcpy(&entry, &c->page->data[c->at], sizeof(entry));
	c->at += sizeof(entry);
	return entry;
}

/* Writes `bytes` of the frame from `offset` on behind what is there. Returns false without a page. */
static bool
park_write(struct park *park, const struct frame *f, uint32_t offset, uint32_t bytes)
{
	while (bytes > 0) {
		struct park_page *page = park->last;
		uint32_t some;

		if (page->used == PARK_DATA_BYTES) {
			page = park_add_page(park);
			if (page == NULL)
				return false;
		}
		some = RTE_MIN(bytes, (uint32_t)PARK_DATA_BYTES - page->used);
		frame_read(f, offset, some, &page->data[page->used]);
		page->used += some;
		offset += some;
		bytes -= some;
	}
	return true;
}

/* Copies one frame. Returns false where there is no memory for it, and nothing was added. */
static bool
park_add(struct park *park, const struct frame *f, bool tag)
{
	const uint32_t macs = 2 * RTE_ETHER_ADDR_LEN, skip = f->tagged ? macs + 4 : macs;
	struct park_page *last = park->last, *page = last;
	uint32_t used = last != NULL ? last->used : 0;
	struct park_entry entry = {
		.bytes = f->bytes + (tag ? 4 : 0) - (f->tagged ? 4 : 0),
		.needs = f->needs,
		.segmented = f->segmented,
		.segment_l3_bytes = f->segment_l3_bytes,
	};
	struct frame head = {.bytes = sizeof(struct rte_vlan_hdr)};
	rte_be16_t word[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(f->vlan)};

	if (f->needs != 0)
		vnet_guest_give(f, tag, (uint8_t *)&entry.vnet);
	if (page == NULL || PARK_DATA_BYTES - page->used < sizeof(entry)) {
		page = park_add_page(park);
		if (page == NULL)
			return false;
	}
	memcpy(&page->data[page->used], &entry, sizeof(entry));
	page->used += sizeof(entry);
	if (f->tagged == tag) {
		if (park_write(park, f, 0, f->bytes))
			return true;
	} else {
		memcpy(head.head, word, sizeof(word));
		if (park_write(park, f, 0, macs) &&
		    (!tag || park_write(park, &head, 0, sizeof(word))) &&
		    park_write(park, f, skip, f->bytes - skip))
			return true;
	}
	/* As it was. */
	if (last != NULL) {
		park_free_pages(park->q->port, last->next);
		last->next = NULL;
		last->used = used;
	} else {
		park_free_pages(park->q->port, park->first);
		park->first = NULL;
	}
	park->last = last;
	return false;
}

void
park_drop(struct park *park, uint16_t n)
{
	struct park_cursor c = {park->first, park->read_at};
	uint16_t i;

	for (i = 0; i < n; i++) {
		uint32_t left = park_entry(&c).bytes;

		while (left > 0) {
			uint32_t some = park_step(&c, left);

			c.at += some;
			left -= some;
		}
	}
	park->n -= n;
	atomic_fetch_sub_explicit(&park->q->port->park.n, n, memory_order_relaxed);
	stats_add(&park->q->stats.parked, -(uint64_t)n);
	if (park->n == 0)
		c.page = NULL;
	while (park->first != c.page) {
		struct park_page *page = park->first;

		park->first = page->next;
		page->next = NULL;
		park_free_pages(park->q->port, page);
	}
	park->read_at = c.page != NULL ? c.at : 0;
	if (c.page == NULL)
		park->last = NULL;
}

static void
park_say(struct park *park)
{
	event_post(park->untold_as, park->q->port->id, park->untold);
	park->untold = 0;
}

/* n frames have left, `arrived` of them for where the event says; it tells of all that did when none are
 * left, or the others leave another way. */
static void
park_left(struct park *park, uint16_t n, uint16_t arrived, enum dp_event_type type)
{
	if (park->untold != 0 && park->untold_as != type)
		park_say(park);
	park_drop(park, n);
	park->untold += arrived;
	park->untold_as = type;
	if (park->n == 0)
		park_say(park);
}

static unsigned int
park_expire(struct park *park)
{
	uint16_t n = (uint16_t)RTE_MIN(park->n, (uint32_t)BURST_MAX);

	stats_add(&park->q->stats.out_drop[DP_OUT_PARK_EXPIRED], n);
	park_left(park, n, n, DP_EVENT_PARK_EXPIRED);
	return n;
}

void
park_adopt(struct port_queue *q, unsigned int lcore)
{
	struct park *park = &q->park;

	if (park->listed || park->n == 0)
		return;
	park->next = parks[lcore];
	parks[lcore] = park;
	atomic_store(&park->listed, true);
}

void
park_keep(struct port_queue *q, struct frame *const *f, uint16_t n, uint16_t untagged)
{
	uint32_t max = __atomic_load_n(&q->port->park.frames_max, __ATOMIC_RELAXED);
	uint32_t guest = atomic_load(&q->port->park.guest);
	struct park *park = &q->park;
	uint16_t i, kept = 0;

	while (park->n != 0 && park->guest != guest)
		park_expire(park);
	park->guest = guest;
	park->q = q;
	for (i = 0; i < n; i++) {
		/* One that comes late may not pass: then those behind it would be before it. */
		if (atomic_load_explicit(&q->port->park.n, memory_order_relaxed) >= max ||
		    !park_add(park, f[i], f[i]->vlan != untagged))
			continue;
		atomic_fetch_add_explicit(&q->port->park.n, 1, memory_order_relaxed);
		park->n++;
		kept++;
	}
	park->fresh += kept;
	stats_add(&q->stats.out_drop[DP_OUT_PARK_FULL], n - kept);
	stats_add(&q->stats.parked, kept);
	q->parks = true;
	park_adopt(q, rte_lcore_id());
}

/* Makes the frame of an entry, in as many pieces as it has. Returns false where the burst has no room
 * for them. */
static bool
park_frame(struct burst *b, struct park_cursor *c, const struct park_entry *entry)
{
	struct frame *f = &b->frame[b->n];
	uint32_t left = entry->bytes, some;

	f->marks = 0;
	f->bytes = entry->bytes;
	f->more = &b->seg[b->n_segs];
	some = park_step(c, left);
	f->first = (struct burst_seg){&c->page->data[c->at], some};
	for (;;) {
		c->at += some;
		left -= some;
		if (left == 0)
			break;
		if (b->n_segs == BURST_SEGS_MAX)
			return false;
		some = park_step(c, left);
		b->seg[b->n_segs++] = (struct burst_seg){&c->page->data[c->at], some};
		f->n_more++;
	}
	frame_fill_head(f);
	frame_look(f);
	f->needs = entry->needs;
	f->segmented = entry->segmented;
	f->segment_l3_bytes = entry->segment_l3_bytes;
	f->vnet = entry->vnet;
	f->vlan = frame_tag_vlan(f);
	f->uses = 1;
	return true;
}

uint16_t
park_look(struct park *park, struct burst *b)
{
	struct park_cursor c = {park->first, park->read_at};
	struct park_entry entry;

	while (b->n < RTE_MIN(park->n, (uint32_t)BURST_MAX)) {
		entry = park_entry(&c);
		if (!park_frame(b, &c, &entry))
			break;
		b->n++;
	}
	return b->n;
}

/* ---- who leaves ---------------------------------------------------------------------------- */

/*
 * A frame that goes to where its sender is, or will be in a moment, must not name it as the one who sends it
 * here: the switches on the way would believe that, and bring here what is for the sender, until it sends
 * again. Who knows where a sender is that is not known here? So it comes from an address of ours, of which
 * nobody expects anything.
 */
static void
park_relay(const struct snapshot *snap, const struct snap_port *from, const struct snap_port *to,
	   struct frame *fr)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)fr->head;
	uint16_t at = fdb_port_of(from->fdb, fdb_key(eth->src_addr.addr_bytes, fr->vlan));

	if (at == FDB_NO_PORT || at == to->id || snap->port[at] == NULL ||
	    atomic_load(&snap->port[at]->port->park.redirect) == to->id)
		eth->src_addr = park_relay_mac;
}

/* Not a guest whose frames go to another guest: a few of these would send them round and round. */
static bool
park_ends_at(const struct snapshot *snap, const struct snap_port *to)
{
	int next = to->is_uplink ? -1 : atomic_load(&to->port->park.redirect);

	return next < 0 || (snap->port[next] != NULL && snap->port[next]->is_uplink);
}

/* To where the guest is now, as far as there is room. What was for a group, or flooded, has been there already. */
static unsigned int
park_redirect(struct forward *f, const struct snapshot *snap, const struct snap_port *from,
	      const struct snap_port *to, struct park *park, struct burst *b)
{
	uint16_t n = park_look(park, b), i, k = 0, at, taken, number[BURST_MAX];
	struct frame *frame[BURST_MAX];

	for (i = 0; i < n; i++) {
		struct frame *fr = &b->frame[i];

		if (from->access || (fr->vlan == 0 && from->untagged != 0))
			frame_set_vlan(fr, from->untagged);
		at = fdb_port_of(from->fdb, fdb_key(frame_eth(fr)->dst_addr.addr_bytes, fr->vlan));
		/* Its MACs are not known everywhere when it has gone: in another VLAN, nowhere. */
		if ((at == from->id || at == to->id ||
		     (at == FDB_NO_PORT && snap_port_has_mac(from, &frame_eth(fr)->dst_addr))) &&
		    snap_port_takes(to, fr)) {
			park_relay(snap, from, to, fr);
			number[k] = i;
			frame[k++] = fr;
		}
	}
	taken = k > 0 ? deliver_some(f, to, park->q->index, b, frame, k) : 0;
	burst_release(b);
	if (taken < k)
		n = number[taken];
	stats_add(&park->q->stats.redirected, taken);
	stats_add(&park->q->stats.out_drop[DP_OUT_PARK_EXPIRED], n - taken);
	if (n > 0)
		park_left(park, n, taken, DP_EVENT_PORT_REDIRECTED);
	return n;
}

/* To the guest, as far as it has room. */
static unsigned int
park_give(const struct forward *f, const struct snap_port *sp, uint16_t pair, struct park *park,
	  struct burst *b)
{
	uint16_t n;

	park_look(park, b);
	n = deliver_parked(f, sp, pair, b);
	burst_release(b);
	stats_add(&park->q->stats.unparked, n);
	if (n > 0)
		park_left(park, n, n, DP_EVENT_PORT_UNPARKED);
	return n;
}

/* One look at one park. */
static unsigned int
park_look_after(struct forward *f, const struct snapshot *snap, const struct snap_port *sp,
		struct park *park, struct burst *b)
{
	struct port_queue *q = park->q;
	int to = atomic_load(&q->port->park.redirect);
	/* Before it is asked for whom they are: the one whose ring this is has been counted then. A guest may
	 * have come back with fewer queues. */
	int pair = deliver_ready(f, sp, q->index);
	unsigned int n = 0;

	burst_clear(b);
	if (park->guest != atomic_load(&q->port->park.guest))
		return park_expire(park);
	if (to >= 0 && snap->port[to] != NULL && snap->port[to]->bridge == sp->bridge &&
	    park_ends_at(snap, snap->port[to]))
		n = park_redirect(f, snap, sp, snap->port[to], park, b);
	else if (pair >= 0 && !park_holds(q))
		n = park_give(f, sp, (uint16_t)pair, park, b);
	/* Also where they are for somebody who takes nothing. */
	return n == 0 && park_is_over(q->port) ? park_expire(park) : n;
}

void
park_release(struct port_queue *q, unsigned int lcore)
{
	struct park **at;

	for (at = &parks[lcore]; *at != NULL; at = &(*at)->next) {
		if (*at == &q->park) {
			*at = q->park.next;
			atomic_store(&q->park.listed, false);
			return;
		}
	}
}

bool
park_is_idle(unsigned int lcore)
{
	return parks[lcore] == NULL;
}

unsigned int
park_run(struct forward *f, const struct snapshot *snap, struct burst *b)
{
	/* Out of the list meanwhile: what is redirected to a port that parks may add to it. */
	struct park *park = parks[f->lcore], *next;
	unsigned int moved = 0;

	parks[f->lcore] = NULL;
	for (; park != NULL; park = next) {
		struct port_queue *q = park->q;
		const struct snap_port *sp = snap->port[q->port->id];
		bool is_gone = sp == NULL || sp->port != q->port;
		/* More than came since the last time: so it comes to an end, whatever comes. */
		unsigned int n, left = is_gone ? 0 : park->fresh + BURST_MAX;

		/* It goes with its queue to another lcore. */
		if (!is_gone && sp->owner[q->index] & SNAP_MOVES)
			left = 0;

		next = park->next;
		park->fresh = 0;
		for (; left > 0 && park->n != 0; left -= RTE_MIN(left, n)) {
			n = park_look_after(f, snap, sp, park, b);
			moved += n;
			if (n == 0)
				break;
		}
		if (!is_gone && park->n != 0) {
			park->next = parks[f->lcore];
			parks[f->lcore] = park;
			continue;
		}
		q->parks = park_holds(q);
		/* The port may be freed from here on. */
		atomic_store(&park->listed, false);
	}
	return moved;
}

void
park_settle(const struct port *p)
{
	uint16_t i;

	for (i = 0; i < p->n_queues; i++)
		while (atomic_load(&p->queue[i].park.listed))
			sched_yield(); /* as rcu_synchronize() */
}

void
park_clear(struct port *p)
{
	uint16_t i;

	for (i = 0; i < p->n_queues; i++) {
		park_free_pages(p, p->queue[i].park.first);
		p->queue[i].park = (struct park){.n = 0};
	}
}

void
park_discard(void)
{
	unsigned int lcore;

	for (lcore = 0; lcore <= DP_LCORES_MAX; lcore++) {
		while (parks[lcore] != NULL) {
			atomic_store(&parks[lcore]->listed, false);
			parks[lcore] = parks[lcore]->next;
		}
	}
}
