/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

_Atomic uint32_t fdb_now_s;

static struct fdb_bucket *
fdb_alloc_buckets(size_t size)
{
	/* Not from the hugepage heap: 64 bridges of 65,536 MACs would want 128 MiB of it. Pages
	 * that no MAC touches cost nothing here, and the kernel may still use large ones. */
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static size_t
fdb_size(const struct fdb *fdb)
{
	return (fdb->mask + 1) * sizeof(struct fdb_bucket);
}

struct fdb *
fdb_create(unsigned int limit, unsigned int age_s)
{
	struct fdb *fdb = calloc(1, sizeof(*fdb));

	if (fdb == NULL)
		return NULL;
	fdb->limit_ctl = limit;
	fdb->age_s_ctl = age_s;
	/* Room for the static MACs of full ports beside the learned ones, a quarter full at most. */
	fdb->mask = rte_align64pow2(4 * ((uint64_t)limit + 1024) / FDB_SLOTS) - 1;
	if (getrandom(fdb->seed, sizeof(fdb->seed), 0) != sizeof(fdb->seed))
		goto err_free;
	fdb->seed[1] |= 1;
	fdb->bucket = fdb_alloc_buckets(fdb_size(fdb));
	if (fdb->bucket == NULL)
		goto err_free;
	return fdb;

err_free:
	free(fdb);
	return NULL;
}

void
fdb_destroy(struct fdb *fdb)
{
	if (fdb == NULL)
		return;
	munmap(fdb->bucket, fdb_size(fdb));
	free(fdb);
}

static uint16_t
fdb_key_vlan(uint64_t key)
{
	return key >> 48 & 0xfff;
}

/* The same MAC in another VLAN. */
static uint64_t
fdb_key_in(uint64_t key, uint16_t vlan)
{
	return (key & ~((uint64_t)0xfff << 48)) | (uint64_t)vlan << 48;
}

/* Puts a key that is not there into a free slot: its home, or the next best. */
static int
fdb_insert(struct fdb *fdb, uint64_t key, uint16_t port, bool is_static)
{
	uint64_t hash = fdb_hash(fdb, key);
	struct fdb_slot *slot = fdb_home(fdb, hash);
	unsigned int i;

	for (i = 0; i < 2 * FDB_SLOTS && slot->key != 0; i++)
		slot = &fdb_bucket(fdb, hash, i / FDB_SLOTS)->slot[i % FDB_SLOTS];
	if (slot->key != 0)
		return -ENOSPC;
	slot->value.port = port;
	slot->value.is_static = is_static;
	slot->value.seen_s = fdb_now_s;
	atomic_store_explicit(&slot->key, key, memory_order_release);
	return 0;
}

static void
fdb_count(struct fdb *fdb, uint16_t port, int by)
{
	fdb->n_learned_ctl += (unsigned int)by;
	fdb->learned_of_ctl[port] += (uint32_t)by;
	if (by < 0) {
		fdb->full = false;
		fdb->quota_told_ctl = false;
	}
}

/* Calls fn for each used slot; clears those for which it returns true. */
static void
fdb_sweep(struct fdb *fdb, bool (*fn)(const struct fdb *, const struct fdb_value *, uint32_t),
	  uint32_t arg)
{
	uint64_t n;
	unsigned int i;

	if (fdb->n_learned_ctl == 0)
		return;
	for (n = 0; n <= fdb->mask; n++) {
		struct fdb_bucket *b = &fdb->bucket[n];

		for (i = 0; i < FDB_SLOTS; i++) {
			if (b->slot[i].key == 0 || b->slot[i].value.is_static ||
			    !fn(fdb, &b->slot[i].value, arg))
				continue;
			b->slot[i].key = 0;
			fdb_count(fdb, b->slot[i].value.port, -1);
		}
	}
}

void
fdb_del(struct fdb *fdb, uint64_t key)
{
	uint64_t hash = fdb_hash(fdb, key);
	unsigned int way, i;

	for (way = 0; way < 2; way++) {
		struct fdb_bucket *b = fdb_bucket(fdb, hash, way);

		for (i = 0; i < FDB_SLOTS; i++) {
			if (b->slot[i].key != key)
				continue;
			b->slot[i].key = 0;
			if (!b->slot[i].value.is_static)
				fdb_count(fdb, b->slot[i].value.port, -1);
			return;
		}
	}
}

void
fdb_del_static(struct fdb *fdb, uint64_t key, uint16_t port)
{
	uint16_t at;
	const struct fdb_value *v = fdb_find(fdb, key, &at);

	if (v != NULL && v->is_static && at == port)
		fdb_del(fdb, key);
}

uint16_t
fdb_port_of(const struct fdb *fdb, uint64_t key)
{
	uint16_t at;

	if (fdb_find(fdb, key, &at) != NULL ||
	    fdb_find(fdb, fdb_key_in(key, DP_VLAN_ANY), &at) != NULL)
		return at;
	return FDB_NO_PORT;
}

bool
fdb_is_static(const struct fdb *fdb, uint64_t key)
{
	uint16_t port;
	const struct fdb_value *v = fdb_find(fdb, key, &port);

	return v != NULL && v->is_static;
}

/* Makes way for a MAC that is to be static in every VLAN. */
static int
fdb_claim_mac(struct fdb *fdb, uint64_t any_key)
{
	uint16_t vlan;

	for (vlan = 0; vlan <= DP_VLAN_MAX; vlan++) {
		if (fdb_is_static(fdb, fdb_key_in(any_key, vlan)))
			return -EEXIST;
	}
	for (vlan = 0; vlan <= DP_VLAN_MAX && fdb->n_learned_ctl > 0; vlan++)
		fdb_del(fdb, fdb_key_in(any_key, vlan));
	return 0;
}

int
fdb_add_static(struct fdb *fdb, uint64_t key, uint16_t port)
{
	uint16_t at;
	struct fdb_value *v = fdb_find(fdb, key, &at);
	int ret;

	if (fdb_is_static(fdb, key) || fdb_is_static(fdb, fdb_key_in(key, DP_VLAN_ANY)))
		return -EEXIST;
	if (fdb_key_vlan(key) == DP_VLAN_ANY && fdb_claim_mac(fdb, key) < 0)
		return -EEXIST;
	if (v != NULL) {
		fdb_count(fdb, v->port, -1);
		v->is_static = true;
		v->port = port;
	} else {
		ret = fdb_insert(fdb, key, port, true);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int
fdb_claim(struct fdb *fdb, uint64_t key, uint16_t port)
{
	uint16_t at;
	struct fdb_value *v = fdb_find(fdb, key, &at);

	if (v == NULL || !v->is_static)
		return fdb_add_static(fdb, key, port);
	v->port = port;
	return 0;
}

int
fdb_learn(struct fdb *fdb, uint64_t key, uint16_t port, unsigned int port_limit)
{
	uint16_t at;
	struct fdb_value *v = fdb_find(fdb, key, &at);
	int ret;

	if (fdb_is_static(fdb, key) || fdb_is_static(fdb, fdb_key_in(key, DP_VLAN_ANY)))
		return -EEXIST;
	if (fdb->learned_of_ctl[port] >= port_limit && (v == NULL || v->port != port))
		return -EDQUOT;
	if (v != NULL) {
		fdb_count(fdb, v->port, -1);
		fdb_count(fdb, port, 1);
		v->port = port;
		v->seen_s = fdb_now_s;
		return 0;
	}
	if (fdb->n_learned_ctl >= fdb->limit_ctl)
		return -ENOSPC;
	ret = fdb_insert(fdb, key, port, false);
	if (ret == 0)
		fdb_count(fdb, port, 1);
	return ret;
}

static bool
fdb_is_of_port(const struct fdb *fdb, const struct fdb_value *v, uint32_t port)
{
	(void)fdb;
	return v->port == port;
}

void
fdb_flush_port(struct fdb *fdb, uint16_t port)
{
	fdb_sweep(fdb, fdb_is_of_port, port);
}

static bool
fdb_is_old(const struct fdb *fdb, const struct fdb_value *v, uint32_t now_s)
{
	return now_s - v->seen_s >= fdb->age_s_ctl;
}

void
fdb_age(struct fdb *fdb)
{
	fdb_sweep(fdb, fdb_is_old, fdb_now_s);
}

void
fdb_visit(const struct fdb *fdb, void (*visit)(const struct dp_mac_entry *, void *), void *arg)
{
	uint32_t now_s = fdb_now_s;
	struct dp_mac_entry e;
	uint64_t n;
	unsigned int i;

	for (n = 0; n <= fdb->mask; n++) {
		const struct fdb_bucket *b = &fdb->bucket[n];

		for (i = 0; i < FDB_SLOTS; i++) {
			uint64_t key = b->slot[i].key;

			if (key == 0)
				continue;
			memcpy(e.mac.byte, &key, 6);
			e.vlan = fdb_key_vlan(key);
			e.port = b->slot[i].value.port;
			e.is_static = b->slot[i].value.is_static;
			e.age_s = e.is_static ? 0 : now_s - b->slot[i].value.seen_s;
			visit(&e, arg);
		}
	}
}
