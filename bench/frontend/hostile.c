/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/frontend/hostile.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/frontend/links.h"

static const struct hostile_kind *const tables[] = {
	hostile_ring_kinds,
	hostile_message_kinds,
	hostile_host_kinds,
};

void
hostile_list(void)
{
	static const char *const needs[] = {
		[NEED_CONNECTION] = "",
		[NEED_RINGS] = "",
		[NEED_SENDER] = " (two SOCKETs: the second guest sends to the first)",
		[NEED_TRAFFIC] = " (two SOCKETs)",
	};
	const struct hostile_kind *kind;
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (kind = tables[i]; kind->name != NULL; kind++)
			printf("%-20s %s%s\n", kind->name, kind->what, needs[kind->need]);
	}
}

static const struct hostile_kind *
kind_find(const char *name)
{
	const struct hostile_kind *kind;
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (kind = tables[i]; kind->name != NULL; kind++) {
			if (strcmp(kind->name, name) == 0)
				return kind;
		}
	}
	return NULL;
}

static int
connect_only(struct harm *harm, struct err *err)
{
	double deadline_s = links_now_s() + harm->options->wait_s;
	int ret;

	do {
		ret = guest_reach(harm->guest, err);
		if (ret != 0)
			return ret < 0 ? ret : 0;
		poll(NULL, 0, 1);
	} while (links_now_s() < deadline_s && !atomic_load(harm->stop));
	return err_set_param(err, ETIMEDOUT, "no-switch", "socket", "No switch at %s.",
			     harm->guest->endpoint.path);
}

/* The second guest sends; both rings of it are looked after here, there is no stream thread. */
static void
sender_step(struct harm *harm)
{
	struct guest *sender = &harm->traffic->guests[1];
	struct queue *queue = &sender->queues[0];

	transmit_burst(harm->traffic, sender, queue, 32, __rdtsc(), false);
	receive_burst(harm->traffic, sender, queue);
}

/* Waits for the end of the connection, at most `duration_s`. Returns true where it is open. */
static bool
watch(struct harm *harm, const struct hostile_kind *kind)
{
	double deadline_s = links_now_s() + harm->options->duration_s;
	struct pollfd pfd = {.fd = harm->guest->proto.fd, .events = POLLRDHUP};

	if (pfd.fd < 0)
		return false;
	do {
		if (kind->need == NEED_SENDER)
			sender_step(harm);
		if (poll(&pfd, 1, 1) > 0 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)))
			return false;
	} while (links_now_s() < deadline_s && !atomic_load(harm->stop));
	return true;
}

