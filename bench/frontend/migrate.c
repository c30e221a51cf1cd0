/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/migrate.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/frontend/links.h"
#include "bench/frontend/stopcheck.h"

#define LOG_PAGE_BYTES 4096
#define PRECOPY_ROUNDS 5
#define PRECOPY_ROUND_MS 5

struct migration {
	struct guest *guest;
	struct arena copy; /* the memory at the other side */
	uint64_t pages; /* copied because of the log */
	uint64_t last_pages; /* of those, when the rings stood still */
	uint64_t different_bytes;
	bool agrees; /* the switch said of each ring where it stands */
	int old_fd; /* the connection to the switch that is left */
	double stopped_s;
};

/* Takes the log's bits and copies what they name. Returns how many pages. */
static uint64_t
copy_logged(struct migration *migration)
{
	struct guest *guest = migration->guest;
	const uint64_t first = ARENA_GPA / LOG_PAGE_BYTES;
	uint64_t i, page, count = 0;

	for (i = first / 8; i < guest->log_bytes; i++) {
		uint8_t bits = __atomic_load_n(&guest->log[i], __ATOMIC_RELAXED);

		if (bits == 0)
			continue;
		bits = __atomic_exchange_n(&guest->log[i], 0, __ATOMIC_ACQ_REL);
		for (; bits != 0; bits &= (uint8_t)(bits - 1), count++) {
			page = i * 8 + (uint64_t)__builtin_ctz(bits) - first;
			memcpy(migration->copy.base + page * LOG_PAGE_BYTES,
			       guest->arena.base + page * LOG_PAGE_BYTES, LOG_PAGE_BYTES);
		}
	}
	migration->pages += count;
	return count;
}

static int
precopy(struct migration *migration, struct err *err)
{
	struct guest *guest = migration->guest;
	int i, ret = guest_start_log(guest, err);

	if (ret < 0)
		return ret;
	memcpy(migration->copy.base, guest->arena.base, guest->arena.bytes);
	for (i = 0; i < PRECOPY_ROUNDS; i++) {
		poll(NULL, 0, PRECOPY_ROUND_MS); /* traffic goes on */
		copy_logged(migration);
	}
	return 0;
}

static void
compare(struct migration *migration, const void *written, uint64_t bytes)
{
	const uint8_t *here = written;
	const uint8_t *there = migration->copy.base + (here - migration->guest->arena.base);
	uint64_t i;

	for (i = 0; i < bytes; i++)
		migration->different_bytes += here[i] != there[i];
}

/* What the switch writes of a ring: a packed one's descriptors are the driver's where they were
 * made available last. */
static void
compare_ring(struct migration *migration, const struct ring *ring)
{
	unsigned int i;

	if (ring->cfg.kind == RING_SPLIT) {
		compare(migration, ring->used,
			sizeof(*ring->used) + ring->cfg.size * sizeof(ring->used->ring[0]));
		return;
	}
	compare(migration, ring->device_event, sizeof(*ring->device_event));
	for (i = 0; i < ring->cfg.size; i++) {
		uint16_t flags = ring->packed[i].flags;

		if (!(flags >> VRING_PACKED_DESC_F_AVAIL & 1) ==
		    !(flags >> VRING_PACKED_DESC_F_USED & 1))
			compare(migration, &ring->packed[i], sizeof(ring->packed[i]));
	}
}

static void
compare_all(struct migration *migration)
{
	const struct options *options = migration->guest->options;
	unsigned int q, i;

	for (q = 0; q < options->queues; q++) {
		const struct queue *queue = &migration->guest->queues[q];

		compare_ring(migration, &queue->rx);
		compare_ring(migration, &queue->tx);
		for (i = 0; i < queue->rx.slots; i++)
			compare(migration, queue->rx_header[i], options->rx_buffer_bytes);
	}
}

static int
stop_rings(struct migration *migration, struct err *err)
{
	struct guest *guest = migration->guest;
	uint32_t i, base;

	for (i = 0; i < 2 * guest->options->queues; i++) {
		if (proto_get_vring_base(&guest->proto, i, &base, err) < 0)
			return -EIO;
		migration->agrees &= (base & 0xffff) == ring_used_position(guest_ring(guest, i));
	}
	return 0;
}

