/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/guest.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define CACHE_LINE 64
#define ANSWER_TIMEOUT_MS 5000
#define LOG_PAGE_BYTES 4096
/* Buffers taken in at once, besides those that the largest frame may need. */
#define RECEIVE_BURST 64

#define BIT(n) (UINT64_C(1) << (n))

static uint64_t
round_up(uint64_t value, uint64_t step)
{
	return (value + step - 1) / step * step;
}

/*
 * The frame is aligned to a cache line and the header lies before it, as DPDK's guests have it: a
 * 64-byte frame then costs the switch two lines, not three.
 */
static uint64_t
buffer_stride(uint32_t frame_bytes)
{
	return CACHE_LINE + round_up(frame_bytes, CACHE_LINE);
}

static struct ring_config
rx_ring_config(const struct options *options)
{
	struct ring_config cfg = options->tx_ring;

	cfg.size = options->rx_ring_size;
	cfg.device_writes = true;
	cfg.indirect = false;
	cfg.segments = 1;
	return cfg;
}

static uint32_t
rx_frame_bytes(const struct options *options)
{
	return options->rx_buffer_bytes - FRAME_VNET_BYTES;
}

static unsigned int
tx_slots(const struct options *options)
{
	const struct ring_config *cfg = &options->tx_ring;

	return cfg->indirect ? cfg->size : cfg->size / cfg->segments;
}

static uint64_t
queue_bytes(const struct options *options)
{
	struct ring_config rx = rx_ring_config(options);

	return ring_bytes(&rx) + ring_bytes(&options->tx_ring) +
	       rx.size * buffer_stride(rx_frame_bytes(options)) +
	       tx_slots(options) * buffer_stride(options->max_bytes) + UINT64_C(4) * CACHE_LINE;
}

/* Addresses of the buffers' headers by slot, in sequence or shuffled. */
static uint8_t **
buffers_open(struct arena *arena, unsigned int count, uint32_t frame_bytes, bool shuffled)
{
	uint64_t stride = buffer_stride(frame_bytes);
	uint8_t **header = calloc(count, sizeof(*header));
	uint8_t *base = arena_take(arena, count * stride, CACHE_LINE);
	uint32_t random = 1;
	unsigned int i;

	if (header == NULL)
		return NULL;
	for (i = 0; i < count; i++)
		header[i] = base + i * stride + CACHE_LINE - FRAME_VNET_BYTES;
	for (i = count - 1; shuffled && i > 0; i--) {
		unsigned int j;
		uint8_t *swap = header[i];

		random = random * 1664525u + 1013904223u;
		j = (random >> 8) % (i + 1);
		header[i] = header[j];
		header[j] = swap;
	}
	return header;
}

static int
queue_fill(struct guest *guest, struct queue *queue)
{
	const struct options *options = guest->options;
	unsigned int i, tx = queue->tx.slots, rx = queue->rx.slots;

	queue->rx_header =
		buffers_open(&guest->arena, rx, rx_frame_bytes(options), options->shuffled);
	queue->tx_header = buffers_open(&guest->arena, tx, options->max_bytes, options->shuffled);
	queue->tx_bytes = calloc(tx, sizeof(*queue->tx_bytes));
	queue->tx_flow = calloc(tx, sizeof(*queue->tx_flow));
	queue->sequence = calloc(options->flows, sizeof(*queue->sequence));
	queue->pending = calloc(rx, sizeof(*queue->pending));
	if (!queue->rx_header || !queue->tx_header || !queue->tx_bytes || !queue->tx_flow ||
	    !queue->sequence || !queue->pending)
		return -ENOMEM;
	for (i = 0; i < rx; i++)
		ring_set_buffer(&queue->rx, (uint16_t)i, queue->rx_header[i],
				rx_frame_bytes(options));
	ring_post(&queue->rx, rx);
	queue->rx_limit = RECEIVE_BURST + FRAME_MAX_BYTES / options->rx_buffer_bytes + 1;
	if (queue->rx_limit > rx)
		queue->rx_limit = rx;
	return 0;
}

