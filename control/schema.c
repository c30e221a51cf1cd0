/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Bounds of datapath/dp.h, which sluicectl does not know. */
#define NAME_LEN_MAX 63
#define SOCKET_LEN_MAX 107

const struct method *
schema_find(const char *name)
{
	for (const struct method *m = schema_methods; m->name; m++)
		if (!strcmp(m->name, name))
			return m;
	return NULL;
}

static const struct param *
param_find(const struct method *method, const char *name)
{
	for (const struct param *p = method->params; p->name; p++)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool
schema_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > NAME_LEN_MAX || !(is_alnum(name[0]) || name[0] == '_'))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_alnum(name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

bool
schema_mac_parse(const char *text, uint8_t mac[6])
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";

	for (int i = 0; i < 6; i++, text += 3) {
		const char *high = text[0] ? strchr(digits, text[0]) : NULL;
		const char *low = high && text[1] ? strchr(digits, text[1]) : NULL;

		if (!low || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac[i] = (high - digits) % 16 << 4 | (low - digits) % 16;
	}
	return true;
}

/* Those of Latin-1 are U+0080 to U+009F. They would reach terminals and logs. */
bool
schema_has_control(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f))
			return true;
	return false;
}

static bool
is_one_of(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; *at; at += *at == ' ') {
		size_t n = strcspn(at, " ");

		if (n == len && !memcmp(at, word, n))
			return true;
		at += n;
	}
	return false;
}

#define REFUSE(p, err, ...) err_set_param(err, EINVAL, "bad-parameter", (p)->name, __VA_ARGS__)

static int
check_int(const struct param *p, const json_t *value, struct err *err)
{
	if (!json_is_integer(value) || json_integer_value(value) < p->min ||
	    json_integer_value(value) > p->max)
		return REFUSE(p, err, "%s must be a whole number from %lld to %lld", p->name,
			      (long long)p->min, (long long)p->max);
	return 0;
}

static int
check_string(const struct param *p, const json_t *value, struct err *err)
{
	if (!json_is_string(value))
		return REFUSE(p, err, "%s must be text", p->name);
	if (json_string_length(value) < 1 || json_string_length(value) > (size_t)p->max)
		return REFUSE(p, err, "%s must have 1 to %lld bytes, it has %zu", p->name,
			      p->of == OF_SOCKET ? SOCKET_LEN_MAX : (long long)p->max,
			      json_string_length(value));
	if (schema_has_control(json_string_value(value)))
		return REFUSE(p, err, "%s must not contain control characters", p->name);
	return 0;
}

static int
check_name(const struct param *p, const json_t *value, struct err *err)
{
	if (!json_is_string(value) || !schema_name_ok(json_string_value(value)))
		return REFUSE(p, err,
			      "%s must have 1 to %d letters, digits, '_', '.' or '-' and begin with"
			      " a letter, digit or '_'",
			      p->name, NAME_LEN_MAX);
	return 0;
}

static int
check_enum(const struct param *p, const json_t *value, struct err *err)
{
	if (!json_is_string(value) || !is_one_of(p->words, json_string_value(value)))
		return REFUSE(p, err, "%s must be one of: %s", p->name, p->words);
	return 0;
}

static int
check_mac(const struct param *p, const json_t *value, struct err *err)
{
	uint8_t mac[6];
	const char *text = json_string_value(value);

	if (!text || !schema_mac_parse(text, mac))
		return REFUSE(p, err, "%s must be MAC addresses such as 52:54:00:12:34:56",
			      p->name);
	if (mac[0] & 1)
		return REFUSE(p, err, "%s: %s is a group address; a guest needs its own", p->name,
			      text);
	if (!memcmp(mac, (uint8_t[6]){0}, 6))
		return REFUSE(p, err, "%s must not be 00:00:00:00:00:00", p->name);
	return 0;
}

/* An element of a PARAM_WORDS list. */
static int
check_word(const struct param *p, const json_t *value, struct err *err)
{
	if (p->words)
		return check_enum(p, value, err);
	if (!json_is_string(value) || json_string_length(value) < 1 ||
	    json_string_length(value) > NAME_LEN_MAX ||
	    schema_has_control(json_string_value(value)))
		return REFUSE(p, err, "%s must be a list of words of 1 to %d bytes", p->name,
			      NAME_LEN_MAX);
	return 0;
}

