/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/domain_xml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlsave.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/migration_map.h"

#define REFUSE(err, ...) err_set_param(err, EINVAL, "bad-xml", "xml", __VA_ARGS__)

/* libxml2's name for bytes of UTF-8. */
static const xmlChar *
utf8(const char *text)
{
	return (const xmlChar *)text;
}

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
	return REFUSE(err, "xml is not well-formed: line %d: %.*s", why->line,
		      (int)strcspn(why->message, "\n"), why->message);
}

/* The document, for the caller to xmlFreeDoc(); NULL with *err set. */
static xmlDoc *
parse(const char *text, struct err *err)
{
	const int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
	xmlParserCtxt *ctxt = xmlNewParserCtxt();
	xmlDoc *doc;

	if (!ctxt)
		return NULL;
	ctxt->sax->internalSubset = refuse_document_type;
	/* It came as UTF-8, whatever its first line says. */
	doc = xmlCtxtReadMemory(ctxt, text, strlen(text), NULL, "UTF-8", options);
	if (!doc)
		refuse_parsed(ctxt, err);
	xmlFreeParserCtxt(ctxt);
	return doc;
}

/* The first element of that name behind `node`, among its siblings. */
static xmlNode *
next_named(xmlNode *node, const char *name)
{
	while (node && (node->type != XML_ELEMENT_NODE || !xmlStrEqual(node->name, utf8(name))))
		node = node->next;
	return node;
}

static xmlNode *
child_named(const xmlNode *parent, const char *name)
{
	return parent ? next_named(parent->children, name) : NULL;
}

static bool
is_vhost_user(const xmlNode *interface)
{
	xmlChar *type = xmlGetNoNsProp(interface, utf8("type"));
	bool is = xmlStrEqual(type, utf8("vhostuser"));

	xmlFree(type);
	return is;
}

static int
apply(xmlNode *interface, const json_t *entry, struct err *err)
{
	xmlNode *source = child_named(interface, "source"),
		*target = child_named(interface, "target");
	const char *port = json_string_value(json_object_get(entry, "port"));
	const char *mode = migration_map_is_client(entry) ? "client" : "server";
	char *path = migration_map_socket(entry);
	bool done = path && xmlSetProp(source, utf8("path"), utf8(path)) &&
		    xmlSetProp(source, utf8("mode"), utf8(mode)) &&
		    (!target || xmlSetProp(target, utf8("dev"), utf8(port)));

	free(path);
	return done ? 0 : err_set(err, ENOMEM, "no-memory", "no memory to rewrite the domain");
}

/* `unused`: a copy of the map, from which the entry is taken. */
static int
rewrite_interface(xmlNode *interface, const json_t *map, json_t *unused, struct err *err)
{
	xmlNode *address = child_named(interface, "mac");
	xmlChar *mac = address ? xmlGetNoNsProp(address, utf8("address")) : NULL;
	const char *text = mac ? (const char *)mac : "";
	const char *key = migration_map_key(map, text);
	int rc;

	if (!mac)
		rc = REFUSE(err, "xml: a vhostuser interface has no <mac address=...>");
	else if (!child_named(interface, "source"))
		rc = REFUSE(err, "xml: the vhostuser interface %.20s has no <source>", text);
	else if (!key)
		rc = err_set_key(err, ENOENT, "no-mapping-for-mac", "map", text,
				 "map has no entry for the vhostuser interface %.20s; prepare the"
				 " destination for all of them",
				 text);
	else if (json_object_del(unused, key) < 0)
		rc = REFUSE(err,
			    "xml has two vhostuser interfaces %.20s, which cannot have one port",
			    text);
	else
		rc = apply(interface, json_object_get(map, key), err);
	xmlFree(mac);
	return rc;
}

/* Returns how many interfaces were changed, or -errno. */
static int
rewrite_devices(const xmlNode *devices, const json_t *map, json_t *unused, struct err *err)
{
	xmlNode *interface = child_named(devices, "interface");
	int changed = 0;

	for (; interface; interface = next_named(interface->next, "interface")) {
		int rc;

		if (!is_vhost_user(interface))
			continue;
		rc = rewrite_interface(interface, map, unused, err);
		if (rc < 0)
			return rc;
		changed++;
	}
	return changed;
}

/* As rewrite_devices(). libvirt takes the interfaces of each <devices>, however many there are. */
static int
rewrite(xmlDoc *doc, const json_t *map, json_t *unused, struct err *err)
{
	const xmlNode *domain = xmlDocGetRootElement(doc);
	xmlNode *devices = child_named(domain, "devices");
	int changed = 0;

	if (!xmlStrEqual(domain->name, utf8("domain")))
		return REFUSE(err, "xml describes no domain: its root is <%.64s>",
			      (const char *)domain->name);
	for (; devices; devices = next_named(devices->next, "devices")) {
		int rc = rewrite_devices(devices, map, unused, err);

		if (rc < 0)
			return rc;
		changed += rc;
	}
	return changed;
}

/* The document as text, with an XML declaration where there was one. */
static json_t *
text_of(xmlDoc *doc, bool declared)
{
	xmlBuffer *buffer = xmlBufferCreate();
	xmlSaveCtxt *save = xmlSaveToBuffer(buffer, "UTF-8", declared ? 0 : XML_SAVE_NO_DECL);
	json_t *text = NULL;

	if (save) {
		bool failed = xmlSaveDoc(save, doc) < 0;

		if (xmlSaveClose(save) >= 0 && !failed)
			text = json_string((const char *)xmlBufferContent(buffer));
	}
	xmlBufferFree(buffer);
	return text;
}

static json_t *
keys_of(const json_t *object)
{
	json_t *keys = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)object, key, value)
	{
		json_array_append_new(keys, json_string(key));
	}
	return keys;
}

json_t *
domain_xml_rewrite(const json_t *params, struct err *err)
{
	const char *xml = json_string_value(json_object_get(params, "xml"));
	const json_t *map = json_object_get(params, "map");
	json_t *unused, *result = NULL;
	int changed = 0;
	xmlDoc *doc;

	if (migration_map_check(map, err) < 0)
		return NULL;
	doc = parse(xml, err);
	if (!doc)
		return NULL;
	unused = json_copy((json_t *)map);
	if (json_object_size(map))
		changed = rewrite(doc, map, unused, err);
	if (changed >= 0)
		result =
			json_pack("{s:o, s:i, s:o}", "xml", text_of(doc, !strncmp(xml, "<?xml", 5)),
				  "changed", changed, "unused", keys_of(unused));
	json_decref(unused);
	xmlFreeDoc(doc);
	return result;
}