static int
queue_open(struct guest *guest, struct queue *queue, unsigned int number, struct err *err)
{
	const struct options *options = guest->options;
	struct ring_config rx = rx_ring_config(options);
	int ret;

	queue->stream =
		options->stream_base + (guest->index * options->queues + number) * options->flows;
	ret = ring_open(&queue->rx, &rx, &guest->arena, err);
	if (ret == 0)
		ret = ring_open(&queue->tx, &options->tx_ring, &guest->arena, err);
	return ret;
}

int
guest_open(struct guest *guest, const struct options *options, unsigned int index, struct err *err)
{
	unsigned int i;
	int ret;

	memset(guest, 0, sizeof(*guest));
	guest->options = options;
	guest->index = index;
	guest->endpoint = options->endpoints[index];
	guest->proto.fd = -1;
	guest->proto.timeout_ms = ANSWER_TIMEOUT_MS;
	guest->listen_fd = -1;
	guest->log_fd = -1;
	memcpy(guest->mac, options->mac, 6);
	frame_mac_add(guest->mac, index * options->macs);
	atomic_init(&guest->pause_wanted, true);
	atomic_init(&guest->paused, true);
	guest->macs = frame_macs(guest->mac, options->macs);
	ret = arena_open(&guest->arena, options->queues * queue_bytes(options) + 65536,
			 options->regions, options->pages, err);
	if (ret < 0)
		return ret;
	guest->queues = calloc(options->queues, sizeof(*guest->queues));
	if (guest->queues == NULL)
		goto no_memory;
	/* All rings first: they may not lie across the border of two regions. */
	for (i = 0; i < options->queues; i++) {
		ret = queue_open(guest, &guest->queues[i], i, err);
		if (ret < 0)
			goto fail;
	}
	for (i = 0; i < options->queues; i++) {
		if (queue_fill(guest, &guest->queues[i]) < 0)
			goto no_memory;
	}
	if (guest->endpoint.server) {
		guest->listen_fd = proto_listen(guest->endpoint.path, err);
		if (guest->listen_fd < 0) {
			ret = guest->listen_fd;
			goto fail;
		}
	}
	return 0;

no_memory:
	ret = err_set(err, ENOMEM, "no-memory", "Out of memory for guest %u.", index);
fail:
	guest_close(guest);
	return ret;
}

void
guest_close(struct guest *guest)
{
	unsigned int i;

	for (i = 0; guest->queues != NULL && i < guest->options->queues; i++) {
		struct queue *queue = &guest->queues[i];

		ring_close(&queue->rx);
		ring_close(&queue->tx);
		free(queue->rx_header);
		free(queue->tx_header);
		free(queue->tx_bytes);
		free(queue->tx_flow);
		free(queue->sequence);
		free(queue->pending);
		free(queue->head);
	}
	free(guest->queues);
	guest->queues = NULL;
	guest_disconnect(guest);
	if (guest->listen_fd >= 0) {
		close(guest->listen_fd);
		unlink(guest->endpoint.path);
		guest->listen_fd = -1;
	}
	if (guest->log != NULL)
		munmap(guest->log, guest->log_bytes);
	if (guest->log_fd >= 0)
		close(guest->log_fd);
	guest->log = NULL;
	guest->log_fd = -1;
	arena_close(&guest->arena);
}

struct guest *
guests_open(const struct options *options, struct err *err)
{
	/* Aligned: each guest's counters own their cache lines. */
	struct guest *guests = aligned_alloc(CACHE_LINE, options->guests * sizeof(*guests));
	unsigned int i;

	if (guests == NULL) {
		err_set(err, ENOMEM, "no-memory", "Out of memory for %u guests.", options->guests);
		return NULL;
	}
	for (i = 0; i < options->guests; i++) {
		if (guest_open(&guests[i], options, i, err) < 0) {
			guests_close(guests, i);
			return NULL;
		}
	}
	return guests;
}

