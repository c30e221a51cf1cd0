/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/vhost_message.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#define BIT(n) (1ULL << (n))
#define RING_SIZE_MAX 32768u
#define RING_BASE_UNKNOWN UINT32_MAX
#define PACKED_INDEX 0x7fffu /* of a base; bit 15 is the wrap counter */

/* Where a request names its ring. */
enum ring_place {
	RING_NONE,
	RING_WORD, /* first 32 bits of the payload */
	RING_BYTE, /* lowest byte of the payload */
};

struct rule {
	bool offered; /* a front-end that keeps to what was negotiated may send it */
	bool withdraws; /* see vhost_message_withdraws() */
	bool must_succeed; /* half-done it leaves the library with stale pointers */
	enum ring_place ring;
	uint32_t size_min; /* bytes of payload */
};

/*
 * Everything that is not here is refused: IOMMU, configuration space, crypto, postcopy, in-flight
 * tracking and the back-end's own channel are not offered, but the library would serve most of
 * them to who asks nevertheless.
 */
static const struct rule rules[] = {
	[VU_GET_FEATURES] = {.offered = true},
	[VU_SET_FEATURES] = {.offered = true, .size_min = 8},
	[VU_SET_OWNER] = {.offered = true},
	[VU_RESET_OWNER] = {.offered = true},
	[VU_SET_MEM_TABLE] = {.offered = true,
			      .withdraws = true,
			      .must_succeed = true,
			      .size_min = 8},
	[VU_SET_LOG_BASE] = {.offered = true,
			     .withdraws = true,
			     .must_succeed = true,
			     .size_min = 16},
	[VU_SET_LOG_FD] = {.offered = true},
	[VU_SET_VRING_NUM] = {.offered = true,
			      .withdraws = true,
			      .must_succeed = true,
			      .ring = RING_WORD,
			      .size_min = 8},
	[VU_SET_VRING_ADDR] = {.offered = true,
			       .withdraws = true,
			       .must_succeed = true,
			       .ring = RING_WORD,
			       .size_min = 40},
	[VU_SET_VRING_BASE] = {.offered = true,
			       .withdraws = true,
			       .must_succeed = true,
			       .ring = RING_WORD,
			       .size_min = 8},
	[VU_GET_VRING_BASE] = {.offered = true, .ring = RING_WORD, .size_min = 8},
	[VU_SET_VRING_KICK] = {.offered = true,
			       .must_succeed = true,
			       .ring = RING_BYTE,
			       .size_min = 8},
	[VU_SET_VRING_CALL] = {.offered = true, .ring = RING_BYTE, .size_min = 8},
	[VU_SET_VRING_ERR] = {.offered = true, .ring = RING_BYTE, .size_min = 8},
	[VU_GET_PROTOCOL_FEATURES] = {.offered = true},
	[VU_SET_PROTOCOL_FEATURES] = {.offered = true, .size_min = 8},
	[VU_GET_QUEUE_NUM] = {.offered = true},
	[VU_SET_VRING_ENABLE] = {.offered = true, .ring = RING_WORD, .size_min = 8},
	[VU_SEND_RARP] = {.offered = true, .size_min = 8},
	[VU_NET_SET_MTU] = {.offered = true, .size_min = 8},
	[VU_SET_STATUS] = {.offered = true, .size_min = 8},
	[VU_GET_STATUS] = {.offered = true},
};
#define N_RULES (sizeof(rules) / sizeof(rules[0]))

void
vhost_guard_init(struct vhost_guard *guard, unsigned int queues)
{
	memset(guard, 0, sizeof(*guard));
	guard->n_rings = 2 * queues;
}

bool
vhost_message_withdraws(uint32_t request)
{
	return request < N_RULES && rules[request].withdraws;
}

void
vhost_message_drop(struct vhost_message *msg)
{
	int32_t i;

	for (i = 0; i < msg->n_fds && i < VHOST_MESSAGE_REGIONS_MAX; i++) {
		if (msg->fd[i] >= 0)
			close(msg->fd[i]);
		msg->fd[i] = -1;
	}
	msg->n_fds = 0;
}

static uint32_t
ring_of(const struct rule *rule, const struct vhost_message *msg)
{
	return rule->ring == RING_BYTE ? msg->payload.u64 & 0xff : msg->payload.ring.index;
}

/* A region that is longer than its file kills who touches its end (SIGBUS); one whose pages come
 * from a process of the peer's keeps an lcore waiting as long as that likes. */
