/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "datapath/event.h"
#include "datapath/mempool.h"
#include "datapath/port.h"
#include "datapath/vnet_hdr.h"
#include "tests/unit/fake_frame.h"

/*
 * The device is net_pcap: it takes frames from a file and puts them into another. It has no
 * offloads and takes no chains of mbufs, so everything that software may have to do is done.
 */

#define PCAP_HEADER 24
#define PCAP_RECORD 16

static char directory[] = "/tmp/test_port_uplink.XXXXXX";
static char in_file[64], out_file[64], devargs[DP_DEVARGS_SIZE];

static struct rte_mempool *
pool(void)
{
	return mempool_of_node(0);
}

static void
assert_mbufs_home(void)
{
	assert_int_equal(rte_mempool_in_use_count(pool()), 0);
}

static void
write_capture(const struct wire_frame *f, unsigned int n)
{
	const uint32_t header[PCAP_HEADER / 4] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
	const uint32_t record[PCAP_RECORD / 4] = {0, 0, f->len, f->len};
	FILE *file = fopen(in_file, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(header, sizeof(header), 1, file), 1);
	while (n-- > 0) {
		assert_int_equal(fwrite(record, sizeof(record), 1, file), 1);
		assert_int_equal(fwrite(f->byte, f->len, 1, file), 1);
	}
	assert_int_equal(fclose(file), 0);
}

/* Reads one frame of what was sent; false at the end. */
static bool
read_capture(FILE *file, struct wire_frame *f)
{
	uint32_t record[PCAP_RECORD / 4];

	if (ftell(file) == 0)
		assert_int_equal(fseek(file, PCAP_HEADER, SEEK_SET), 0);
	if (fread(record, sizeof(record), 1, file) != 1)
		return false;
	f->len = record[2];
	assert_int_equal(record[3], f->len);
	assert_int_equal(fread(f->byte, f->len, 1, file), 1);
	return true;
}

static struct port *
open_uplink(uint16_t mtu)
{
	struct dp_uplink_config config = {.name = "up", .n_lcore = 1, .rules.mtu = mtu};
	struct err err = {.message = ""};
	struct port *p;
	int ret;

	strcpy(config.devargs, devargs);
	ret = port_uplink_open(&config, 3, 1, &p, &err);
	assert_string_equal(err.message, "");
	assert_int_equal(ret, 0);
	return p;
}

static void
refuse(const char *args, uint16_t mtu, int expected, const char *code, const char *param)
{
	struct dp_uplink_config config = {.name = "up", .n_lcore = 1, .rules.mtu = mtu};
	struct err err = {.message = ""};
	struct port *p;

	strcpy(config.devargs, args);
	assert_int_equal(port_uplink_open(&config, 3, 1, &p, &err), expected);
	assert_string_equal(err.code, code);
	assert_string_equal(err.param, param);
	assert_true(strlen(err.message) > 10);
	assert_mbufs_home();
}

static void
devargs_that_name_no_device_are_refused(void **state)
{
	(void)state;
	refuse("bogus", 1500, -EINVAL, "bad-devargs", "devargs");
	refuse("net_pcap0,iface", 1500, -EINVAL, "bad-devargs", "devargs");
	refuse("net_af_packet0,iface", 1500, -EINVAL, "bad-devargs", "devargs");
	refuse("net_af_packet0,iface=no such one", 1500, -ENODEV, "no-such-device", "devargs");
	refuse("net_pcap0,rx_pcap=/nobody", 1500, -EIO, "device-refused", "devargs");
	refuse("", 1500, -ENODEV, "no-such-device", "devargs");
}

