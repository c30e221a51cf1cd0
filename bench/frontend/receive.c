/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/virtio_net.h>
#include <sys/eventfd.h>

#include "bench/frontend/traffic.h"

/* Buffers given back at once: the switch's eyes are on the line that tells of them. */
#define POST_BATCH 64
#define MISSED_CALL_S 0.1
#define FIRST_BYTES (FRAME_VNET_BYTES + FRAME_MIN_TSO_BYTES) /* more than headers and tag */

static void
probe_arrived(struct traffic *traffic, uint16_t stream)
{
	const struct options *options = traffic->options;
	unsigned int queue = (stream - options->stream_base) / options->flows;

	if (stream >= options->stream_base && queue < options->guests * options->queues)
		traffic->probed[queue] = true;
}

/* A frame of ours for this guest, or a segment of one that the switch cut. */
static void
frame_arrived(struct traffic *traffic, struct guest *guest, const struct frame_view *view,
	      uint32_t frame_bytes, uint64_t now_tsc)
{
	struct guest_stats *stats = &guest->stats;
	struct stream *stream = &traffic->streams[view->stream];

	if (view->tag.sequence & FRAME_PROBE) {
		probe_arrived(traffic, view->stream);
		return;
	}
	if (view->offset == 0 && view->is_last) {
		if (traffic->options->latency)
			histogram_record(&stats->latency, now_tsc - view->tag.sent_tsc);
		stats->rx_bytes += frame_bytes;
		stats->rx_frames++;
		stream_accept(stream, view->tag.sequence);
		return;
	}
	/* The first segment of a probe leaves nothing that the others could follow. */
	if (view->offset != 0 && stream->partial_bytes == 0)
		return;
	stats->rx_segments++;
	stats->rx_bytes += frame_bytes;
	stats->rx_frames += stream_accept_segment(stream, view->sequence_low, view->offset,
						  view->payload_bytes, view->is_last);
}

/* The bytes of a frame, with header; 0 where a buffer can't have had so many. */
static uint32_t
bytes_of(const struct traffic *traffic, const struct ring_used *used, unsigned int buffers)
{
	uint32_t bytes = 0;
	unsigned int i;

	for (i = 0; i < buffers; i++) {
		if (used[i].bytes > traffic->options->rx_buffer_bytes)
			return 0;
		bytes += used[i].bytes;
	}
	return bytes;
}

/* Puts the buffers of a frame together, of TRAFFIC_SCRATCH_BYTES at most. */
static const uint8_t *
gather(struct traffic *traffic, const struct queue *queue, const struct ring_used *used,
       unsigned int buffers)
{
	uint32_t bytes = 0;
	unsigned int i;

	for (i = 0; i < buffers; i++) {
		memcpy(traffic->scratch + bytes, queue->rx_header[used[i].slot], used[i].bytes);
		bytes += used[i].bytes;
	}
	return traffic->scratch;
}

/* Looks at a frame that may be in several buffers: at all of it, where it is to be verified. */
static void
handle(struct traffic *traffic, struct guest *guest, const struct queue *queue,
       const struct ring_used *used, unsigned int buffers, uint64_t now_tsc)
{
	const uint8_t *header = queue->rx_header[used[0].slot];
	uint32_t bytes = bytes_of(traffic, used, buffers);
	struct frame_accepts accepts = {
		.csum = guest->features & (UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM),
		.tso4 = guest->features & (UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4),
	};
	struct frame_view view;
	const char *wrong;

	if (bytes < FRAME_VNET_BYTES || bytes > TRAFFIC_SCRATCH_BYTES) {
		guest->stats.malformed++;
		return;
	}
	if (buffers > 1 && (traffic->options->verify || used[0].bytes < FIRST_BYTES))
		header = gather(traffic, queue, used, buffers);
	bytes -= FRAME_VNET_BYTES;
	if (!frame_is_for(header + FRAME_VNET_BYTES, &guest->macs) ||
	    !frame_parse(header + FRAME_VNET_BYTES, bytes, &view)) {
		guest->stats.foreign++;
		return;
	}
	if (traffic->options->verify) {
		wrong = frame_check(header, bytes, &view, accepts);
		if (wrong != NULL) {
			guest->stats.corrupt++;
			if (guest->stats.first_wrong == NULL)
				guest->stats.first_wrong = wrong;
			return;
		}
	}
	frame_arrived(traffic, guest, &view, bytes, now_tsc);
}

/* The buffers that a frame has, by its header. */
static inline unsigned int
num_buffers(const struct guest *guest, const uint8_t *header)
{
	const struct virtio_net_hdr_v1 *vnet = (const struct virtio_net_hdr_v1 *)header;

	return guest->features & (UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF) ? vnet->num_buffers : 1;
}

/* How many buffers the frame in pending[i] has, or 0 where they have not all come. */
static unsigned int
buffers_of(struct guest *guest, const struct queue *queue, unsigned int i)
{
	unsigned int buffers = num_buffers(guest, queue->rx_header[queue->pending[i].slot]);

	if (buffers == 0 || buffers > queue->rx.slots) {
		guest->stats.malformed++;
		return 1;
	}
	return i + buffers <= queue->pending_count ? buffers : 0;
}

/* Takes in whole small frames as we send them, from pending[i] on, until one is anything else.
 * Returns where that is. */
