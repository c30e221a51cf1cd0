/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/orchestrator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/schema.h"

#define REFUSE(param, err, ...) err_set_param(err, EINVAL, "bad-parameter", param, __VA_ARGS__)

/* An entry of a list: {"key": ..., "value": ...}, or {name: value}. */
static int
add_entry(json_t *details, const json_t *entry, const char *param, struct err *err)
{
	const json_t *key = json_object_get(entry, "key");
	json_t *value = json_object_get(entry, "value");

	if (!json_is_object(entry) || (key && !json_is_string(key)) || (value && !key))
		return REFUSE(param, err,
			      "%s.details: each entry of a list must be {key, value}, and key text",
			      param);
	if (!key)
		return json_object_update(details, (json_t *)entry);
	return value ? json_object_set(details, json_string_value(key), value) :
		       json_object_set_new(details, json_string_value(key), json_null());
}

static int
add_entries(json_t *details, const json_t *entries, const char *param, struct err *err)
{
	const char *name;
	json_t *entry;
	size_t i;

	json_array_foreach(entries, i, entry)
	{
		if (add_entry(details, entry, param, err) < 0)
			return -EINVAL;
	}
	json_object_foreach((json_t *)entries, name, entry)
	{
		if (add_entry(details, entry, param, err) < 0)
			return -EINVAL;
	}
	return 0;
}

/* "serviceofferingdetails[3].key" -> the 3 and what is behind it; NULL: the name is not of this kind. */
static const char *
split_name(const char *name, char *index, size_t size)
{
	static const char *const kinds[] = {"details[", "serviceofferingdetails["};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i]), digits;

		if (strncmp(name, kinds[i], len) != 0)
			continue;
		digits = strspn(name + len, "0123456789");
		if (digits == 0 || digits >= size || strncmp(name + len + digits, "].", 2) != 0)
			continue;
		memcpy(index, name + len, digits);
		index[digits] = '\0';
		return name + len + digits + 2;
	}
	return NULL;
}

/* Members of an object such as "details[0].key" and "details[0].value", as the parameters of a request
 * have them. `others`: takes the other members; NULL: they are something else. */
static int
add_members(json_t *details, json_t *others, const json_t *object, const char *param,
	    struct err *err)
{
	json_t *entries = json_object(), *value;
	const char *name;
	int rc;

	json_object_foreach((json_t *)object, name, value)
	{
		char index[16];
		const char *member = split_name(name, index, sizeof(index));

		if (!member) {
			json_object_set(others, name, value);
			continue;
		}
		if (!json_object_get(entries, index))
			json_object_set_new(entries, index, json_object());
		json_object_set(json_object_get(entries, index), member, value);
	}
	rc = add_entries(details, entries, param, err);
	json_decref(entries);
	return rc;
}

/* What is under one name: an object, a list of entries, or nothing. */
static int
add_details(json_t *details, const json_t *more, const char *param, struct err *err)
{
	if (!more || json_is_null(more))
		return 0;
	if (json_is_array(more))
		return add_entries(details, more, param, err);
	if (json_is_object(more))
		return add_members(details, details, more, param, err);
	return REFUSE(param, err, "%s.details must be an object, or a list of {key, value}", param);
}

json_t *
orchestrator_details(const json_t *holder, const char *param, struct err *err)
{
	json_t *details = json_object();

	if (add_details(details, json_object_get(holder, "details"), param, err) < 0 ||
	    add_details(details, json_object_get(holder, "serviceofferingdetails"), param, err) <
		    0 ||
	    add_members(details, NULL, holder, param, err) < 0) {
		json_decref(details);
		return NULL;
	}
	return details;
}

const char *
orchestrator_why_ordinary(const char *type, bool has_numa, bool has_hugepages)
{
	if (type && strcmp(type, "User") != 0)
		return "not-user-vm";
	if (!has_numa && !has_hugepages)
		return "missing-both";
	if (!has_numa)
		return "missing-" ORCHESTRATOR_NUMA_KEY;
	return has_hugepages ? NULL : "missing-" ORCHESTRATOR_HUGEPAGES_KEY;
}

int
orchestrator_check_capabilities(const json_t *capabilities, const char *param, struct err *err)
{
	size_t i;
	json_t *word;

	if (!capabilities || json_is_null(capabilities) || json_is_string(capabilities))
		return 0;
	if (!json_is_array(capabilities))
		return REFUSE(param, err,
			      "%s: capabilities must be text with commas, or a list of words",
			      param);
	json_array_foreach(capabilities, i, word)
	{
		if (!json_is_string(word))
			return REFUSE(param, err, "%s: capabilities must be a list of words",
				      param);
	}
	return 0;
}

/* One of the words that commas separate, with blanks around them. */
static bool
text_has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		size_t n;

		text += strspn(text, " ");
		n = strcspn(text, ",");
		if (n >= len && !memcmp(text, word, len) && strspn(text + len, " ") == n - len)
			return true;
		if (!text[n])
			return false;
		text += n + 1;
	}
}

bool
orchestrator_has_capability(const json_t *capabilities, const char *word)
{
	size_t i;
	json_t *one;

	json_array_foreach(capabilities, i, one)
	{
		if (!strcmp(json_string_value(one), word))
			return true;
	}
	return json_is_string(capabilities) && text_has_word(json_string_value(capabilities), word);
}

int
orchestrator_vlan(const json_t *vlan, int *access, const char *param, struct err *err)
{
	const char *text = json_string_value(vlan);
	long long id = json_integer_value(vlan);

	if (text) {
		const char *digits = text + (*text == '-');

		if (!*digits || digits[strspn(digits, "0123456789")])
			return err_set_key(err, EINVAL, "bad-vlan", param, "vlan",
					   "vlan \"%.64s\" is no number; 1 to 4094 is an access VLAN,"
					   " any other number a trunk",
					   text);
		id = strtoll(text, NULL, 10);
	} else if (vlan && !json_is_integer(vlan) && !json_is_null(vlan)) {
		return err_set_key(err, EINVAL, "bad-vlan", param, "vlan",
				   "vlan must be a whole number, or a text of one");
	}
	*access = id >= 1 && id <= SCHEMA_VLAN_ID_MAX ? (int)id : 0;
	return 0;
}

bool
orchestrator_is_directory(const char *path)
{
	size_t len = strlen(path);

	return *path == '/' && !strstr(path, "/../") &&
	       (len < 3 || strcmp(path + len - 3, "/..") != 0);
}

int
orchestrator_mode(const char *mode, bool *client, const char *param, const char *key,
		  struct err *err)
{
	*client = mode && !strcasecmp(mode, "client");
	if (mode && !*client && strcasecmp(mode, "server") != 0)
		return err_set_key(err, EINVAL, "invalid-mode", param, key,
				   "%s: \"%.64s\" is no vhost-user mode; choose client or server",
				   key, mode);
	return 0;
}
