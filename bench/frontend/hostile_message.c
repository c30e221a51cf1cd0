/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/frontend/hostile.h"
#include "bench/frontend/links.h"
#include "bench/frontend/stopcheck.h"

#define STORM_ROUNDS 500
#define STORM_BASE_ROUNDS 50

/* Sends the first `bytes` of a message as it stands, whatever its header says. */
static int
send_bytes(struct harm *harm, const struct vhost_msg *msg, size_t bytes, struct err *err)
{
	if (send(harm->guest->proto.fd, msg, bytes, MSG_NOSIGNAL) < 0)
		return err_set(err, errno, "closed", "The switch is gone.");
	harm->done++;
	return 0;
}

static int
send_with_fds(struct harm *harm, const struct vhost_msg *msg, unsigned int fd_count,
	      struct err *err)
{
	int fds[VHOST_MAX_FDS] = {0};
	unsigned int i;
	int ret;

	for (i = 0; i < fd_count; i++)
		fds[i] = harm->guest->arena.fd;
	ret = proto_send_raw(&harm->guest->proto, msg, fds, fd_count);
	if (ret < 0)
		return err_set(err, ret, "closed", "The switch is gone.");
	harm->done++;
	return 0;
}

static struct vhost_msg
message(uint32_t request, uint32_t size)
{
	struct vhost_msg msg;

	memset(&msg, 0, sizeof(msg));
	msg.header.request = request;
	msg.header.flags = VHOST_FLAG_VERSION;
	msg.header.size = size;
	return msg;
}

static int
half_header(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_GET_FEATURES, 0);

	return send_bytes(harm, &msg, 6, err);
}

static int
no_payload(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_FEATURES, 8);

	return send_bytes(harm, &msg, sizeof(msg.header), err);
}

static int
half_payload(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_FEATURES, 8);

	return send_bytes(harm, &msg, sizeof(msg.header) + 3, err);
}

static int
wrong_size(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_FEATURES, 3);

	return send_bytes(harm, &msg, sizeof(msg.header) + 3, err);
}

static int
huge_size(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_FEATURES, UINT32_MAX);

	return send_bytes(harm, &msg, sizeof(msg), err);
}

static int
unknown_request(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(4711, 8);

	return send_bytes(harm, &msg, sizeof(msg.header) + 8, err);
}

static int
no_fd(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_MEM_TABLE, 8 + sizeof(struct vhost_region));
	struct vhost_mem_table table;
	int unused[VHOST_MAX_REGIONS];

	arena_table(&harm->guest->arena, &table, unused);
	table.regions = 1;
	msg.payload.mem = table;
	return send_with_fds(harm, &msg, 0, err);
}

static int
unexpected_fds(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_GET_FEATURES, 0);

	return send_with_fds(harm, &msg, 5, err);
}

/* A memory table of `regions`, all of the first one's size, each `step` after the one before. */
static int
send_table(struct harm *harm, uint32_t regions, uint64_t step, uint32_t fds, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_MEM_TABLE, 8);
	struct vhost_mem_table table;
	int unused[VHOST_MAX_REGIONS];
	uint32_t i;

	arena_table(&harm->guest->arena, &table, unused);
	for (i = 1; i < VHOST_MAX_FDS; i++) {
		table.region[i] = table.region[0];
		table.region[i].gpa += i * step;
		table.region[i].user_addr += i * step;
	}
	table.regions = regions;
	msg.payload.mem = table;
	i = regions < VHOST_MAX_FDS ? regions : VHOST_MAX_FDS;
	msg.header.size += i * (uint32_t)sizeof(struct vhost_region);
	return send_with_fds(harm, &msg, fds, err);
}

static int
regions_zero(struct harm *harm, struct err *err)
{
	return send_table(harm, 0, 0, 0, err);
}

static int
regions_overlap(struct harm *harm, struct err *err)
{
	return send_table(harm, 4, 4096, 4, err);
}

static int
regions_many(struct harm *harm, struct err *err)
{
	return send_table(harm, 16, UINT64_C(1) << 32, 16, err);
}

static int
regions_lie(struct harm *harm, struct err *err)
{
	return send_table(harm, 0xffff, UINT64_C(1) << 32, 8, err);
}

static int
region_wrap(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_MEM_TABLE, 8 + sizeof(struct vhost_region));

	msg.payload.mem.regions = 1;
	msg.payload.mem.region[0] = (struct vhost_region){
		.gpa = UINT64_MAX - 4095,
		.bytes = UINT64_C(0x200000),
		.user_addr = UINT64_MAX - 4095,
		.mmap_offset = UINT64_MAX - 4095,
	};
	return send_with_fds(harm, &msg, 1, err);
}

/* Changes the size of the transmit ring while it runs. */
static int
send_num(struct harm *harm, uint32_t num, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_VRING_NUM, sizeof(struct vhost_vring_state));
	int ret;

	msg.payload.state.index = 1;
	msg.payload.state.num = num;
	ret = send_with_fds(harm, &msg, 0, err);
	if (ret == 0)
		ring_kick(guest_ring(harm->guest, 1));
	return ret;
}

static int
num_zero(struct harm *harm, struct err *err)
{
	return send_num(harm, 0, err);
}

static int
num_odd(struct harm *harm, struct err *err)
{
	return send_num(harm, 3, err);
}

static int
num_huge(struct harm *harm, struct err *err)
{
	return send_num(harm, 65535, err);
}

static int
num_larger(struct harm *harm, struct err *err)
{
	return send_num(harm, 32768, err);
}

static int
vring_index(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_VRING_BASE, sizeof(struct vhost_vring_state));

	msg.payload.state.index = 0xfffffff0;
	return send_with_fds(harm, &msg, 0, err);
}

