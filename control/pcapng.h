/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_PCAPNG_H
#define CONTROL_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes a pcapng file (draft-ietf-opsawg-pcapng): one section, one Ethernet interface, frames with
 * their times in nanoseconds and their directions, and at the end how many there were and how many
 * were lost. Knows nothing of ports. Thread: control.
 */

#define PCAPNG_BUFFER_SIZE (256 << 10)

struct pcapng {
	int fd;
	uint64_t bytes; /* of the file, with what is in the buffer */
	size_t used; /* of the buffer: whole blocks */
	uint8_t buffer[PCAPNG_BUFFER_SIZE];
};

/* Begins the file, which is empty; `fd` stays the caller's. `name` is the interface's. */
void pcapng_start(struct pcapng *p, int fd, const char *name, uint32_t snaplen);

/* What a frame of which `bytes` are kept adds to the file. */
uint64_t pcapng_frame_size(uint32_t bytes);

/* What pcapng_finish() adds to the file. */
uint64_t pcapng_end_size(void);

/*
 * Adds a frame, of which the first `bytes` are at `data`, at most 128 KiB. `inbound`: it came from
 * outside of the port. Errors: write()'s; then the file ends with the last frames that went in as a
 * whole, and no more may be added.
 */
int pcapng_frame(struct pcapng *p, int64_t time_ns, bool inbound, uint32_t frame_bytes,
		 const uint8_t *data, uint32_t bytes);

/* Hands the kernel what is in the buffer. Errors: as pcapng_frame(). */
int pcapng_flush(struct pcapng *p);

/* Adds the last block and flushes. `received` counts the lost ones, too. Errors: as above. */
int pcapng_finish(struct pcapng *p, int64_t start_ns, int64_t end_ns, uint64_t received,
		  uint64_t lost);

#endif
