/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/frontend/frames.h"
#include "bench/frontend/help.h"
#include "bench/frontend/hostile.h"

/* Larger than what sluice and its peers take as a plain frame: only segmentation offload does it. */
#define PLAIN_MAX_BYTES 9702
#define DEFAULT_GSO_BYTES 1460

enum option_id {
	OPT_SIZE = 256,
	OPT_FLOWS,
	OPT_BOTH,
	OPT_RATE,
	OPT_DURATION,
	OPT_COUNT,
	OPT_BURST,
	OPT_VLAN,
	OPT_VLANS,
	OPT_MAC,
	OPT_MACS,
	OPT_TO,
	OPT_SENDERS,
	OPT_STREAM_BASE,
	OPT_CSUM,
	OPT_GSO_SIZE,
	OPT_RING,
	OPT_QUEUE_SIZE,
	OPT_RX_QUEUE_SIZE,
	OPT_QUEUES,
	OPT_LAYOUT,
	OPT_SEGMENTS,
	OPT_EVENT_IDX,
	OPT_IN_ORDER,
	OPT_NO_MERGEABLE,
	OPT_RX_BUFFER,
	OPT_RX_OFFLOAD,
	OPT_CALLS,
	OPT_SHUFFLE,
	OPT_MEMORY,
	OPT_REGIONS,
	OPT_VERIFY,
	OPT_LATENCY,
	OPT_EXPECT_NO_LOSS,
	OPT_IDLE,
	OPT_STOP_AFTER,
	OPT_LOG,
	OPT_MIGRATE,
	OPT_HOSTILE,
	OPT_CPU,
	OPT_WAIT,
	OPT_JSON,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"size", required_argument, NULL, OPT_SIZE},
	{"flows", required_argument, NULL, OPT_FLOWS},
	{"both", no_argument, NULL, OPT_BOTH},
	{"rate", required_argument, NULL, OPT_RATE},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"count", required_argument, NULL, OPT_COUNT},
	{"burst", required_argument, NULL, OPT_BURST},
	{"vlan", required_argument, NULL, OPT_VLAN},
	{"vlans", required_argument, NULL, OPT_VLANS},
	{"mac", required_argument, NULL, OPT_MAC},
	{"macs", required_argument, NULL, OPT_MACS},
	{"to", required_argument, NULL, OPT_TO},
	{"senders", required_argument, NULL, OPT_SENDERS},
	{"stream-base", required_argument, NULL, OPT_STREAM_BASE},
	{"csum", no_argument, NULL, OPT_CSUM},
	{"gso-size", required_argument, NULL, OPT_GSO_SIZE},
	{"ring", required_argument, NULL, OPT_RING},
	{"queue-size", required_argument, NULL, OPT_QUEUE_SIZE},
	{"rx-queue-size", required_argument, NULL, OPT_RX_QUEUE_SIZE},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"layout", required_argument, NULL, OPT_LAYOUT},
	{"segments", required_argument, NULL, OPT_SEGMENTS},
	{"event-idx", no_argument, NULL, OPT_EVENT_IDX},
	{"in-order", no_argument, NULL, OPT_IN_ORDER},
	{"no-mergeable", no_argument, NULL, OPT_NO_MERGEABLE},
	{"rx-buffer", required_argument, NULL, OPT_RX_BUFFER},
	{"rx-offload", required_argument, NULL, OPT_RX_OFFLOAD},
	{"calls", no_argument, NULL, OPT_CALLS},
	{"shuffle", no_argument, NULL, OPT_SHUFFLE},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"regions", required_argument, NULL, OPT_REGIONS},
	{"verify", no_argument, NULL, OPT_VERIFY},
	{"latency", no_argument, NULL, OPT_LATENCY},
	{"expect-no-loss", no_argument, NULL, OPT_EXPECT_NO_LOSS},
	{"idle", no_argument, NULL, OPT_IDLE},
	{"stop-after", required_argument, NULL, OPT_STOP_AFTER},
	{"log", no_argument, NULL, OPT_LOG},
	{"migrate", required_argument, NULL, OPT_MIGRATE},
	{"hostile", required_argument, NULL, OPT_HOSTILE},
	{"cpu", required_argument, NULL, OPT_CPU},
	{"wait", required_argument, NULL, OPT_WAIT},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int
refuse(struct err *err, const char *option, const char *text, const char *allowed)
{
	return err_set_param(err, EINVAL, "bad-option", option, "--%s \"%s\": must be %s.", option,
			     text, allowed);
}

