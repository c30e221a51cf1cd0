/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vring_io.h"

/*
 * Split virtqueues (virtio 1.1, 2.6).
 *
 * A burst is taken in steps over all of its chains (descriptors, then what they point at, then the
 * frames), each of which asks the memory for what the next one needs: guest memory is in the
 * guest's cache, and the lines come over together instead of one after the other.
 *
 * Chains of one or two descriptors, in the ring or in an indirect table, are what guests send; the
 * rest goes through split_walk().
 */

/* A descriptor, read once. */
struct split_desc {
	uint64_t addr;
	uint32_t bytes;
	uint16_t flags, next;
};

static inline struct split_desc
split_read(const struct vring_desc *at)
{
	const uint64_t *word = (const uint64_t *)at;
	uint64_t addr = __atomic_load_n(&word[0], __ATOMIC_RELAXED);
	uint64_t rest = __atomic_load_n(&word[1], __ATOMIC_RELAXED);

	return (struct split_desc){
		.addr = addr,
		.bytes = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

static inline uint16_t
split_available(const struct virtq *r)
{
	return (uint16_t)(__atomic_load_n(&r->split.avail->idx, __ATOMIC_ACQUIRE) - r->next);
}

static inline uint16_t
split_head(const struct virtq *r, uint16_t index)
{
	return __atomic_load_n(&r->split.avail->ring[index & (r->size - 1)], __ATOMIC_RELAXED);
}

/* The table that an indirect descriptor names; NULL: wrong, or for split_walk() to read. *size is the
 * number of entries. */
static inline const struct vring_desc *
split_table(const struct virtq *r, const struct split_desc *d, uint32_t *size)
{
	const uint8_t *table = guestmem_at(r->mem, d->addr, d->bytes);

	*size = d->bytes / sizeof(struct vring_desc);
	if (unlikely((d->flags & VRING_DESC_F_NEXT) || *size == 0 ||
		     d->bytes % sizeof(struct vring_desc) != 0 || !vring_is_aligned(table)))
		return NULL;
	return (const struct vring_desc *)table;
}

/* Adds the buffers of a chain, which must all be for the guest to write or all for it to read. It may end
 * in an indirect table (virtio 1.1, 2.6.5.3.2). */
static enum vring_fault
split_walk(const struct virtq *r, uint16_t head, uint16_t write, struct vring_pieces *p)
{
	uint32_t size = r->size, i = head, steps = 0;
	enum vring_fault fault;
	bool indirect = false;
	uint64_t table = 0;

	for (;;) {
		struct split_desc d;
		struct vring_desc copy;

		if (i >= size)
			return indirect ? VRING_BAD_CHAIN : VRING_BAD_HEAD;
		if (steps++ == size)
			return VRING_BAD_CHAIN;
		if (indirect && !vring_read(r, table + i * sizeof(copy), &copy))
			return VRING_BAD_ADDRESS;
		d = split_read(indirect ? &copy : &r->split.desc[i]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (indirect || (d.flags & VRING_DESC_F_NEXT) || d.bytes == 0 ||
			    d.bytes % sizeof(struct vring_desc) != 0)
				return VRING_BAD_INDIRECT;
			indirect = true;
			table = d.addr;
			size = d.bytes / sizeof(struct vring_desc);
			i = 0;
			steps = 0;
			continue;
		}
		if ((d.flags & VRING_DESC_F_WRITE) != write)
			return VRING_BAD_DIRECTION;
		fault = vring_add_piece(r, p, d.addr, d.bytes);
		if (fault != VRING_RUNS || !(d.flags & VRING_DESC_F_NEXT))
			return fault;
		i = d.next;
	}
}

/* ---- from the guest ---------------------------------------------------------------------- */

/* One chain on its way to a frame. n 0: not of the short kinds, or wrong. */
struct split_chain {
	unsigned int n;
	struct burst_seg piece[2];
};

/* Brings a chain of one or two descriptors into view, the first of which was read. */
static inline void
split_short_chain(const struct virtq *r, struct split_desc d, struct split_chain *c)
{
	const struct vring_desc *table = r->split.desc;
	uint32_t size = r->size;

	c->n = 0;
	if (unlikely(d.flags & VRING_DESC_F_INDIRECT)) {
		table = split_table(r, &d, &size);
		if (unlikely(table == NULL))
			return;
		d = split_read(table);
	}
	if (unlikely((d.flags & (VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)) ||
		     !vring_piece(r, d.addr, d.bytes, &c->piece[0])))
		return;
	c->n = 1;
	if (d.flags & VRING_DESC_F_NEXT) {
		c->n = 0;
		if (unlikely(d.next >= size))
			return;
		d = split_read(&table[d.next]);
		if (unlikely((d.flags & VRING_DESC_KIND) || c->piece[0].bytes < r->hdr_bytes ||
			     !vring_piece(r, d.addr, d.bytes, &c->piece[1])))
			return;
		c->n = 2;
	}
	vring_prefetch(c->piece[c->n - 1].at, c->piece[c->n - 1].bytes);
}

/* A chain of any form. Returns VRING_RUNS, and then *is_frame says whether it is one. */
static __rte_noinline enum vring_fault
split_long_chain(const struct virtq *r, uint16_t head, struct burst *b, bool *is_frame)
{
	struct vring_pieces p;
	enum vring_fault fault;

	vring_no_pieces(&p);
	fault = split_walk(r, head, 0, &p);

	if (fault == VRING_RUNS)
		*is_frame = vring_frame_of_pieces(r, b, &p);
	return fault;
}

/* Brings n available chains into view, as far as they are in the ring. Returns how many. */
static uint16_t
split_chains(const struct virtq *r, struct burst *b, uint16_t n, struct split_chain *chain)
{
	struct split_desc desc[BURST_MAX];
	uint16_t i;

	for (i = 0; i < n; i++) {
		uint16_t head = split_head(r, r->next + i);

		if (unlikely(head >= r->size))
			break;
		b->token[i].id = head;
		rte_prefetch0(&r->split.desc[head]);
	}
	n = i;
	for (i = 0; i < n; i++) {
		desc[i] = split_read(&r->split.desc[b->token[i].id]);
		if (likely(!(desc[i].flags & VRING_DESC_F_INDIRECT)))
			split_short_chain(r, desc[i], &chain[i]);
		else
			rte_prefetch0(guestmem_at(r->mem, desc[i].addr, 1));
	}
	for (i = 0; i < n; i++) {
		if (unlikely(desc[i].flags & VRING_DESC_F_INDIRECT))
			split_short_chain(r, desc[i], &chain[i]);
	}
	return n;
}

void
vring_split_rx(struct virtq *r, struct burst *b)
{
	uint16_t wanted = split_available(r), n, i;
	struct split_chain chain[BURST_MAX];
	enum vring_fault fault = VRING_RUNS;

	if (wanted == 0)
		return;
	if (unlikely(wanted > r->size)) {
		vring_stop(r, VRING_BAD_INDEX);
		return;
	}
	wanted = RTE_MIN(wanted, (uint16_t)BURST_MAX);
	n = split_chains(r, b, wanted, chain);
	if (unlikely(n < wanted))
		fault = VRING_BAD_HEAD;
	for (i = 0; i < n; i++) {
		bool is_frame = false;

		b->token_of[b->n] = (uint8_t)i;
		if (likely(chain[i].n == 1)) {
			is_frame = vring_frame(r, b, chain[i].piece);
		} else if (chain[i].n == 2) {
			is_frame = vring_frame_of_two(r, b, chain[i].piece);
		} else {
			enum vring_fault why;

			if (b->n_segs + FRAME_SEGS_MAX > BURST_SEGS_MAX) {
				fault = VRING_RUNS;
				break; /* no room to take it apart: in the next round */
			}
			why = split_long_chain(r, b->token[i].id, b, &is_frame);
			if (why != VRING_RUNS) {
				fault = why;
				break;
			}
		}
		b->n += is_frame;
	}
	b->n_tokens = i;
	if (unlikely(fault != VRING_RUNS))
		vring_stop(r, fault);
}

/* Entry `index` of the used ring. */
static inline void
split_use(const struct virtq *r, uint16_t index, uint32_t id, uint32_t bytes)
{
	const struct vring_used_elem entry = {.id = id, .len = bytes};

	memcpy(&r->split.used->ring[index & (r->size - 1)], &entry, sizeof(entry));
}

void
vring_split_rx_done(struct virtq *r, const struct burst *b, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n; i++)
		split_use(r, r->used + i, b->token[i].id, 0);
	r->next += n;
	r->used += n;
}

/* ---- to the guest ------------------------------------------------------------------------ */

/* A buffer that holds a frame by itself. */
struct split_slot {
	uint8_t *at;
	uint64_t addr;
	uint32_t bytes; /* that are written to it */
	bool tag; /* the frame goes with its VLAN tag */
};

/* Finds the buffer at the ring's entry `index` for the frame, and uses it, if it is one descriptor that
 * is long enough. */
static inline bool
split_slot(const struct virtq *r, uint16_t step, const struct frame *f, bool trunk,
	   struct split_slot *slot)
{
	uint16_t id = split_head(r, r->next + step);
	struct split_desc d;

	if (unlikely(id >= r->size || !vring_is_plain(f)))
		return false;
	slot->tag = vring_out_tag(f, trunk);
	slot->bytes = r->hdr_bytes + vring_out_bytes(f, slot->tag);
	d = split_read(&r->split.desc[id]);
	if (unlikely((d.flags & VRING_DESC_KIND) != VRING_DESC_F_WRITE || d.bytes < slot->bytes))
		return false;
	slot->addr = d.addr;
	slot->at = guestmem_at(r->mem, d.addr, d.bytes);
	if (unlikely(slot->at == NULL))
		return false;
	split_use(r, r->used + step, id, slot->bytes);
	return true;
}

/* The frames that go into a buffer each, up to the first that does not. Returns how many. */
static uint16_t
split_tx_short(struct virtq *r, struct frame *const *f, uint16_t n, bool trunk,
	       struct vring_sent *sent)
{
	const struct dirty_log *log = atomic_load_explicit(&r->log, memory_order_relaxed);
	struct split_slot slot[BURST_MAX];
	uint64_t total = 0;
	uint16_t i;

	for (i = 0; i < n; i++)
		rte_prefetch0(&r->split.desc[split_head(r, r->next + i) & (r->size - 1)]);
	for (i = 0; i < n && likely(split_slot(r, i, f[i], trunk, &slot[i])); i++) {
		vring_prefetch_write(slot[i].at, slot[i].bytes);
		total += slot[i].bytes;
	}
	n = i;
	for (i = 0; i < n; i++)
		vring_put(r, slot[i].at, f[i], slot[i].tag);
	if (unlikely(log != NULL)) {
		rte_mb();
		for (i = 0; i < n; i++)
			dirty_log_mark(log, slot[i].addr, slot[i].bytes);
	}
	sent->packets += n;
	sent->bytes += total - n * r->hdr_bytes;
	r->next += n;
	r->used += n;
	return n;
}

/* One frame into as many buffers as it takes. Returns false where it did not go in. */
static __rte_noinline bool
split_tx_long(struct virtq *r, const struct frame *f, uint16_t available, bool tag,
	      struct vring_sent *sent)
{
	uint32_t bytes = r->hdr_bytes + vring_out_bytes(f, tag), before = 0;
	struct vring_pieces p;
	struct vring_chain chain[VRING_CHAINS_MAX];
	enum vring_fault fault;
	uint16_t n = 0, i;

	vring_no_pieces(&p);
	do {
		if (n == available) {
			sent->full++;
			return false;
		}
		chain[n].id = split_head(r, r->next + n);
		fault = chain[n].id < r->size ? split_walk(r, chain[n].id, VRING_DESC_F_WRITE, &p) :
						VRING_BAD_HEAD;
		if (fault == VRING_BAD_CHAIN && n > 0)
			break; /* it takes more descriptors than we look at for one frame */
		if (fault != VRING_RUNS) {
			vring_stop(r, fault);
			return false;
		}
		chain[n].bytes = RTE_MIN(p.bytes, bytes) - before;
		before += chain[n++].bytes;
	} while (r->mergeable && before < bytes && n < VRING_CHAINS_MAX);
	if (before < bytes) {
		sent->too_long++;
		return false;
	}
	vring_scatter(r, &p, f, tag, n);
	for (i = 0; i < n; i++)
		split_use(r, r->used + i, chain[i].id, chain[i].bytes);
	sent->packets++;
	sent->bytes += bytes - r->hdr_bytes;
	r->next += n;
	r->used += n;
	return true;
}

uint16_t
vring_split_tx(struct virtq *r, struct frame *const *f, uint16_t n, bool trunk,
	       struct vring_sent *sent)
{
	uint16_t done = 0, some, available = split_available(r);
	unsigned int skips = 0;

	if (unlikely(available > r->size)) {
		vring_stop(r, VRING_BAD_INDEX);
		return 0;
	}
	for (;;) {
		some = split_tx_short(r, &f[done], RTE_MIN(available, (uint16_t)(n - done)), trunk,
				      sent);
		done += some;
		available -= some;
		if (done == n || available == 0)
			return done;
		some = r->next;
		if (!split_tx_long(r, f[done], available, vring_out_tag(f[done], trunk), sent)) {
			if (!r->live)
				return done;
			skips++;
		}
		available -= r->next - some;
		if (++done == n || available == 0 || skips == VRING_SKIPS_MAX)
			return done;
	}
}

/* ---- both -------------------------------------------------------------------------------- */

/* Marks what was written of the used ring, which begins at `base`: its index, and n entries. */
static void
split_log_used_at(const struct virtq *r, const struct dirty_log *log, uint64_t base, uint16_t n)
{
	const uint64_t entry_bytes = sizeof(struct vring_used_elem);
	uint16_t first = r->old_used & (r->size - 1);
	uint16_t to_end = RTE_MIN(n, (uint16_t)(r->size - first));
	uint64_t ring = base + offsetof(struct vring_used, ring);

	dirty_log_mark(log, base, sizeof(struct vring_used));
	if (n > 0)
		dirty_log_mark(log, ring + first * entry_bytes, to_end * entry_bytes);
	if (n > to_end)
		dirty_log_mark(log, ring, (n - to_end) * entry_bytes);
}

static void
split_log_used(const struct virtq *r, const struct dirty_log *log)
{
	uint64_t also = atomic_load_explicit(&r->log_addr, memory_order_relaxed);
	uint16_t n = (uint16_t)(r->used - r->old_used);

	split_log_used_at(r, log, r->used_addr, n);
	if (also != 0 && also != r->used_addr)
		split_log_used_at(r, log, also, n);
}

static bool
split_wants_call(struct virtq *r)
{
	uint16_t old = r->signalled, event;
	bool knows_old = r->signalled_valid;

	if (!r->event_idx)
		return !(__atomic_load_n(&r->split.avail->flags, __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(&r->split.avail->ring[r->size], __ATOMIC_RELAXED);
	r->signalled = r->used;
	r->signalled_valid = true;
	return !knows_old || vring_need_event(event, r->used, old);
}

bool
vring_split_publish(struct virtq *r)
{
	const struct dirty_log *log = atomic_load_explicit(&r->log, memory_order_relaxed);

	if (r->used == r->old_used)
		return false;
	__atomic_store_n(&r->split.used->idx, r->used, __ATOMIC_RELEASE);
	/* The index before what the guest wants; and for the log see dirty_log_mark(). */
	rte_smp_mb();
	if (unlikely(log != NULL))
		split_log_used(r, log);
	r->old_used = r->used;
	return split_wants_call(r);
}
