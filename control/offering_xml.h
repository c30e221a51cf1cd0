/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_OFFERING_XML_H
#define CONTROL_OFFERING_XML_H

#include <jansson.h>
#include <libxml/tree.h>
#include <stdbool.h>

#include "numa/err.h"

/* The XML of extra configurations. Pure. Thread: any. */

/* Whether a <memoryBacking> says itself that the guest's memory is shared (<access mode='shared'/>). */
bool offering_xml_shares(const char *backing);

/*
 * Whether an extra configuration is XML, and what its key says: one <cpu> all of whose memory is
 * shared (`shared`: it is, unless it says otherwise), or one <memoryBacking> by hugepages or a memfd.
 * Errors: -EINVAL with what the guest would suffer; codes "bad-xml", "wrong-element",
 * "no-shared-memory".
 */
int offering_xml_check(const char *key, const char *text, bool shared, struct err *why);

/* The elements of an extra configuration, in a document of their own, for the caller to xmlFreeDoc().
 * `name`: there must be one, and its name; NULL: any. NULL with *err set: codes "bad-xml",
 * "wrong-element", which blame `param` and `key`. */
xmlDoc *offering_xml_read(const char *text, const char *name, const char *param, const char *key,
			  struct err *err);

#endif
