/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_FDB_H
#define DATAPATH_FDB_H

#include <stdatomic.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_prefetch.h>

#include "datapath/dp.h"

/*
 * The forwarding database of one bridge: (VLAN, MAC) -> port id.
 *
 * One writer, the control thread; any number of lcores read without a lock. A hash table of
 * buckets with two candidate buckets for each key and no displacement. Most keys lie in a slot of
 * their own (fdb_home), and with them what they lead to, so a look-up touches one cache line for nearly
 * all keys, and never more than four. At the load that fdb_create() allows (a quarter), both
 * buckets of a key are full for about no key at all; if it happens the MAC stays unknown, and its
 * frames are flooded.
 *
 * A key is the MAC's 48 bits, 12 bits of VLAN, and one bit that is always set, so that 0 means an
 * empty slot. A slot is given to another key only after the old key was cleared, and a reader
 * looks at the key again after it has read the value.
 *
 * The hash is keyed with random numbers of each table (multiply and shift), so that a guest cannot
 * aim at one bucket.
 */
#define FDB_SLOTS 8
#define FDB_KEY_USED RTE_BIT64(60)
#define FDB_NO_PORT UINT16_MAX

struct fdb_value {
	_Atomic uint16_t port;
	_Atomic bool is_static;
	_Atomic uint32_t seen_s; /* fdb_now_s when last seen as a sender; writers: lcores, too */
};

struct fdb_bucket {
	struct fdb_slot {
		_Atomic uint64_t key;
		struct fdb_value value;
	} slot[FDB_SLOTS];
} __rte_cache_aligned;

struct fdb {
	struct fdb_bucket *bucket;
	uint64_t mask; /* number of buckets - 1 */
	uint64_t seed[2];
	unsigned int n_learned_ctl, limit_ctl, age_s_ctl;
	uint32_t learned_of_ctl[DP_PORTS_MAX]; /* of n_learned_ctl, by port */
	bool quota_told_ctl; /* that a port has all it may */
	_Atomic bool full; /* told once; lcores do not post what there is no room for */
};

/* Seconds since some start. Writer: control thread. */
extern _Atomic uint32_t fdb_now_s;

/* Returns NULL for no memory. Thread: control, like all that is not said to be an lcore's. */
struct fdb *fdb_create(unsigned int limit, unsigned int age_s);
void fdb_destroy(struct fdb *fdb);

/* Adds a MAC that never ages nor moves; takes over learned ones. With DP_VLAN_ANY it is valid in
 * every VLAN, and so in conflict with any other of the MAC. -EEXIST: another port has it, -ENOSPC. */
int fdb_add_static(struct fdb *fdb, uint64_t key, uint16_t port);
void fdb_del(struct fdb *fdb, uint64_t key);

/* As fdb_add_static(), but takes over static ones, too. */
int fdb_claim(struct fdb *fdb, uint64_t key, uint16_t port);

/* Whether the very key is that of a static MAC. */
bool fdb_is_static(const struct fdb *fdb, uint64_t key);

/* Forgets a static MAC, if it is the port's. */
void fdb_del_static(struct fdb *fdb, uint64_t key, uint16_t port);

/* The port that a MAC is known at in a VLAN, or as a static one of any; FDB_NO_PORT. Thread: lcore,
 * control. */
uint16_t fdb_port_of(const struct fdb *fdb, uint64_t key);

/*
 * Notes that the sender is at the port, which may have `port_limit` of them. -ENOSPC: the bridge's
 * limit is reached, or there is no slot; -EDQUOT: the port's; -EEXIST: static.
 */
int fdb_learn(struct fdb *fdb, uint64_t key, uint16_t port, unsigned int port_limit);

/* Forgets what was learned at a port. */
void fdb_flush_port(struct fdb *fdb, uint16_t port);

/* Forgets what was not seen for the bridge's age. */
void fdb_age(struct fdb *fdb);

void fdb_visit(const struct fdb *fdb, void (*visit)(const struct dp_mac_entry *, void *),
	       void *arg);

static inline uint64_t
fdb_key(const uint8_t mac[6], uint16_t vlan)
{
	uint32_t high;
	uint16_t low;

	memcpy(&high, mac, 4);
	memcpy(&low, mac + 4, 2);
	return FDB_KEY_USED | (uint64_t)vlan << 48 | (uint64_t)low << 32 | high;
}

static inline uint64_t
fdb_hash(const struct fdb *fdb, uint64_t key)
{
	uint64_t h = (key ^ fdb->seed[0]) * fdb->seed[1];

	h = (h ^ h >> 32) * fdb->seed[1];
	return h ^ h >> 29;
}

static inline struct fdb_bucket *
fdb_bucket(const struct fdb *fdb, uint64_t hash, unsigned int way)
{
	return &fdb->bucket[(way == 0 ? hash : hash >> 32) & fdb->mask];
}

/* The slot that a key has in its first bucket if it can: which of them it is could not be foreseen
 * otherwise, and each time a processor would guess wrong. */
static inline struct fdb_slot *
fdb_home(const struct fdb *fdb, uint64_t hash)
{
	return &fdb_bucket(fdb, hash, 0)->slot[hash >> 61 & (FDB_SLOTS - 1)];
}

/* Asks the memory for where a key with this hash is looked for first. Thread: lcore. */
static inline void
fdb_prefetch(const struct fdb *fdb, uint64_t hash)
{
	rte_prefetch0(fdb_home(fdb, hash));
}

/* The value in a slot, if it holds the key. */
static inline struct fdb_value *
fdb_match(struct fdb_slot *slot, uint64_t key, uint16_t *port)
{
	if (atomic_load_explicit(&slot->key, memory_order_acquire) != key)
		return NULL;
	*port = atomic_load_explicit(&slot->value.port, memory_order_acquire);
	return atomic_load_explicit(&slot->key, memory_order_relaxed) == key ? &slot->value : NULL;
}

/*
 * The value of a key whose hash is known, or NULL. *port is what it holds; the value itself is for
 * touching seen_s. Thread: lcore, control.
 */
static inline struct fdb_value *
fdb_find_hashed(const struct fdb *fdb, uint64_t key, uint64_t hash, uint16_t *port)
{
	struct fdb_value *value = fdb_match(fdb_home(fdb, hash), key, port);
	unsigned int i;

	for (i = 0; i < 2 * FDB_SLOTS && unlikely(value == NULL); i++)
		value = fdb_match(&fdb_bucket(fdb, hash, i / FDB_SLOTS)->slot[i % FDB_SLOTS], key,
				  port);
	return value;
}

static inline struct fdb_value *
fdb_find(const struct fdb *fdb, uint64_t key, uint16_t *port)
{
	return fdb_find_hashed(fdb, key, fdb_hash(fdb, key), port);
}

#endif
