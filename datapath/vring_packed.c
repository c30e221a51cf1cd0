/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vring_io.h"

/*
 * Packed virtqueues (virtio 1.1, 2.7).
 *
 * A slot of the ring is available when its two flag bits say so for the current lap, and is given
 * back by writing over it. What a burst gives back becomes visible all at once: the flags of its
 * first slot are written last (packed_use, vring_packed_publish).
 *
 * The steps of vring_split.c are here, too; but a chain lies in consecutive slots.
 */

#define PACKED_AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED (1U << VRING_PACKED_DESC_F_USED)

/* A descriptor, read once. */
struct packed_desc {
	uint64_t addr;
	uint32_t bytes;
	uint16_t id, flags;
};

/* Where one stands in the ring. */
struct packed_pos {
	uint16_t slot;
	bool wrap;
};

static inline struct packed_pos
packed_step(const struct virtq *r, struct packed_pos at, uint16_t slots)
{
	uint32_t to = (uint32_t)at.slot + slots;

	if (to >= r->size)
		return (struct packed_pos){(uint16_t)(to - r->size), !at.wrap};
	return (struct packed_pos){(uint16_t)to, at.wrap};
}

static inline struct packed_pos
packed_next(const struct virtq *r)
{
	return (struct packed_pos){r->next, r->next_wrap};
}

static inline void
packed_taken(struct virtq *r, uint16_t slots)
{
	struct packed_pos at = packed_step(r, packed_next(r), slots);

	r->next = at.slot;
	r->next_wrap = at.wrap;
}

static inline struct packed_desc
packed_read(const struct vring_packed_desc *at)
{
	const uint64_t *word = (const uint64_t *)at;
	uint64_t rest = __atomic_load_n(&word[1], __ATOMIC_ACQUIRE);

	return (struct packed_desc){
		.addr = __atomic_load_n(&word[0], __ATOMIC_RELAXED),
		.bytes = (uint32_t)rest,
		.id = (uint16_t)(rest >> 32),
		.flags = (uint16_t)(rest >> 48),
	};
}

/* What the two bits of an available slot are. */
static inline uint16_t
packed_available(bool wrap)
{
	return wrap ? PACKED_AVAIL : PACKED_USED;
}

/* Reads the slot. Returns whether it is available. */
static inline bool
packed_peek(const struct virtq *r, struct packed_pos at, struct packed_desc *d)
{
	*d = packed_read(&r->packed_ring.desc[at.slot]);
	return (d->flags & (PACKED_AVAIL | PACKED_USED)) == packed_available(at.wrap);
}

/*
 * The guest's side has the ring's lines in its cache, written to; and so will we write to them. So they
 * are asked for some slots ahead, once for each line, and not for reading first. Not further: a line
 * that the guest has yet to fill would only go to and fro.
 */
#define PACKED_AHEAD 16 /* slots */
#define PACKED_IN_LINE (RTE_CACHE_LINE_SIZE / sizeof(struct vring_packed_desc))

static inline void
packed_prefetch(const struct virtq *r, uint16_t slot)
{
	uint32_t ahead = (uint32_t)slot + PACKED_AHEAD;

	if (slot % PACKED_IN_LINE == 0)
		__builtin_prefetch(&r->packed_ring.desc[ahead < r->size ? ahead : ahead - r->size],
				   1);
}

/* At the beginning of a burst: what packed_prefetch() does not reach any more. */
static inline void
packed_prefetch_first(const struct virtq *r, uint16_t slot, uint16_t slots)
{
	uint32_t i;

	for (i = 0; i < slots; i += PACKED_IN_LINE)
		__builtin_prefetch(&r->packed_ring.desc[(slot + i) % r->size], 1);
}

/* Adds what an indirect descriptor names: a table whose entries are used in their order. */
static enum vring_fault
packed_walk_table(const struct virtq *r, const struct packed_desc *d, uint16_t write,
		  struct vring_pieces *p)
{
	uint64_t addr = d->addr, left = d->bytes;
	enum vring_fault fault;