/* A list of texts that are all different. */
static int
check_list(const struct param *p, const json_t *value, size_t max,
	   int (*check)(const struct param *, const json_t *, struct err *), struct err *err)
{
	size_t i;
	json_t *element;

	if (!json_is_array(value))
		return REFUSE(p, err, "%s must be a list", p->name);
	if (json_array_size(value) > max)
		return REFUSE(p, err, "%s may have at most %zu entries, it has %zu", p->name, max,
			      json_array_size(value));
	json_array_foreach(value, i, element)
	{
		int rc = check(p, element, err);

		if (rc < 0)
			return rc;
		for (size_t k = 0; k < i; k++)
			/* Case makes no difference to a MAC; nothing else in a list has any. */
			if (!strcasecmp(json_string_value(json_array_get(value, k)),
					json_string_value(element)))
				return REFUSE(p, err, "%s names %s twice", p->name,
					      json_string_value(element));
	}
	return 0;
}

/* Line ends and tabs may be in it, and whoever reads it finds what else is wrong. */
static int
check_text(const struct param *p, const json_t *value, struct err *err)
{
	if (!json_is_string(value))
		return REFUSE(p, err, "%s must be text", p->name);
	if (json_string_length(value) > (size_t)p->max)
		return REFUSE(p, err, "%s may have at most %lld bytes, it has %zu", p->name,
			      (long long)p->max, json_string_length(value));
	return 0;
}

/* A list whose elements are all of a type. */
static int
check_elements(const struct param *p, const json_t *value, json_type type, const char *what,
	       struct err *err)
{
	size_t i;
	json_t *element;

	if (!json_is_array(value))
		return REFUSE(p, err, "%s must be a list of %s", p->name, what);
	if (json_array_size(value) > (size_t)p->max)
		return REFUSE(p, err, "%s may have at most %lld entries, it has %zu", p->name,
			      (long long)p->max, json_array_size(value));
	json_array_foreach(value, i, element)
	{
		if (json_typeof(element) != type)
			return REFUSE(p, err, "%s must be a list of %s", p->name, what);
	}
	return 0;
}

/* A bitmap, as thousands of VLANs would take a list that is compared all against all too long. */
static int
check_vlans(const struct param *p, const json_t *value, struct err *err)
{
	bool seen[SCHEMA_VLAN_ID_MAX + 1] = {false};
	size_t i;
	json_t *element;

	if (!json_is_array(value))
		return REFUSE(p, err, "%s must be a list of VLAN ids", p->name);
	json_array_foreach(value, i, element)
	{
		if (check_int(p, element, err) < 0)
			return -EINVAL;
		if (seen[json_integer_value(element)])
			return REFUSE(p, err, "%s names VLAN %lld twice", p->name,
				      (long long)json_integer_value(element));
		seen[json_integer_value(element)] = true;
	}
	return 0;
}

static int
check_node(const struct param *p, const json_t *value, struct err *err)
{
	if (json_is_string(value) && !strcmp(json_string_value(value), "auto"))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > p->max)
		return REFUSE(p, err, "%s must be \"auto\" or a memory node from 0 to %lld",
			      p->name, (long long)p->max);
	return 0;
}

static int
check_lcore(const struct param *p, const json_t *value, struct err *err)
{
	if (json_is_null(value) ||
	    (json_is_string(value) && !strcmp(json_string_value(value), "auto")) ||
	    (json_is_integer(value) && json_integer_value(value) >= p->min &&
	     json_integer_value(value) <= p->max))
		return 0;
	return REFUSE(p, err, "%s must be \"auto\", an lcore from %lld to %lld, or a list of these",
		      p->name, (long long)p->min, (long long)p->max);
}

static int
check_lcores(const struct param *p, const json_t *value, struct err *err)
{
	size_t i;
	json_t *element;

	if (!json_is_array(value))
		return check_lcore(p, value, err);
	if (json_array_size(value) < 1 || json_array_size(value) > SCHEMA_QUEUES_MAX)
		return REFUSE(p, err, "%s may have 1 to %d entries, it has %zu", p->name,
			      SCHEMA_QUEUES_MAX, json_array_size(value));
	json_array_foreach(value, i, element)
	{
		if (check_lcore(p, element, err) < 0)
			return -EINVAL;
	}
	return 0;
}

