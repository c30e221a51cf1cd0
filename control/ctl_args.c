/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl_methods.h"
#include "control/ctl_nearest.h"
#include "control/ctl_params.h"

#define USAGE(err, ...) err_set(err, EINVAL, "usage", __VA_ARGS__)

/* Where the parser is on the command line. */
struct parser {
	int argc, at; /* at: the next word */
	char *const *argv;
	struct ctl_request *request;
	struct err *err;
};

const char *
ctl_args_default_control(void)
{
	const char *control = getenv("SLUICE_CONTROL");

	return control && *control ? control : "/run/sluice/control.sock";
}

/* "port attach", for messages. */
static const char *
spoken(const struct method *method, char *buf, size_t size)
{
	char noun[CTL_WORD_SIZE], verb[CTL_WORD_SIZE];
	const char *v = ctl_method_verb(method, verb);

	snprintf(buf, size, "%s%s%s", ctl_method_noun(method, noun), *v ? " " : "", v);
	return buf;
}

static int
unknown_noun(struct parser *p, const char *word)
{
	struct ctl_nearest nearest;
	char noun[CTL_WORD_SIZE];

	ctl_nearest_start(&nearest, word);
	for (size_t i = 0; ctl_noun_at(i, noun); i++)
		ctl_nearest_try(&nearest, noun);
	if (*nearest.word)
		return USAGE(p->err, "there is no \"%s\"; did you mean \"%s\"?", word,
			     nearest.word);
	return USAGE(p->err, "there is no \"%s\"; sluicectl --help shows what there is", word);
}

static int
unknown_verb(struct parser *p, const char *noun, const char *word)
{
	struct ctl_nearest nearest;
	const struct method *method;
	char buf[CTL_WORD_SIZE], verbs[256] = "";

	ctl_nearest_start(&nearest, word);
	for (size_t i = 0; (method = ctl_method_at(i)); i++) {
		size_t len = strlen(verbs);

		if (strcmp(ctl_method_noun(method, buf), noun))
			continue;
		ctl_nearest_try(&nearest, ctl_method_verb(method, buf));
		snprintf(verbs + len, sizeof(verbs) - len, "%s%s", len ? ", " : "", buf);
	}
	if (*nearest.word && *word)
		return USAGE(p->err, "there is no \"%s %s\"; did you mean \"%s %s\"?", noun, word,
			     noun, nearest.word);
	if (*word)
		return USAGE(p->err, "there is no \"%s %s\"; %s can: %s", noun, word, noun, verbs);
	return USAGE(p->err, "say what to do with %s: %s", noun, verbs);
}

static int
unknown_option(struct parser *p, const char *word, size_t len)
{
	const struct method *method = p->request->method;
	struct ctl_nearest nearest;
	char typed[CTL_WORD_SIZE], buf[CTL_WORD_SIZE], what[2 * CTL_WORD_SIZE];

	snprintf(typed, sizeof(typed), "%.*s", (int)len, word);
	ctl_nearest_start(&nearest, typed + strspn(typed, "-"));
	if (method) {
		for (const struct param *q = method->params; q->name; q++)
			ctl_nearest_try(&nearest, ctl_option_name(q, buf));
		for (const struct param *q = ctl_method_options(method); q->name; q++)
			ctl_nearest_try(&nearest, ctl_option_name(q, buf));
	}
	for (const struct ctl_global *g = ctl_globals; g->name; g++)
		ctl_nearest_try(&nearest, g->name);
	if (!method)
		return USAGE(p->err,
			     "there is no option %s before NOUN and VERB%s%s; see sluicectl"
			     " --help",
			     typed, *nearest.word ? "; did you mean --" : "", nearest.word);
	spoken(method, what, sizeof(what));
	if (*nearest.word)
		return USAGE(p->err, "%s has no option %s; did you mean --%s?", what, typed,
			     nearest.word);
	return USAGE(p->err, "%s has no option %s; see sluicectl %s --help", what, typed, what);
}