	if (left == 0 || left % sizeof(struct vring_packed_desc) != 0)
		return VRING_BAD_INDIRECT;
	for (; left > 0; left -= sizeof(struct vring_packed_desc)) {
		struct vring_packed_desc copy;
		struct packed_desc entry;

		if (!vring_read(r, addr, (struct vring_desc *)&copy))
			return VRING_BAD_ADDRESS;
		entry = packed_read(&copy);
		if (entry.flags & VRING_DESC_F_INDIRECT)
			return VRING_BAD_INDIRECT;
		if ((entry.flags & VRING_DESC_F_WRITE) != write)
			return VRING_BAD_DIRECTION;
		fault = vring_add_piece(r, p, entry.addr, entry.bytes);
		if (fault != VRING_RUNS)
			return fault;
		addr += sizeof(copy);
	}
	return VRING_RUNS;
}

/*
 * Adds the buffers of the chain at `at`, whose first descriptor was read and is available: the guest
 * makes the first slot of a chain available last. It may have `slots_max` slots (packed_left()). Fills in
 * *chain but for its bytes.
 */
static enum vring_fault
packed_walk(const struct virtq *r, struct packed_pos at, uint16_t slots_max, struct packed_desc d,
	    uint16_t write, struct vring_pieces *p, struct vring_chain *chain)
{
	enum vring_fault fault;

	chain->slots = 1;
	chain->id = d.id;
	if (d.flags & VRING_DESC_F_INDIRECT)
		return d.flags & VRING_DESC_F_NEXT ? VRING_BAD_INDIRECT :
						     packed_walk_table(r, &d, write, p);
	for (;;) {
		if (d.flags & VRING_DESC_F_INDIRECT)
			return VRING_BAD_INDIRECT;
		if ((d.flags & VRING_DESC_F_WRITE) != write)
			return VRING_BAD_DIRECTION;
		fault = vring_add_piece(r, p, d.addr, d.bytes);
		if (fault != VRING_RUNS)
			return fault;
		chain->id = d.id;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return VRING_RUNS;
		if (chain->slots++ == slots_max)
			return VRING_BAD_CHAIN;
		at = packed_step(r, at, 1);
		if (!packed_peek(r, at, &d))
			return VRING_BAD_CHAIN;
	}
}

/* Where chains are given back: the ring's fields, which a store to guest memory might change for all
 * that the compiler knows. */
struct packed_used {
	struct vring_packed_desc *desc;
	uint32_t slot, size;
	uint16_t flags, flags_next_lap;
};

/* `write`: VRING_DESC_F_WRITE for chains that were written to. */
static inline struct packed_used
packed_used_from(const struct virtq *r, uint16_t write)
{
	const uint16_t set = PACKED_AVAIL | PACKED_USED | write;

	return (struct packed_used){
		.desc = r->packed_ring.desc,
		.slot = r->used,
		.size = r->size,
		.flags = r->used_wrap ? set : write,
		.flags_next_lap = r->used_wrap ? write : set,
	};
}

/*
 * Writes the chain that is given back at `offset` slots from here. The guest sees it from the next
 * publication on.
 *
 * A guest that waits looks at the first slot of what is not yet published again and again, and takes
 * its line away from us each time. So a burst's chains are given back at its end all at once, the
 * first of them last.
 */
static inline void
packed_use(struct virtq *r, const struct packed_used *at, uint16_t offset, uint16_t id,
	   uint32_t bytes)
{
	uint32_t slot = at->slot + offset;
	uint16_t flags = at->flags;
	struct vring_packed_desc *d;
	uint64_t word;

	if (slot >= at->size) {
		slot -= at->size;
		flags = at->flags_next_lap;
	}
	d = &at->desc[slot];
	word = (uint64_t)id << 32 | bytes;
	if (likely(offset != 0 || r->holds_first)) {
		__atomic_store_n((uint64_t *)&d->len, word | (uint64_t)flags << 48,
				 __ATOMIC_RELAXED);
		return;
	}
	r->holds_first = true;
	r->first_flags = flags;
	__atomic_store_n(&d->len, bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&d->id, id, __ATOMIC_RELAXED);
}

/* All of that is done for so many slots. */
static inline void
packed_used(struct virtq *r, uint16_t slots)
{
	struct packed_pos at = packed_step(r, (struct packed_pos){r->used, r->used_wrap}, slots);

	r->used = at.slot;
	r->used_wrap = at.wrap;
	r->unpublished += slots;
}