/* The other memory takes the place of the one that was left, at the same addresses here. */
static int
change_memory(struct migration *migration, struct err *err)
{
	struct arena *arena = &migration->guest->arena, *copy = &migration->copy;

	memcpy(copy->base, arena->base, arena->bytes); /* the guest's own writes */
	if (mmap(arena->base, arena->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 copy->fd, 0) == MAP_FAILED)
		return err_set(err, errno, "no-memory", "Cannot map the other memory: %s.",
			       strerror(errno));
	close(arena->fd);
	arena->fd = copy->fd;
	munmap(copy->base, copy->bytes);
	copy->base = NULL;
	return 0;
}

static void
drop_log(struct guest *guest)
{
	munmap(guest->log, guest->log_bytes);
	close(guest->log_fd);
	guest->log = NULL;
	guest->log_fd = -1;
}

static int
change_endpoint(struct guest *guest, const struct endpoint *to, struct err *err)
{
	if (guest->listen_fd >= 0) {
		close(guest->listen_fd);
		unlink(guest->endpoint.path);
	}
	guest->endpoint = *to;
	guest->listen_fd = to->server ? proto_listen(to->path, err) : -1;
	return to->server && guest->listen_fd < 0 ? guest->listen_fd : 0;
}

/* The old connection stays until the guest runs, as a QEMU does that has migrated. */
static int
arrive(struct migration *migration, struct err *err)
{
	struct guest *guest = migration->guest;
	double deadline_s = links_now_s() + guest->options->wait_s;
	int ret;

	migration->old_fd = guest->proto.fd;
	guest->proto.fd = -1;
	guest->connected = guest->was_connected = false;
	while ((ret = guest_reach(guest, err)) == 0) {
		if (links_now_s() > deadline_s)
			return err_set(err, ETIMEDOUT, "no-switch",
				       "No switch at %s: start it first.", guest->endpoint.path);
	}
	guest->announced = true;
	return ret < 0 ? ret : guest_handshake(guest, err);
}

static int
switch_over(struct migration *migration, struct err *err)
{
	struct guest *guest = migration->guest;
	double begun_s = links_now_s();
	int ret = stop_rings(migration, err);

	if (ret < 0)
		return ret;
	migration->last_pages = copy_logged(migration);
	compare_all(migration);
	stopcheck_catch_up(guest);
	drop_log(guest);
	ret = change_memory(migration, err);
	if (ret == 0)
		ret = arrive(migration, err);
	migration->stopped_s = links_now_s() - begun_s;
	return ret;
}

json_t *
migrate_guest(struct guest *guest, const struct endpoint *to, bool *complete, struct err *err)
{
	struct migration migration = {.guest = guest, .agrees = true, .old_fd = -1};
	int ret = arena_open(&migration.copy, guest->arena.bytes, guest->arena.regions,
			     guest->arena.huge ? ARENA_PAGES_HUGE : ARENA_PAGES_PLAIN, err);

	if (ret < 0)
		return NULL;
	ret = precopy(&migration, err);
	guest_pause(guest);
	if (ret == 0)
		ret = change_endpoint(guest, to, err);
	if (ret == 0)
		ret = switch_over(&migration, err);
	if (ret == 0)
		guest_resume(guest);
	if (migration.old_fd >= 0)
		close(migration.old_fd);
	arena_close(&migration.copy);
	if (ret < 0)
		return NULL;
	*complete = migration.agrees && migration.different_bytes == 0;
	return json_pack("{s:i, s:I, s:I, s:I, s:b, s:f}", "guest", (int)guest->index,
			 "pages_copied", (json_int_t)migration.pages, "pages_copied_last",
			 (json_int_t)migration.last_pages, "bytes_not_logged",
			 (json_int_t)migration.different_bytes, "bases_agree", migration.agrees,
			 "stopped_ms", migration.stopped_s * 1e3);
}
