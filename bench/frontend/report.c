/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/report.h"

#include <stdio.h>
#include <string.h>

/* What became of the streams that a guest sent. */
struct fate {
	uint64_t unique;
	uint64_t duplicate;
	uint64_t reordered;
	uint64_t too_late;
};

static void
fate_add(struct fate *fate, const struct stream *stream)
{
	fate->unique += stream->unique;
	fate->duplicate += stream->duplicate;
	fate->reordered += stream->reordered;
	fate->too_late += stream->too_late;
}

static struct fate
fate_of_sender(const struct traffic *traffic, unsigned int index)
{
	const struct options *options = traffic->options;
	uint32_t first = traffic->guests[index].queues[0].stream;
	uint32_t i;
	struct fate fate = {0};

	for (i = 0; i < options->queues * options->flows; i++)
		fate_add(&fate, &traffic->streams[first + i]);
	return fate;
}

/* Frames that a guest sent to another one of this process and that did not arrive. */
static uint64_t
lost_of_sender(const struct traffic *traffic, unsigned int index, const struct fate *fate)
{
	uint64_t sent = traffic->guests[index].stats.tx_frames;

	if (traffic_peer(traffic->options, index) < 0)
		return 0;
	return sent > fate->unique + fate->too_late ? sent - fate->unique - fate->too_late : 0;
}

/* Gaps in the streams of other processes: what they sent after the last frame is not known. */
static void
add_strangers(const struct traffic *traffic, struct totals *totals)
{
	const struct options *options = traffic->options;
	uint32_t own = options->guests * options->queues * options->flows;
	uint32_t i;

	for (i = 0; i < TRAFFIC_STREAMS; i++) {
		const struct stream *stream = &traffic->streams[i];

		if (i >= options->stream_base && i < options->stream_base + own && !options->has_to)
			continue;
		if (stream->unique == 0)
			continue;
		totals->lost += stream->next - stream->unique;
		totals->duplicate += stream->duplicate;
		totals->reordered += stream->reordered;
		totals->too_late += stream->too_late;
	}
}

struct totals
report_totals(const struct traffic *traffic)
{
	struct totals totals = {0};
	unsigned int i;

	for (i = 0; i < traffic->options->guests; i++) {
		const struct guest *guest = &traffic->guests[i];
		struct fate fate = fate_of_sender(traffic, i);

		totals.tx += guest->stats.tx_frames;
		totals.rx += guest->stats.rx_frames;
		totals.rx_in_time += guest->stats.rx_in_time;
		totals.rx_bytes_in_time += guest->stats.rx_bytes_in_time;
		totals.corrupt += guest->stats.corrupt;
		totals.malformed += guest->stats.malformed;
		totals.missed_calls += guest->stats.missed_calls;
		totals.reconnects += guest->reconnects;
		totals.lost += lost_of_sender(traffic, i, &fate);
		if (traffic->options->has_to)
			continue;
		totals.duplicate += fate.duplicate;
		totals.reordered += fate.reordered;
		totals.too_late += fate.too_late;
	}
	add_strangers(traffic, &totals);
	return totals;
}

bool
report_passed(const struct traffic *traffic, const struct totals *totals, const char **why)
{
	const struct options *options = traffic->options;

	*why = NULL;
	if (options->idle)
		;
	else if (!atomic_load(&traffic->got_through))
		*why = "the guests did not get through to each other";
	else if (totals->rx == 0 && !options->has_to)
		*why = "no frame crossed";
	if (options->verify && totals->corrupt > 0)
		*why = "frames arrived corrupt";
	else if (options->verify && totals->malformed > 0)
		*why = "the switch returned buffers that make no sense";
	else if (options->verify && (totals->duplicate > 0 || totals->too_late > 0))
		*why = "frames arrived twice";
	else if (options->expect_no_loss && totals->lost > 0)
		*why = "frames were lost";
	else if (totals->missed_calls > 0)
		*why = "the switch did not call a sleeping guest";
	return *why == NULL;
}

static double
measured_s(const struct traffic *traffic)
{
	uint64_t end = traffic->end_tsc;

	/* A number of frames takes until the last one is there. */
	if (traffic->options->count > 0 && traffic->last_rx_tsc > end)
		end = traffic->last_rx_tsc;
	return end > traffic->start_tsc ? (double)(end - traffic->start_tsc) / traffic->tsc_hz : 0;
}

static double
per_second(const struct traffic *traffic, uint64_t in_time, uint64_t all)
{
	double s = measured_s(traffic);

	if (traffic->options->count > 0)
		in_time = all;
	return s > 0 ? (double)in_time / s : 0;
}

static double
share(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : 0;
}