/* Slots that may still be looked at before the next publication: whatever a guest makes of its flags,
 * none is twice. */
static inline uint16_t
packed_left(const struct virtq *r)
{
	return r->size - r->unpublished;
}

/* ---- from the guest ---------------------------------------------------------------------- */

/* Brings a chain of two descriptors in the ring, or of one or two in a table, into view: fills in *chain but
 * for its bytes. Returns where its virtio header is; NULL: of another form, or wrong. */
static inline const uint8_t *
packed_short_chain(const struct virtq *r, const struct vring_view *v, struct packed_pos at,
		   uint16_t slots_max, struct packed_desc d, struct frame *f,
		   struct burst_seg *second, struct vring_chain *chain)
{
	const struct vring_packed_desc *table = NULL;
	struct packed_desc next;
	uint32_t n = 2;

	*chain = (struct vring_chain){.id = d.id, .slots = 1};
	if (d.flags & VRING_DESC_F_INDIRECT) {
		n = d.bytes / sizeof(*table);
		if (unlikely((d.flags & VRING_DESC_F_NEXT) || n == 0 || n > 2 ||
			     d.bytes % sizeof(*table) != 0))
			return NULL;
		table = (const struct vring_packed_desc *)guestmem_at(v->mem, d.addr, d.bytes);
		if (unlikely(!vring_is_aligned(table)))
			return NULL;
		d = packed_read(table);
	} else if (unlikely(!(d.flags & VRING_DESC_F_NEXT) || slots_max < 2)) {
		return NULL;
	}
	if (unlikely(d.flags & (VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)))
		return NULL;
	if (n == 1)
		return vring_one(v, f, d.addr, d.bytes, v->hdr_bytes);
	if (table != NULL) {
		next = packed_read(&table[1]);
	} else {
		if (unlikely(!packed_peek(r, packed_step(r, at, 1), &next) ||
			     (next.flags & VRING_DESC_F_NEXT)))
			return NULL;
		*chain = (struct vring_chain){.id = next.id, .slots = 2};
	}
	if (unlikely(next.flags & (VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)))
		return NULL;
	return vring_two(v, f, second, d.addr, d.bytes, next.addr, next.bytes);
}

/* Brings what is available into view. Returns the number of chains, and *why it is not more. The frames
 * of brief->others that have no header are finished. */
static inline uint16_t
packed_chains(const struct virtq *r, const struct vring_view *v, struct burst *b,
	      struct vring_brief *brief, enum vring_fault *why)
{
	const uint16_t kind = PACKED_AVAIL | PACKED_USED | VRING_DESC_KIND;
	struct packed_pos at = packed_next(r);
	const uint16_t size = r->size;
	uint16_t n, offset = 0;

	for (n = 0; n < BURST_MAX && offset < size; n++) {
		struct frame *f = &b->frame[n];
		struct vring_chain chain;
		struct packed_desc d;
		struct vring_pieces p;

		d = packed_read(&r->packed_ring.desc[at.slot]);
		b->token[n].id = d.id;
		b->token[n].offset = offset;
		if (likely((d.flags & kind) == packed_available(at.wrap)) &&
		    likely(vring_one(v, f, d.addr, d.bytes, v->hdr_bytes) != NULL)) {
			packed_prefetch(r, at.slot);
			at = packed_step(r, at, 1);
			offset++;
			continue;
		}
		if ((d.flags & (PACKED_AVAIL | PACKED_USED)) != packed_available(at.wrap))
			break;
		packed_prefetch(r, at.slot);
		brief->others |= RTE_BIT64(n);
		brief->hdr[n] = packed_short_chain(r, v, at, (uint16_t)(size - offset), d, f,
						   &b->second[n], &chain);
		if (unlikely(brief->hdr[n] == NULL)) {
			if (!vring_has_room(b))
				break; /* in the next round */
			vring_no_pieces(&p);
			*why = packed_walk(r, at, (uint16_t)(size - offset), d, 0, &p, &chain);
			if (*why != VRING_RUNS)
				break;
			vring_frame_of_pieces(r, b, f, &p);
		}
		b->token[n].id = chain.id;
		offset += chain.slots;
		at = packed_step(r, at, chain.slots);
	}
	b->token[n].offset = offset;
	return n;
}

