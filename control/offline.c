/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/offline.h"

#include <string.h>

#include "control/domain_xml.h"
#include "control/migration_check.h"
#include "control/offering.h"
#include "control/offering_interface.h"
#include "control/port_names.h"

static const struct {
	const char *name;
	const char *needs; /* a parameter without which sluiced has to be asked, or NULL */
	offline_method *carry_out;
} methods[] = {
	{"migration.check", NULL, migration_check},
	{"migration.rewrite", NULL, domain_xml_rewrite},
	{"offering.interface", NULL, offering_interface},
	{"offering.resolve", NULL, offering_resolve},
	{"offering.xml", NULL, offering_xml},
	{"port.next_name", "existing", port_names_answer},
};

offline_method *
offline_find(const char *method, const json_t *params)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(methods[i].name, method) &&
		    (!methods[i].needs || json_object_get(params, methods[i].needs)))
			return methods[i].carry_out;
	return NULL;
}
