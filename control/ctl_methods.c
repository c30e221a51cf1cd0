/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_methods.h"

#include <stdio.h>
#include <string.h>

static const struct param no_options[] = {{.name = NULL}};

static const struct param top_options[] = {
	{.name = "interval",
	 .type = PARAM_INT,
	 .min = 1,
	 .max = 3600,
	 .dflt = "1",
	 .help = "seconds between two looks"},
	{.name = "count",
	 .type = PARAM_INT,
	 .min = 1,
	 .max = 1000000,
	 .help = "print as many plain blocks and end [no end on a terminal, else 1]"},
	{.name = "once", .type = PARAM_BOOL, .help = "the same as --count 1"},
	{.name = NULL},
};

static const struct param stats_options[] = {
	{.name = "all", .type = PARAM_BOOL, .help = "show reasons that dropped nothing, too"},
	{.name = "queues", .type = PARAM_BOOL, .help = "show each queue, too"},
	{.name = NULL},
};

static const struct param watch_params[] = {
	{.name = "ports",
	 .type = PARAM_WORDS,
	 .max = 1024,
	 .of = OF_PORT,
	 .help = "ports to watch [all]"},
	{.name = NULL},
};

static const struct method own_methods[] = {
	{"top", false, no_options, "live rates of the ports, and how busy the forwarding CPUs are"},
	{"migration.watch", false, watch_params,
	 "a timeline of what happens to ports whose guest moves"},
	{NULL, false, NULL, NULL},
};

/* What the schema does not say: our own options, and an example to try. */
static const struct extra {
	const char *method;
	const struct param *options;
	const char *example;
} extras[] = {
	{"top", top_options, "sluicectl top --interval 5"},
	{"daemon.version", NULL, "sluicectl daemon version"},
	{"daemon.stop", NULL, "sluicectl daemon stop"},
	{"ovsdb.status", NULL, "sluicectl ovsdb status"},
	{"bridge.add", NULL, "sluicectl bridge add br0 --mac-age-s 600"},
	{"bridge.del", NULL, "sluicectl bridge del br0"},
	{"bridge.list", NULL, "sluicectl bridge list"},
	{"bridge.macs", NULL, "sluicectl bridge macs br0"},
	{"uplink.add", NULL, "sluicectl uplink add up0 --bridge br0 --devargs 0000:3b:00.0"},
	{"uplink.del", NULL, "sluicectl uplink del up0"},
	{"uplink.list", NULL, "sluicectl uplink list"},
	{"port.attach", NULL,
	 "sluicectl port attach vm1 --bridge br0 --mac 52:54:00:00:00:01 --vlan 100"},
	{"port.detach", NULL, "sluicectl port detach vm1"},
	{"port.list", NULL, "sluicectl port list"},
	{"port.get", NULL, "sluicectl port get vm1"},
	{"port.set", NULL, "sluicectl port set vm1 --vlan 200 --mtu 9000"},
	{"port.drain", NULL, "sluicectl port drain vm1 --timeout-ms 500"},
	{"port.resume", NULL, "sluicectl port resume vm1"},
	{"migration.watch", NULL, "sluicectl migration watch vm1"},
	{"port.next_name", NULL, "sluicectl port next-name"},
	{"port.stats", stats_options, "sluicectl port stats vm1 --queues"},
	{"lcore.list", NULL, "sluicectl lcore list"},
	{"lcore.rebalance", NULL, "sluicectl lcore rebalance --dry-run"},
	{"numa.show", NULL, "sluicectl numa show"},
	{"host.capabilities", NULL, "sluicectl --json host capabilities"},
	{"offering.resolve", NULL, "sluicectl offering resolve --params vm1.json"},
	{"offering.interface", NULL,
	 "sluicectl offering interface csdpdk-1 --mac 02:00:18:91:00:10"
	 " --socket-dir /run/sluice/ports --vlan 100"},
	{"offering.xml", NULL,
	 "sluicectl offering xml offering.json --port csdpdk-1 --mac 02:00:18:91:00:10"
	 " --socket-dir /run/sluice/ports"},
	{"migration.check", NULL, "sluicectl migration check --params check.json"},
	{"migration.prepare", NULL, "sluicectl --json migration prepare br0 --params nics.json"},
	{"migration.abort", NULL, "sluicectl migration abort --params prepared.json"},
	{"migration.rewrite", NULL, "sluicectl migration rewrite --map prepared.json <vm1.xml"},
	{"capture.start", NULL,
	 "sluicectl capture start vm1 --file /var/lib/sluice/vm1.pcapng --snaplen 128"},
	{"capture.stop", NULL, "sluicectl capture stop vm1"},
	{"capture.list", NULL, "sluicectl capture list"},
	{"events.subscribe", NULL, "sluicectl events subscribe port.up port.down"},
};

static const struct noun {
	const char *name, *help;
} nouns[] = {
	{"daemon", "sluiced itself"},
	{"ovsdb", "the Open_vSwitch database that sluiced serves"},
	{"bridge", "switches inside sluiced: ports and uplinks on one bridge reach each other"},
	{"uplink", "ways out of a bridge: a NIC, or a trunk into Open vSwitch"},
	{"port", "vhost-user ports, one for each network card of a guest"},
	{"lcore", "the CPUs that forward"},
	{"numa", "memory nodes, their hugepages, and what uses them"},
	{"host", "what this host can do"},
	{"offering", "service offerings of an orchestrator: what they come to"},
	{"migration", "guests that move from host to host"},
	{"capture", "what passes a port, in a file for Wireshark or tcpdump"},
	{"events", "what happens, as it happens"},
	{"top", "live rates and load"},
};

