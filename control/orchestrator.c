/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/orchestrator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/schema.h"

#define REFUSE(param, err, ...) err_set_param(err, EINVAL, "bad-parameter", param, __VA_ARGS__)

int
orchestrator_check_details(const json_t *details, const char *param, struct err *err)
{
	size_t i;
	json_t *entry;

	if (!details || json_is_null(details) || json_is_object(details))
		return 0;
	if (!json_is_array(details))
		return REFUSE(param, err, "%s.details must be an object, or a list of {key, value}",
			      param);
	json_array_foreach(details, i, entry)
	{
		if (!json_is_string(json_object_get(entry, "key")))
			return REFUSE(param, err,
				      "%s.details: each entry of a list must be {key, value}",
				      param);
	}
	return 0;
}

bool
orchestrator_has_detail(const json_t *details, const char *key)
{
	size_t i;
	json_t *entry;

	json_array_foreach(details, i, entry)
	{
		if (!strcmp(json_string_value(json_object_get(entry, "key")), key))
			return true;
	}
	return json_object_get(details, key) != NULL;
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
		const char *digits = text + strspn(text, "-");

		if (digits - text > 1 || digits[strspn(digits, "0123456789")] ||
		    (digits > text && !*digits))
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
