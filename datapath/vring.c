/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vring.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <rte_vhost.h>

#include "datapath/call.h"
#include "datapath/doze.h"
#include "datapath/event.h"
#include "datapath/rcu.h"
#include "datapath/vnet_hdr.h"
#include "datapath/vring_io.h"

/* A guest is notified at most this often on a ring; what comes sooner waits until then. It bounds
 * what notifications (a system call each) cost an lcore, and what waiting adds to a frame's way. */
#define VRING_CALL_GAP_US 10

#define VRING_SPLIT_SIZE_MAX 32768
#define VRING_PACKED_INDEX 0x7fff /* of a base; the bit above is the wrap counter */

const char *
vring_fault_name(enum vring_fault fault)
{
	static const char *const name[] = {
		[VRING_RUNS] = NULL,
		[VRING_BAD_INDEX] = "available index beyond the ring",
		[VRING_BAD_HEAD] = "descriptor number beyond the ring",
		[VRING_BAD_CHAIN] = "descriptor chain too long, cut off or in a loop",
		[VRING_BAD_INDIRECT] = "bad indirect descriptor",
		[VRING_BAD_ADDRESS] = "buffer outside the shared memory",
		[VRING_BAD_PLACE] = "ring outside the shared memory, misaligned or of a bad size",
		[VRING_BAD_DIRECTION] = "buffer for the wrong direction",
	};

	return name[fault];
}

/* Where the parts of the ring are, if all of each lies in the guest's memory, and is aligned. */
static bool
vring_map_split(struct virtq *r, const struct rte_vhost_vring *from)
{
	size_t event = r->event_idx ? sizeof(uint16_t) : 0;
	size_t avail = sizeof(struct vring_avail) + r->size * sizeof(uint16_t) + event;
	size_t used = sizeof(struct vring_used) + r->size * sizeof(struct vring_used_elem) + event;
	uint64_t addr;

	r->split.desc = from->desc;
	r->split.avail = from->avail;
	r->split.used = from->used;
	return (r->size & (r->size - 1)) == 0 && from->size <= VRING_SPLIT_SIZE_MAX &&
	       guestmem_addr(r->mem, from->desc, r->size * sizeof(struct vring_desc), &addr) &&
	       guestmem_addr(r->mem, from->avail, avail, &addr) &&
	       guestmem_addr(r->mem, from->used, used, &r->used_addr) &&
	       RTE_PTR_ALIGN_FLOOR(from->desc, VRING_DESC_ALIGN_SIZE) == from->desc &&
	       RTE_PTR_ALIGN_FLOOR(from->avail, VRING_AVAIL_ALIGN_SIZE) == from->avail &&
	       RTE_PTR_ALIGN_FLOOR(from->used, VRING_USED_ALIGN_SIZE) == from->used;
}

static bool
vring_map_packed(struct virtq *r, const struct rte_vhost_vring *from)
{
	const size_t event = sizeof(struct vring_packed_desc_event);
	uint64_t addr;

	r->packed_ring.desc = (void *)from->desc_packed;
	r->packed_ring.driver = (void *)from->driver_event;
	r->packed_ring.device = (void *)from->device_event;
	return guestmem_addr(r->mem, from->desc_packed, r->size * sizeof(struct vring_packed_desc),
			     &r->used_addr) &&
	       guestmem_addr(r->mem, from->driver_event, event, &addr) &&
	       guestmem_addr(r->mem, from->device_event, event, &addr) &&
	       RTE_PTR_ALIGN_FLOOR(from->desc_packed, VRING_DESC_ALIGN_SIZE) == from->desc_packed &&
	       RTE_PTR_ALIGN_FLOOR(from->driver_event, event) == from->driver_event &&
	       RTE_PTR_ALIGN_FLOOR(from->device_event, event) == from->device_event;
}

