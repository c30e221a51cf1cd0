/* SPDX-License-Identifier: BSD-3-Clause */
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
		return true;
	return traffic_peer(options, index) >= 0 && (options->both_ways || index % 2 == 0);
}

/*
 * A list no longer than the ring is bound to the slots, so that there is nothing to rewrite; a
 * longer one moves on with every frame.
 */
static unsigned int
choose(unsigned int length, unsigned int slots, uint16_t slot, uint64_t nth)
{
	return length <= slots ? slot % length : (unsigned int)(nth % length);
}

static struct frame_spec
spec_of(struct traffic *traffic, const struct guest *guest, const struct queue *queue,
	uint32_t flow)
{
	const struct options *options = traffic->options;
	int peer = traffic_peer(options, guest->index);
	struct frame_spec spec = {
		.vlan = options->vlans[guest->index % options->vlan_count],
		.stream = (uint16_t)(queue->stream + flow),
		.flow = flow,
		.csum_offload = options->csum_offload,
		.gso_bytes = options->gso_bytes,
	};

	memcpy(spec.dst, peer >= 0 ? traffic->guests[peer].mac : options->to, 6);
	memcpy(spec.src, guest->mac, 6);
	return spec;
}

/* Makes the frame in `slot` the one that is the queue's turn. */
static void
slot_shape(struct traffic *traffic, struct guest *guest, struct queue *queue, uint16_t slot)
{
	const struct options *options = traffic->options;
	unsigned int slots = queue->tx.slots;
	uint32_t flow = choose(options->flows, slots, slot, queue->built);
	uint32_t bytes = options->sizes[choose(options->size_count, slots, slot, queue->built)];
	uint8_t *header = queue->tx_header[slot];

	queue->built++;
	if (queue->tx_bytes[slot] == 0 || queue->tx_flow[slot] != flow) {
		struct frame_spec spec = spec_of(traffic, guest, queue, flow);

		frame_build(header, &spec, bytes);
	} else if (queue->tx_bytes[slot] != bytes) {
		frame_resize(header, bytes);
	} else {
		return;
	}
	if (queue->tx_bytes[slot] != bytes)
		ring_set_buffer(&queue->tx, slot, header, bytes);
	queue->tx_bytes[slot] = bytes;
	queue->tx_flow[slot] = flow;
}

void
transmit_prepare(struct traffic *traffic, struct guest *guest)
{
	unsigned int i, slot;

	for (i = 0; i < traffic->options->queues; i++) {
		for (slot = 0; slot < guest->queues[i].tx.slots; slot++)
			slot_shape(traffic, guest, &guest->queues[i], (uint16_t)slot);
	}
}

unsigned int
transmit_burst(struct traffic *traffic, struct guest *guest, struct queue *queue,
	       unsigned int count, uint64_t now_tsc, bool probe)
{
	const struct options *options = traffic->options;
	struct ring *tx = &queue->tx;
	struct frame_spec spec = {.vlan = options->vlans[guest->index % options->vlan_count],
				  .gso_bytes = options->gso_bytes};
	uint32_t tag_offset = FRAME_VNET_BYTES + frame_tag_offset(&spec);
	bool rotates = options->flows > tx->slots || options->size_count > tx->slots;
	uint64_t bytes = 0;
	unsigned int i, room;

	ring_reap(tx, NULL, tx->slots);
	room = ring_free_slots(tx);
	if (count > room)
		count = room;
	for (i = 0; i < count; i++) {
		uint16_t slot = ring_next_slot(tx, i);
		uint8_t *tag = queue->tx_header[slot] + tag_offset;
		uint64_t sequence = FRAME_PROBE;

		if (rotates)
			slot_shape(traffic, guest, queue, slot);
		if (!probe)
			sequence = queue->sequence[queue->tx_flow[slot]]++;
		frame_stamp(tag, options->gso_bytes != 0, sequence, now_tsc);
		if (options->verify)
			frame_fill(tag, FRAME_VNET_BYTES + queue->tx_bytes[slot] - tag_offset,
				   sequence);
		bytes += queue->tx_bytes[slot];
	}
	ring_post(tx, count);
	if (!probe) {
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
