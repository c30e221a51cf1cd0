/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_complete.h"

#include <stdbool.h>
#include <string.h>

#include "control/ctl_args.h"
#include "control/ctl_methods.h"
#include "control/ctl_rpc.h"

/* Nobody waits longer for a completion; connecting and asking get half of it each. */
#define TIMEOUT_MS 300

#define FILES ":files\n"

/* What the words before the last one have said. */
struct line {
	const char *control;
	const char *noun;
	const struct method *method;
	const struct param *pending; /* its value comes next */
	bool pending_control; /* so does the socket's path */
	bool pending_file; /* so does that of parameters */
	bool has_arg;
	bool wrong; /* there is no such verb: nothing fits behind it */
	char *const *words;
	size_t n;
	ctl_complete_names names;
	FILE *out;
};

/* An option that was begun: what its value is. */
static void
read_option(struct line *line, const char *word)
{
	char option[CTL_WORD_SIZE];
	size_t len = strcspn(word, "=");
	const struct method *method = line->method;
	const struct param *param;
	bool is_own;

	if (!strcmp(word, "-s") || !strcmp(word, "--control")) {
		line->pending_control = true;
		return;
	}
	if (!strcmp(word, "-p") || !strcmp(word, "--params")) {
		line->pending_file = true;
		return;
	}
	if (!strncmp(word, "--control=", 10)) {
		line->control = word + 10;
		return;
	}
	if (!method && line->noun)
		method = ctl_method_only(line->noun);
	if (word[1] != '-' || len - 2 >= sizeof(option) || !method)
		return;
	snprintf(option, sizeof(option), "%.*s", (int)len - 2, word + 2);
	param = ctl_method_param(method, option, &is_own);
	if (!param)
		return;
	line->method = method;
	if (param->type != PARAM_BOOL && !word[len])
		line->pending = param;
}

static void
read_word(struct line *line, const char *word)
{
	if (!strcmp(word, "=") && (line->pending || line->pending_control || line->pending_file))
		return;
	if (line->pending_control) {
		line->control = word;
		line->pending_control = false;
	} else if (line->pending_file) {
		line->pending_file = false;
	} else if (line->pending) {
		line->pending = NULL;
	} else if (word[0] == '-') {
		read_option(line, word);
	} else if (!line->noun) {
		if (!strcmp(word, "help"))
			return;
		line->noun = word;
		line->method = ctl_method_find(word, "");
	} else if (!line->method) {
		line->method = ctl_method_find(line->noun, word);
		line->wrong = !line->method;
	} else {
		line->has_arg = true;
	}
}

/* Writes `lead` and the candidate if that begins with `prefix`. */
static void
offer(const struct line *line, const char *lead, const char *prefix, const char *candidate)
{
	if (!strncmp(candidate, prefix, strlen(prefix)))
		fprintf(line->out, "%s%s\n", lead, candidate);
}

static void
offer_words(const struct line *line, const char *lead, const char *prefix, const char *words)
{
	while (*words) {
		char word[CTL_WORD_SIZE];
		size_t n = strcspn(words, " ");

		snprintf(word, sizeof(word), "%.*s", (int)n, words);
		offer(line, lead, prefix, word);
		words += n + strspn(words + n, " ");
	}
}

static void
offer_names(const struct line *line, const char *lead, const char *prefix, enum param_of of)
{
	json_t *list = line->names(line->control, of), *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *name = json_string_value(json_object_get(entry, "name"));

		if (name && schema_name_ok(name))
			offer(line, lead, prefix, name);
	}
	json_decref(list);
}

/* The values of a parameter. `lead` is what stands before the value in the same word. */
static void
offer_values(const struct line *line, const char *lead, const char *value,
	     const struct param *param)
{
	const char *comma = ctl_param_is_list(param) ? strrchr(value, ',') : NULL;
	char leader[256];

	/* Of a list only the last entry is completed. */
	snprintf(leader, sizeof(leader), "%s%.*s", lead, comma ? (int)(comma + 1 - value) : 0,
		 value);
	if (comma)
		value = comma + 1;
	if (param->of == OF_FILE || param->of == OF_SOCKET || param->type == PARAM_OBJECT ||
	    param->type == PARAM_OBJECTS)
		fputs(FILES, line->out);
	else if (param->of != OF_NOTHING)
		offer_names(line, leader, value, param->of);
	else if (param->words)
		offer_words(line, leader, value, param->words);
	else if (param->type == PARAM_BOOL)
		offer_words(line, leader, value, "true false");
	else if (param->type == PARAM_NODE || param->type == PARAM_LCORES)
		offer_words(line, leader, value, "auto");
}