static int
vring_outside(struct harm *harm, struct err *err)
{
	struct vhost_msg msg = message(VHOST_SET_VRING_ADDR, sizeof(struct vhost_vring_addr));
	const struct arena *arena = &harm->guest->arena;
	struct vhost_vring_addr addr;

	ring_address(guest_ring(harm->guest, 1), 1, &addr);
	addr.desc = arena_user_addr(arena, arena->base + arena->bytes - 64);
	addr.used = UINT64_MAX - 7;
	msg.payload.addr = addr;
	return send_with_fds(harm, &msg, 0, err);
}

/* Comes and goes, every other time in the middle of a message. */
static int
connect_storm(struct harm *harm, struct err *err)
{
	unsigned int i;
	int ret = 1;

	for (i = 0; i < STORM_ROUNDS && !atomic_load(harm->stop); i++) {
		if (i % 2 == 0)
			half_header(harm, err);
		guest_disconnect(harm->guest);
		do {
			ret = guest_reach(harm->guest, err);
			if (ret == 0)
				poll(NULL, 0, 1);
		} while (ret == 0 && !atomic_load(harm->stop));
		if (ret < 0)
			return ret;
		harm->done = i + 1;
	}
	return 0;
}

static int
handshake_storm(struct harm *harm, struct err *err)
{
	double deadline_s = links_now_s() + harm->options->duration_s;

	while (links_now_s() < deadline_s && !atomic_load(harm->stop)) {
		int ret;

		guest_disconnect(harm->guest);
		ret = links_connect(harm->guest, 1, harm->options->wait_s, harm->stop, err);
		if (ret < 0)
			return ret;
		harm->done++;
	}
	return 0;
}

/* Stops the rings while the guest goes on using them; then starts them where they stand. */
static int
base_storm(struct harm *harm, struct err *err)
{
	struct guest *guest = harm->guest;
	uint32_t i, base;
	int ret = 0;

	while (ret == 0 && harm->done < STORM_BASE_ROUNDS && !atomic_load(harm->stop)) {
		for (i = 0; ret == 0 && i < 2 * harm->options->queues; i++)
			ret = proto_get_vring_base(&guest->proto, i, &base, err);
		guest_pause(guest);
		stopcheck_catch_up(guest);
		if (ret == 0)
			ret = guest_start_rings(guest, err);
		guest_resume(guest);
		harm->done++;
		poll(NULL, 0, 5);
	}
	return ret;
}

static int
memory_storm(struct harm *harm, struct err *err)
{
	int ret = 0;

	while (ret == 0 && harm->done < STORM_ROUNDS && !atomic_load(harm->stop)) {
		ret = guest_send_memory(harm->guest, err);
		harm->done++;
		poll(NULL, 0, 1);
	}
	return ret;
}

const struct hostile_kind hostile_message_kinds[] = {
	{"half-header", "half a message header, then silence", NEED_CONNECTION, true, NULL,
	 half_header},
	{"no-payload", "a message header without its payload", NEED_CONNECTION, true, NULL,
	 no_payload},
	{"half-payload", "a message with half its payload", NEED_CONNECTION, true, NULL,
	 half_payload},
	{"wrong-size", "SET_FEATURES with 3 bytes", NEED_CONNECTION, false, NULL, wrong_size},
	{"huge-size", "a message of 4 GiB", NEED_CONNECTION, true, NULL, huge_size},
	{"unknown-request", "a request number that does not exist", NEED_CONNECTION, false, NULL,
	 unknown_request},
	{"no-fd", "SET_MEM_TABLE without descriptors", NEED_CONNECTION, false, NULL, no_fd},
	{"unexpected-fds", "descriptors with a message that takes none", NEED_CONNECTION, false,
	 NULL, unexpected_fds},
	{"regions-zero", "SET_MEM_TABLE without regions", NEED_RINGS, false, NULL, regions_zero},
	{"regions-overlap", "SET_MEM_TABLE with regions that overlap", NEED_RINGS, false, NULL,
	 regions_overlap},
	{"regions-many", "SET_MEM_TABLE with 16 regions", NEED_RINGS, false, NULL, regions_many},
	{"regions-lie", "SET_MEM_TABLE that promises 65,535 regions", NEED_RINGS, false, NULL,
	 regions_lie},
	{"region-wrap", "SET_MEM_TABLE with a region that overflows", NEED_RINGS, false, NULL,
	 region_wrap},
	{"num-zero", "SET_VRING_NUM 0 on a running ring", NEED_RINGS, false, NULL, num_zero},
	{"num-odd", "SET_VRING_NUM 3 on a running ring", NEED_RINGS, false, NULL, num_odd},
	{"num-huge", "SET_VRING_NUM 65535 on a running ring", NEED_RINGS, false, NULL, num_huge},
	{"num-larger", "SET_VRING_NUM 32768 on a running ring that is smaller", NEED_RINGS, false,
	 NULL, num_larger},
	{"vring-index", "SET_VRING_BASE of a ring that does not exist", NEED_RINGS, false, NULL,
	 vring_index},
	{"vring-outside", "SET_VRING_ADDR across the end of the memory", NEED_RINGS, false, NULL,
	 vring_outside},
	{"connect-storm", "500 connections, each dropped at once", NEED_CONNECTION, false, NULL,
	 connect_storm},
	{"handshake-storm", "handshakes, each dropped at once, for --duration", NEED_CONNECTION,
	 false, NULL, handshake_storm},
	{"base-storm", "GET_VRING_BASE and start again, 50 times under traffic", NEED_TRAFFIC,
	 false, NULL, base_storm},
	{"memory-storm", "SET_MEM_TABLE 500 times under traffic", NEED_TRAFFIC, false, NULL,
	 memory_storm},
	{NULL, NULL, NEED_CONNECTION, false, NULL, NULL},
};
