/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/pcapng.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum block {
	SECTION_HEADER = 0x0a0d0d0a,
	INTERFACE = 1,
	STATISTICS = 5,
	PACKET = 6,
};

enum option {
	OPT_END = 0,
	OPT_IF_NAME = 2,
	OPT_IF_TSRESOL = 9,
	OPT_EPB_FLAGS = 2,
	OPT_ISB_STARTTIME = 2,
	OPT_ISB_ENDTIME = 3,
	OPT_ISB_IFRECV = 4,
	OPT_ISB_IFDROP = 5,
};

#define BYTE_ORDER_MAGIC 0x1a2b3c4d
#define LINKTYPE_ETHERNET 1
#define FRAME_BYTES_MAX (128 << 10)

/* Bytes of the blocks and of the options that we write, with the framing of each. */
#define OPTION_SIZE(bytes) (4 + ((bytes) + 3) / 4 * 4)
#define PACKET_SIZE (28 + OPTION_SIZE(4) + OPTION_SIZE(0) + 4)
#define STATISTICS_SIZE (20 + 4 * OPTION_SIZE(8) + OPTION_SIZE(0) + 4)

/* A block is put together in the buffer, where pcapng_frame() has made room. */

static void
put(struct pcapng *p, const void *data, size_t bytes)
{
	memcpy(p->buffer + p->used, data, bytes);
	p->used += bytes;
}

static void
put_u16(struct pcapng *p, uint16_t value)
{
	put(p, &value, sizeof(value));
}

static void
put_u32(struct pcapng *p, uint32_t value)
{
	put(p, &value, sizeof(value));
}

/* Times are two words, the high one first, in either byte order. */
static void
put_time(struct pcapng *p, int64_t time_ns)
{
	put_u32(p, (uint64_t)time_ns >> 32);
	put_u32(p, (uint32_t)time_ns);
}

static void
put_padded(struct pcapng *p, const void *data, size_t bytes)
{
	put(p, data, bytes);
	put(p, &(uint32_t){0}, -bytes % 4);
}

static void
put_option(struct pcapng *p, enum option code, const void *data, uint16_t bytes)
{
	put_u16(p, code);
	put_u16(p, bytes);
	put_padded(p, data, bytes);
}

static void
put_option_time(struct pcapng *p, enum option code, int64_t time_ns)
{
	put_u16(p, code);
	put_u16(p, sizeof(time_ns));
	put_time(p, time_ns);
}

/* Returns where the block begins; its length is written when it is known. */
static size_t
block_begin(struct pcapng *p, enum block type)
{
	size_t start = p->used;

	put_u32(p, type);
	put_u32(p, 0);
	return start;
}

static void
block_end(struct pcapng *p, size_t start)
{
	uint32_t size = p->used + sizeof(size) - start;

	put_u32(p, size);
	memcpy(p->buffer + start + sizeof(uint32_t), &size, sizeof(size));
	p->bytes += size;
}

void
pcapng_start(struct pcapng *p, int fd, const char *name, uint32_t snaplen)
{
	const uint64_t length_unknown = UINT64_MAX;
	const uint8_t nanoseconds = 9;
	size_t start;

	p->fd = fd;
	p->bytes = 0;
	p->used = 0;
	start = block_begin(p, SECTION_HEADER);
	put_u32(p, BYTE_ORDER_MAGIC);
	put_u16(p, 1); /* version 1.0 */
	put_u16(p, 0);
	put(p, &length_unknown, sizeof(length_unknown));
	block_end(p, start);

	start = block_begin(p, INTERFACE);
	put_u16(p, LINKTYPE_ETHERNET);
	put_u16(p, 0);
	put_u32(p, snaplen);
	put_option(p, OPT_IF_NAME, name, strlen(name));
	put_option(p, OPT_IF_TSRESOL, &nanoseconds, sizeof(nanoseconds));
	put_option(p, OPT_END, "", 0);
	block_end(p, start);
}

uint64_t
pcapng_frame_size(uint32_t bytes)
{
	return PACKET_SIZE + (bytes + UINT64_C(3)) / 4 * 4;
}

uint64_t
pcapng_end_size(void)
{
	return STATISTICS_SIZE;
}

int
pcapng_flush(struct pcapng *p)
{
	uint64_t in_file = p->bytes - p->used;
	size_t done = 0;

	while (done < p->used) {
		ssize_t n = write(p->fd, p->buffer + done, p->used - done);
		int rc = -errno;

		if (n < 0 && rc == -EINTR)
			continue;
		if (n < 0) {
			p->used = 0;
			p->bytes = in_file;
			/* What is left of a block would spoil the file for its readers. */
			if (ftruncate(p->fd, in_file) < 0)
				p->bytes += done;
			return rc;
		}
		done += n;
	}
	p->used = 0;
	return 0;
}

int
pcapng_frame(struct pcapng *p, int64_t time_ns, bool inbound, uint32_t frame_bytes,
	     const uint8_t *data, uint32_t bytes)
{
	const uint32_t flags = inbound ? 1 : 2;
	size_t start;
	int rc;

	if (bytes > FRAME_BYTES_MAX)
		return -EMSGSIZE;
	if (p->used + pcapng_frame_size(bytes) > sizeof(p->buffer)) {
		rc = pcapng_flush(p);
		if (rc < 0)
			return rc;
	}
	start = block_begin(p, PACKET);
	put_u32(p, 0); /* the interface */
	put_time(p, time_ns);
	put_u32(p, bytes);
	put_u32(p, frame_bytes);
	put_padded(p, data, bytes);
	put_option(p, OPT_EPB_FLAGS, &flags, sizeof(flags));
	put_option(p, OPT_END, "", 0);
	block_end(p, start);
	return 0;
}

int
pcapng_finish(struct pcapng *p, int64_t start_ns, int64_t end_ns, uint64_t received, uint64_t lost)
{
	size_t start;
	int rc = pcapng_flush(p);

	if (rc < 0)
		return rc;
	start = block_begin(p, STATISTICS);
	put_u32(p, 0); /* the interface */
	put_time(p, end_ns);
	put_option_time(p, OPT_ISB_STARTTIME, start_ns);
	put_option_time(p, OPT_ISB_ENDTIME, end_ns);
	put_option(p, OPT_ISB_IFRECV, &received, sizeof(received));
	put_option(p, OPT_ISB_IFDROP, &lost, sizeof(lost));
	put_option(p, OPT_END, "", 0);
	block_end(p, start);
	return pcapng_flush(p);
}