/* Whether the option was given already; lists may be given again. */
static bool
is_given(const struct line *line, const struct param *param, const char *option)
{
	size_t len = strlen(option);

	for (size_t i = 0; i + 1 < line->n; i++)
		if (!strncmp(line->words[i], option, len) &&
		    (!line->words[i][len] || line->words[i][len] == '='))
			return !ctl_param_is_list(param);
	return false;
}

static void
offer_params(const struct line *line, const char *prefix, const struct param *params)
{
	for (const struct param *p = params; p->name; p++) {
		char name[CTL_WORD_SIZE], option[CTL_WORD_SIZE + 2];

		snprintf(option, sizeof(option), "--%s", ctl_option_name(p, name));
		if (p != ctl_method_arg(line->method) && !is_given(line, p, option))
			offer(line, "", prefix, option);
	}
}

static void
offer_options(const struct line *line, const char *prefix)
{
	if (line->method) {
		offer_params(line, prefix, line->method->params);
		offer_params(line, prefix, ctl_method_options(line->method));
	}
	/* The ones that are there always only where they are asked for. */
	for (const struct ctl_global *g = ctl_globals; *prefix && g->name; g++) {
		char option[CTL_WORD_SIZE];

		snprintf(option, sizeof(option), "--%s", g->name);
		offer(line, "", prefix, option);
	}
}

/* "--mode=ser" in one word. */
static void
offer_joined(const struct line *line, const char *word)
{
	char lead[CTL_WORD_SIZE + 3], option[CTL_WORD_SIZE];
	size_t len = strcspn(word, "=");
	const struct param *param;
	bool is_own;

	if (len + 2 > sizeof(lead) || !line->method)
		return;
	snprintf(lead, sizeof(lead), "%.*s", (int)len + 1, word);
	snprintf(option, sizeof(option), "%.*s", (int)len - 2, word + 2);
	param = ctl_method_param(line->method, option, &is_own);
	if (param)
		offer_values(line, lead, word + len + 1, param);
}

static void
offer_nouns(const struct line *line, const char *prefix)
{
	char noun[CTL_WORD_SIZE];

	for (size_t i = 0; ctl_noun_at(i, noun); i++)
		offer(line, "", prefix, noun);
}

static void
offer_verbs(const struct line *line, const char *prefix)
{
	const struct method *method;
	char buf[CTL_WORD_SIZE];

	for (size_t i = 0; (method = ctl_method_at(i)); i++)
		if (!strcmp(ctl_method_noun(method, buf), line->noun))
			offer(line, "", prefix, ctl_method_verb(method, buf));
}

void
ctl_complete_words(char *const *words, size_t n, ctl_complete_names names, FILE *out)
{
	struct line line = {.control = ctl_args_default_control(),
			    .words = words,
			    .n = n,
			    .names = names,
			    .out = out};
	const struct param *arg;
	const char *last = n > 0 ? words[n - 1] : "";

	for (size_t i = 0; i + 1 < n; i++)
		read_word(&line, words[i]);
	if (!strcmp(last, "=") && (line.pending || line.pending_control || line.pending_file))
		last = "";
	arg = line.method ? ctl_method_arg(line.method) : NULL;
	if (line.wrong)
		return;
	if (line.pending_control || line.pending_file)
		fputs(FILES, out);
	else if (line.pending)
		offer_values(&line, "", last, line.pending);
	else if (!strncmp(last, "--", 2) && strchr(last, '='))
		offer_joined(&line, last);
	else if (last[0] == '-')
		offer_options(&line, last);
	else if (!line.noun)
		offer_nouns(&line, last);
	else if (!line.method)
		offer_verbs(&line, last);
	else if (arg && (!line.has_arg || ctl_param_is_list(arg)))
		offer_values(&line, "", last, arg);
	else
		offer_options(&line, last);
}

static json_t *
names_of_daemon(const char *control, enum param_of of)
{
	static const char *const method[] = {
		[OF_PORT] = "port.list",
		[OF_BRIDGE] = "bridge.list",
		[OF_UPLINK] = "uplink.list",
	};
	struct ctl_rpc rpc;
	struct err err;
	json_t *list = NULL;

	if (ctl_rpc_open(&rpc, control, TIMEOUT_MS / 2, &err) < 0)
		return NULL;
	if (ctl_rpc_result(&rpc, method[of], NULL, TIMEOUT_MS / 2, &list, &err) < 0)
		list = NULL;
	ctl_rpc_close(&rpc);
	return list;
}

void
ctl_complete_run(char *const *words, size_t n)
{
	ctl_complete_words(words, n, names_of_daemon, stdout);
}
