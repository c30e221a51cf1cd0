/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_BARE_RING_H
#define TESTS_UNIT_BARE_RING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datapath/port_vhost.h"
#include "datapath/vring_direct.h"
#include "datapath/vring_io.h"

/*
 * One ring, split or packed, to or from a guest, in which a test writes every descriptor itself.
 *
 * What the guest shares lies in blocks of exactly its size, for the address sanitizer to see what is
 * beside them. All of it goes with close_ring(). Linked in with --wrap, for event_post().
 */
#define HDR_BYTES VRING_HDR_BYTES_MAX
#define FRAME_BYTES 60
#define BUFFER_BYTES (HDR_BYTES + FRAME_BYTES)
#define ENTRY_BYTES sizeof(struct vring_desc)
#define DATA_ADDR 0x100000UL
#define PAGE_BYTES 4096UL
#define PACKED_AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED (1U << VRING_PACKED_DESC_F_USED)

/* The kinds of rings, by their index. */
#define RING_FORMS 4
#define FORM_PACKED 1
#define FORM_FROM_GUEST 2

extern struct port_vhost port;
extern struct port_queue queue;
extern struct virtq *ring; /* of that queue; the other one is off */
extern struct burst burst;

/* What transmit() sends, and any queue may: all the same. */
extern uint8_t payload[4096];
extern struct frame frame[BURST_MAX], *frames[BURST_MAX];

/* With no memory behind it. `desc`: NULL: from the heap. */
void open_ring(unsigned int form, uint16_t size, void *desc);
int close_ring(void **state);

/* Zeroed. */
void *from_heap(size_t bytes);

/* `bytes` bytes of which the first `open_bytes` can be touched, and nothing from there on. */
uint8_t *fenced(size_t bytes, size_t open_bytes);

/* The guest has this at an address. Returns it. */
void *share(uint64_t addr, void *host, uint64_t bytes);
uint8_t *guest_byte(uint64_t addr);

/* Entry i of an indirect table that is one chain of n. */
void set_entry(void *table, unsigned int i, unsigned int n, uint64_t addr, uint32_t bytes);

/* A descriptor of the ring; its chain goes on, if it does, in the next one. Packed: it is available on the
 * first lap. */
void set_slot(unsigned int i, uint64_t addr, uint32_t bytes, uint16_t flags);

/* Packed: all slots are available on a lap; `true` is the first. */
void set_lap(bool wrap);

/* Makes the chain that begins there available, where the ring is split. */
void offer(unsigned int head);

void receive(void); /* into `burst` */
void make_frames(uint32_t bytes);
uint16_t transmit(uint16_t n, struct vring_sent *sent);
bool publish(void);

/* Receives, or transmits one frame, as the ring goes. */
void look(void);
void assert_stopped(enum vring_fault fault);

#endif