void
vring_packed_rx(struct virtq *r, struct burst *b)
{
	const struct vring_view v = vring_view(r);
	enum vring_fault fault = VRING_RUNS;
	struct vring_brief brief;
	uint32_t bytes = 0;
	uint16_t n, i;

	packed_prefetch_first(r, r->next, PACKED_AHEAD);
	brief.others = 0;
	n = packed_chains(r, &v, b, &brief, &fault);
	for (i = 0; i < n && bytes < VRING_BURST_BYTES; i++) {
		const uint8_t *hdr = vring_hdr(&v, &brief, i, &b->frame[i]);

		if (likely(hdr != NULL))
			vring_look(r, &b->frame[i], hdr);
		bytes += b->frame[i].bytes;
	}
	b->n = b->n_chains = i;
	if (unlikely(fault != VRING_RUNS))
		vring_stop(r, fault);
}

void
vring_packed_rx_done(struct virtq *r, const struct burst *b, uint16_t n)
{
	const struct packed_used at = packed_used_from(r, 0);
	uint16_t i;

	for (i = n; i-- > 0;)
		packed_use(r, &at, b->token[i].offset, b->token[i].id, 0);
	packed_used(r, b->token[n].offset);
	packed_taken(r, b->token[n].offset);
}

/* ---- to the guest ------------------------------------------------------------------------ */

/* The frames that go into a slot's one buffer each, up to the first that does not. Returns how many.
 * *is_full: it stopped at a slot that is not available. */
static __rte_always_inline uint16_t
packed_tx_short(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is, uint16_t untagged,
		struct vring_sent *sent, bool *is_full)
{
	const struct packed_used used = packed_used_from(r, VRING_DESC_F_WRITE);
	const struct vring_view v = vring_view(r);
	struct packed_pos at = packed_next(r);
	struct vring_slot slot[VRING_SLOTS];
	uint16_t i;

	*is_full = false;
	n = RTE_MIN(n, packed_left(r));
	packed_prefetch_first(r, at.slot, n);
	for (i = 0; i < n; i++) {
		struct packed_desc d;

		if (unlikely(!packed_peek(r, at, &d))) {
			*is_full = true;
			break;
		}
		if (!vring_slot(&v, f[i], as_is, untagged, d.addr, d.bytes, d.flags, &slot[i]))
			break;
		slot[i].id = d.id;
		at = packed_step(r, at, 1);
	}
	n = i;
	vring_put_all(r, &v, slot, f, n, as_is, sent);
	for (i = n; i-- > 0;)
		packed_use(r, &used, i, slot[i].id, slot[i].bytes);
	packed_used(r, n);
	packed_taken(r, n);
	return n;
}

/* One frame into as many buffers as it takes. Returns false where it did not go in. */
static bool
packed_tx_long(struct virtq *r, const struct frame *f, bool tag, struct vring_sent *sent)
{
	uint32_t bytes = r->hdr_bytes + vring_out_bytes(f, tag), before = 0;
	const struct vring_view v = vring_view(r);
	struct vring_chain chain[VRING_CHAINS_MAX];
	struct packed_pos at = packed_next(r);
	struct vring_pieces p;
	uint32_t slots = 0;
	struct packed_used used;
	uint16_t n = 0, i, offset;

	vring_no_pieces(&p);
	do {
		enum vring_fault fault;
		struct packed_desc d;

		if (slots >= packed_left(r) || !packed_peek(r, at, &d)) {
			sent->full++;
			return false;
		}
		if (likely((d.flags & VRING_DESC_KIND) == VRING_DESC_F_WRITE) &&
		    vring_add_buffer(&v, &p, d.addr, d.bytes, bytes - before)) {
			chain[n].id = d.id;
			chain[n].slots = 1;
			fault = VRING_RUNS;
		} else {
			fault = packed_walk(r, at, (uint16_t)(packed_left(r) - slots), d,
					    VRING_DESC_F_WRITE, &p, &chain[n]);
		}
		if (fault == VRING_BAD_CHAIN && n > 0)
			break; /* it takes more descriptors than we look at for one frame */
		if (fault != VRING_RUNS) {
			vring_stop(r, fault);
			return false;
		}
		chain[n].bytes = RTE_MIN(p.bytes, bytes) - before;
		before += chain[n].bytes;
		slots += chain[n].slots;
		at = packed_step(r, at, chain[n++].slots);
	} while (r->mergeable && before < bytes && n < VRING_CHAINS_MAX);
	if (before < bytes) {
		sent->too_long++;
		return false;
	}
	vring_scatter(r, &p, f, tag, n);
	used = packed_used_from(r, VRING_DESC_F_WRITE);
	for (i = n, offset = (uint16_t)slots; i-- > 0;) {
		offset -= chain[i].slots;
		packed_use(r, &used, offset, chain[i].id, chain[i].bytes);
	}
	packed_used(r, (uint16_t)slots);
	packed_taken(r, (uint16_t)slots);
	sent->packets++;
	sent->bytes += bytes - r->hdr_bytes;
	return true;
}

