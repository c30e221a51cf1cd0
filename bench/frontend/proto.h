/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FRONTEND_PROTO_H
#define FRONTEND_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "numa/err.h"

/*
 * The vhost-user messages that a front-end (QEMU's role) sends, and their answers.
 * Numbers and layouts: "Vhost-user Protocol", QEMU's docs/interop/vhost-user.rst.
 */
enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_LOG_BASE = 6,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SEND_RARP = 19,
};

#define VHOST_F_LOG_ALL 26
#define VHOST_F_PROTOCOL_FEATURES 30

#define VHOST_PROTOCOL_F_MQ 0
#define VHOST_PROTOCOL_F_LOG_SHMFD 1
#define VHOST_PROTOCOL_F_RARP 2
#define VHOST_PROTOCOL_F_REPLY_ACK 3

#define VHOST_FLAG_VERSION 1u
#define VHOST_FLAG_REPLY 4u
#define VHOST_FLAG_NEED_REPLY 8u

#define VHOST_MAX_REGIONS 8 /* what back-ends accept without CONFIGURE_MEM_SLOTS */
#define VHOST_MAX_FDS 16
#define VHOST_VRING_LOG 1u /* vring address flag: log the used ring's writes */

struct vhost_region {
	uint64_t gpa;
	uint64_t bytes;
	uint64_t user_addr; /* the address by which this front-end calls it (QEMU: its own) */
	uint64_t mmap_offset;
};

struct vhost_mem_table {
	uint32_t regions;
	uint32_t padding;
	struct vhost_region region[VHOST_MAX_FDS];
};

struct vhost_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct vhost_log {
	uint64_t mmap_bytes;
	uint64_t mmap_offset;
};

struct vhost_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload that follow */
};

/* On the wire: the header is followed by the payload without a gap. */
struct vhost_msg {
	struct vhost_header header;
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct vhost_mem_table mem;
		struct vhost_log log;
	} payload;
} __attribute__((packed, aligned(8)));

/* One connection to a back-end. */
struct proto {
	int fd; /* connected unix stream socket, or -1 */
	bool reply_ack; /* negotiated: every message that has no answer asks for one */
	uint32_t timeout_ms; /* how long the back-end may take to answer */
};

/*
 * Sends `msg` as it stands (header.size bytes of payload) with `fds` attached.
 * Returns 0, -EPIPE where the back-end is gone, or -errno. Thread: control. May wait: no.
 */
int proto_send_raw(const struct proto *proto, const struct vhost_msg *msg, const int *fds,
		   unsigned int fd_count);

/*
 * Waits for the answer to `request`. Returns 0, -ETIMEDOUT, -EPIPE (closed), -EPROTO (an answer to
 * something else). Thread: control. May wait: timeout_ms.
 */
int proto_receive(const struct proto *proto, enum vhost_request request, struct vhost_msg *msg);

/*
 * Sends a message that sets something, and waits until the back-end has done it where REPLY_ACK
 * was negotiated. Returns 0 or -errno with *err: -EREMOTEIO where the back-end refused.
 * Thread: control. May wait: timeout_ms.
 */
int proto_set(const struct proto *proto, enum vhost_request request, const void *payload,
	      uint32_t bytes, const int *fds, unsigned int fd_count, struct err *err);

/* proto_set() with a number as payload. */
int proto_set_u64(const struct proto *proto, enum vhost_request request, uint64_t value,
		  struct err *err);

/* proto_set() with a queue index and a number as payload. */
int proto_set_state(const struct proto *proto, enum vhost_request request, uint32_t index,
		    uint32_t num, struct err *err);

/* Asks for a number. Returns 0 or -errno with *err. Thread: control. May wait: timeout_ms. */
int proto_get_u64(const struct proto *proto, enum vhost_request request, uint64_t *value,
		  struct err *err);

/* Stops a ring and asks where it stands. Returns 0 or -errno with *err. May wait: timeout_ms. */
int proto_get_vring_base(const struct proto *proto, uint32_t index, uint32_t *base,
			 struct err *err);

/*
 * Hands over the dirty log. The back-end answers this one always.
 * Returns 0 or -errno with *err. May wait: timeout_ms.
 */
int proto_set_log_base(const struct proto *proto, const struct vhost_log *log, int fd,
		       struct err *err);

/*
 * Connects to a back-end's socket. Returns the descriptor, or -errno (-ENOENT, -ECONNREFUSED: not
 * there yet). Thread: control. May wait: no.
 */
int proto_connect(const char *path);

/*
 * Listens on `path`; a stale socket there is removed, a live one or another kind of file is not.
 * Returns the descriptor or -errno with *err. Thread: control. May wait: no.
 */
int proto_listen(const char *path, struct err *err);

/* The request's name for messages, e.g. "SET_MEM_TABLE". */
const char *proto_name(enum vhost_request request);

#endif
