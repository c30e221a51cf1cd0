/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/xml_doc.h"

#include <errno.h>
#include <libxml/parser.h>
#include <limits.h>
#include <string.h>

#define ATTRIBUTES_MAX 512 /* of an element */

#define REFUSE(err, ...) err_set_key(err, EINVAL, "bad-xml", "xml", "xml", __VA_ARGS__)

/* A document type could declare entities, which grow and fetch; a domain never has one. */
static void
refuse_document_type(void *context, const xmlChar *name, const xmlChar *external,
		     const xmlChar *system)
{
	xmlParserCtxt *ctxt = context;

	(void)name;
	(void)external;
	(void)system;
	ctxt->wellFormed = 0;
	xmlStopParser(ctxt);
}

/* Says why `ctxt` has no document. */
static int
refuse_parsed(xmlParserCtxt *ctxt, struct err *err)
{
	const xmlError *why = xmlCtxtGetLastError(ctxt);

	if (ctxt->errNo == XML_ERR_USER_STOP)
		return REFUSE(err, "xml has a document type (<!DOCTYPE ...>), which is not taken; a"
				   " domain has none");
	if (!why || !why->message)
		return REFUSE(err, "xml is not well-formed");
	return REFUSE(err, "xml is not well-formed: line %d, column %d: %.*s", why->line, why->int2,
		      (int)strcspn(why->message, "\n"), why->message);
}

bool
xml_doc_is_fast(const char *text, size_t len)
{
	unsigned int n = 0;

	for (size_t i = 0; i < len && n <= ATTRIBUTES_MAX; i++)
		n = text[i] == '<' ? 0 : n + (text[i] == '=');
	return n <= ATTRIBUTES_MAX;
}

xmlDoc *
xml_doc_parse(const char *text, size_t len, struct err *err)
{
	const int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
	xmlParserCtxt *ctxt;
	xmlDoc *doc = NULL;

	/* libxml2 would take what comes before a NUL for the whole. */
	if (len > INT_MAX || memchr(text, '\0', len)) {
		REFUSE(err, "xml is not well-formed: it has a NUL byte, or 2 GiB");
		return NULL;
	}
	if (!xml_doc_is_fast(text, len)) {
		REFUSE(err, "xml has a tag with more than %d attributes", ATTRIBUTES_MAX);
		return NULL;
	}
	ctxt = xmlNewParserCtxt();
	if (!ctxt) {
		err_set(err, ENOMEM, "no-memory", "no memory to read xml");
		return NULL;
	}
	ctxt->sax->internalSubset = refuse_document_type;
	/* It came as UTF-8, whatever its first line says. */
	doc = xmlCtxtReadMemory(ctxt, text, len, NULL, "UTF-8", options);
	if (!doc)
		refuse_parsed(ctxt, err);
	xmlFreeParserCtxt(ctxt);
	return doc;
}

xmlNode *
xml_doc_next(xmlNode *node, const char *name)
{
	while (node &&
	       (node->type != XML_ELEMENT_NODE || !xmlStrEqual(node->name, xml_doc_utf8(name))))
		node = node->next;
	return node;
}

xmlNode *
xml_doc_child(const xmlNode *parent, const char *name)
{
	return parent ? xml_doc_next(parent->children, name) : NULL;
}
