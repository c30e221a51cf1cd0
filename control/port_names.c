/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/port_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "csdpdk-"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

/* The number of a name of the sequence, in digits without leading zeros ("": 0), as it may have more
 * of them than any integer. NULL: it only looks alike. */
static const char *
digits_of(const char *name)
{
	const char *digits;

	if (!name || strlen(name) >= PORT_NAMES_SIZE || strncmp(name, PREFIX, PREFIX_LEN) != 0)
		return NULL;
	digits = name + PREFIX_LEN;
	if (!*digits || digits[strspn(digits, "0123456789")])
		return NULL;
	return digits + strspn(digits, "0");
}

static int
compare(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);

	return a_len != b_len ? (a_len > b_len ? 1 : -1) : strcmp(a, b);
}

int
port_names_next(const json_t *names, char name[PORT_NAMES_SIZE], struct err *err)
{
	char sum[PORT_NAMES_SIZE + 1]; /* a digit more than the highest */
	const char *highest = "";
	size_t i, last;
	json_t *value;

	json_array_foreach(names, i, value)
	{
		const char *digits = digits_of(json_string_value(value));

		if (digits && compare(digits, highest) > 0)
			highest = digits;
	}
	snprintf(sum, sizeof(sum), "0%s", highest);
	for (last = strlen(sum) - 1; sum[last] == '9'; last--)
		sum[last] = '0';
	sum[last]++;
	if (snprintf(name, PORT_NAMES_SIZE, PREFIX "%s", sum + (sum[0] == '0')) >= PORT_NAMES_SIZE)
		return err_set(err, ENOSPC, "no-name-left",
			       "no name comes behind " PREFIX
			       "%s; detach that port, or give a name",
			       highest);
	return 0;
}

json_t *
port_names_answer(const json_t *params, struct err *err)
{
	char name[PORT_NAMES_SIZE];

	if (port_names_next(json_object_get(params, "existing"), name, err) < 0)
		return NULL;
	return json_pack("{s:s}", "name", name);
}