/* What is no JSON is the name of a file with it. */
static bool
is_file(const struct param *param, const char *text)
{
	return (param->type == PARAM_OBJECT || param->type == PARAM_OBJECTS) && *text &&
	       !strchr("{[", *text);
}

/* Keeps the value of a parameter; lists may come in pieces. */
static int
add_value(struct parser *p, const struct param *param, bool is_own, const char *text)
{
	json_t *object = is_own ? p->request->options : p->request->params;
	json_t *before = json_object_get(object, param->name);
	char buf[CTL_WORD_SIZE];
	json_t *value;

	if ((before && !(ctl_param_is_list(param) && json_is_array(before))) ||
	    json_object_get(p->request->files, param->name))
		return USAGE(p->err, "--%s is given twice", ctl_option_name(param, buf));
	if (is_file(param, text))
		return json_object_set_new(p->request->files, param->name, json_string(text));
	value = schema_value(param, text, p->err);
	if (!value)
		return -EINVAL;
	if (before) {
		json_array_extend(before, value);
		json_decref(value);
	} else {
		json_object_set_new(object, param->name, value);
	}
	return 0;
}

/* The value of an option: behind '=', or the next word. NULL: there is none. */
static const char *
option_value(struct parser *p, const char *behind)
{
	if (*behind == '=')
		return behind + 1;
	if (p->at < p->argc && strncmp(p->argv[p->at], "--", 2))
		return p->argv[p->at++];
	return NULL;
}

static int
needs_value(struct parser *p, const char *option, const char *help)
{
	return USAGE(p->err, "--%s needs a value: %s", option, help);
}

/* Whether a word here could be the argument. */
static bool
lacks_arg(const struct ctl_request *request)
{
	const struct param *arg = ctl_method_arg(request->method);

	return arg && (ctl_param_is_list(arg) || !json_object_get(request->params, arg->name));
}

/* A flag may be followed by "true" or "false". Any other word is the argument, where that lacks, or
 * else a bad value. */
static const char *
flag_value(struct parser *p, const char *behind)
{
	const char *next = p->at < p->argc ? p->argv[p->at] : "-";

	if (*behind == '=')
		return behind + 1;
	if (strcmp(next, "true") && strcmp(next, "false") &&
	    (*next == '-' || lacks_arg(p->request)))
		return "true";
	p->at++;
	return next;
}

static int
take_global(struct parser *p, const struct ctl_global *global, const char *value)
{
	struct ctl_request *request = p->request;

	if (global->value && (!value || !*value))
		return needs_value(p, global->name, global->help);
	if (!global->value && value)
		return USAGE(p->err, "--%s takes no value", global->name);
	switch (global->letter) {
	case 's':
		request->control = value;
		break;
	case 'p':
		request->params_file = value;
		break;
	case 'j':
		request->json = true;
		break;
	case 'h':
		request->help = true;
		break;
	case 'V':
		request->version = true;
		break;
	}
	return 0;
}

/* "-s PATH", "-sPATH", "-h", "-V". */
static int
take_letter(struct parser *p, const char *word)
{
	for (const struct ctl_global *g = ctl_globals; g->name; g++) {
		if (g->letter != word[1])
			continue;
		if (g->value)
			return take_global(p, g, word[2] ? word + 2 : option_value(p, ""));
		if (!word[2])
			return take_global(p, g, NULL);
	}
	return unknown_option(p, word, strlen(word));
}

/* The parameter or option that --`option` means here, NULL: none. */
static const struct param *
find_param(struct parser *p, const char *option, bool *is_own)
{
	struct ctl_request *request = p->request;
	const struct method *only;
	const struct param *param;

	if (request->method)
		return ctl_method_param(request->method, option, is_own);
	/* "events --types x" needs no verb, where there is but one. */
	only = request->noun ? ctl_method_only(request->noun) : NULL;
	param = only ? ctl_method_param(only, option, is_own) : NULL;
	if (param)
		request->method = only;
	return param;
}