/* Throws away answers that nobody waited for, then asks something harmless. */
static bool
still_answers(struct guest *guest)
{
	char waste[512];
	uint64_t features;
	struct err err;

	while (recv(guest->proto.fd, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
	guest->proto.timeout_ms = 1000;
	return proto_get_u64(&guest->proto, VHOST_GET_FEATURES, &features, &err) == 0;
}

/* Descriptors (packed) or buffers (split) that the switch returned since `before`. */
static int
used_since(const struct ring *ring, uint32_t before)
{
	uint32_t now = ring_used_position(ring);

	if (ring->cfg.kind == RING_SPLIT)
		return (uint16_t)(now - before);
	return (int)(now & 0x7fff) - (int)(before & 0x7fff) +
	       ((now ^ before) & 0x8000 ? ring->cfg.size : 0);
}

static void
harm_report(struct harm *harm, const struct hostile_kind *kind, uint32_t tx_before,
	    uint32_t rx_before)
{
	struct queue *queue = &harm->guest->queues[0];
	double began_s = links_now_s();
	bool open = watch(harm, kind);
	json_t *object, *answers = json_null();

	if (kind->need == NEED_TRAFFIC)
		traffic_join(harm->traffic, true);
	if (open && !kind->mute)
		answers = json_boolean(still_answers(harm->guest));
	object = json_pack("{s:s, s:b, s:i, s:s, s:o, s:i, s:i, s:I, s:f}", "kind", kind->name,
			   "harm_done", 1, "times", (int)harm->done, "connection",
			   open ? "open" : "closed", "answers", answers, "tx_used_moved",
			   used_since(&queue->tx, tx_before), "rx_used_moved",
			   used_since(&queue->rx, rx_before), "rx",
			   (json_int_t)harm->guest->stats.rx_frames, "seconds",
			   links_now_s() - began_s);
	if (harm->options->json) {
		json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else {
		printf("%s: done %u times; the switch %s the connection%s\n", kind->name,
		       harm->done, open ? "keeps" : "closed",
		       json_is_true(answers) ? " and answers" : "");
	}
	json_decref(object);
}

/* Brings about what the kind needs. */
static int
harm_set_up(struct harm *harm, const struct hostile_kind *kind, struct err *err)
{
	if (kind->need == NEED_CONNECTION)
		return connect_only(harm, err);
	return links_connect(harm->traffic->guests, harm->options->guests, harm->options->wait_s,
			     harm->stop, err);
}

/* Lets the guests exchange frames, and waits until they do. */
static int
begin_traffic(struct harm *harm, struct err *err)
{
	int ret = traffic_start(harm->traffic, err);

	if (ret < 0)
		return ret;
	while (!atomic_load(&harm->traffic->got_through)) {
		if (atomic_load(&harm->traffic->done) || atomic_load(harm->stop)) {
			traffic_join(harm->traffic, true);
			return err_set(err, ETIMEDOUT, "no-traffic",
				       "The guests do not get through to each other.");
		}
		poll(NULL, 0, 1);
	}
	return 0;
}

static int
harm_do(struct harm *harm, const struct hostile_kind *kind, struct err *err)
{
	struct queue *queue = &harm->guest->queues[0];
	uint32_t tx_before, rx_before;
	int ret = kind->prepare != NULL ? kind->prepare(harm, err) : 0;

	if (ret == 0)
		ret = harm_set_up(harm, kind, err);
	if (ret < 0)
		return ret;
	fprintf(stderr, "ready\n");
	tx_before = ring_used_position(&queue->tx);
	rx_before = ring_used_position(&queue->rx);
	if (kind->need == NEED_TRAFFIC) {
		ret = begin_traffic(harm, err);
		if (ret < 0)
			return ret;
	}
	if (kind->act != NULL)
		ret = kind->act(harm, err);
	/* A switch that hangs up on a storm has answered it. */
	if (ret < 0 && harm->done == 0) {
		if (kind->need == NEED_TRAFFIC)
			traffic_join(harm->traffic, true);
		return ret;
	}
	harm_report(harm, kind, tx_before, rx_before);
	return 0;
}

int
hostile_run(const struct options *options, const _Atomic bool *stop)
{
	static struct options own; /* control thread; large */
	const struct hostile_kind *kind = kind_find(options->hostile);
	struct harm harm = {.options = &own, .stop = stop};
	struct traffic traffic;
	struct err err;
	int ret = -1;

	if (kind == NULL) {
		fprintf(stderr,
			"sluice-frontend: --hostile \"%s\": no such kind; \"--hostile list\" "
			"names them\n",
			options->hostile);
		return 2;
	}
	if (kind->need >= NEED_SENDER && options->guests < 2) {
		fprintf(stderr, "sluice-frontend: --hostile %s needs two SOCKETs\n", kind->name);
		return 2;
	}
	own = *options;
	own.both_ways = true;
	/* Every kind may use the ring's tables. */
	own.tx_ring.indirect = true;
	own.tx_ring.segments = 2;
	harm.guest = guests_open(&own, &err);
	if (harm.guest != NULL && traffic_open(&traffic, &own, harm.guest, &err) == 0) {
		harm.traffic = &traffic;
		ret = harm_do(&harm, kind, &err);
		traffic_close(&traffic);
	}
	if (ret < 0)
		fprintf(stderr, "sluice-frontend: %s: %s\n", kind->name, err.message);
	if (harm.guest != NULL)
		guests_close(harm.guest, own.guests);
	return ret < 0 ? 1 : 0;
}
