/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/frontend/hostile.h"

/* What takes more than a guest: only who is the front-end itself (QEMU, or who broke out into it)
 * has the files and descriptors that it shares with the switch. */

#define HUGE_PAGE_BYTES UINT64_C(0x200000)
#define PLAIN_PAGE_BYTES UINT64_C(0x1000)

/* Cuts the guest's memory off from `kept_bytes` on, for everybody but ourselves: we get other memory
 * in its place. */
static int
truncate_memory(struct harm *harm, uint64_t kept_bytes, struct err *err)
{
	struct arena *arena = &harm->guest->arena;

	if (mmap(arena->base + kept_bytes, arena->bytes - kept_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    ftruncate(arena->fd, (off_t)kept_bytes) < 0)
		return err_set(err, errno, "no-memory", "Cannot truncate the guest's memory: %s.",
			       strerror(errno));
	harm->done++;
	return 0;
}

static int
truncated_memory(struct harm *harm, struct err *err)
{
	guest_pause(harm->guest);
	return truncate_memory(harm, 0, err);
}

/* The rings stay, and go on: the guest lies in wait with buffers that are no more. */
static int
truncated_buffers(struct harm *harm, struct err *err)
{
	const struct arena *arena = &harm->guest->arena;
	const struct queue *queue = &harm->guest->queues[0];
	uint64_t page = arena->huge ? HUGE_PAGE_BYTES : PLAIN_PAGE_BYTES;
	uint64_t kept = arena->bytes, offset;
	unsigned int i;
	int ret;

	for (i = 0; i < queue->rx.slots; i++) {
		offset = (uint64_t)(queue->rx_header[i] - arena->base);
		if (offset < kept)
			kept = offset;
	}
	kept = (kept + page - 1) / page * page;
	if (kept >= arena->bytes)
		return err_set(err, ENOTSUP, "kind",
			       "Rings and buffers are in one page: use --memory plain.");
	guest_pause(harm->guest);
	ret = truncate_memory(harm, kept, err);
	guest_resume(harm->guest);
	return ret;
}

static int
truncated_log(struct harm *harm, struct err *err)
{
	int ret = guest_start_log(harm->guest, err);

	if (ret < 0)
		return ret;
	if (ftruncate(harm->guest->log_fd, 0) < 0)
		return err_set(err, errno, "no-memory", "Cannot truncate the log: %s.",
			       strerror(errno));
	harm->done++;
	return 0;
}

/* The switch is told of memory that is gone when it looks, or before. */
static int
truncated_table(struct harm *harm, struct err *err)
{
	struct vhost_msg msg;
	struct vhost_mem_table table;
	int fds[VHOST_MAX_REGIONS];
	int ret;

	guest_pause(harm->guest);
	arena_table(&harm->guest->arena, &table, fds);
	memset(&msg, 0, sizeof(msg));
	msg.header.request = VHOST_SET_MEM_TABLE;
	msg.header.flags = VHOST_FLAG_VERSION;
	msg.header.size = (uint32_t)(8 + table.regions * sizeof(table.region[0]));
	msg.payload.mem = table;
	ret = proto_send_raw(&harm->guest->proto, &msg, fds, table.regions);
	if (ret < 0)
		return err_set(err, ret, "closed", "The switch is gone.");
	return truncate_memory(harm, 0, err);
}

/* The file is as long as before, but what was in it is gone; with hugepages there may be none to
 * take its place. */
static int
punched_memory(struct harm *harm, struct err *err)
{
	const struct arena *arena = &harm->guest->arena;

	guest_pause(harm->guest);
	if (fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)arena->bytes) < 0)
		return err_set(err, errno, "no-memory", "Cannot punch the guest's memory: %s.",
			       strerror(errno));
	harm->done++;
	return 0;
}

/* The next to write to the ring's call descriptor waits for ever. */
static int
fill_call(struct ring *ring, struct err *err)
{
	int flags = fcntl(ring->call_fd, F_GETFL);
	eventfd_t calls;

	if (flags < 0 || fcntl(ring->call_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_set(err, errno, "call", "Cannot change the call descriptor: %s.",
			       strerror(errno));
	do {
		eventfd_read(ring->call_fd, &calls);
	} while (eventfd_write(ring->call_fd, UINT64_MAX - 1) < 0 && errno == EAGAIN);
	if (fcntl(ring->call_fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return err_set(err, errno, "call", "Cannot change the call descriptor: %s.",
			       strerror(errno));
	return 0;
}

static int
full_call(struct harm *harm, struct err *err)
{
	uint32_t i;
	int ret = 0;

	guest_pause(harm->guest);
	for (i = 0; ret == 0 && i < 2 * harm->options->queues; i++) {
		struct ring *ring = guest_ring(harm->guest, i);

		ret = fill_call(ring, err);
		ring_want_calls(ring, true);
	}
	guest_resume(harm->guest);
	harm->done++;
	return ret;
}

const struct hostile_kind hostile_host_kinds[] = {
	{"truncated-memory", "the memory's file is truncated under traffic", NEED_TRAFFIC, false,
	 NULL, truncated_memory},
	{"truncated-buffers", "as above, but the rings stay and run", NEED_TRAFFIC, false, NULL,
	 truncated_buffers},
	{"truncated-log", "the dirty log's file is truncated under traffic", NEED_TRAFFIC, false,
	 NULL, truncated_log},
	{"truncated-table", "SET_MEM_TABLE with a file that is truncated meanwhile", NEED_TRAFFIC,
	 false, NULL, truncated_table},
	{"punched-memory", "the memory's file loses all its pages under traffic", NEED_TRAFFIC,
	 false, NULL, punched_memory},
	{"full-call", "call descriptors that block who writes to them", NEED_TRAFFIC, false, NULL,
	 full_call},
	{NULL, NULL, NEED_CONNECTION, false, NULL, NULL},
};