uint16_t
vring_packed_tx(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is, uint16_t untagged,
		struct vring_sent *sent)
{
	unsigned int skips = 0;
	struct packed_desc d;
	uint16_t done = 0;
	uint32_t bytes;
	uint64_t full;
	bool is_full;

	for (;;) {
		done += as_is ? packed_tx_short(r, &f[done], n - done, true, untagged, sent,
						&is_full) :
				packed_tx_short(r, &f[done], n - done, false, untagged, sent,
						&is_full);
		if (done == n || is_full)
			return done;
		/* What is as long as a frame that did not fit will not fit either. */
		bytes = f[done]->bytes;
		do {
			full = sent->full;
			if (!packed_tx_long(r, f[done], f[done]->vlan != untagged, sent)) {
				if (!r->live || vring_waits(sent, full))
					return done;
				skips++;
			}
			if (++done == n || skips == VRING_SKIPS_MAX ||
			    !packed_peek(r, packed_next(r), &d))
				return done;
		} while (f[done]->bytes >= bytes);
	}
}

/* ---- both -------------------------------------------------------------------------------- */

/* Marks what is published of the ring, which begins at `base`. */
static void
packed_log_used(const struct virtq *r, const struct dirty_log *log, uint64_t base)
{
	const uint64_t desc_bytes = sizeof(struct vring_packed_desc);
	uint16_t n = RTE_MIN(r->unpublished, (uint16_t)(r->size - r->old_used));

	dirty_log_mark(log, base + r->old_used * desc_bytes, n * desc_bytes);
	if (n < r->unpublished)
		dirty_log_mark(log, base, (r->unpublished - n) * desc_bytes);
}

/* virtio 1.1, 2.7.14: the guest's event suppression structure. */
static bool
packed_wants_call(struct virtq *r)
{
	const struct vring_packed_desc_event *driver = r->packed_ring.driver;
	uint16_t flags = __atomic_load_n(&driver->flags, __ATOMIC_RELAXED);
	uint16_t off_wrap, off, old = r->signalled, new = r->used;
	bool knows_old = r->signalled_valid;

	r->signalled = r->used;
	r->signalled_valid = true;
	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !r->event_idx || !knows_old)
		return true;
	rte_smp_rmb();
	off_wrap = __atomic_load_n(&driver->off_wrap, __ATOMIC_RELAXED);
	off = off_wrap & ~(1 << VRING_PACKED_EVENT_F_WRAP_CTR);
	/* All on the lap of `new`: what was before it is one ring further down. */
	if (!!(off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR) != r->used_wrap)
		off -= r->size;
	if (new <= old)
		old -= r->size;
	return vring_need_event(off, new, old);
}

bool
vring_packed_publish(struct virtq *r)
{
	const struct dirty_log *log = atomic_load_explicit(&r->log, memory_order_relaxed);
	uint64_t also = atomic_load_explicit(&r->log_addr, memory_order_relaxed);

	if (!r->holds_first)
		return false;
	__atomic_store_n(&r->packed_ring.desc[r->old_used].flags, r->first_flags, __ATOMIC_RELEASE);
	/* The flags before what the guest wants; and for the log see dirty_log_mark(). */
	rte_smp_mb();
	if (unlikely(log != NULL)) {
		packed_log_used(r, log, r->used_addr);
		if (also != 0 && also != r->used_addr)
			packed_log_used(r, log, also);
	}
	r->holds_first = false;
	r->unpublished = 0;
	r->old_used = r->used;
	return packed_wants_call(r);
}
