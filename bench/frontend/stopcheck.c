/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/stopcheck.h"

#include <poll.h>

#include "bench/frontend/links.h"

/* How long a stopped ring is watched: a switch that goes on does so within microseconds. */
#define WATCH_MS 20
#define LOG_PAGE_BYTES 4096

static json_t *
ring_json(struct guest *guest, uint32_t index, uint32_t base, bool *agrees)
{
	const struct ring *ring = guest_ring(guest, index);
	uint32_t used = ring_used_position(ring);
	bool same = (base & 0xffff) == used;

	*agrees &= same;
	return json_pack("{s:i, s:i, s:s, s:i, s:i, s:i, s:b}", "guest", (int)guest->index, "queue",
			 (int)(index / 2), "ring", index % 2 == 0 ? "rx" : "tx", "avail",
			 (int)ring_avail_position(ring), "used", (int)used, "base",
			 (int)(base & 0xffff), "agrees", same);
}

/* Watches rings that have been stopped: their used index must stay. */
static void
watch(struct guest *guest, json_t *rings, bool *agrees)
{
	double end_s = links_now_s() + WATCH_MS / 1e3;
	size_t i;
	json_t *object;

	do {
		poll(NULL, 0, 1);
	} while (links_now_s() < end_s);
	json_array_foreach(rings, i, object)
	{
		uint32_t used = ring_used_position(guest_ring(guest, (uint32_t)i));
		bool moved =
			(json_int_t)used != json_integer_value(json_object_get(object, "used"));

		json_object_set_new(object, "moved_after", json_boolean(moved));
		*agrees &= !moved;
	}
}

static json_t *
stop_guest(struct guest *guest, bool *agrees, struct err *err)
{
	json_t *rings = json_array();
	uint32_t i, base;

	for (i = 0; i < 2 * guest->options->queues; i++) {
		if (proto_get_vring_base(&guest->proto, i, &base, err) < 0) {
			json_decref(rings);
			return NULL;
		}
		json_array_append_new(rings, ring_json(guest, i, base, agrees));
	}
	watch(guest, rings, agrees);
	return rings;
}

void
stopcheck_catch_up(struct guest *guest)
{
	unsigned int q;

	for (q = 0; q < guest->options->queues; q++) {
		struct queue *queue = &guest->queues[q];

		queue->pending_count += ring_reap(&queue->rx, queue->pending + queue->pending_count,
						  queue->rx.slots - queue->pending_count);
		ring_reap(&queue->tx, NULL, queue->tx.slots);
	}
}

json_t *
stopcheck_run(struct traffic *traffic, bool *agrees, struct err *err)
{
	json_t *all = json_array(), *rings;
	unsigned int i;

	*agrees = true;
	for (i = 0; i < traffic->options->guests; i++) {
		struct guest *guest = &traffic->guests[i];
		int ret;

		guest_pause(guest);
		rings = stop_guest(guest, agrees, err);
		stopcheck_catch_up(guest);
		ret = rings != NULL ? guest_start_rings(guest, err) : -1;
		guest_resume(guest);
		if (ret < 0) {
			json_decref(rings);
			json_decref(all);
			return NULL;
		}
		json_array_extend(all, rings);
		json_decref(rings);
	}
	return all;
}

static bool
is_logged(const struct guest *guest, const void *p)
{
	uint64_t page = arena_gpa(&guest->arena, p) / LOG_PAGE_BYTES;

	return guest->log[page / 8] >> (page % 8) & 1;
}

json_t *
stopcheck_log(const struct guest *guest, const uint64_t *reaped, bool *complete)
{
	uint64_t dirty = 0, missing = 0, i;
	unsigned int q, n;

	for (i = 0; i < guest->log_bytes; i++)
		dirty += (uint64_t)__builtin_popcount(guest->log[i]);
	for (q = 0; q < guest->options->queues; q++) {
		const struct queue *queue = &guest->queues[q];
		uint64_t came = queue->rx.reaped - reaped[q];
		unsigned int pos = queue->rx.reap_pos;

		/* The buffers that came back last are the last entries of the order. */
		for (n = 0; n < came && n < queue->rx.slots; n++) {
			pos = pos == 0 ? queue->rx.slots - 1u : pos - 1u;
			missing += !is_logged(guest, queue->rx_header[queue->rx.order[pos]]);
		}
		if (came > 0)
			missing += !is_logged(guest, queue->rx.cfg.kind == RING_SPLIT ?
							     (const void *)queue->rx.used :
							     (const void *)queue->rx.packed);
	}
	*complete &= missing == 0;
	return json_pack("{s:i, s:I, s:I}", "guest", (int)guest->index, "pages_dirty",
			 (json_int_t)dirty, "pages_missing", (json_int_t)missing);
}
