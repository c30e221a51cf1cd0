/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/share.h"

#include "control/model.h"
#include "numa/balance.h"

/* What an lcore did since the last sample. */
struct second {
	double total, busy; /* cycles */
	double claimed; /* of the busy ones, by its queues */
	double out; /* frames that went out on its queues */
};

static void
read_queues(struct model_port *port, struct second *second)
{
	for (unsigned int i = 0; i < port->n_lcores; i++) {
		struct share *s = &port->share[i];
		struct second *lcore = &second[port->lcore[i] - 1];
		struct dp_stats now;

		dp_port_stats(port->id, i, &now);
		s->busy_new = now.busy_cycles - s->busy_cycles;
		s->out_new = now.out_packets - s->out_packets;
		s->busy_cycles = now.busy_cycles;
		s->out_packets = now.out_packets;
		lcore->claimed += s->busy_new;
		lcore->out += s->out_new;
	}
}

/* What the lcore did and no queue has claimed. */
static double
unclaimed(const struct second *lcore)
{
	return lcore->busy > lcore->claimed ? lcore->busy - lcore->claimed : 0;
}

static void
write_queues(struct model_port *port, const struct second *second, unsigned int at)
{
	for (unsigned int i = 0; i < port->n_lcores; i++) {
		struct share *s = &port->share[i];
		const struct second *lcore = &second[port->lcore[i] - 1];
		double cycles = s->busy_new, part;

		if (lcore->out > 0)
			cycles += unclaimed(lcore) * s->out_new / lcore->out;
		/* Counters are read one after another: a sum may be a little ahead. */
		part = lcore->total > 0 ? cycles / lcore->total : 0;
		s->sample[at] = part < 1 ? part : 1;
	}
}

void
share_sample(struct shares *shares, struct model *m, const struct load *load)
{
	struct second second[DP_LCORES_MAX] = {0};
	unsigned int at = shares->at;
	struct model_port *port;

	for (unsigned int i = 0; i < load->n; i++) {
		const struct load_lcore *lcore = &load->lcore[i];

		second[i].total = lcore->stats.total_cycles - shares->total_cycles[i];
		second[i].busy = second[i].total * lcore->busy_percent / 100;
		shares->total_cycles[i] = lcore->stats.total_cycles;
	}
	TAILQ_FOREACH(port, &m->ports, link)
		if (port->id >= 0)
			read_queues(port, second);
	TAILQ_FOREACH(port, &m->ports, link)
		if (port->id >= 0)
			write_queues(port, second, at);
	for (unsigned int i = 0; i < load->n; i++)
		shares->other[i][at] = second[i].total > 0 && second[i].out == 0 ?
					       unclaimed(&second[i]) / second[i].total :
					       0;
	shares->at = (at + 1) % SHARE_SAMPLES;
}

uint32_t
share_mean(const float sample[SHARE_SAMPLES])
{
	double sum = 0;

	for (unsigned int i = 0; i < SHARE_SAMPLES; i++)
		sum += sample[i];
	return sum * BALANCE_FULL / SHARE_SAMPLES + 0.5;
}