void
guests_close(struct guest *guests, unsigned int count)
{
	while (count-- > 0)
		guest_close(&guests[count]);
	free(guests);
}

struct ring *
guest_ring(struct guest *guest, uint32_t index)
{
	struct queue *queue = &guest->queues[index / 2];

	return index % 2 == 0 ? &queue->rx : &queue->tx;
}

int
guest_reach(struct guest *guest, struct err *err)
{
	int fd;

	if (guest->endpoint.server) {
		fd = accept4(guest->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	} else {
		fd = proto_connect(guest->endpoint.path);
	}
	if (fd == -EAGAIN || fd == -ENOENT || fd == -ECONNREFUSED || fd == -ECONNABORTED)
		return 0;
	if (fd < 0)
		return err_set_param(err, fd, "socket", "socket",
				     "Cannot reach the switch at %s: %s.", guest->endpoint.path,
				     strerror(-fd));
	guest->proto.fd = fd;
	guest->proto.reply_ack = false;
	return 1;
}

void
guest_disconnect(struct guest *guest)
{
	if (guest->proto.fd >= 0)
		close(guest->proto.fd);
	guest->proto.fd = -1;
	guest->connected = false;
}

/* Features without which what the command line asks for cannot be. */
static const struct {
	unsigned int bit;
	const char *name;
	const char *option;
} feature_names[] = {
	{VIRTIO_F_VERSION_1, "VERSION_1", "every run"},
	{VHOST_F_PROTOCOL_FEATURES, "PROTOCOL_FEATURES", "every run"},
	{VIRTIO_F_RING_PACKED, "RING_PACKED", "--ring packed"},
	{VIRTIO_F_IN_ORDER, "IN_ORDER", "--in-order"},
	{VIRTIO_RING_F_EVENT_IDX, "EVENT_IDX", "--event-idx"},
	{VIRTIO_RING_F_INDIRECT_DESC, "INDIRECT_DESC", "--layout indirect"},
	{VIRTIO_NET_F_CSUM, "CSUM", "--csum or a segmented size"},
	{VIRTIO_NET_F_HOST_TSO4, "HOST_TSO4", "a segmented size"},
	{VIRTIO_NET_F_MRG_RXBUF, "MRG_RXBUF", "frames larger than --rx-buffer"},
	{VHOST_F_LOG_ALL, "LOG_ALL", "--log or --migrate"},
};

static uint64_t
features_needed(const struct options *options)
{
	uint64_t needed = BIT(VIRTIO_F_VERSION_1) | BIT(VHOST_F_PROTOCOL_FEATURES);

	if (options->tx_ring.kind == RING_PACKED)
		needed |= BIT(VIRTIO_F_RING_PACKED);
	if (options->tx_ring.in_order)
		needed |= BIT(VIRTIO_F_IN_ORDER);
	if (options->tx_ring.event_idx)
		needed |= BIT(VIRTIO_RING_F_EVENT_IDX);
	if (options->tx_ring.indirect)
		needed |= BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (options->csum_offload || options->gso_bytes)
		needed |= BIT(VIRTIO_NET_F_CSUM);
	if (options->gso_bytes)
		needed |= BIT(VIRTIO_NET_F_HOST_TSO4);
	if (options->max_bytes + FRAME_VNET_BYTES > options->rx_buffer_bytes)
		needed |= BIT(VIRTIO_NET_F_MRG_RXBUF);
	return needed;
}

static uint64_t
features_wanted(const struct options *options)
{
	uint64_t wanted = features_needed(options);

	if (options->mergeable)
		wanted |= BIT(VIRTIO_NET_F_MRG_RXBUF);
	if (options->accept_csum)
		wanted |= BIT(VIRTIO_NET_F_GUEST_CSUM);
	if (options->accept_tso)
		wanted |= BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4);
	if (options->queues > 1)
		wanted |= BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ);
	return wanted;
}

