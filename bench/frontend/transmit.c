/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "bench/frontend/traffic.h"

int
traffic_peer(const struct options *options, unsigned int index)
{
	unsigned int peer = index ^ 1;

	if (options->has_to || options->idle || peer >= options->guests)
		return -1;
	return (int)peer;
}

bool
traffic_sends(const struct options *options, unsigned int index)
{
	if (options->idle)
		return false;
	if (options->has_to)
		return index < options->senders;
	return traffic_peer(options, index) >= 0 && (options->both_ways || index % 2 == 0);
}

static struct frame_spec
spec_of(const struct traffic *traffic, const struct guest *guest, const struct queue *queue,
	const struct turn *turn)
{
	const struct options *options = traffic->options;
	int peer = traffic_peer(options, guest->index);
	struct frame_spec spec = {
		.vlan = options->vlans[guest->index % options->vlan_count],
		.stream = (uint16_t)(queue->stream + turn->flow),
		.flow = turn->flow,
		.csum_offload = options->csum_offload,
		.gso_bytes = options->gso_bytes,
	};

	if (options->tags > 0)
		spec.vlan = (uint16_t)(1 + turn->tag);
	memcpy(spec.dst, peer >= 0 ? traffic->guests[peer].mac : options->to, 6);
	if (peer >= 0)
		frame_mac_add(spec.dst, turn->mac);
	memcpy(spec.src, guest->mac, 6);
	frame_mac_add(spec.src, turn->mac);
	return spec;
}

static void
turn_next(const struct options *options, struct turn *turn)
{
	turn->flow = turn->flow + 1 < options->flows ? turn->flow + 1 : 0;
	turn->size = turn->size + 1 < options->size_count ? turn->size + 1 : 0;
	turn->mac = turn->mac + 1 < options->macs ? turn->mac + 1 : 0;
	turn->tag = turn->tag + 1 < options->tags ? turn->tag + 1 : 0;
}

/* Lists no longer than the ring are bound to its slots, so that there is nothing to rewrite. */
static bool
slots_keep_frames(const struct options *options, const struct queue *queue)
{
	unsigned int slots = queue->tx.slots;

	return options->flows <= slots && options->size_count <= slots && options->macs <= slots &&
	       options->tags <= slots;
}

static void
slot_build(const struct traffic *traffic, const struct guest *guest, struct queue *queue,
	   uint16_t slot)
{
	struct frame_spec spec = spec_of(traffic, guest, queue, &queue->turn);
	uint32_t bytes = traffic->options->sizes[queue->turn.size];

	frame_build(queue->tx_header[slot], &spec, bytes);
	if (queue->tx_bytes[slot] != bytes)
		ring_set_buffer(&queue->tx, slot, queue->tx_header[slot], bytes);
	queue->tx_bytes[slot] = bytes;
	queue->tx_flow[slot] = queue->turn.flow;
	turn_next(traffic->options, &queue->turn);
}

/* Makes the built frame in a slot the one whose turn it is. */
static void
slot_reshape(const struct traffic *traffic, const struct guest *guest, struct queue *queue,
	     uint16_t slot)
{
	const struct options *options = traffic->options;
	const struct turn *turn = &queue->turn;
	uint8_t *frame = queue->tx_header[slot] + FRAME_VNET_BYTES;
	uint32_t bytes = queue->tx_bytes[slot];

	if (options->gso_bytes) {
		slot_build(traffic, guest, queue, slot);
		return;
	}
	if (options->size_count > queue->tx.slots && options->sizes[turn->size] != bytes) {
		bytes = options->sizes[turn->size];
		ring_set_buffer(&queue->tx, slot, queue->tx_header[slot], bytes);
		queue->tx_bytes[slot] = bytes;
	}
	frame_put_head(frame, queue->head[turn->flow], queue->l2_bytes, bytes);
	if (options->macs > 1) {
		if (!options->has_to)
			frame_mac_add(frame, turn->mac);
		frame_mac_add(frame + 6, turn->mac);
	}
	if (options->tags > 0)
		frame_put_vlan(frame, (uint16_t)(1 + turn->tag));
	queue->tx_flow[slot] = turn->flow;
	turn_next(options, &queue->turn);
}

static int
queue_prepare(const struct traffic *traffic, const struct guest *guest, struct queue *queue)
{
	const struct options *options = traffic->options;
	struct turn turn = {0};
	struct frame_spec first = spec_of(traffic, guest, queue, &turn);
	unsigned int slot;

	queue->l2_bytes = first.vlan ? 18 : 14;
	queue->tag_offset = FRAME_VNET_BYTES + frame_tag_offset(&first);
	for (slot = 0; slot < queue->tx.slots; slot++)
		slot_build(traffic, guest, queue, (uint16_t)slot);
	if (slots_keep_frames(options, queue))
		return 0;
	queue->head = calloc(options->flows, sizeof(*queue->head));
	if (queue->head == NULL)
		return -ENOMEM;
	for (turn.flow = 0; turn.flow < options->flows; turn.flow++) {
		struct frame_spec spec = spec_of(traffic, guest, queue, &turn);

		frame_build_head(queue->head[turn.flow], &spec);
	}
	return 0;
}