static int
take_long(struct parser *p, const char *word)
{
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	const char *behind = name + len, *value;
	const struct param *param;
	char option[CTL_WORD_SIZE];
	bool is_own;

	snprintf(option, sizeof(option), "%.*s", (int)len, name);
	param = len < sizeof(option) ? find_param(p, option, &is_own) : NULL;
	if (!param) {
		for (const struct ctl_global *g = ctl_globals; g->name; g++)
			if (!strcmp(g->name, option))
				return take_global(p, g,
						   g->value || *behind ? option_value(p, behind) :
									 NULL);
		return unknown_option(p, word, 2 + len);
	}
	value = param->type == PARAM_BOOL ? flag_value(p, behind) : option_value(p, behind);
	if (!value)
		return needs_value(p, option, param->help);
	return add_value(p, param, is_own, value);
}

static int
take_arg(struct parser *p, const char *word)
{
	const struct method *method = p->request->method;
	const struct param *arg = ctl_method_arg(method);
	char what[2 * CTL_WORD_SIZE];

	spoken(method, what, sizeof(what));
	if (!arg)
		return USAGE(p->err, "%s takes no argument, and \"%s\" is one", what, word);
	if (!ctl_param_is_list(arg) && json_object_get(p->request->params, arg->name))
		return USAGE(p->err, "%s takes one %s, and \"%s\" is one too many", what, arg->name,
			     word);
	return add_value(p, arg, false, word);
}

/* A word that is no option: the noun, then the verb, then the argument. */
static int
take_word(struct parser *p, const char *word)
{
	struct ctl_request *request = p->request;

	if (!request->noun && !strcmp(word, "help")) {
		request->help = true;
		return 0;
	}
	if (!request->noun) {
		if (!ctl_noun_exists(word))
			return unknown_noun(p, word);
		request->noun = word;
		request->method = ctl_method_find(word, "");
		return 0;
	}
	if (!request->method) {
		request->method = ctl_method_find(request->noun, word);
		return request->method ? 0 : unknown_verb(p, request->noun, word);
	}
	return take_arg(p, word);
}

/* All words are read: is it whole? */
static int
check_whole(struct parser *p)
{
	struct ctl_request *request = p->request;
	const struct param *arg;
	char what[2 * CTL_WORD_SIZE], option[CTL_WORD_SIZE];

	if (request->help || request->version)
		return 0;
	if (!request->noun)
		return USAGE(p->err, "say what to do: sluicectl --help shows what there is");
	if (!request->method)
		request->method = ctl_method_only(request->noun);
	if (!request->method)
		return unknown_verb(p, request->noun, "");
	arg = ctl_method_arg(request->method);
	spoken(request->method, what, sizeof(what));
	request->text = NULL;
	for (const struct param *q = request->method->params; q->name; q++)
		if (q->required && q->type == PARAM_TEXT &&
		    !json_object_get(request->params, q->name))
			request->text = q;
		else if (q->required && !json_object_get(request->params, q->name) &&
			 !json_object_get(request->files, q->name))
			return USAGE(p->err, "%s needs %s%s: %s (see sluicectl %s --help)", what,
				     q == arg ? "a " : "--", ctl_option_name(q, option), q->help,
				     what);
	return ctl_method_is_own(request->method) || request->text ||
			       json_object_size(request->files) > 0 ?
		       0 :
		       schema_check(request->method, request->params, p->err);
}

