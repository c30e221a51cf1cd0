/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_XML_PIECE_H
#define CONTROL_XML_PIECE_H

#include <jansson.h>
#include <libxml/tree.h>

#include "numa/err.h"

/* Pieces of a document, as careful with what they are given as xml_doc.h. Pure. Thread: any. */

#define XML_PIECE_BYTES_MAX 65536

/*
 * Adds the elements that a piece holds to the children of `parent`, and to its namespaces. Between
 * them there may be blanks and comments, which are left out, and nothing else. Errors: -EINVAL (code
 * "bad-xml", `param`, and `key`, which the sentence names together with line and column); then nothing
 * is added.
 */
int xml_piece_add(xmlNode *parent, const char *text, const char *param, const char *key,
		  struct err *err);

/* An element as text, a new reference. NULL: no memory. */
json_t *xml_piece_text(xmlNode *element);

#endif