static int
check_value(const struct param *p, const json_t *value, struct err *err)
{
	switch (p->type) {
	case PARAM_NAME:
		return check_name(p, value, err);
	case PARAM_STRING:
		return check_string(p, value, err);
	case PARAM_INT:
		return check_int(p, value, err);
	case PARAM_BOOL:
		if (!json_is_boolean(value))
			return REFUSE(p, err, "%s must be true or false", p->name);
		return 0;
	case PARAM_ENUM:
		return check_enum(p, value, err);
	case PARAM_MACS:
		if (json_is_array(value))
			return check_list(p, value, p->max, check_mac, err);
		return check_mac(p, value, err);
	case PARAM_VLANS:
		return check_vlans(p, value, err);
	case PARAM_NODE:
		return check_node(p, value, err);
	case PARAM_LCORES:
		return check_lcores(p, value, err);
	case PARAM_WORDS:
		return check_list(p, value, p->max, check_word, err);
	case PARAM_TEXT:
		return check_text(p, value, err);
	case PARAM_ANY:
		return 0;
	case PARAM_OBJECT:
		if (!json_is_object(value))
			return REFUSE(p, err, "%s must be an object", p->name);
		return 0;
	case PARAM_OBJECTS:
		return check_elements(p, value, JSON_OBJECT, "objects", err);
	case PARAM_NAMES:
		return check_elements(p, value, JSON_STRING, "names", err);
	}
	return REFUSE(p, err, "%s cannot be checked", p->name);
}

int
schema_check(const struct method *method, const json_t *params, struct err *err)
{
	const char *name;
	json_t *value;

	if (params && !json_is_object(params))
		return err_set_param(err, EINVAL, "bad-parameter", "params",
				     "params must be an object with named parameters");
	json_object_foreach((json_t *)params, name, value)
	{
		const struct param *p = param_find(method, name);
		int rc;

		if (!p)
			return err_set_param(err, EINVAL, "bad-parameter", name,
					     "%s has no parameter \"%.*s\"", method->name,
					     NAME_LEN_MAX, name);
		rc = check_value(p, value, err);
		if (rc < 0)
			return rc;
	}
	for (const struct param *p = method->params; p->name; p++)
		if (p->required && !json_object_get(params, p->name))
			return REFUSE(p, err, "%s needs the parameter \"%s\"", method->name,
				      p->name);
	return 0;
}

static json_t *
int_of_text(const char *text)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end || !strchr("-0123456789", *text))
		return NULL;
	return json_integer(n);
}

/* "2" -> 2, "auto" -> "auto" */
static json_t *
int_or_word(const char *text)
{
	json_t *value = int_of_text(text);

	return value ? value : json_string(text);
}

/* "a,b" -> the list ["a", "b"], each as `read` makes it; "" -> []. NULL: one that it does not read. */
static json_t *
list_of_text(const char *text, json_t *(*read)(const char *word))
{
	json_t *list = json_array();

	while (*text) {
		size_t n = strcspn(text, ",");
		char *word = strndup(text, n);

		if (json_array_append_new(list, read(word)) < 0) {
			free(word);
			json_decref(list);
			return NULL;
		}
		free(word);
		text += n + (text[n] == ',');
	}
	return list;
}

json_t *
schema_value(const struct param *param, const char *text, struct err *err)
{
	json_t *value = NULL;

	switch (param->type) {
	case PARAM_INT:
		value = int_of_text(text);
		break;
	case PARAM_BOOL:
		if (!strcmp(text, "true") || !strcmp(text, "false"))
			value = json_boolean(text[0] == 't');
		break;
	case PARAM_NODE:
		value = int_or_word(text);
		break;
	case PARAM_LCORES:
		value = strchr(text, ',') ? list_of_text(text, int_or_word) : int_or_word(text);
		if (!value) /* no text; null would be "auto" */
			value = json_string("");
		break;
	case PARAM_VLANS:
		value = list_of_text(text, int_of_text);
		break;
	case PARAM_MACS:
	case PARAM_WORDS:
	case PARAM_NAMES:
		value = list_of_text(text, json_string);
		break;
	case PARAM_OBJECT:
	case PARAM_OBJECTS:
		value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		if (param->type == PARAM_OBJECTS && json_is_object(value))
			value = json_pack("[o]", value);
		break;
	case PARAM_NAME:
	case PARAM_STRING:
	case PARAM_ENUM:
	case PARAM_TEXT:
	case PARAM_ANY:
		value = json_string(text);
		break;
	}
	/* A word that makes no value at all is refused in the words of the type that it missed. */
	if (!value)
		value = json_null();
	if (check_value(param, value, err) < 0) {
		json_decref(value);
		return NULL;
	}
	return value;
}