/* A number with an optional factor k, M or G. Returns -1 where it is none. */
static double
number_of(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || !isfinite(value))
		return -1;
	if (*end == 'k')
		value *= 1e3, end++;
	else if (*end == 'M')
		value *= 1e6, end++;
	else if (*end == 'G')
		value *= 1e9, end++;
	return *end == '\0' ? value : -1;
}

static int
parse_real(const char *option, const char *text, double *value, struct err *err)
{
	*value = number_of(text);
	return *value < 0 ? refuse(err, option, text, "a number, 0 or more") : 0;
}

static int
parse_int(const char *option, const char *text, double min, double max, double *value,
	  struct err *err)
{
	*value = number_of(text);
	if (*value >= min && *value <= max && *value == floor(*value))
		return 0;
	return err_set_param(err, EINVAL, "bad-option", option,
			     "--%s \"%s\": must be a whole number from %.0f to %.0f.", option, text,
			     min, max);
}

static int
parse_mac(const char *option, const char *text, uint8_t *mac, struct err *err)
{
	unsigned int byte[6], i;
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
		   &byte[4], &byte[5], &end) != 6 ||
	    text[end] != '\0')
		return refuse(err, option, text, "a MAC address such as 02:53:4c:00:00:01");
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)byte[i];
	return 0;
}

static int
parse_choice(const char *option, const char *text, const char *const *names, const char *allowed,
	     int *choice, struct err *err)
{
	int i;

	for (i = 0; names[i] != NULL; i++) {
		if (strcmp(text, names[i]) == 0) {
			*choice = i;
			return 0;
		}
	}
	return refuse(err, option, text, allowed);
}

static int
sizes_random(struct options *o, const char *text, struct err *err)
{
	unsigned int min = 64, max = 1518, i;
	uint32_t random = 1;
	int end = 6;

	if (text[end] == ':' && sscanf(text + end, ":%u-%u%n", &min, &max, &i) == 2)
		end += (int)i;
	if (text[end] != '\0' || min < FRAME_MIN_BYTES || max > FRAME_MAX_BYTES || min > max)
		return refuse(err, "size", text, "random:MIN-MAX with 64 <= MIN <= MAX <= 65535");
	for (i = 0; i < OPTIONS_MAX_SIZES; i++) {
		random = random * 1664525u + 1013904223u;
		o->sizes[i] = min + (random >> 8) % (max - min + 1);
	}
	o->size_count = OPTIONS_MAX_SIZES;
	return 0;
}

static int
parse_sizes(struct options *o, const char *text, struct err *err)
{
	static const uint32_t imix[] = {64, 594, 64, 1518, 64, 594, 64, 64, 594, 64, 594, 64};
	const char *at = text;
	unsigned int n = 0;

	o->size_text = text;
	if (strcmp(text, "imix") == 0) {
		memcpy(o->sizes, imix, sizeof(imix));
		o->size_count = sizeof(imix) / sizeof(imix[0]);
		return 0;
	}
	if (strncmp(text, "random", 6) == 0)
		return sizes_random(o, text, err);
	do {
		char *end;
		unsigned long value = strtoul(at, &end, 10);

		if (end == at || (*end != '\0' && *end != ',') || value < FRAME_MIN_BYTES ||
		    value > FRAME_MAX_BYTES || n == OPTIONS_MAX_SIZES)
			return refuse(err, "size", text,
				      "sizes from 64 to 65535 with commas, imix, or random");
		o->sizes[n++] = (uint32_t)value;
		at = *end == ',' ? end + 1 : NULL;
	} while (at != NULL);
	o->size_count = n;
	return 0;
}

static int
parse_vlans(struct options *o, const char *text, struct err *err)
{
	const char *at = text;

	o->vlan_count = 0;
	do {
		char *end;
		unsigned long value = strtoul(at, &end, 10);

		if (end == at || (*end != '\0' && *end != ',') || value > 4094 ||
		    o->vlan_count == OPTIONS_MAX_VLANS)
			return refuse(err, "vlan", text, "VLAN numbers from 0 to 4094 with commas");
		o->vlans[o->vlan_count++] = (uint16_t)value;
		at = *end == ',' ? end + 1 : NULL;
	} while (at != NULL);
	return 0;
}