static json_t *
latency_json(const struct traffic *traffic, const struct histogram *h)
{
	double per_us = traffic->tsc_hz / 1e6;

	return json_pack("{s:I, s:f, s:f, s:f, s:f}", "frames", (json_int_t)h->total, "p50",
			 (double)histogram_percentile(h, 0.5) / per_us, "p99",
			 (double)histogram_percentile(h, 0.99) / per_us, "p999",
			 (double)histogram_percentile(h, 0.999) / per_us, "max",
			 (double)h->max / per_us);
}

static void
set_int(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *
kicks_json(const struct guest *guest)
{
	uint64_t kicks = 0, bad = 0;
	unsigned int i;

	for (i = 0; i < guest->options->queues; i++) {
		kicks += guest->queues[i].rx.kicks + guest->queues[i].tx.kicks;
		bad += guest->queues[i].rx.bad_used + guest->queues[i].tx.bad_used;
	}
	return json_pack("{s:I, s:I}", "kicks", (json_int_t)kicks, "bad_used", (json_int_t)bad);
}

static json_t *
guest_json(const struct traffic *traffic, unsigned int index)
{
	const struct guest *guest = &traffic->guests[index];
	const struct guest_stats *stats = &guest->stats;
	struct fate fate = fate_of_sender(traffic, index);
	char mac[18];
	json_t *object;

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", guest->mac[0], guest->mac[1],
		 guest->mac[2], guest->mac[3], guest->mac[4], guest->mac[5]);
	object = json_pack("{s:i, s:s, s:s, s:s, s:b, s:b}", "guest", (int)index, "socket",
			   guest->endpoint.path, "mode",
			   guest->endpoint.server ? "server" : "client", "mac", mac, "connected",
			   guest->connected, "hugepages", guest->arena.huge);
	set_int(object, "tx", stats->tx_frames);
	set_int(object, "tx_bytes", stats->tx_bytes);
	set_int(object, "rx", stats->rx_frames);
	set_int(object, "rx_bytes", stats->rx_bytes);
	json_object_set_new(object, "pps",
			    json_real(per_second(traffic, stats->rx_in_time, stats->rx_frames)));
	set_int(object, "lost", lost_of_sender(traffic, index, &fate));
	set_int(object, "dup", fate.duplicate + fate.too_late);
	set_int(object, "reordered", fate.reordered);
	set_int(object, "corrupt", stats->corrupt);
	set_int(object, "malformed", stats->malformed);
	set_int(object, "foreign", stats->foreign);
	set_int(object, "rx_segments", stats->rx_segments);
	set_int(object, "rate_missed", stats->rate_missed);
	set_int(object, "reconnects", guest->reconnects);
	set_int(object, "calls", stats->calls);
	set_int(object, "missed_calls", stats->missed_calls);
	json_object_update_new(object, kicks_json(guest));
	json_object_set_new(object, "longest_gap_us",
			    json_real((double)stats->longest_gap_tsc / traffic->tsc_hz * 1e6));
	json_object_set_new(object, "features",
			    json_sprintf("%#llx", (unsigned long long)guest->features));
	if (stats->first_wrong != NULL)
		json_object_set_new(object, "first_wrong", json_string(stats->first_wrong));
	if (traffic->options->latency)
		json_object_set_new(object, "latency_us", latency_json(traffic, &stats->latency));
	return object;
}

static json_t *
config_json(const struct options *options)
{
	const struct ring_config *tx = &options->tx_ring;

	return json_pack("{s:i, s:i, s:s, s:i, s:i, s:i, s:b, s:b, s:b, s:b, s:i, s:s, s:i, s:b, s:f, "
			 "s:f, s:I, s:i, s:b, s:b, s:i, s:i, s:b}",
			 "guests", (int)options->guests, "queues", (int)options->queues, "ring",
			 tx->kind == RING_SPLIT ? "split" : "packed", "queue_size", tx->size,
			 "rx_queue_size", options->rx_ring_size, "segments", tx->segments,
			 "indirect", tx->indirect, "event_idx", tx->event_idx, "in_order",
			 tx->in_order, "mergeable", options->mergeable, "rx_buffer",
			 (int)options->rx_buffer_bytes, "size", options->size_text, "flows",
			 (int)options->flows, "both", options->both_ways, "rate", options->rate_pps,
			 "duration", options->duration_s, "count", (json_int_t)options->count,
			 "burst", (int)options->burst, "verify", options->verify, "csum",
			 options->csum_offload, "gso", options->gso_bytes, "cpu", options->cpu,
			 "shuffled", options->shuffled);
}

