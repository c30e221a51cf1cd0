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

#define SPLIT_IN_LINE (RTE_CACHE_LINE_SIZE / sizeof(struct vring_desc))

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

/* Entry `index` of the available ring: a head, which the ring may not have. */
static inline uint16_t
split_head(const struct vring_avail *avail, uint16_t size, uint16_t index)
{
	return __atomic_load_n(&avail->ring[index & (size - 1)], __ATOMIC_RELAXED);
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

/* Brings a chain of two descriptors of one table into view, the first of which was read. Returns where its
 * virtio header is; NULL: of another form, or wrong. */
static inline const uint8_t *
split_two(const struct vring_view *v, const struct vring_desc *table, uint32_t size,
	  struct split_desc d, struct frame *f, struct burst_seg *second)
{
	struct split_desc next;

	if (unlikely((d.flags & VRING_DESC_KIND) != VRING_DESC_F_NEXT || d.next >= size))
		return NULL;
	next = split_read(&table[d.next]);
	if (unlikely(next.flags & VRING_DESC_KIND))
		return NULL;
	return vring_two(v, f, second, d.addr, d.bytes, next.addr, next.bytes);
}

/* The same of an indirect descriptor, whose table has one or two. */
static inline const uint8_t *
split_indirect(const struct virtq *r, const struct vring_view *v, struct split_desc d,
	       struct frame *f, struct burst_seg *second)
{
	const struct vring_desc *table;
	uint32_t size;

	table = split_table(r, &d, &size);
	if (unlikely(table == NULL))
		return NULL;
	d = split_read(table);
	if (!(d.flags & VRING_DESC_KIND))
		return vring_one(v, f, d.addr, d.bytes, v->hdr_bytes);
	return split_two(v, table, size, d, f, second);
}

/* A chain of any form. */
static __rte_noinline enum vring_fault
split_long_chain(const struct virtq *r, uint16_t head, struct burst *b, struct frame *f)
{
	struct vring_pieces p;
	enum vring_fault fault;

	vring_no_pieces(&p);
	fault = split_walk(r, head, 0, &p);
	if (fault == VRING_RUNS)
		vring_frame_of_pieces(r, b, f, &p);
	return fault;
}

/* The first n chains of the burst, whose heads are known. */
static inline void
split_chains(const struct virtq *r, const struct vring_view *v, struct burst *b, uint16_t n,
	     struct vring_brief *brief)
{
	const struct vring_desc *table = r->split.desc;
	uint64_t others = 0, indirect = 0;
	struct split_desc desc[BURST_MAX];
	const uint16_t size = r->size;
	uint16_t i;

	for (i = 0; i < n; i++) {
		struct split_desc d = split_read(&table[b->token[i].id]);

		if (likely(!(d.flags & VRING_DESC_KIND)) &&
		    likely(vring_one(v, &b->frame[i], d.addr, d.bytes, v->hdr_bytes) != NULL))
			continue;
		others |= RTE_BIT64(i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			indirect |= RTE_BIT64(i);
			desc[i] = d;
			rte_prefetch0(guestmem_at(v->mem, d.addr, 1));
		} else {
			brief->hdr[i] = split_two(v, table, size, d, &b->frame[i], &b->second[i]);
		}
	}
	brief->others = others;
	for (; indirect != 0; indirect &= indirect - 1) {
		i = (uint16_t)rte_bsf64(indirect);
		brief->hdr[i] = split_indirect(r, v, desc[i], &b->frame[i], &b->second[i]);
	}
}

/* Notes the heads of up to n chains. Returns of how many: a number that the ring does not have ends
 * it. */
static inline uint16_t
split_heads(const struct virtq *r, struct burst *b, uint16_t n)
{
	const struct vring_avail *avail = r->split.avail;
	const struct vring_desc *desc = r->split.desc;
	const uint16_t size = r->size, next = r->next;
	uint16_t i;

	for (i = 0; i < n; i++) {
		uint16_t head = split_head(avail, size, next + i);

		if (unlikely(head >= size))
			break;
		b->token[i].id = head;
		rte_prefetch0(&desc[head]);
	}
	return i;
}

void
vring_split_rx(struct virtq *r, struct burst *b)
{
	const struct vring_view v = vring_view(r);
	uint16_t wanted = split_available(r), n, i;
	enum vring_fault fault = VRING_RUNS;
	struct vring_brief brief;
	uint32_t bytes = 0;

	if (wanted == 0)
		return;
	if (unlikely(wanted > r->size)) {
		vring_stop(r, VRING_BAD_INDEX);
		return;
	}
	wanted = RTE_MIN(wanted, (uint16_t)BURST_MAX);
	n = split_heads(r, b, wanted);
	if (unlikely(n < wanted))
		fault = VRING_BAD_HEAD;
	split_chains(r, &v, b, n, &brief);
	for (i = 0; i < n && bytes < VRING_BURST_BYTES; i++) {
		struct frame *f = &b->frame[i];
		const uint8_t *hdr = vring_hdr(&v, &brief, i, f);
		enum vring_fault why;

		if (likely(hdr != NULL)) {
			vring_look(r, f, hdr);
		} else {
			if (!vring_has_room(b))
				break;
			why = split_long_chain(r, b->token[i].id, b, f);
			if (why != VRING_RUNS) {
				fault = why;
				break;
			}
		}
		bytes += f->bytes;
	}
	b->n = b->n_chains = i;
	if (unlikely(fault != VRING_RUNS))
		vring_stop(r, fault);
}

/* Entry `index` of the used ring. */
static inline void
split_use(struct vring_used *used, uint16_t size, uint16_t index, uint32_t id, uint32_t bytes)
{
	const struct vring_used_elem entry = {.id = id, .len = bytes};

	memcpy(&used->ring[index & (size - 1)], &entry, sizeof(entry));
}

void
vring_split_rx_done(struct virtq *r, const struct burst *b, uint16_t n)
{
	const uint16_t size = r->size, index = r->used;
	struct vring_used *used = r->split.used;
	uint16_t i;

	for (i = 0; i < n; i++)
		split_use(used, size, index + i, b->token[i].id, 0);
	r->next += n;
	r->used += n;
}

/* ---- to the guest ------------------------------------------------------------------------ */

/* The frames that go into a buffer each, up to the first that does not. Returns how many. Frame i goes to
 * entry i from here of both rings: no chain is under way. */
static __rte_always_inline uint16_t
split_tx_short(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is, uint16_t untagged,
	       struct vring_sent *sent)
{
	const struct vring_avail *avail = r->split.avail;
	const struct vring_desc *desc = r->split.desc;
	const uint16_t size = r->size, next = r->next;
	struct vring_used *used = r->split.used;
	const struct vring_view v = vring_view(r);
	struct vring_slot slot[VRING_SLOTS];
	uint16_t i;

	/* Once for each line of descriptors that are used in their order. */
	for (i = 0; i < n; i += SPLIT_IN_LINE)
		rte_prefetch0(&desc[split_head(avail, size, next + i)]);
	for (i = 0; i < n; i++) {
		uint16_t head = split_head(avail, size, next + i);
		struct split_desc d;

		if (unlikely(head >= size))
			break;
		d = split_read(&desc[head]);
		if (!vring_slot(&v, f[i], as_is, untagged, d.addr, d.bytes, d.flags, &slot[i]))
			break;
		split_use(used, size, next + i, head, slot[i].bytes);
	}
	n = i;
	vring_put_all(r, &v, slot, f, n, as_is, sent);
	r->next += n;
	r->used += n;
	return n;
}

/* Adds the pieces of the chain `head`, of which at most `bytes` bytes are used. */
static inline enum vring_fault
split_buffer(const struct virtq *r, const struct vring_view *v, uint16_t head, uint32_t bytes,
	     struct vring_pieces *p)
{
	struct split_desc d;

	if (unlikely(head >= r->size))
		return VRING_BAD_HEAD;
	d = split_read(&r->split.desc[head]);
	if (likely((d.flags & VRING_DESC_KIND) == VRING_DESC_F_WRITE) &&
	    vring_add_buffer(v, p, d.addr, d.bytes, bytes))
		return VRING_RUNS;
	return split_walk(r, head, VRING_DESC_F_WRITE, p);
}

/* One frame into as many buffers as it takes. Returns false where it did not go in. */
static __rte_noinline bool
split_tx_long(struct virtq *r, const struct frame *f, uint16_t available, bool tag,
	      struct vring_sent *sent)
{
	uint32_t bytes = r->hdr_bytes + vring_out_bytes(f, tag), before = 0;
	const struct vring_view v = vring_view(r);
	struct vring_chain chain[VRING_CHAINS_MAX];
	struct vring_pieces p;
	enum vring_fault fault;
	uint16_t n = 0, i;

	vring_no_pieces(&p);
	do {
		if (n == available) {
			sent->full++;
			return false;
		}
		chain[n].id = split_head(r->split.avail, r->size, r->next + n);
		fault = split_buffer(r, &v, chain[n].id, bytes - before, &p);
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
		split_use(r->split.used, r->size, r->used + i, chain[i].id, chain[i].bytes);
	sent->packets++;
	sent->bytes += bytes - r->hdr_bytes;
	r->next += n;
	r->used += n;
	return true;
}

uint16_t
vring_split_tx(struct virtq *r, struct frame *const *f, uint16_t n, bool as_is, uint16_t untagged,
	       struct vring_sent *sent)
{
	uint16_t done = 0, some, available = split_available(r);
	unsigned int skips = 0;
	uint32_t bytes;
	uint64_t full;

	if (unlikely(available > r->size)) {
		vring_stop(r, VRING_BAD_INDEX);
		return 0;
	}
	for (;;) {
		some = RTE_MIN(available, (uint16_t)(n - done));
		some = as_is ? split_tx_short(r, &f[done], some, true, untagged, sent) :
			       split_tx_short(r, &f[done], some, false, untagged, sent);
		done += some;
		available -= some;
		if (done == n || available == 0)
			return done;
		/* What is as long as a frame that did not fit will not fit either. */
		bytes = f[done]->bytes;
		do {
			some = r->next;
			full = sent->full;
			if (!split_tx_long(r, f[done], available, f[done]->vlan != untagged,
					   sent)) {
				if (!r->live || vring_waits(sent, full))
					return done;
				skips++;
			}
			available -= r->next - some;
			if (++done == n || available == 0 || skips == VRING_SKIPS_MAX)
				return done;
		} while (f[done]->bytes >= bytes);
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