static int
features_choose(struct guest *guest, struct err *err)
{
	uint64_t needed = features_needed(guest->options);
	size_t i;

	if (guest->options->log || guest->options->migrate.path != NULL)
		needed |= BIT(VHOST_F_LOG_ALL);
	for (i = 0; i < sizeof(feature_names) / sizeof(feature_names[0]); i++) {
		if (needed & ~guest->offered & BIT(feature_names[i].bit))
			return err_set(err, ENOTSUP, "feature",
				       "The switch does not offer %s, which %s needs.",
				       feature_names[i].name, feature_names[i].option);
	}
	guest->features = features_wanted(guest->options) & guest->offered;
	return 0;
}

static int
negotiate(struct guest *guest, struct err *err)
{
	const struct proto *proto = &guest->proto;
	uint64_t offered = 0, queues = 0;
	int ret;

	ret = proto_get_u64(proto, VHOST_GET_FEATURES, &guest->offered, err);
	if (ret == 0)
		ret = features_choose(guest, err);
	if (ret == 0)
		ret = proto_get_u64(proto, VHOST_GET_PROTOCOL_FEATURES, &offered, err);
	guest->protocol_features =
		offered & (BIT(VHOST_PROTOCOL_F_MQ) | BIT(VHOST_PROTOCOL_F_LOG_SHMFD) |
			   BIT(VHOST_PROTOCOL_F_RARP) | BIT(VHOST_PROTOCOL_F_REPLY_ACK));
	if (ret == 0)
		ret = proto_set_u64(proto, VHOST_SET_PROTOCOL_FEATURES, guest->protocol_features,
				    err);
	if (ret < 0)
		return ret;
	guest->proto.reply_ack = guest->protocol_features & BIT(VHOST_PROTOCOL_F_REPLY_ACK);
	if (guest->protocol_features & BIT(VHOST_PROTOCOL_F_MQ)) {
		ret = proto_get_u64(proto, VHOST_GET_QUEUE_NUM, &queues, err);
		if (ret < 0)
			return ret;
	}
	if (guest->options->queues > (queues ? queues : 1))
		return err_set_param(err, ENOTSUP, "feature", "queues",
				     "The switch allows %llu queue pairs, --queues asks for %u.",
				     (unsigned long long)(queues ? queues : 1),
				     guest->options->queues);
	return 0;
}

int
guest_send_memory(struct guest *guest, struct err *err)
{
	struct vhost_mem_table table;
	int fds[VHOST_MAX_REGIONS];

	arena_table(&guest->arena, &table, fds);
	return proto_set(&guest->proto, VHOST_SET_MEM_TABLE, &table,
			 (uint32_t)(8 + table.regions * sizeof(table.region[0])), fds,
			 table.regions, err);
}

static int
send_ring(struct guest *guest, uint32_t index, struct err *err)
{
	const struct proto *proto = &guest->proto;
	struct ring *ring = guest_ring(guest, index);
	struct vhost_vring_addr addr;
	uint64_t number = index;
	int ret;

	ring_address(ring, index, &addr);
	if (guest->log != NULL)
		addr.flags = VHOST_VRING_LOG;
	ret = proto_set_state(proto, VHOST_SET_VRING_NUM, index, ring->cfg.size, err);
	if (ret == 0)
		ret = proto_set_state(proto, VHOST_SET_VRING_BASE, index, ring_base(ring), err);
	if (ret == 0)
		ret = proto_set(proto, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0, err);
	if (ret == 0)
		ret = proto_set(proto, VHOST_SET_VRING_KICK, &number, sizeof(number),
				&ring->kick_fd, 1, err);
	if (ret == 0)
		ret = proto_set(proto, VHOST_SET_VRING_CALL, &number, sizeof(number),
				&ring->call_fd, 1, err);
	return ret;
}