static bool
file_holds(int fd, uint64_t bytes, uint64_t *block_bytes)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0 || fs.f_type == FUSE_SUPER_MAGIC)
		return false;
	*block_bytes = st.st_blksize;
	return !S_ISREG(st.st_mode) || bytes <= (uint64_t)st.st_size;
}

/* The library unmaps the old table before it maps the new one and does not recover, so try first
 * whether the new one can be mapped. */
static bool
region_ok(const struct vhost_message_region *r, int fd)
{
	uint64_t end, block;
	void *at;

	if (r->size == 0 || __builtin_add_overflow(r->mmap_offset, r->size, &end) ||
	    r->guest_addr > UINT64_MAX - r->size || r->user_addr > UINT64_MAX - r->size)
		return false;
	if (!file_holds(fd, end, &block) || block == 0 ||
	    __builtin_add_overflow(end, block - 1, &end))
		return false;
	end -= end % block;
	at = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return false;
	munmap(at, end);
	return true;
}

static bool
mem_table_ok(const struct vhost_message *msg)
{
	uint32_t i, n = msg->payload.memory.n_regions;

	if (n == 0 || n > VHOST_MESSAGE_REGIONS_MAX || msg->n_fds != (int32_t)n ||
	    msg->size < offsetof(struct vhost_message, payload.memory.region[n]) -
				offsetof(struct vhost_message, payload))
		return false;
	for (i = 0; i < n; i++) {
		struct vhost_message_region region = msg->payload.memory.region[i];

		if (!region_ok(&region, msg->fd[i]))
			return false;
	}
	return true;
}

/* The library maps `size` bytes from `offset` on, then adds the offset once more. Hugepages are mapped
 * whole, but only whole ones are unmapped again. */
