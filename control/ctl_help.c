/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_help.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl_methods.h"
#include "control/ctl_text.h"

#define TEXT_COLUMN 30 /* where explanations begin */

static size_t
text_width(const struct ctl_screen *screen)
{
	return screen->width == 0 || screen->width > 100 ? 80 : screen->width;
}

/* A term and its explanation beside it; the term gets a line of its own if it is long. */
static void
print_item(const struct ctl_screen *screen, const char *term, const char *text)
{
	int used = fprintf(screen->out, "  %s", term);

	if (used > TEXT_COLUMN - 2)
		used = fprintf(screen->out, "\n") - 1;
	fprintf(screen->out, "%*s", TEXT_COLUMN - used, "");
	ctl_screen_wrap(screen, TEXT_COLUMN, text_width(screen), text);
}

static void print_title(const struct ctl_screen *screen, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
print_title(const struct ctl_screen *screen, const char *fmt, ...)
{
	va_list ap;

	fputs(ctl_colour_on(screen, CTL_BOLD), screen->out);
	va_start(ap, fmt);
	vfprintf(screen->out, fmt, ap);
	va_end(ap);
	fprintf(screen->out, "%s\n", ctl_colour_off(screen, CTL_BOLD));
}

/* What stands for a parameter's value: "NAME", "1..4094", "server|client". Freed by the caller. */
static char *
placeholder(const struct param *param)
{
	char *text;

	switch (param->type) {
	case PARAM_INT:
		return ctl_text_format("%lld..%lld", (long long)param->min, (long long)param->max);
	case PARAM_NODE:
		return ctl_text_format("auto|0..%lld", (long long)param->max);
	case PARAM_LCORES:
		return ctl_text_format("auto|1..%lld,...", (long long)param->max);
	case PARAM_MACS:
		return ctl_text_format("MAC,...");
	case PARAM_VLANS:
		return ctl_text_format("VLAN,...");
	case PARAM_BOOL:
		return ctl_text_format("[true|false]");
	case PARAM_OBJECT:
		return ctl_text_format("JSON|FILE");
	case PARAM_OBJECTS:
		return ctl_text_format("JSON|FILE");
	case PARAM_ENUM:
		text = ctl_text_format("%s", param->words);
		for (char *c = text; *c; c++)
			if (*c == ' ')
				*c = '|';
		return text;
	case PARAM_NAME:
	case PARAM_STRING:
	case PARAM_WORDS:
	case PARAM_NAMES:
	case PARAM_TEXT:
	case PARAM_ANY:
		break;
	}
	text = ctl_text_format("%s%s", param->of == OF_SOCKET ? "path" : param->name,
			       param->type == PARAM_WORDS || param->type == PARAM_NAMES ? ",..." :
											  "");
	for (char *c = text; *c; c++)
		*c = *c == '_' ? '-' : toupper((unsigned char)*c);
	return text;
}

/* "port attach NAME --bridge BRIDGE": what has to be said. Freed by the caller. */
static char *
synopsis(const struct method *method)
{
	const struct param *arg = ctl_method_arg(method);
	char noun[CTL_WORD_SIZE], verb[CTL_WORD_SIZE], option[CTL_WORD_SIZE];
	char *line = ctl_text_format("%s%s%s", ctl_method_noun(method, noun),
				     *ctl_method_verb(method, verb) ? " " : "", verb);

	for (const struct param *p = method->params; p->name; p++) {
		char *value, *longer;

		if (p != arg && !p->required)
			continue;
		value = placeholder(p);
		if (p != arg)
			longer = ctl_text_format("%s --%s %s", line, ctl_option_name(p, option),
						 value);
		else
			longer = ctl_text_format(p->required ? "%s %s" : "%s [%s]", line, value);
		free(line);
		free(value);
		line = longer;
	}
	return line;
}

static void
print_param(const struct ctl_screen *screen, const struct param *param, bool is_arg)
{
	char option[CTL_WORD_SIZE];
	char *value = placeholder(param);
	char *term = is_arg ? ctl_text_format("%s", value) :
			      ctl_text_format("--%s%s%s", ctl_option_name(param, option),
					      *value ? " " : "", value);
	char *text = ctl_text_format("%s%s%s%s%s%s%s", param->help,
				     param->required && !is_arg ? " (needed)" : "",
				     param->type == PARAM_WORDS && param->words ? ": " : "",
				     param->type == PARAM_WORDS && param->words ? param->words : "",
				     param->dflt ? " [" : "", param->dflt ? param->dflt : "",
				     param->dflt ? "]" : "");

	print_item(screen, term, text);
	free(value);
	free(term);
	free(text);
}

static void
print_globals(const struct ctl_screen *screen)
{
	for (const struct ctl_global *g = ctl_globals; g->name; g++) {
		char *term = ctl_text_format("-%c, --%s%s%s", g->letter, g->name,
					     g->value ? " " : "", g->value ? g->value : "");

		print_item(screen, term, g->help);
		free(term);
	}
}

static void
print_method(const struct ctl_screen *screen, const struct method *method)
{
	const struct param *arg = ctl_method_arg(method);
	const struct param *options = ctl_method_options(method);
	char *line = synopsis(method);
	bool has_options = options->name || (arg && (arg != method->params || arg[1].name));

	print_title(screen, "sluicectl %s%s", line, has_options ? " [--option value]..." : "");
	fprintf(screen->out, "%s\n\n", method->help);
	if (arg)
		print_param(screen, arg, true);
	for (const struct param *p = method->params; p->name; p++)
		if (p != arg)
			print_param(screen, p, false);
	for (const struct param *p = options; p->name; p++)
		print_param(screen, p, false);
	if (arg || has_options)
		fputc('\n', screen->out);
	print_globals(screen);
	if (ctl_method_example(method))
		fprintf(screen->out, "\nexample:\n  %s\n", ctl_method_example(method));
	free(line);
}

/* The methods of a noun, one a line. */
static void
print_verbs(const struct ctl_screen *screen, const char *noun)
{
	const struct method *method;
	char buf[CTL_WORD_SIZE];

	print_title(screen, "%s: %s", noun, ctl_noun_help(noun));
	for (size_t i = 0; (method = ctl_method_at(i)); i++) {
		char *line;

		if (strcmp(ctl_method_noun(method, buf), noun))
			continue;
		line = synopsis(method);
		print_item(screen, line, method->help);
		free(line);
	}
}

static void
print_noun(const struct ctl_screen *screen, const char *noun)
{
	const struct method *method;
	char buf[CTL_WORD_SIZE];

	print_verbs(screen, noun);
	fprintf(screen->out, "\nexamples:\n");
	for (size_t i = 0; (method = ctl_method_at(i)); i++)
		if (!strcmp(ctl_method_noun(method, buf), noun) && ctl_method_example(method))
			fprintf(screen->out, "  %s\n", ctl_method_example(method));
	fprintf(screen->out, "\nsluicectl %s VERB --help explains one with its options.\n", noun);
}

static void
print_all(const struct ctl_screen *screen)
{
	char noun[CTL_WORD_SIZE];

	print_title(screen, "sluicectl [-s SOCKET] [--json] NOUN VERB [ARG] [--option value]...");
	fprintf(screen->out, "steers sluiced, the vhost-user switch, through its control"
			     " socket.\n\n");
	for (size_t i = 0; ctl_noun_at(i, noun); i++)
		print_verbs(screen, noun);
	fputc('\n', screen->out);
	print_globals(screen);
	fprintf(screen->out,
		"\nfirst steps, with sluiced running:\n"
		"  sluicectl bridge add br0\n"
		"  sluicectl port attach vm1 --bridge br0\n"
		"  sluicectl port attach vm2 --bridge br0\n"
		"  sluicectl port get vm1      (shows the socket that QEMU wants)\n"
		"  sluicectl top\n"
		"\nsluicectl NOUN --help and sluicectl NOUN VERB --help tell more;"
		" the manual is sluicectl(1).\n"
		"exit status: 0 done, 1 refused by sluiced, 2 wrong usage, 3 sluiced not"
		" reached\n");
}

void
ctl_help_print(const struct ctl_screen *screen, const struct ctl_request *request)
{
	if (request->method)
		print_method(screen, request->method);
	else if (request->noun)
		print_noun(screen, request->noun);
	else
		print_all(screen);
}