/* It is there without its device, which comes with the first connection. */
static void
an_uplink_with_a_socket_waits_for_its_device(void **state)
{
	struct dp_uplink_config config = {.name = "up", .n_lcore = 1, .rules.mtu = 1500};
	struct dp_rules rules = {.mtu = 9000};
	struct dp_port_info info = {0};
	struct rte_mbuf *m[2];
	struct port *p, *other;
	struct err err;
	static struct burst b;

	(void)state;
	strcpy(config.devargs, "net_virtio_user0,queues=2,path=/nobody");
	assert_int_equal(dp_uplink_parse(config.devargs, &config.socket, &err), 0);
	assert_int_equal(port_uplink_open(&config, 3, 1, &p, &err), 0);
	assert_int_equal(p->n_queues, 1); /* as many as lcores */
	assert_int_equal(port_uplink_open(&config, 4, 1, &other, &err), -EBUSY);
	assert_string_equal(err.code, "device-in-use");
	assert_int_equal(p->ops->connect(p), -ENOENT);
	port_uplink_poll();
	p->ops->info(p, &info);
	assert_false(info.up || info.connected);
	assert_null(info.failure);
	assert_int_equal(p->ops->set_rules(p, &rules, &err), 0);
	burst_clear(&b);
	p->ops->rx(&p->queue[0], &b);
	assert_int_equal(b.n, 0);
	assert_true(p->ops->rx_arm(&p->queue[0], 1));
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool(), m, 2), 0);
	p->ops->tx_own(&p->queue[0], m, 2);
	assert_int_equal(p->queue[0].stats.out_drop[DP_OUT_NO_GUEST], 2);
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool(), m, 2), 0);
	assert_int_equal(p->ops->tx_try(&p->queue[0], m, 2), 0);
	assert_mbufs_home();
	p->ops->close(p);
}

static void
a_device_is_one_uplink_and_may_come_again(void **state)
{
	struct port *p;
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		p = open_uplink(1500);
		refuse(devargs, 1500, -EBUSY, "device-in-use", "devargs");
		refuse("net_pcap0", 1500, -EBUSY, "device-in-use", "devargs");
		p->ops->close(p);
	}
}

static void
an_mtu_that_the_device_does_not_take_is_refused(void **state)
{
	struct dp_rules rules = {.mtu = 2023};
	struct err err = {.message = ""};
	struct port *p;

	(void)state;
	refuse(devargs, 2023, -ENOTSUP, "mtu-refused", "mtu");
	p = open_uplink(2022);
	assert_int_equal(p->ops->set_rules(p, &rules, &err), -ENOTSUP);
	assert_string_equal(err.code, "mtu-refused");
	rules.mtu = 1400;
	assert_int_equal(p->ops->set_rules(p, &rules, &err), 0);
	p->ops->close(p);
}

static void
more_queues_than_the_device_has_are_refused(void **state)
{
	struct dp_uplink_config config = {.name = "up",
					  .n_lcore = 1,
					  .rules.mtu = 1500,
					  .queues = 2};
	struct err err = {.message = ""};
	struct port *p;

	(void)state;
	strcpy(config.devargs, devargs);
	assert_int_equal(port_uplink_open(&config, 3, 1, &p, &err), -ENOTSUP);
	assert_string_equal(err.code, "queues-refused");
	assert_string_equal(err.param, "queues");
	assert_non_null(strstr(err.message, "has 1 receive queue,"));
	assert_mbufs_home();
}

/* Also more of them than there are lcores. */
static void
an_uplink_has_the_queues_that_it_is_to_have(void **state)
{
	struct dp_uplink_config config = {.name = "up", .n_lcore = 1, .rules.mtu = 1500};
	struct port *p;

	(void)state;
	strcpy(config.devargs, "net_null7");
	for (config.queues = 0; config.queues < 4; config.queues++) {
		struct dp_port_info info = {0};

		assert_int_equal(port_uplink_open(&config, 3, 2, &p, NULL), 0);
		assert_int_equal(p->n_queues, RTE_MAX(config.queues, 2u)); /* two to send on */
		p->ops->info(p, &info);
		assert_true(info.queue[0].enabled_from_guest);
		assert_int_equal(info.queue[1].enabled_from_guest, config.queues != 1);
		p->ops->close(p);
	}
}

static void
info_tells_the_driver(void **state)
{
	struct port *p = open_uplink(1500);
	struct dp_port_info info = {0};

	(void)state;
	assert_true(p->is_uplink);
	assert_int_equal(p->id, 3);
	assert_int_equal(p->n_queues, 1);
	assert_true(p->ops->tx_ready(p, 0));
	assert_false(p->ops->tx_ready(p, 1));
	p->ops->info(p, &info);
	assert_string_equal(info.driver, "net_pcap");
	assert_true(info.up && info.connected);
	p->ops->close(p);
}