static bool
log_ok(const struct vhost_message *msg)
{
	struct statfs fs;
	uint64_t block;

	if (msg->n_fds == 1 && fstatfs(msg->fd[0], &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC &&
	    msg->payload.log.size % (uint64_t)fs.f_bsize != 0)
		return false;
	return msg->n_fds == 1 && msg->payload.log.size != 0 && msg->payload.log.offset == 0 &&
	       file_holds(msg->fd[0], msg->payload.log.size, &block);
}

static bool
is_eventfd(int fd)
{
	static const char eventfd_name[] = "anon_inode:[eventfd]";
	char path[32], name[sizeof(eventfd_name)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, name, sizeof(name)) == sizeof(eventfd_name) - 1 &&
	       memcmp(name, eventfd_name, sizeof(eventfd_name) - 1) == 0;
}

/*
 * An lcore writes to the call descriptor, and must not be made to wait there. (A peer can undo the
 * flag, which belongs to both ends, but has to work for it.)
 */
static bool
call_ok(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return is_eventfd(fd) && flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* The layout of a ring must stay as it was when memory for it was measured or taken. */
static bool
features_ok(const struct vhost_guard *g, uint64_t features)
{
	unsigned int i;

	if (((features ^ g->features) &
	     (BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX))) == 0)
		return true;
	for (i = 0; i < g->n_rings; i++)
		if (g->ring[i].size != 0)
			return false;
	return true;
}

/* A packed ring is indexed with its base as it is; a split ring's is masked. */
static bool
base_ok(const struct vhost_guard *g, uint32_t base, uint32_t size)
{
	return !(g->features & BIT(VIRTIO_F_RING_PACKED)) ||
	       (base != RING_BASE_UNKNOWN && (base & PACKED_INDEX) < size);
}

static bool
ring_message_ok(const struct vhost_guard *g, const struct vhost_message *msg, uint32_t i)
{
	uint32_t num = msg->payload.ring.num;

	if (i >= g->n_rings)
		return false;
	switch (msg->request) {
	case VU_SET_VRING_NUM:
		if (num == 0 || num > RING_SIZE_MAX ||
		    (g->ring[i].mapped && num != g->ring[i].size))
			return false;
		return (g->features & BIT(VIRTIO_F_RING_PACKED)) || (num & (num - 1)) == 0;
	case VU_SET_VRING_BASE:
		return !g->ring[i].mapped || base_ok(g, num, g->ring[i].size);
	case VU_SET_VRING_ADDR:
	case VU_SET_VRING_KICK:
		/* Lcores wait for it: of another file that may be a question to its owner (FUSE). */
		return g->ring[i].size != 0 && base_ok(g, g->ring[i].base, g->ring[i].size) &&
		       (msg->n_fds == 0 || is_eventfd(msg->fd[0]));
	case VU_SET_VRING_CALL:
		return msg->n_fds == 0 || call_ok(msg->fd[0]);
	default:
		return true;
	}
}

static bool
message_ok(const struct vhost_guard *g, const struct vhost_message *msg)
{
	const struct rule *rule;

	if (vhost_guard_broken(g) || msg->n_fds < 0 || msg->n_fds > VHOST_MESSAGE_REGIONS_MAX ||
	    msg->request >= N_RULES)
		return false;
	rule = &rules[msg->request];
	if (!rule->offered || msg->size < rule->size_min)
		return false;
	if (rule->ring != RING_NONE)
		return ring_message_ok(g, msg, ring_of(rule, msg));
	switch (msg->request) {
	case VU_SET_FEATURES:
		return features_ok(g, msg->payload.u64);
	case VU_SET_MEM_TABLE:
		return mem_table_ok(msg);
	case VU_SET_LOG_BASE:
		return log_ok(msg);
	default:
		return true;
	}
}

enum vhost_verdict
vhost_guard_before(struct vhost_guard *guard, struct vhost_message *msg)
{
	if (!message_ok(guard, msg)) {
		vhost_message_drop(msg);
		/* With a reply the library would keep the connection. */
		msg->flags &= ~VHOST_MESSAGE_NEED_REPLY;
		return VHOST_CUT;
	}
	switch (msg->request) {
	case VU_GET_QUEUE_NUM: /* the library says 128 whatever the port has */
		vhost_message_drop(msg);
		msg->payload.u64 = guard->n_rings / 2;
		msg->size = sizeof(msg->payload.u64);
		return VHOST_ANSWERED;
	case VU_RESET_OWNER: /* deprecated: a back-end may ignore it; the library leaks rings */
		vhost_message_drop(msg);
		return VHOST_IGNORED;
	default:
		if (rules[msg->request].must_succeed)
			guard->unfinished = msg->request;
		/* From here on the library may translate the addresses. */
		if (msg->request == VU_SET_VRING_ADDR || msg->request == VU_SET_VRING_KICK)
			guard->ring[ring_of(&rules[msg->request], msg)].mapped = true;
		return VHOST_PASS;
	}
}

bool
vhost_guard_same_addr(const struct vhost_guard *guard, const struct vhost_message *msg)
{
	uint32_t i = msg->payload.addr.index;

	return guard->ring[i].desc == msg->payload.addr.desc &&
	       guard->ring[i].used == msg->payload.addr.used &&
	       guard->ring[i].avail == msg->payload.addr.avail;
}

static void
features_set(struct vhost_guard *g, uint64_t features)
{
	unsigned int i;

	/* A base means another thing on the other kind of ring; zero is zero on both. */
	if ((features ^ g->features) & BIT(VIRTIO_F_RING_PACKED))
		for (i = 0; i < g->n_rings; i++)
			if (g->ring[i].base != 0)
				g->ring[i].base = RING_BASE_UNKNOWN;
	/* Without multiqueue the library frees what it has of the further rings. */
	if (!(features & BIT(VIRTIO_NET_F_MQ)))
		for (i = 2; i < g->n_rings; i++)
			memset(&g->ring[i], 0, sizeof(g->ring[i]));
	g->features = features;
}

void
vhost_guard_after(struct vhost_guard *guard, const struct vhost_message *msg)
{
	uint32_t i = msg->payload.ring.index;

	guard->unfinished = 0;
	switch (msg->request) {
	case VU_SET_FEATURES:
		features_set(guard, msg->payload.u64);
		break;
	case VU_SET_VRING_NUM:
		guard->ring[i].size = msg->payload.ring.num;
		break;
	case VU_SET_VRING_BASE:
		guard->ring[i].base = msg->payload.ring.num;
		break;
	case VU_SET_VRING_ADDR:
		guard->ring[i].desc = msg->payload.addr.desc;
		guard->ring[i].used = msg->payload.addr.used;
		guard->ring[i].avail = msg->payload.addr.avail;
		break;
	case VU_GET_VRING_BASE: /* stops the ring and frees what SET_VRING_NUM made */
		guard->ring[i].size = 0;
		guard->ring[i].base = RING_BASE_UNKNOWN;
		guard->ring[i].mapped = false;
		break;
	default:
		break;
	}
}