static int
parse_cpu(struct options *o, const char *text, struct err *err)
{
	double value;
	cpu_set_t allowed;
	int ret = parse_int("cpu", text, 0, CPU_SETSIZE - 1, &value, err);

	if (ret < 0)
		return ret;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0 &&
	    !CPU_ISSET((int)value, &allowed))
		return refuse(err, "cpu", text, "a CPU that this process may use");
	o->cpu = (int)value;
	return 0;
}

/* Options that choose between words. */
static int
parse_words(struct options *o, int id, const char *text, struct err *err)
{
	static const char *const rings[] = {"split", "packed", NULL};
	static const char *const layouts[] = {"single", "two", "indirect", "chain", NULL};
	static const uint16_t layout_segments[] = {1, 2, 2, 4};
	static const char *const offloads[] = {"none", "csum", "tso", NULL};
	static const char *const pages[] = {"auto", "huge", "plain", NULL};
	int choice = 0, ret;

	switch (id) {
	case OPT_RING:
		ret = parse_choice("ring", text, rings, "split or packed", &choice, err);
		if (ret == 0)
			o->tx_ring.kind = choice == 0 ? RING_SPLIT : RING_PACKED;
		return ret;
	case OPT_LAYOUT:
		ret = parse_choice("layout", text, layouts, "single, two, indirect or chain",
				   &choice, err);
		if (ret == 0) {
			o->tx_ring.indirect = choice == 2;
			o->tx_ring.segments = layout_segments[choice];
		}
		return ret;
	case OPT_RX_OFFLOAD:
		ret = parse_choice("rx-offload", text, offloads, "none, csum or tso", &choice, err);
		o->accept_csum = ret == 0 && choice >= 1;
		o->accept_tso = ret == 0 && choice >= 2;
		return ret;
	default:
		ret = parse_choice("memory", text, pages, "auto, huge or plain", &choice, err);
		if (ret == 0)
			o->pages = (enum arena_pages)choice;
		return ret;
	}
}

#define NUMBER(opt, text, low, high, field)                               \
	{                                                                 \
		.id = (opt), .name = (text), .min = (low), .max = (high), \
		.offset = offsetof(struct options, field),                \
		.bytes = sizeof(((const struct options *)NULL)->field),   \
	}

/* Options that are whole numbers, and where they go. */
static const struct number {
	int id;
	const char *name;
	double min, max;
	size_t offset, bytes;
} numbers[] = {
	NUMBER(OPT_FLOWS, "flows", 1, 60000, flows),
	NUMBER(OPT_COUNT, "count", 1, 1e15, count),
	NUMBER(OPT_BURST, "burst", 1, 1024, burst),
	NUMBER(OPT_VLANS, "vlans", 1, 4094, tags),
	NUMBER(OPT_MACS, "macs", 1, OPTIONS_MAX_MACS, macs),
	NUMBER(OPT_SENDERS, "senders", 1, OPTIONS_MAX_GUESTS, senders),
	NUMBER(OPT_STREAM_BASE, "stream-base", 0, 65535, stream_base),
	NUMBER(OPT_GSO_SIZE, "gso-size", 64, 65000, gso_bytes),
	NUMBER(OPT_QUEUE_SIZE, "queue-size", 4, 32768, tx_ring.size),
	NUMBER(OPT_RX_QUEUE_SIZE, "rx-queue-size", 4, 32768, rx_ring_size),
	NUMBER(OPT_QUEUES, "queues", 1, 64, queues),
	NUMBER(OPT_SEGMENTS, "segments", 1, 64, segments),
	NUMBER(OPT_RX_BUFFER, "rx-buffer", 256, 65600, rx_buffer_bytes),
	NUMBER(OPT_REGIONS, "regions", 1, VHOST_MAX_REGIONS, regions),
	NUMBER(OPT_STOP_AFTER, "stop-after", 1, 1e15, stop_after),
};

static int
parse_number(struct options *o, int id, const char *text, struct err *err)
{
	const struct number *number = numbers;
	double value;
	void *field;
	int ret;

	while (number->id != id)
		number++; /* every other option was told apart before */
	ret = parse_int(number->name, text, number->min, number->max, &value, err);
	if (ret < 0)
		return ret;
	field = (char *)o + number->offset;
	if (number->bytes == sizeof(uint16_t))
		*(uint16_t *)field = (uint16_t)value;
	else if (number->bytes == sizeof(uint32_t))
		*(uint32_t *)field = (uint32_t)value;
	else
		*(uint64_t *)field = (uint64_t)value;
	return 0;
}