static json_t *
generator_json(const struct traffic *traffic)
{
	return json_pack("{s:f, s:f, s:f, s:I}", "busy_share",
			 share(traffic->busy_cycles, traffic->cycles), "tx_full_share",
			 share(traffic->tx_full, traffic->tx_tries), "rx_late_share",
			 share(traffic->rx_late, traffic->rx_polls), "rounds",
			 (json_int_t)traffic->rounds);
}

static json_t *
sum_json(const struct traffic *traffic, const struct totals *totals)
{
	return json_pack("{s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "tx",
			 (json_int_t)totals->tx, "rx", (json_int_t)totals->rx, "pps",
			 per_second(traffic, totals->rx_in_time, totals->rx), "gbps",
			 per_second(traffic, totals->rx_bytes_in_time, totals->rx_bytes_in_time) *
				 8e-9,
			 "lost", (json_int_t)totals->lost, "dup",
			 (json_int_t)(totals->duplicate + totals->too_late), "reordered",
			 (json_int_t)totals->reordered, "corrupt", (json_int_t)totals->corrupt,
			 "malformed", (json_int_t)totals->malformed, "missed_calls",
			 (json_int_t)totals->missed_calls, "reconnects",
			 (json_int_t)totals->reconnects);
}

static void
latency_sum(const struct traffic *traffic, struct histogram *sum)
{
	unsigned int i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < traffic->options->guests; i++)
		histogram_add(sum, &traffic->guests[i].stats.latency);
}

static void
print_json(const struct traffic *traffic, const struct totals *totals, json_t *extra)
{
	static struct histogram all; /* control thread; too large for a stack */
	json_t *root = sum_json(traffic, totals);
	json_t *guests = json_array();
	const char *why;
	bool passed = report_passed(traffic, totals, &why);
	unsigned int i;

	for (i = 0; i < traffic->options->guests; i++)
		json_array_append_new(guests, guest_json(traffic, i));
	if (traffic->options->latency) {
		latency_sum(traffic, &all);
		json_object_set_new(root, "latency_us", latency_json(traffic, &all));
	}
	json_object_set_new(root, "passed", json_boolean(passed));
	json_object_set_new(root, "why", why ? json_string(why) : json_null());
	json_object_set_new(root, "seconds", json_real(measured_s(traffic)));
	json_object_set_new(root, "tsc_hz", json_real(traffic->tsc_hz));
	json_object_set_new(root, "generator", generator_json(traffic));
	json_object_set_new(root, "config", config_json(traffic->options));
	json_object_set_new(root, "guests", guests);
	if (extra != NULL)
		json_object_update(root, extra);
	json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(root);
}

static void
print_text(const struct traffic *traffic, const struct totals *totals, json_t *extra)
{
	static struct histogram all; /* control thread; too large for a stack */
	double per_us = traffic->tsc_hz / 1e6;

	printf("%llu frames sent, %llu received in %.3f s: %.3f Mpps, %.2f Gbit/s\n",
	       (unsigned long long)totals->tx, (unsigned long long)totals->rx, measured_s(traffic),
	       per_second(traffic, totals->rx_in_time, totals->rx) / 1e6,
	       per_second(traffic, totals->rx_bytes_in_time, totals->rx_bytes_in_time) * 8e-9);
	printf("lost %llu, duplicate %llu, reordered %llu, corrupt %llu%s; reconnects %llu\n",
	       (unsigned long long)totals->lost,
	       (unsigned long long)(totals->duplicate + totals->too_late),
	       (unsigned long long)totals->reordered, (unsigned long long)totals->corrupt,
	       traffic->options->verify ? "" : " (payload not verified)",
	       (unsigned long long)totals->reconnects);
	if (traffic->options->latency) {
		latency_sum(traffic, &all);
		printf("latency p50 %.2f us, p99 %.2f us, p99.9 %.2f us, max %.2f us\n",
		       (double)histogram_percentile(&all, 0.5) / per_us,
		       (double)histogram_percentile(&all, 0.99) / per_us,
		       (double)histogram_percentile(&all, 0.999) / per_us,
		       (double)all.max / per_us);
	}
	printf("generator: busy %.0f %%, found the transmit ring full in %.0f %% of its tries, was "
	       "late at %.2f %% of its receive polls\n",
	       100 * share(traffic->busy_cycles, traffic->cycles),
	       100 * share(traffic->tx_full, traffic->tx_tries),
	       100 * share(traffic->rx_late, traffic->rx_polls));
	if (extra != NULL && json_object_size(extra) > 0) {
		json_dumpf(extra, stdout, JSON_INDENT(2));
		putchar('\n');
	}
}

void
report_print(const struct traffic *traffic, const struct totals *totals, json_t *extra)
{
	if (traffic->options->json)
		print_json(traffic, totals, extra);
	else
		print_text(traffic, totals, extra);
}
