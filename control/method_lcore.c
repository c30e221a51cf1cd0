/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/methods.h"
#include "numa/cpulist.h"

/* Which CPUs poll what. */

static json_t *
queue_json(const struct model_port *port, unsigned int queue)
{
	return json_pack("{s:s, s:i}", "port", port->set.name, "queue", (int)queue);
}

static json_t *
queues_of_lcore(const struct model *m, unsigned int lcore)
{
	json_t *queues = json_array();
	const struct model_port *port;

	TAILQ_FOREACH(port, &m->ports, link)
		for (unsigned int i = 0; port->id >= 0 && i < port->n_lcores; i++)
			if (port->lcore[i] == lcore)
				json_array_append_new(queues, queue_json(port, i));
	return queues;
}

/* With one digit behind the point, as more would be noise. */
static double
tenths(double value)
{
	return (long long)(value * 10 + 0.5) / 10.0;
}

/* Where its thread is, as the kernel says. */
static void
add_spot(json_t *o, const struct daemon *d, unsigned int i)
{
	const struct lcore_spot *spot = &d->lcore_watch.spot[i];
	char list[CPULIST_SIZE], note[LCORE_WATCH_NOTE_SIZE];
	int cpu = lcore_watch_cpu(i + 1);

	cpulist_format(&spot->cpus, list, sizeof(list));
	json_object_set_new(o, "affinity", json_string(list));
	json_object_set_new(o, "cpu_now", cpu < 0 ? json_null() : json_integer(cpu));
	json_object_set_new(o, "away", json_null());
	if (spot->away == LCORE_HOME)
		return;
	lcore_watch_note(&d->lcore_watch, i + 1, spot, note, sizeof(note));
	json_object_set_new(o, "away", json_string(lcore_watch_reason(spot->away)));
	json_object_set_new(o, "note", json_string(note));
}

/* The shares are of the last second; the counters, for who wants another time, count from the start. */
json_t *
method_lcore_json(const struct daemon *d, unsigned int i)
{
	const struct load_lcore *load = &d->load.lcore[i];
	struct dp_lcore_stats now = {0};
	double cycles = load->cycles_per_packet;
	json_t *o;

	dp_lcore_stats(i + 1, &now);
	o = json_pack("{s:i, s:i, s:i, s:o, s:f, s:o, s:s}", "lcore", (int)i + 1, "cpu",
		      (int)d->model.lcore[i].cpu, "node", d->model.lcore[i].node, "queues",
		      queues_of_lcore(&d->model, i + 1), "busy_percent", tenths(load->busy_percent),
		      "cycles_per_packet", cycles > 0 ? json_real(tenths(cycles)) : json_null(),
		      "idle", d->options.idle_poll ? "poll" : "sleep");
	json_object_set_new(o, "busy_cycles", json_integer(now.busy_cycles));
	json_object_set_new(o, "total_cycles", json_integer(now.total_cycles));
	json_object_set_new(o, "packets", json_integer(now.packets));
	json_object_set_new(o, "naps", json_integer(now.naps));
	json_object_set_new(o, "sleeps", json_integer(now.sleeps));
	add_spot(o, d, i);
	return o;
}

METHOD(method_lcore_list)
{
	json_t *list = json_array();

	(void)connection;
	(void)params;
	(void)err;
	for (unsigned int i = 0; i < d->model.n_lcores; i++)
		json_array_append_new(list, method_lcore_json(d, i));
	return list;
}