static unsigned int
handle_usual(struct traffic *traffic, struct guest *guest, const struct queue *queue,
	     unsigned int i, uint64_t now_tsc)
{
	const struct ring_used *pending = queue->pending;
	uint8_t *const *header = queue->rx_header;
	struct guest_stats *stats = &guest->stats;
	const struct frame_macs macs = guest->macs;
	/* Frames that only go on in their stream are counted when they no longer do so. */
	struct stream *stream = traffic->streams;
	uint64_t next = stream->next;
	unsigned int first = i, count = queue->pending_count;
	bool latency = traffic->options->latency;
	uint64_t bytes = 0;

	for (; i < count; i++) {
		const uint8_t *vnet = header[pending[i].slot];
		const uint8_t *frame = vnet + FRAME_VNET_BYTES;
		const uint8_t *usual = frame_usual_tag(frame);
		struct frame_tag tag;

		if (usual == NULL || !frame_is_for(frame, &macs) ||
		    pending[i].bytes < FRAME_VNET_BYTES + FRAME_MIN_BYTES ||
		    num_buffers(guest, vnet) != 1)
			break;
		frame_read_tag(usual, &tag);
		if (tag.sequence != next || &traffic->streams[tag.stream] != stream) {
			if (tag.sequence & FRAME_PROBE)
				break;
			stream_accept_next(stream, next - stream->next);
			stream = &traffic->streams[tag.stream];
			stream_accept(stream, tag.sequence);
			next = stream->next;
		} else {
			next++;
		}
		if (latency)
			histogram_record(&stats->latency, now_tsc - tag.sent_tsc);
		bytes += pending[i].bytes;
	}
	stream_accept_next(stream, next - stream->next);
	stats->rx_frames += i - first;
	stats->rx_bytes += bytes - (i - first) * (uint64_t)FRAME_VNET_BYTES;
	return i;
}

static void
post(struct queue *queue, unsigned int batch)
{
	if (queue->unposted < batch && queue->unposted < queue->rx.slots / 4u)
		return;
	ring_post(&queue->rx, queue->unposted);
	queue->unposted = 0;
}

/* Both lines of a small frame are the switch's when we come to know of it. */
static void
prefetch(const struct queue *queue, const struct ring_used *used, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		const uint8_t *header = queue->rx_header[used[i].slot];

		__builtin_prefetch(header + FRAME_VNET_BYTES);
		__builtin_prefetch(header);
	}
}

void
receive_pending(struct traffic *traffic, struct guest *guest, struct queue *queue)
{
	struct ring_used *pending = queue->pending;
	uint64_t now_tsc = __rdtsc();
	unsigned int i, buffers;

	traffic->last_rx_tsc = now_tsc;
	for (i = 0; i < queue->pending_count; i += buffers) {
		if (!traffic->options->verify)
			i = handle_usual(traffic, guest, queue, i, now_tsc);
		if (i == queue->pending_count)
			break;
		buffers = buffers_of(guest, queue, i);
		if (buffers == 0)
			break;
		handle(traffic, guest, queue, &pending[i], buffers, now_tsc);
	}
	queue->unposted += i;
	queue->pending_count -= i;
	if (queue->pending_count > 0)
		memmove(pending, pending + i, queue->pending_count * sizeof(*pending));
}

unsigned int
receive_burst(struct traffic *traffic, struct guest *guest, struct queue *queue)
{
	struct ring_used *pending = queue->pending;
	unsigned int fresh;

	fresh = ring_reap(&queue->rx, pending + queue->pending_count,
			  queue->rx_limit - queue->pending_count);
	traffic->rx_polls++;
	if (fresh == 0) {
		post(queue, 0);
		return 0;
	}
	prefetch(queue, pending + queue->pending_count, fresh);
	queue->pending_count += fresh;
	receive_pending(traffic, guest, queue);
	post(queue, POST_BATCH);
	return fresh;
}

void
receive_reset(struct queue *queue)
{
	ring_post(&queue->rx, queue->unposted + queue->pending_count);
	queue->unposted = queue->pending_count = 0;
}

unsigned int
receive_when_called(struct traffic *traffic, struct guest *guest, struct queue *queue,
		    uint64_t now_tsc)
{
	struct ring *rx = &queue->rx;
	unsigned int moved;
	eventfd_t calls;

	if (queue->sleeping) {
		if (eventfd_read(rx->call_fd, &calls) == 0) {
			guest->stats.calls++;
		} else if (ring_used_position(rx) == (ring_base(rx) & 0xffff)) {
			queue->sleeping_since_tsc = now_tsc;
			return 0;
		} else if ((double)(now_tsc - queue->sleeping_since_tsc) <
			   MISSED_CALL_S * traffic->tsc_hz) {
			return 0;
		} else {
			guest->stats.missed_calls++;
		}
		ring_want_calls(rx, false);
		queue->sleeping = false;
	}
	moved = receive_burst(traffic, guest, queue);
	if (moved > 0)
		return moved;
	/* Ask first, then look once more: what came between would wake nobody. */
	ring_want_calls(rx, true);
	moved = receive_burst(traffic, guest, queue);
	if (moved > 0) {
		ring_want_calls(rx, false);
		return moved;
	}
	queue->sleeping = true;
	queue->sleeping_since_tsc = now_tsc;
	return 0;
}