/* Both indices of the library say the same: no chain is under way when a ring comes to us. */
static bool
vring_take_base(struct virtq *r, int vid)
{
	uint16_t avail, used;

	if (rte_vhost_get_vring_base(vid, r->number, &avail, &used) != 0)
		return false;
	if (!r->packed) {
		r->next = r->used = r->old_used = avail;
		return true;
	}
	r->next = r->used = r->old_used = avail & VRING_PACKED_INDEX;
	r->next_wrap = r->used_wrap = avail >> 15;
	return r->next < r->size;
}

/* Whether the guest is to kick when it makes something available; with event indices, at the next one alone. */
static void
vring_want_kicks(const struct virtq *r, bool wanted)
{
	const struct dirty_log *log = atomic_load(&r->log);
	uint64_t also = atomic_load(&r->log_addr), addr = r->used_addr;
	size_t offset = 0;

	if (r->packed) {
		r->packed_ring.device->flags =
			wanted ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE;
		guestmem_addr(r->mem, r->packed_ring.device, sizeof(*r->packed_ring.device), &addr);
		also = 0; /* that of the descriptors */
	} else if (!r->event_idx) {
		r->split.used->flags = wanted ? 0 : VRING_USED_F_NO_NOTIFY;
	} else if (wanted) {
		void *at = &r->split.used->ring[r->size];

		__atomic_store_n((uint16_t *)at, r->next, __ATOMIC_RELAXED);
		offset = offsetof(struct vring_used, ring) +
			 r->size * sizeof(struct vring_used_elem);
	}
	if (log == NULL)
		return;
	rte_mb();
	dirty_log_mark(log, addr + offset, sizeof(uint32_t));
	if (also != 0)
		dirty_log_mark(log, also + offset, sizeof(uint32_t));
}

bool
vring_arm(struct virtq *r, unsigned int lcore)
{
	int fd = atomic_load(&r->kick_fd);

	if (fd < 0 || atomic_load_explicit(&r->call_due, memory_order_relaxed))
		return false;
	if (unlikely(r->watched_on != lcore)) {
		/* The queue was another lcore's before. */
		if (r->watched_on != 0)
			doze_ignore(r->watched_on, fd);
		r->watched_on = 0;
		if (!doze_watch(lcore, fd))
			return false;
		r->watched_on = (uint8_t)lcore;
	}
	if (!r->armed)
		vring_want_kicks(r, true);
	r->armed = true;
	return true;
}

void
vring_disarm(struct virtq *r)
{
	if (r->armed)
		vring_want_kicks(r, false);
	r->armed = false;
}

/* No lcore knows the descriptor any more. */
static void
vring_close_kick(struct virtq *r, int fd)
{
	if (r->watched_on != 0)
		doze_ignore(r->watched_on, fd);
	r->watched_on = 0;
	r->armed = false;
	close(fd);
}

void
vring_drop_kick(struct virtq *r)
{
	int fd = atomic_exchange(&r->kick_fd, -1);

	if (fd < 0)
		return;
	rcu_synchronize();
	vring_close_kick(r, fd);
}

void
vring_take_kick(struct virtq *r, int fd)
{
	/* Ours stays open until no lcore watches it, whatever becomes of the library's. */
	atomic_store(&r->kick_fd, fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* Fills in what does not change while the ring is live. Returns false where it can't be right. */
static bool
vring_map(struct virtq *r, int vid, uint64_t features, const struct guestmem *mem,
	  const struct rte_vhost_vring *from)
{
	const uint64_t wide = RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF) | RTE_BIT64(VIRTIO_F_VERSION_1) |
			      RTE_BIT64(VIRTIO_F_RING_PACKED);

	r->vid = vid;
	r->packed = features & RTE_BIT64(VIRTIO_F_RING_PACKED);
	r->event_idx = features & RTE_BIT64(VIRTIO_RING_F_EVENT_IDX);
	r->mergeable = features & RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF);
	r->hdr_bytes = features & wide ? VRING_HDR_BYTES_MAX : sizeof(struct virtio_net_hdr);
	r->can = (uint8_t)vnet_can_of_guest(features);
	r->size = from->size;
	r->mem = mem;
	r->features = features;
	return (r->packed ? vring_map_packed(r, from) : vring_map_split(r, from)) &&
	       vring_take_base(r, vid);
}

