/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DATAPATH_VHOST_MESSAGE_H
#define DATAPATH_VHOST_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/dp.h"

/*
 * What a front-end may say on its vhost-user connection, and when.
 *
 * librte_vhost 22.11 trusts the order of messages: a ring that grows after its addresses were
 * translated, a ring started without a size, a switch between split and packed half-way or a
 * memory region past the end of its file make it read, write or free what it does not own. A guest
 * that took over its QEMU can send all of these, so each message is checked here before the library
 * sees it. Well-behaved front-ends never notice.
 *
 * Pure but for the file descriptors in a message. Thread: the one that handles the connection.
 */

/* VU: vhost-user; the kernel's vhost ioctls have the names with VHOST. */
enum vhost_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SEND_RARP = 19,
	VU_NET_SET_MTU = 20,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
};

#define VHOST_MESSAGE_REGIONS_MAX 8
#define VHOST_MESSAGE_NEED_REPLY (1u << 3)
#define VHOST_MESSAGE_RING_MASK 0xff /* of messages with a ring and a descriptor */

struct vhost_message_region {
	uint64_t guest_addr;
	uint64_t size; /* bytes */
	uint64_t user_addr;
	uint64_t mmap_offset;
};

/* A message as librte_vhost hands it to its pre and post hooks. The library keeps this layout for
 * their sake; the tail is only there to close descriptors of a message that it will not see. */
struct vhost_message {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload that came */
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} ring;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail; /* the front-end's addresses */
			uint64_t log; /* the guest's, of the used ring */
		} addr;
		struct {
			uint32_t n_regions, padding;
			struct vhost_message_region region[VHOST_MESSAGE_REGIONS_MAX];
		} memory;
		struct {
			uint64_t size, offset;
		} log;
		uint8_t room[632];
	} payload;
	int32_t fd[VHOST_MESSAGE_REGIONS_MAX];
	int32_t n_fds;
} __attribute__((packed));

/* What is known of one connection. */
struct vhost_guard {
	unsigned int n_rings;
	uint32_t unfinished; /* request that the library was given; still set: it failed */
	uint64_t features;
	struct {
		uint32_t size; /* 0: not told since the ring was stopped */
		uint32_t base; /* UINT32_MAX: not known */
		bool mapped; /* the library may have translated its addresses */
		uint64_t desc, used, avail; /* of the last SET_VRING_ADDR */
	} ring[2 * DP_QUEUES_MAX];
};

enum vhost_verdict {
	VHOST_PASS, /* the library may see it */
	VHOST_ANSWERED, /* the message now holds the reply */
	VHOST_IGNORED, /* done, without the library */
	VHOST_CUT, /* end this connection */
};

/* A fresh connection of a port with `queues` queue pairs. */
void vhost_guard_init(struct vhost_guard *guard, unsigned int queues);

/* Judges a message. Unless it passes, its descriptors are closed. */
enum vhost_verdict vhost_guard_before(struct vhost_guard *guard, struct vhost_message *msg);

/* The library has handled the message, with success. */
void vhost_guard_after(struct vhost_guard *guard, const struct vhost_message *msg);

/* True if the library has failed in a message that leaves rings or memory half-changed. */
static inline bool
vhost_guard_broken(const struct vhost_guard *guard)
{
	return guard->unfinished != 0;
}

/* True if a SET_VRING_ADDR says what was said before, of the log's address apart. */
bool vhost_guard_same_addr(const struct vhost_guard *guard, const struct vhost_message *msg);

/* True if the request changes rings or memory under a running port, of which librte_vhost tells
 * by no other callback. */
bool vhost_message_withdraws(uint32_t request);

/* Closes the descriptors that came with the message. */
void vhost_message_drop(struct vhost_message *msg);

#endif