int
guest_start_rings(struct guest *guest, struct err *err)
{
	uint32_t i, rings = 2 * guest->options->queues;
	int ret = 0;

	for (i = 0; ret == 0 && i < rings; i++)
		ret = send_ring(guest, i, err);
	for (i = 0; ret == 0 && i < rings; i++)
		ret = proto_set_state(&guest->proto, VHOST_SET_VRING_ENABLE, i, 1, err);
	/* VPP starts a ring only after its first kick. */
	for (i = 0; ret == 0 && i < rings; i++)
		ring_kick(guest_ring(guest, i));
	return ret;
}

/* Hands the log over and says that it counts: QEMU's order. */
static int
send_log(struct guest *guest, struct err *err)
{
	const struct vhost_log log = {.mmap_bytes = guest->log_bytes};
	struct vhost_vring_addr addr;
	uint32_t i;
	int ret;

	ret = proto_set_log_base(&guest->proto, &log, guest->log_fd, err);
	if (ret == 0)
		ret = proto_set_u64(&guest->proto, VHOST_SET_FEATURES,
				    guest->features | BIT(VHOST_F_LOG_ALL), err);
	for (i = 0; ret == 0 && i < 2 * guest->options->queues; i++) {
		ring_address(guest_ring(guest, i), i, &addr);
		addr.flags = VHOST_VRING_LOG;
		ret = proto_set(&guest->proto, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0,
				err);
	}
	return ret;
}

/* Before features and rings, as QEMU does it. */
static int
announce(struct guest *guest, struct err *err)
{
	uint64_t mac = 0;

	if (!(guest->protocol_features & BIT(VHOST_PROTOCOL_F_RARP)))
		return 0;
	memcpy(&mac, guest->mac, sizeof(guest->mac));
	return proto_set_u64(&guest->proto, VHOST_SEND_RARP, mac, err);
}

int
guest_handshake(struct guest *guest, struct err *err)
{
	int ret = negotiate(guest, err);

	if (ret == 0)
		ret = proto_set(&guest->proto, VHOST_SET_OWNER, NULL, 0, NULL, 0, err);
	if (ret == 0 && guest->announced)
		ret = announce(guest, err);
	if (ret == 0)
		ret = proto_set_u64(&guest->proto, VHOST_SET_FEATURES, guest->features, err);
	if (ret == 0)
		ret = guest_send_memory(guest, err);
	if (ret == 0)
		ret = guest_start_rings(guest, err);
	if (ret == 0 && guest->log != NULL)
		ret = send_log(guest, err);
	if (ret < 0)
		return ret;
	guest->reconnects += guest->was_connected;
	guest->was_connected = true;
	guest->connected = true;
	return 0;
}

int
guest_start_log(struct guest *guest, struct err *err)
{
	uint64_t pages = (ARENA_GPA + guest->arena.bytes) / LOG_PAGE_BYTES;
	uint64_t bytes = round_up(pages / 8, LOG_PAGE_BYTES);
	void *log;

	guest->log_fd = memfd_create("dirty-log", MFD_CLOEXEC);
	if (guest->log_fd < 0 || ftruncate(guest->log_fd, (off_t)bytes) < 0)
		return err_set(err, errno, "no-memory", "No dirty log: %s.", strerror(errno));
	log = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, guest->log_fd, 0);
	if (log == MAP_FAILED)
		return err_set(err, errno, "no-memory", "No dirty log: %s.", strerror(errno));
	guest->log = log;
	guest->log_bytes = bytes;
	return send_log(guest, err);
}

void
guest_pause(struct guest *guest)
{
	atomic_store_explicit(&guest->pause_wanted, true, memory_order_release);
	while (!atomic_load_explicit(&guest->paused, memory_order_acquire))
		sched_yield();
}

void
guest_resume(struct guest *guest)
{
	atomic_store_explicit(&guest->pause_wanted, false, memory_order_release);
	while (atomic_load_explicit(&guest->paused, memory_order_acquire) &&
	       !atomic_load_explicit(&guest->unattended, memory_order_acquire))
		sched_yield();
}
