/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/vnet_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>

#include <rte_eal.h>

struct rte_mempool *pool;

struct rte_mbuf *
from_guest(const struct frame_spec *s, struct wire_frame *f, uint16_t tso_segsz)
{
	struct rte_mbuf *m;

	frame_build(s, f);
	m = frame_to_mbuf(f, s->mbuf_bytes, pool);
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	if (tso_segsz != 0) {
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
		m->tso_segsz = tso_segsz;
	}
	return m;
}

void
assert_pool_full(void)
{
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

const struct frame_spec shapes[SHAPES] = {
	{.proto = TCP, .payload = 101},
	{.proto = UDP, .payload = 101},
	{.proto = TCP, .payload = 1400, .tags = 1, .tcp_options = 12},
	{.proto = UDP, .payload = 0, .tags = 1},
	{.proto = UDP, .payload = 6, .padding = 12},
	{.proto = TCP, .payload = 1400, .tags = 2, .tcp_options = 40},
	{.proto = TCP, .payload = 1000, .l3_extra = 40},
	{.proto = UDP, .payload = 8000, .l3_extra = 4, .mbuf_bytes = 1111},
	{.proto = TCP, .payload = 101, .v6 = true},
	{.proto = UDP, .payload = 101, .v6 = true, .tags = 1},
	{.proto = UDP, .payload = 3001, .v6 = true, .tags = 2, .mbuf_bytes = 333},
	{.proto = TCP, .payload = 1, .v6 = true, .padding = 3},
	{.proto = TCP, .payload = 900, .v6 = true, .l3_extra = 8, .ext = IPPROTO_HOPOPTS},
	{.proto = UDP, .payload = 900, .v6 = true, .l3_extra = 24, .ext = IPPROTO_DSTOPTS},
	{.proto = TCP, .payload = 900, .v6 = true, .l3_extra = 24, .ext = IPPROTO_ROUTING},
};

int
setup_vnet(void **state)
{
	char word[][24] = {"test",	     "--no-huge", "--no-shconf", "--no-pci",
			   "--no-telemetry", "-m64",	  "-l0",	 "--log-level=error"};
	char *argv[RTE_DIM(word) + 1] = {NULL};
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(word); i++)
		argv[i] = word[i];
	if (rte_eal_init(RTE_DIM(word), argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", 2047, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, 0);
	return pool != NULL ? 0 : -1;
}

int
teardown_vnet(void **state)
{
	(void)state;
	rte_mempool_free(pool);
	return rte_eal_cleanup();
}