int
transmit_prepare(const struct traffic *traffic, struct guest *guest)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; ret == 0 && i < traffic->options->queues; i++)
		ret = queue_prepare(traffic, guest, &guest->queues[i]);
	return ret;
}

void
transmit_reap(const struct traffic *traffic, struct queue *queue)
{
	const struct ring *tx = &queue->tx;
	uint8_t *const *header = queue->tx_header;
	uint32_t tag_offset = queue->tag_offset;
	unsigned int pos, slots = tx->slots;
	uint64_t until;

	ring_reap(&queue->tx, NULL, tx->slots);
	/* The switch has read these lines: each must be fetched anew to be written, which takes long,
	 * so it is begun a burst ahead. */
	until = tx->posted + 2 * traffic->options->burst;
	if (until > tx->reaped + tx->slots)
		until = tx->reaped + tx->slots;
	if (queue->fetched < tx->posted)
		queue->fetched = tx->posted;
	pos = ring_pos_after(slots, tx->post_pos, (unsigned int)(queue->fetched - tx->posted));
	for (; queue->fetched < until; queue->fetched++) {
		__builtin_prefetch(header[tx->order[pos]] + tag_offset, 1);
		pos = pos + 1 == slots ? 0 : pos + 1;
	}
}

/* Makes the frame in a slot the next one: rewritten, with TCP's fields, filled, or a probe. */
static void
slot_stamp(const struct traffic *traffic, const struct guest *guest, struct queue *queue,
	   uint16_t slot, uint64_t now_tsc, bool probe)
{
	const struct options *options = traffic->options;
	uint8_t *tag = queue->tx_header[slot] + queue->tag_offset;
	uint64_t sequence = FRAME_PROBE;

	if (queue->head != NULL)
		slot_reshape(traffic, guest, queue, slot);
	if (!probe)
		sequence = queue->sequence[queue->tx_flow[slot]]++;
	frame_stamp(tag, options->gso_bytes != 0, sequence, now_tsc);
	if (options->verify)
		frame_fill(tag, FRAME_VNET_BYTES + queue->tx_bytes[slot] - queue->tag_offset,
			   sequence);
}

unsigned int
transmit_burst(struct traffic *traffic, struct guest *guest, struct queue *queue,
	       unsigned int count, uint64_t now_tsc, bool probe)
{
	const struct options *options = traffic->options;
	bool special = queue->head != NULL || options->gso_bytes || options->verify || probe;
	/* In locals: for the compiler each store to a frame may be one to the queue. */
	const uint32_t *flow = queue->tx_flow, *frame_bytes = queue->tx_bytes;
	uint8_t *const *header = queue->tx_header;
	uint64_t *sequence = queue->sequence;
	uint32_t tag_offset = queue->tag_offset;
	struct ring *tx = &queue->tx;
	unsigned int i, pos = tx->post_pos, slots = tx->slots;
	const uint16_t *order = tx->order;
	uint64_t bytes = 0;

	if (count > ring_free_slots(tx))
		count = ring_free_slots(tx);
	for (i = 0; i < count; i++) {
		uint16_t slot = order[pos];

		if (special)
			slot_stamp(traffic, guest, queue, slot, now_tsc, probe);
		else
			frame_stamp(header[slot] + tag_offset, false, sequence[flow[slot]]++,
				    now_tsc);
		bytes += frame_bytes[slot];
		pos = pos + 1 == slots ? 0 : pos + 1;
	}
	ring_post(tx, count);
	if (probe) {
		queue->announced += count;
	} else {
		guest->stats.tx_frames += count;
		guest->stats.tx_bytes += bytes;
	}
	return count;
}

/* Frames that have come due by the rate since the base. */
static uint64_t
due_by_rate(const struct traffic *traffic, const struct queue *queue, uint64_t now_tsc)
{
	double per_cycle = traffic->options->rate_pps / traffic->tsc_hz / traffic->options->queues;

	return (uint64_t)((double)(now_tsc - queue->due_base_tsc) * per_cycle);
}

unsigned int
transmit_due(struct traffic *traffic, struct guest *guest, struct queue *queue, uint64_t now_tsc)
{
	const struct options *options = traffic->options;
	uint64_t want = options->burst;

	if (options->rate_pps > 0) {
		want = due_by_rate(traffic, queue, now_tsc) - queue->due_sent;
		/* What is a whole ring late will not be made up for in one heap. */
		if (want > queue->tx.slots) {
			guest->stats.rate_missed += want;
			queue->due_sent += want;
			want = 0;
		}
		if (want > options->burst)
			want = options->burst;
	}
	if (options->count > 0 && guest->stats.tx_frames + want > options->count)
		want = options->count - guest->stats.tx_frames;
	return (unsigned int)want;
}