const struct ctl_global ctl_globals[] = {
	{"control", 's', "SOCKET",
	 "sluiced's control socket [$SLUICE_CONTROL, else /run/sluice/control.sock]"},
	{"params", 'p', "FILE",
	 "a file with a JSON object of parameters, or - for the standard input"},
	{"json", 'j', NULL, "print the result as JSON, as sluiced sent it"},
	{"help", 'h', NULL, "explain; behind a noun or a verb: explain that one"},
	{"version", 'V', NULL, "print sluicectl's own version"},
	{NULL, 0, NULL, NULL},
};

const struct method *
ctl_method_at(size_t index)
{
	size_t n = 0;

	for (; schema_methods[n].name; n++)
		if (n == index)
			return &schema_methods[n];
	for (const struct method *m = own_methods; m->name; m++, n++)
		if (n == index)
			return m;
	return NULL;
}

/* Copies `n` bytes of an identifier with `from` replaced by `to`. */
static const char *
respell(char *buf, const char *text, size_t n, char from, char to)
{
	if (n >= CTL_WORD_SIZE)
		n = CTL_WORD_SIZE - 1;
	for (size_t i = 0; i < n; i++)
		buf[i] = text[i] == from ? to : text[i];
	buf[n] = '\0';
	return buf;
}

const char *
ctl_method_noun(const struct method *method, char *buf)
{
	return respell(buf, method->name, strcspn(method->name, "."), '_', '-');
}

const char *
ctl_method_verb(const struct method *method, char *buf)
{
	const char *dot = strchr(method->name, '.');

	dot = dot ? dot + 1 : "";
	return respell(buf, dot, strlen(dot), '_', '-');
}

const char *
ctl_option_name(const struct param *param, char *buf)
{
	return respell(buf, param->name, strlen(param->name), '_', '-');
}

/* Equal but for '-' and '_'. */
static bool
same_word(const char *a, const char *b)
{
	char a_buf[CTL_WORD_SIZE], b_buf[CTL_WORD_SIZE];

	return strlen(a) < CTL_WORD_SIZE && strlen(a) == strlen(b) &&
	       !strcmp(respell(a_buf, a, strlen(a), '_', '-'),
		       respell(b_buf, b, strlen(b), '_', '-'));
}

const struct method *
ctl_method_find(const char *noun, const char *verb)
{
	const struct method *method;
	char buf[CTL_WORD_SIZE];

	for (size_t i = 0; (method = ctl_method_at(i)); i++)
		if (same_word(ctl_method_noun(method, buf), noun) &&
		    same_word(ctl_method_verb(method, buf), verb))
			return method;
	return NULL;
}

const struct method *
ctl_method_only(const char *noun)
{
	const struct method *method, *only = NULL;
	char buf[CTL_WORD_SIZE];

	for (size_t i = 0; (method = ctl_method_at(i)); i++)
		if (same_word(ctl_method_noun(method, buf), noun)) {
			if (only)
				return NULL;
			only = method;
		}
	return only;
}

bool
ctl_noun_exists(const char *noun)
{
	const struct method *method;
	char buf[CTL_WORD_SIZE];

	for (size_t i = 0; (method = ctl_method_at(i)); i++)
		if (same_word(ctl_method_noun(method, buf), noun))
			return true;
	return false;
}

/* Whether no method before the index-th has its noun. */
static bool
begins_noun(size_t index, const char *noun)
{
	char buf[CTL_WORD_SIZE];

	for (size_t i = 0; i < index; i++)
		if (!strcmp(ctl_method_noun(ctl_method_at(i), buf), noun))
			return false;
	return true;
}

const char *
ctl_noun_at(size_t index, char *buf)
{
	const struct method *method;
	size_t n = 0;

	for (size_t i = 0; (method = ctl_method_at(i)); i++)
		if (begins_noun(i, ctl_method_noun(method, buf)) && n++ == index)
			return buf;
	return NULL;
}

const char *
ctl_noun_help(const char *noun)
{
	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (!strcmp(nouns[i].name, noun))
			return nouns[i].help;
	return "";
}

bool
ctl_method_is_own(const struct method *method)
{
	return !schema_find(method->name);
}

static const struct extra *
extra_find(const struct method *method)
{
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
		if (!strcmp(extras[i].method, method->name))
			return &extras[i];
	return NULL;
}

const char *
ctl_method_example(const struct method *method)
{
	const struct extra *extra = extra_find(method);

	return extra ? extra->example : NULL;
}

const struct param *
ctl_method_options(const struct method *method)
{
	const struct extra *extra = extra_find(method);

	return extra && extra->options ? extra->options : no_options;
}

const struct param *
ctl_method_arg(const struct method *method)
{
	for (const struct param *p = method->params; p->name; p++)
		if (p->required)
			return p;
	for (const struct param *p = method->params; p->name; p++)
		if (p->type != PARAM_BOOL)
			return p;
	return NULL;
}

const struct param *
ctl_method_param(const struct method *method, const char *option, bool *is_own)
{
	*is_own = false;
	for (const struct param *p = method->params; p->name; p++)
		if (same_word(p->name, option))
			return p;
	*is_own = true;
	for (const struct param *p = ctl_method_options(method); p->name; p++)
		if (same_word(p->name, option))
			return p;
	return NULL;
}

bool
ctl_param_is_list(const struct param *param)
{
	return param->type == PARAM_MACS || param->type == PARAM_VLANS ||
	       param->type == PARAM_WORDS || param->type == PARAM_NAMES ||
	       param->type == PARAM_OBJECTS;
}