/* Options without an argument. Returns false where `id` is none. */
static bool
parse_flag(struct options *o, int id)
{
	switch (id) {
	case OPT_BOTH:
		return o->both_ways = true;
	case OPT_CSUM:
		return o->csum_offload = true;
	case OPT_EVENT_IDX:
		return o->tx_ring.event_idx = true;
	case OPT_IN_ORDER:
		return o->tx_ring.in_order = true;
	case OPT_NO_MERGEABLE:
		o->mergeable = false;
		return true;
	case OPT_CALLS:
		return o->calls = true;
	case OPT_SHUFFLE:
		return o->shuffled = true;
	case OPT_VERIFY:
		return o->verify = true;
	case OPT_LATENCY:
		return o->latency = true;
	case OPT_EXPECT_NO_LOSS:
		return o->expect_no_loss = true;
	case OPT_IDLE:
		return o->idle = true;
	case OPT_LOG:
		return o->log = true;
	case OPT_JSON:
		return o->json = true;
	default:
		return false;
	}
}

static struct endpoint
endpoint_of(const char *text)
{
	bool server = strncmp(text, "server:", 7) == 0;

	return (struct endpoint){.path = text + (server ? 7 : 0), .server = server};
}

static int
parse_one(struct options *o, int id, const char *text, struct err *err)
{
	if (parse_flag(o, id))
		return 0;
	switch (id) {
	case OPT_SIZE:
		return parse_sizes(o, text, err);
	case OPT_VLAN:
		return parse_vlans(o, text, err);
	case OPT_MAC:
		return parse_mac("mac", text, o->mac, err);
	case OPT_TO:
		o->has_to = true;
		return parse_mac("to", text, o->to, err);
	case OPT_RATE:
		return parse_real("rate", text, &o->rate_pps, err);
	case OPT_DURATION:
		return parse_real("duration", text, &o->duration_s, err);
	case OPT_WAIT:
		return parse_real("wait", text, &o->wait_s, err);
	case OPT_CPU:
		return parse_cpu(o, text, err);
	case OPT_HOSTILE:
		o->hostile = text;
		return 0;
	case OPT_MIGRATE:
		o->migrate = endpoint_of(text);
		return 0;
	case OPT_RING:
	case OPT_LAYOUT:
	case OPT_RX_OFFLOAD:
	case OPT_MEMORY:
		return parse_words(o, id, text, err);
	default:
		return parse_number(o, id, text, err);
	}
}

static int
parse_sockets(struct options *o, int count, char **paths, struct err *err)
{
	int i;

	if (count == 0)
		return err_set_param(err, EINVAL, "bad-option", "SOCKET",
				     "Name at least one SOCKET; --help shows how.");
	if (count > OPTIONS_MAX_GUESTS)
		return err_set_param(err, EINVAL, "bad-option", "SOCKET",
				     "%d SOCKETs: at most %d guests fit into one process.", count,
				     OPTIONS_MAX_GUESTS);
	for (i = 0; i < count; i++) {
		o->endpoints[i] = endpoint_of(paths[i]);
	}
	o->guests = (unsigned int)count;
	return 0;
}

/* What follows from other options. */
static void
complete(struct options *o)
{
	unsigned int i;

	o->min_bytes = FRAME_MAX_BYTES;
	for (i = 0; i < o->size_count; i++) {
		o->min_bytes = o->sizes[i] < o->min_bytes ? o->sizes[i] : o->min_bytes;
		o->max_bytes = o->sizes[i] > o->max_bytes ? o->sizes[i] : o->max_bytes;
	}
	if (o->segments != 0)
		o->tx_ring.segments = o->segments;
	if (o->gso_bytes == 0 && o->max_bytes > PLAIN_MAX_BYTES)
		o->gso_bytes = DEFAULT_GSO_BYTES;
	if (o->rx_buffer_bytes == 0) {
		o->rx_buffer_bytes = 2048;
		if (!o->mergeable && o->max_bytes + FRAME_VNET_BYTES > o->rx_buffer_bytes)
			o->rx_buffer_bytes = o->max_bytes + FRAME_VNET_BYTES;
	}
	if (!o->mergeable && o->rx_buffer_bytes < FRAME_MAX_BYTES)
		o->accept_tso = false;
	if (o->duration_s < 0 && o->hostile != NULL)
		o->duration_s = 1;
	else if (o->duration_s < 0)
		o->duration_s = o->count > 0 ? 0 : 5;
	o->latency |= o->rate_pps > 0;
	if (o->rx_ring_size == 0)
		o->rx_ring_size = o->tx_ring.size;
}

