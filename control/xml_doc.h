/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_XML_DOC_H
#define CONTROL_XML_DOC_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#include "numa/err.h"

/*
 * XML that is nobody's to trust, read with libxml2: no document type, hence no entities, nothing
 * fetched, and libxml2's limits of depth and size stay in force. Pure. Thread: any.
 */

/* The document in `len` bytes of UTF-8, for the caller to xmlFreeDoc(). NULL with *err set: code
 * "bad-xml", which blames the parameter "xml", and has it as key. */
xmlDoc *xml_doc_parse(const char *text, size_t len, struct err *err);

/* Whether each tag has few enough attributes for libxml2, which compares each with all the others. It is
 * the signs between two '<' that count, so that text must not have more of them either. */
bool xml_doc_is_fast(const char *text, size_t len);

/* The first element of that name, in any namespace, at `node` or behind it among its siblings. */
xmlNode *xml_doc_next(xmlNode *node, const char *name);

/* The first of the children, likewise. NULL: there is none, or no parent. */
xmlNode *xml_doc_child(const xmlNode *parent, const char *name);

/* libxml2's name for bytes of UTF-8. */
static inline const xmlChar *
xml_doc_utf8(const char *text)
{
	return (const xmlChar *)text;
}

#endif