int
ctl_args_parse(int argc, char *const *argv, struct ctl_request *request, struct err *err)
{
	struct parser p = {.argc = argc, .at = 1, .argv = argv, .request = request, .err = err};
	bool options_end = false;
	int rc = 0;

	*request = (struct ctl_request){.control = ctl_args_default_control(),
					.params = json_object(),
					.options = json_object(),
					.files = json_object()};
	while (rc == 0 && p.at < argc) {
		const char *word = argv[p.at++];

		if (!options_end && !strcmp(word, "--"))
			options_end = true;
		else if (!options_end && word[0] == '-' && word[1])
			rc = word[1] == '-' ? take_long(&p, word) : take_letter(&p, word);
		else
			rc = take_word(&p, word);
	}
	return rc < 0 || request->params_file ? rc : check_whole(&p);
}

/* Only one thing can be read from the standard input. */
static int
take_stdin(struct parser *p, const char *path, const char *what)
{
	if (strcmp(path, "-") != 0)
		return 0;
	if (p->request->stdin_taken)
		return USAGE(p->err,
			     "%s cannot be read from the standard input, which something else"
			     " is read from",
			     what);
	p->request->stdin_taken = true;
	return 0;
}

static int
read_params(struct parser *p)
{
	struct ctl_request *request = p->request;

	if (request->method && ctl_method_is_own(request->method))
		return USAGE(p->err, "%s takes no --params", request->noun);
	if (take_stdin(p, request->params_file, "--params") < 0)
		return -EINVAL;
	return ctl_params_read(request->params_file, request->params, p->err);
}

/* The value of a parameter. It may be wrapped as results are: the map of {"map": {...}}. */
static int
read_file(struct parser *p, const char *name, const char *path)
{
	char what[CTL_WORD_SIZE + 2], option[CTL_WORD_SIZE];
	bool is_own;
	const struct param *param = ctl_method_param(p->request->method, name, &is_own);
	json_t *value, *inner;

	snprintf(what, sizeof(what), "--%s", ctl_option_name(param, option));
	if (json_object_get(p->request->params, name))
		return USAGE(p->err, "%s is given twice", what);
	if (take_stdin(p, path, what) < 0)
		return -EINVAL;
	value = ctl_params_json(path, what, p->err);
	if (!value)
		return -EINVAL;
	inner = json_object_size(value) == 1 ? json_object_get(value, name) : NULL;
	if (inner)
		json_object_set(p->request->params, name, inner);
	else
		json_object_set(p->request->params, name, value);
	json_decref(value);
	value = json_object_get(p->request->params, name);
	if (param->type == PARAM_OBJECTS && json_is_object(value))
		json_object_set_new(p->request->params, name, json_pack("[O]", value));
	return 0;
}

static int
read_files(struct parser *p)
{
	const char *name;
	json_t *path;

	json_object_foreach(p->request->files, name, path)
	{
		int rc = read_file(p, name, json_string_value(path));

		if (rc < 0)
			return rc;
	}
	return json_object_clear(p->request->files);
}

static int
read_text(struct parser *p)
{
	const struct param *param = p->request->text;
	json_t *text;

	if (isatty(STDIN_FILENO))
		return USAGE(p->err, "%s: %s is wanted on the standard input", param->name,
			     param->help);
	if (take_stdin(p, "-", param->name) < 0)
		return -EINVAL;
	text = ctl_params_text("-", param->name, p->err);
	if (!text)
		return -EINVAL;
	return json_object_set_new(p->request->params, param->name, text);
}

int
ctl_args_read(struct ctl_request *request, struct err *err)
{
	struct parser p = {.request = request, .err = err};
	bool has_file = request->params_file || json_object_size(request->files) > 0;
	int rc = request->params_file ? read_params(&p) : 0;

	if (rc == 0)
		rc = read_files(&p);
	if (rc == 0 && has_file)
		rc = check_whole(&p);
	if (rc == 0 && request->text) {
		rc = read_text(&p);
		if (rc == 0)
			rc = check_whole(&p);
	}
	return rc;
}

void
ctl_args_free(struct ctl_request *request)
{
	json_decref(request->params);
	json_decref(request->options);
	json_decref(request->files);
	request->params = request->options = request->files = NULL;
}