static int
check(const struct options *o, struct err *err)
{
	const struct ring_config *tx = &o->tx_ring;
	bool power_of_two = (tx->segments & (tx->segments - 1)) == 0;

	if (tx->size & (tx->size - 1))
		return err_set_param(err, EINVAL, "bad-option", "queue-size",
				     "--queue-size %u: must be a power of two.", tx->size);
	if (o->rx_ring_size & (o->rx_ring_size - 1))
		return err_set_param(err, EINVAL, "bad-option", "rx-queue-size",
				     "--rx-queue-size %u: must be a power of two.",
				     o->rx_ring_size);
	if (!tx->indirect && tx->segments > tx->size / 2)
		return err_set_param(err, EINVAL, "bad-option", "segments",
				     "--segments %u: at most half of --queue-size.", tx->segments);
	if (tx->in_order && !tx->indirect && !power_of_two)
		return err_set_param(err, EINVAL, "bad-option", "segments",
				     "--segments %u: with --in-order a power of two, so that chains "
				     "follow each other around the ring.",
				     tx->segments);
	if (o->gso_bytes && o->min_bytes < FRAME_MIN_TSO_BYTES)
		return err_set_param(err, EINVAL, "bad-option", "size",
				     "--size: TCP frames (--gso-size, or a size over %d) are %d "
				     "bytes or more.",
				     PLAIN_MAX_BYTES, FRAME_MIN_TSO_BYTES);
	if (!o->mergeable && o->max_bytes + FRAME_VNET_BYTES > o->rx_buffer_bytes)
		return err_set_param(err, EINVAL, "bad-option", "rx-buffer",
				     "--rx-buffer %u: with --no-mergeable at least the largest "
				     "frame and %d bytes.",
				     o->rx_buffer_bytes, FRAME_VNET_BYTES);
	if (o->stream_base + (uint64_t)o->guests * o->queues * o->flows > 65536)
		return err_set_param(err, EINVAL, "bad-option", "flows",
				     "Guests x queues x flows are over 65,536: take fewer.");
	if (o->gso_bytes && (o->tags > 0 || o->macs > 1))
		return err_set_param(err, EINVAL, "bad-option", o->tags > 0 ? "vlans" : "macs",
				     "--%s is for UDP frames: leave --gso-size and sizes over %d out.",
				     o->tags > 0 ? "vlans" : "macs", PLAIN_MAX_BYTES);
	if (o->migrate.path != NULL && o->stop_after == 0)
		return err_set_param(err, EINVAL, "bad-option", "migrate",
				     "--migrate: say when, with --stop-after.");
	if (!o->idle && !o->has_to && o->guests < 2 && o->hostile == NULL)
		return err_set_param(err, EINVAL, "bad-option", "SOCKET",
				     "A single guest has no peer: name two SOCKETs, or use --to or "
				     "--idle.");
	return 0;
}

int
options_parse(struct options *options, int argc, char **argv, struct err *err)
{
	static const uint8_t first_mac[6] = {0x02, 0x53, 0x4c, 0, 0, 0};
	int id, ret;

	memset(options, 0, sizeof(*options));
	memcpy(options->mac, first_mac, 6);
	options->queues = options->flows = options->regions = 1;
	options->tx_ring = (struct ring_config){.kind = RING_SPLIT, .size = 256, .segments = 1};
	options->mergeable = options->accept_csum = options->accept_tso = true;
	options->vlan_count = options->macs = 1;
	options->senders = OPTIONS_MAX_GUESTS;
	options->burst = 64;
	options->duration_s = -1;
	options->wait_s = 10;
	options->cpu = -1;
	parse_sizes(options, "64", err);
	opterr = 0;
	while ((id = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (id == OPT_HELP || id == 'h') {
			help_print();
			return 1;
		}
		if (id == '?')
			return err_set_param(err, EINVAL, "bad-option", argv[optind - 1],
					     "Unknown option or missing value: \"%s\"; --help "
					     "lists all.",
					     argv[optind - 1]);
		ret = parse_one(options, id, optarg, err);
		if (ret < 0)
			return ret;
	}
	if (options->hostile != NULL && strcmp(options->hostile, "list") == 0) {
		hostile_list();
		return 1;
	}
	ret = parse_sockets(options, argc - optind, argv + optind, err);
	if (ret < 0)
		return ret;
	complete(options);
	return check(options, err);
}
