/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/lcore_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "control/events.h"
#include "control/follow.h"
#include "control/log.h"
#include "tests/unit/fake_dp.h"
#include "tests/unit/scratch_dir.h"

#define CYCLES 1000000 /* of an lcore in a second */
#define N_PORTS (sizeof(fake_dp.port) / sizeof(fake_dp.port[0]))

struct daemon d;

static unsigned int work[N_PORTS][DP_QUEUES_MAX]; /* per cent */
static json_t *events; /* that nobody has taken */
static json_t *taken;

void __wrap_rpc_notify(struct rpc *rpc, uint32_t topic, json_t *message);

void
__wrap_rpc_notify(struct rpc *rpc, uint32_t topic, json_t *message)
{
	(void)rpc;
	(void)topic;
	json_array_append(events, json_object_get(message, "params"));
	json_decref(message);
}

int64_t
daemon_now_ns(void)
{
	return 0;
}

void
daemon_quit(struct daemon *daemon)
{
	(void)daemon;
}

int
lcore_fixture_setup(void **state)
{
	struct bridge_settings set = {.name = "b", .mac_age_s = 300, .mac_limit = 10};

	log_start(-1);
	if (scratch_dir_make(state) < 0 || mkdir(scratch_path(state, "s"), 0755) < 0)
		return -1;
	fake_dp = (struct fake_dp){.features = 1};
	memset(&d, 0, sizeof(d));
	memset(work, 0, sizeof(work));
	events = json_array();
	taken = json_array();
	d.base = event_base_new();
	model_init(&d.model);
	d.model.reconnect = reconnect_create(d.base, NULL);
	if (sockpath_dirs_add(&d.model.socket_dirs, scratch_path(state, "s"), NULL) < 0)
		return -1;
	return model_bridge_add(&d.model, &set, NULL);
}

int
lcore_fixture_teardown(void **state)
{
	reconnect_destroy(d.model.reconnect);
	model_clear(&d.model);
	event_base_free(d.base);
	json_decref(events);
	json_decref(taken);
	return scratch_dir_remove(state);
}

void
lcore_fixture_lcores(const int *node, unsigned int n)
{
	assert_true(n <= sizeof(fake_dp.lcore) / sizeof(fake_dp.lcore[0]));
	d.model.n_lcores = fake_dp.n_lcores = n;
	for (unsigned int i = 0; i < n; i++) {
		struct placement_lcore *lcore = &d.model.lcore[i];

		*lcore = (struct placement_lcore){.cpu = i, .node = node[i]};
		for (int to = 0; to < TOPOLOGY_NODES_MAX; to++)
			lcore->distance[to] = 10 + 10 * abs(to - node[i]);
	}
}

struct model_port *
lcore_fixture_port(const char *name, unsigned int queues, const char *pins)
{
	json_t *params =
		json_pack("{s:s, s:s, s:i}", "name", name, "bridge", "b", "queues", (int)queues);
	struct model_port *port = NULL;
	struct port_settings set;

	if (pins)
		json_object_set_new(params, "lcore", json_loads(pins, JSON_DECODE_ANY, NULL));
	assert_int_equal(settings_of_port(params, &set, NULL), 0);
	assert_int_equal(model_port_attach(&d.model, &set, &port, NULL), 0);
	json_decref(params);
	return port;
}

void
lcore_fixture_work(const struct model_port *port, unsigned int queue, unsigned int percent)
{
	work[port->id][queue] = percent;
}

/* What lcores that have too much do not get done is lost. */
static void
second_of_work(void)
{
	unsigned int wanted[DP_LCORES_MAX] = {0};

	for (unsigned int p = 0; p < N_PORTS; p++)
		for (unsigned int q = 0; q < fake_dp.port[p].queues; q++)
			wanted[fake_dp.port[p].lcore[q] - 1] += work[p][q];
	for (unsigned int p = 0; p < N_PORTS; p++)
		for (unsigned int q = 0; q < fake_dp.port[p].queues; q++) {
			struct fake_port *port = &fake_dp.port[p];
			unsigned int sum = wanted[port->lcore[q] - 1];

			port->busy_cycles[q] += work[p][q] * CYCLES / (sum > 100 ? sum : 100);
		}
	for (unsigned int i = 0; i < fake_dp.n_lcores; i++) {
		fake_dp.lcore[i].total_cycles += CYCLES;
		fake_dp.lcore[i].busy_cycles +=
			(wanted[i] > 100 ? 100 : wanted[i]) * (CYCLES / 100);
	}
}

static void
ignore_overload(const struct load_lcore *lcore, void *arg)
{
	(void)lcore;
	(void)arg;
}

void
lcore_fixture_seconds(unsigned int n)
{
	while (n-- > 0) {
		second_of_work();
		events_log_second(&d);
		load_sample(&d.load, ignore_overload, NULL);
		follow_second(&d);
		rebalance_second(&d);
	}
}

void
lcore_fixture_up(const struct model_port *port, const int *nodes)
{
	struct fake_port *fake = &fake_dp.port[port->id];

	fake->has_nodes = true;
	for (unsigned int i = 0; i < fake->queues; i++)
		fake->node[i] = nodes[i];
	fake->info.up = true;
	fake_dp.event[0] = (struct dp_event){.type = DP_EVENT_PORT_UP, .port = port->id};
	fake_dp.n_events = 1;
	fake_dp.events_read = 0;
	events_pump(&d);
}

json_t *
lcore_fixture_event(const char *type)
{
	size_t i;
	json_t *event;

	json_array_foreach(events, i, event)
	{
		if (strcmp(json_string_value(json_object_get(event, "type")), type) != 0)
			continue;
		json_array_append(taken, event);
		json_array_remove(events, i);
		return event;
	}
	return NULL;
}