void
vring_attach(struct virtq *r, int vid, uint64_t features, const struct guestmem *mem)
{
	struct rte_vhost_vring from = {.size = 0};

	if (rte_vhost_get_vhost_vring(vid, r->number, &from) != 0 || from.desc == NULL ||
	    from.avail == NULL || from.used == NULL || from.size == 0)
		return;
	if (!vring_map(r, vid, features, mem, &from)) {
		vring_stop(r, VRING_BAD_PLACE);
		return;
	}
	r->signalled_valid = false;
	r->holds_first = false;
	r->unpublished = 0;
	r->called_tsc = 0;
	atomic_store(&r->call_fd, from.callfd);
	atomic_store(&r->log_addr, from.log_guest_addr);
	atomic_store(&r->fault, VRING_RUNS);
	vring_take_kick(r, from.kickfd);
	vring_want_kicks(r, false);
	r->attached_cb = true;
	atomic_store(&r->live, true);
	/* Who gave the ring to us may have died between publishing and calling. */
	vring_owe_call(r);
}

bool
vring_detach(struct virtq *r)
{
	bool was = r->attached_cb;

	r->attached_cb = false;
	atomic_store(&r->live, false);
	return was;
}

void
vring_settle(struct virtq *r, int vid)
{
	int fd = atomic_load(&r->call_fd), kick_fd = atomic_exchange(&r->kick_fd, -1);
	uint16_t base = r->next;

	if (r->packed)
		base |= (uint16_t)(r->next_wrap << 15);
	rte_vhost_set_vring_base(vid, r->number, base, base);
	if (kick_fd >= 0)
		vring_close_kick(r, kick_fd);
	if (atomic_exchange(&r->call_due, false) && fd >= 0)
		call_guest(vid, fd);
}

void
vring_stop(struct virtq *r, enum vring_fault fault)
{
	atomic_store_explicit(&r->fault, fault, memory_order_relaxed);
	atomic_store_explicit(&r->live, false, memory_order_relaxed);
	event_post(DP_EVENT_RING_STOPPED, r->port, r->number);
}

void
vring_owe_call(struct virtq *r)
{
	atomic_store(&r->call_due, true);
	atomic_store(r->attention, true);
}

void
vring_call(struct virtq *r)
{
	uint64_t now = rte_rdtsc();
	int fd;

	if (now - r->called_tsc < rte_get_tsc_hz() / 1000000 * VRING_CALL_GAP_US) {
		vring_owe_call(r);
		return;
	}
	r->called_tsc = now;
	/* In this order: who exchanges the descriptor says afterwards that a call is due. */
	atomic_store(&r->call_due, false);
	fd = atomic_load(&r->call_fd);
	if (fd >= 0)
		call_guest(r->vid, fd);
}

/* ---- off the fast path ------------------------------------------------------------------- */

enum vring_fault
vring_add_piece(const struct virtq *r, struct vring_pieces *p, uint64_t addr, uint32_t bytes)
{
	if (p->descs++ == VRING_PIECES_MAX)
		return VRING_BAD_CHAIN;
	while (bytes > 0) {
		uint64_t some = bytes;
		uint8_t *at = guestmem_piece(r->mem, addr, &some);

		if (at == NULL)
			return VRING_BAD_ADDRESS;
		if (p->n == VRING_PIECES_MAX)
			return VRING_BAD_CHAIN;
		p->piece[p->n].at = at;
		p->piece[p->n].bytes = (uint32_t)some;
		p->piece[p->n++].addr = addr;
		p->bytes = p->bytes + some > UINT32_MAX / 2 ? UINT32_MAX / 2 :
							      p->bytes + (uint32_t)some;
		addr += some;
		bytes -= (uint32_t)some;
	}
	return VRING_RUNS;
}

