/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/xml_piece.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlsave.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/xml_doc.h"

#define REFUSE(param, key, err, ...) err_set_key(err, EINVAL, "bad-xml", param, key, __VA_ARGS__)

/* What the parser says first; all that follows is for the same reason. */
struct complaint {
	int line, column;
	char text[200];
};

static void
keep_first(void *arg, xmlError *error)
{
	struct complaint *first = arg;

	if (first->text[0] || error->level < XML_ERR_ERROR || error->domain == XML_FROM_NAMESPACE)
		return;
	first->line = error->line;
	first->column = error->int2;
	snprintf(first->text, sizeof(first->text), "%.*s",
		 error->message ? (int)strcspn(error->message, "\n") : 0, error->message);
}

static bool
is_blank(const char *text)
{
	return !text[strspn(text, " \t\r\n")];
}

/* Whether there is text, or an instruction, beside the elements. */
static bool
has_stray(const xmlNode *list)
{
	for (; list; list = list->next)
		if (list->type != XML_ELEMENT_NODE && list->type != XML_COMMENT_NODE &&
		    (list->type != XML_TEXT_NODE || !is_blank((const char *)list->content)))
			return true;
	return false;
}

/* libxml2's own verdict. Returns false with *first filled. */
static bool
parse_in(xmlNode *parent, const char *text, size_t len, xmlNode **list, struct complaint *first)
{
	const int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
	xmlParserErrors verdict;

	*first = (struct complaint){0};
	xmlSetStructuredErrorFunc(first, keep_first);
	verdict = xmlParseInNodeContext(parent, text, len, options, list);
	xmlSetStructuredErrorFunc(NULL, NULL);
	return verdict == XML_ERR_OK;
}

static bool
has_element(const xmlNode *list)
{
	while (list && list->type != XML_ELEMENT_NODE)
		list = list->next;
	return list != NULL;
}

/* The list of nodes in a piece; NULL for none, as for an error. */
static xmlNode *
parse(xmlNode *parent, const char *text, const char *param, const char *key, struct err *err)
{
	struct complaint first;
	xmlNode *list = NULL;
	size_t len = strlen(text);

	if (len > XML_PIECE_BYTES_MAX) {
		REFUSE(param, key, err, "%.63s has %zu bytes; a piece of a domain may have %d", key,
		       len, XML_PIECE_BYTES_MAX);
		return NULL;
	}
	if (!xml_doc_is_fast(text, len)) {
		REFUSE(param, key, err, "%.63s has a tag with too many attributes", key);
		return NULL;
	}
	if (!is_blank(text) && !parse_in(parent, text, len, &list, &first)) {
		REFUSE(param, key, err, "%.63s is not well-formed XML: line %d, column %d: %s", key,
		       first.line, first.column, first.text);
	} else if (has_stray(list)) {
		REFUSE(param, key, err, "%.63s is not XML: it has text outside of its elements",
		       key);
	} else if (!has_element(list)) {
		REFUSE(param, key, err, "%.63s is not XML: it has no element", key);
	} else {
		return list;
	}
	xmlFreeNodeList(list);
	return NULL;
}

int
xml_piece_add(xmlNode *parent, const char *text, const char *param, const char *key,
	      struct err *err)
{
	xmlNode *node = parse(parent, text, param, key, err), *next;

	if (!node)
		return -EINVAL;
	for (; node; node = next) {
		next = node->next;
		xmlUnlinkNode(node);
		if (node->type == XML_ELEMENT_NODE)
			xmlAddChild(parent, node);
		else
			xmlFreeNode(node);
	}
	return 0;
}

json_t *
xml_piece_text(xmlNode *element)
{
	xmlBuffer *buffer = xmlBufferCreate();
	xmlSaveCtxt *save = buffer ? xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_NO_DECL) : NULL;
	json_t *text = NULL;

	if (save) {
		bool failed = xmlSaveTree(save, element) < 0;

		if (xmlSaveClose(save) >= 0 && !failed)
			text = json_string((const char *)xmlBufferContent(buffer));
	}
	xmlBufferFree(buffer);
	return text;
}
