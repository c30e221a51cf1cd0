/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_UNIT_VNET_FIXTURE_H
#define TESTS_UNIT_VNET_FIXTURE_H

#include <rte_mbuf.h>

#include "tests/unit/fake_frame.h"

extern struct rte_mempool *pool;

/* Frames of all kinds. */
#define SHAPES 15
extern const struct frame_spec shapes[SHAPES];

/* The frame as librte_vhost hands it over. */
struct rte_mbuf *from_guest(const struct frame_spec *s, struct wire_frame *f, uint16_t tso_segsz);

void assert_pool_full(void);

/* Around all tests: EAL and the pool. */
int setup_vnet(void **state);
int teardown_vnet(void **state);

#endif