static void
frames_come_in_as_they_are(void **state)
{
	const struct frame_spec spec = {.proto = UDP, .payload = 500, .tags = 1};
	static struct wire_frame f, got;
	static struct burst b;
	unsigned int n = 0, i;
	struct port *p;

	(void)state;
	frame_build(&spec, &f);
	write_capture(&f, 100);
	p = open_uplink(1500);
	do {
		burst_clear(&b);
		p->ops->rx(&p->queue[0], &b);
		for (i = 0; i < b.n; i++) {
			assert_true(b.frame[i].in_mbuf && b.frame[i].tagged);
			assert_int_equal(b.frame[i].bytes, f.len);
			assert_int_equal(b.frame[i].needs, 0);
			frame_read(&b.frame[i], 0, f.len, got.byte);
			assert_memory_equal(got.byte, f.byte, f.len);
		}
		n += b.n;
		burst_release(&b);
	} while (i > 0);
	assert_int_equal(n, 100);
	p->ops->close(p);
	assert_mbufs_home();
}

/* A frame as a guest hands it over, with its request. */
static struct rte_mbuf *
from_guest(const struct frame_spec *s, struct wire_frame *f, uint16_t tso_segsz)
{
	struct rte_mbuf *m;

	frame_build(s, f);
	m = frame_to_mbuf(f, s->mbuf_bytes, pool());
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	if (tso_segsz != 0)
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
	m->tso_segsz = tso_segsz;
	assert_int_equal(vnet_request_from_rx(m), 0);
	return m;
}

static void
a_large_frame_leaves_in_segments_and_counts_once(void **state)
{
	const struct frame_spec spec = {.proto = TCP, .payload = 20000, .v6 = true};
	static struct wire_frame f, seg;
	unsigned int headers, offset = 0, n;
	struct port *p = open_uplink(1500);
	struct rte_mbuf *m = from_guest(&spec, &f, 1400);
	struct dp_stats *stats = &p->queue[0].stats;
	FILE *file;

	(void)state;
	headers = f.l2 + f.l3 + f.l4;
	p->ops->tx_own(&p->queue[0], &m, 1);
	assert_int_equal(stats->out_packets, 1);
	assert_int_equal(stats->out_bytes, f.len);
	p->ops->close(p);
	assert_mbufs_home();
	file = fopen(out_file, "r");
	assert_non_null(file);
	seg = f;
	while (read_capture(file, &seg)) {
		n = seg.len - headers;
		assert_true(n == 1400 || offset + n == spec.payload);
		assert_memory_equal(seg.byte + headers, f.byte + headers + offset, n);
		assert_int_equal(transport_sum(&seg, true, TCP, f.l4 + n), 0xffff);
		offset += n;
	}
	assert_int_equal(offset, spec.payload);
	fclose(file);
}

/* Frames of every kind in one call leave in order; what was shared is as it was. */
static void
a_mixed_burst_keeps_its_order(void **state)
{
	const struct frame_spec spec[] = {
		{.proto = UDP, .payload = 10},
		{.proto = UDP, .payload = 20, .tags = 1},
		{.proto = TCP, .payload = 30, .v6 = true},
		{.proto = TCP, .payload = 1400, .mbuf_bytes = 100},
		{.proto = UDP, .payload = 50},
	};
	static struct wire_frame f[RTE_DIM(spec)], sent, kept;
	struct port *p = open_uplink(1500);
	struct rte_mbuf *m[RTE_DIM(spec)];
	unsigned int i, bytes = 0;
	FILE *file;

	(void)state;
	for (i = 0; i < RTE_DIM(spec); i++) {
		m[i] = from_guest(&spec[i], &f[i], 0);
		if (i % 2 == 0) /* asks for nothing */
			m[i]->ol_flags = 0;
		rte_pktmbuf_refcnt_update(m[i], 1);
		bytes += f[i].len;
	}
	p->ops->tx_own(&p->queue[0], m, RTE_DIM(spec));
	assert_int_equal(p->queue[0].stats.out_packets, RTE_DIM(spec));
	assert_int_equal(p->queue[0].stats.out_bytes, bytes);
	p->ops->close(p);
	file = fopen(out_file, "r");
	assert_non_null(file);
	for (i = 0; i < RTE_DIM(spec); i++) {
		frame_from_mbuf(m[i], &f[i], &kept);
		assert_memory_equal(kept.byte, f[i].byte, f[i].len);
		rte_pktmbuf_free(m[i]);
		sent = f[i];
		assert_true(read_capture(file, &sent));
		assert_int_equal(sent.len, f[i].len);
		if (i % 2 == 1)
			assert_int_equal(transport_sum(&sent, spec[i].v6, spec[i].proto,
						       f[i].l4 + spec[i].payload),
					 0xffff);
		else
			assert_memory_equal(sent.byte, f[i].byte, f[i].len);
	}
	assert_false(read_capture(file, &sent));
	fclose(file);
	assert_mbufs_home();
}