bool
vring_read(const struct virtq *r, uint64_t addr, struct vring_desc *copy)
{
	uint8_t *to = (uint8_t *)copy;
	uint64_t left = sizeof(*copy);

	while (left > 0) {
		uint64_t bytes = left;
		const uint8_t *from = guestmem_piece(r->mem, addr, &bytes);

		if (from == NULL)
			return false;
		memcpy(to, from, bytes);
		to += bytes;
		addr += bytes;
		left -= bytes;
	}
	rte_compiler_barrier();
	return true;
}

void
vring_frame_of_pieces(const struct virtq *r, struct burst *b, struct frame *f,
		      const struct vring_pieces *p)
{
	uint32_t skip = r->hdr_bytes, i;
	uint8_t hdr[VRING_HDR_BYTES_MAX];
	struct burst_seg *seg = &b->seg[b->n_segs];
	uint16_t n = 0;

	/* Also for what is no frame: it took as long to walk. */
	b->n_segs += (uint16_t)RTE_MAX(p->n, p->descs);
	if (p->bytes <= skip || p->bytes - skip > FRAME_BYTES_MAX) {
		f->first = (struct burst_seg){NULL, 0};
		f->marks = 0;
		f->bytes = 0;
		frame_fill_head(f);
		return;
	}
	for (i = 0; i < p->n; i++) {
		uint32_t some = RTE_MIN(skip, p->piece[i].bytes);

		memcpy(hdr + r->hdr_bytes - skip, p->piece[i].at, some);
		skip -= some;
		if (some < p->piece[i].bytes)
			seg[n++] =
				(struct burst_seg){p->piece[i].at + some, p->piece[i].bytes - some};
	}
	f->first = seg[0];
	f->more = seg + 1;
	f->marks = 0;
	f->n_more = n - 1;
	f->bytes = p->bytes - r->hdr_bytes;
	frame_fill_head(f);
	rte_compiler_barrier();
	frame_look(f);
	if (hdr[0] != 0 || hdr[1] != 0) {
		memcpy(&f->vnet, hdr, sizeof(f->vnet));
		vnet_guest_take(f, r->features);
	}
}

/* Where in the pieces the copy has come. */
struct vring_cursor {
	uint32_t piece, offset;
};

static void
vring_scatter_some(const struct vring_pieces *p, struct vring_cursor *at, const uint8_t *from,
		   uint32_t bytes)
{
	while (bytes > 0) {
		uint32_t some = RTE_MIN(bytes, p->piece[at->piece].bytes - at->offset);

		memcpy(p->piece[at->piece].at + at->offset, from, some);
		from += some;
		bytes -= some;
		at->offset += some;
		if (at->offset == p->piece[at->piece].bytes) {
			at->piece++;
			at->offset = 0;
		}
	}
}

void
vring_scatter(const struct virtq *r, const struct vring_pieces *p, const struct frame *f, bool tag,
	      uint16_t n_buffers)
{
	const struct dirty_log *log = atomic_load_explicit(&r->log, memory_order_relaxed);
	uint8_t head[VRING_HDR_BYTES_MAX + FRAME_HEAD_BYTES + sizeof(struct rte_vlan_hdr)];
	struct vring_cursor at = {0, 0};
	uint32_t skip = RTE_MIN(f->bytes, (uint32_t)FRAME_HEAD_BYTES), i;

	vring_put_hdr(r->hdr_bytes, head, f, false, tag, n_buffers);
	vring_scatter_some(p, &at, head,
			   r->hdr_bytes + vring_put_head(head + r->hdr_bytes, f, tag));
	for (i = 0; i <= f->n_more; i++) {
		const struct burst_seg *seg = i == 0 ? &f->first : &f->more[i - 1];
		uint32_t some = RTE_MIN(skip, seg->bytes);

		vring_scatter_some(p, &at, seg->at + some, seg->bytes - some);
		skip -= some;
	}
	if (log == NULL)
		return;
	rte_mb();
	for (i = 0; i < at.piece; i++)
		dirty_log_mark(log, p->piece[i].addr, p->piece[i].bytes);
	if (at.offset > 0)
		dirty_log_mark(log, p->piece[at.piece].addr, at.offset);
}