static void
what_does_not_leave_is_counted_by_reason(void **state)
{
	const struct frame_spec fits = {.proto = UDP, .payload = 1504 - 28, .tags = 1};
	const struct frame_spec over = {.proto = UDP, .payload = 1504 - 27};
	const struct frame_spec tso = {.proto = TCP, .payload = 60000};
	const struct frame_spec sctp = {.proto = SCTP, .payload = 10};
	static struct wire_frame f;
	struct port *p = open_uplink(1500);
	struct dp_stats *stats = &p->queue[0].stats;
	struct rte_mbuf *m[] = {
		from_guest(&fits, &f, 0),   from_guest(&over, &f, 0), from_guest(&tso, &f, 1464),
		from_guest(&tso, &f, 1465), from_guest(&sctp, &f, 0), from_guest(&tso, &f, 200),
	};

	(void)state;
	p->ops->tx_own(&p->queue[0], m, RTE_DIM(m));
	assert_int_equal(stats->out_packets, 2);
	assert_int_equal(stats->out_drop[DP_OUT_MTU], 2);
	assert_int_equal(stats->out_drop[DP_OUT_OFFLOAD], 2);
	assert_int_equal(stats->out_drop[DP_OUT_RING_FULL], 0);
	p->ops->close(p);
	assert_mbufs_home();
}

static int
setup(void **state)
{
	char word[][24] = {"test",	     "--no-huge", "--no-shconf", "--no-pci",
			   "--no-telemetry", "-m128",	  "-l0",	 "--log-level=critical"};
	char *argv[RTE_DIM(word) + 1] = {NULL};
	struct dp_config config = {.n_nodes = 1, .memory_mib = {128}};
	static const struct wire_frame empty;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(word); i++)
		argv[i] = word[i];
	if (mkdtemp(directory) == NULL || rte_eal_init(RTE_DIM(word), argv) < 0 ||
	    event_create() < 0 || mempool_create(&config, NULL) < 0)
		return -1;
	snprintf(in_file, sizeof(in_file), "%s/in.pcap", directory);
	snprintf(out_file, sizeof(out_file), "%s/out.pcap", directory);
	snprintf(devargs, sizeof(devargs), "net_pcap0,rx_pcap=%s,tx_pcap=%s", in_file, out_file);
	write_capture(&empty, 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	mempool_destroy();
	event_destroy();
	unlink(in_file);
	unlink(out_file);
	rmdir(directory);
	return rte_eal_cleanup();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devargs_that_name_no_device_are_refused),
		cmocka_unit_test(an_uplink_with_a_socket_waits_for_its_device),
		cmocka_unit_test(a_device_is_one_uplink_and_may_come_again),
		cmocka_unit_test(an_mtu_that_the_device_does_not_take_is_refused),
		cmocka_unit_test(more_queues_than_the_device_has_are_refused),
		cmocka_unit_test(an_uplink_has_the_queues_that_it_is_to_have),
		cmocka_unit_test(info_tells_the_driver),
		cmocka_unit_test(frames_come_in_as_they_are),
		cmocka_unit_test(a_large_frame_leaves_in_segments_and_counts_once),
		cmocka_unit_test(a_mixed_burst_keeps_its_order),
		cmocka_unit_test(what_does_not_leave_is_counted_by_reason),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
