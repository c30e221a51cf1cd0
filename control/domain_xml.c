/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/domain_xml.h"

#include <errno.h>
#include <libxml/tree.h>
#include <libxml/xmlsave.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/migration_map.h"
#include "control/xml_doc.h"

#define REFUSE(err, ...) err_set_key(err, EINVAL, "bad-xml", "xml", "xml", __VA_ARGS__)

static bool
is_vhost_user(const xmlNode *interface)
{
	xmlChar *type = xmlGetNoNsProp(interface, xml_doc_utf8("type"));
	bool is = xmlStrEqual(type, xml_doc_utf8("vhostuser"));

	xmlFree(type);
	return is;
}

static void
drop_child(const xmlNode *parent, const char *name)
{
	xmlNode *child = xml_doc_child(parent, name);

	if (!child)
		return;
	xmlUnlinkNode(child);
	xmlFreeNode(child);
}

static int
apply(xmlNode *interface, const json_t *entry, struct err *err)
{
	xmlNode *source = xml_doc_child(interface, "source"),
		*target = xml_doc_child(interface, "target");
	const char *port = json_string_value(json_object_get(entry, "port"));
	const char *mode = migration_map_is_client(entry) ? "client" : "server";
	char *path = migration_map_socket(entry);
	bool done = path && xmlSetProp(source, xml_doc_utf8("path"), xml_doc_utf8(path)) &&
		    xmlSetProp(source, xml_doc_utf8("mode"), xml_doc_utf8(mode)) &&
		    (!target || xmlSetProp(target, xml_doc_utf8("dev"), xml_doc_utf8(port)));

	/* libvirt takes it of a client only. */
	if (!migration_map_is_client(entry))
		drop_child(source, "reconnect");
	free(path);
	return done ? 0 : err_set(err, ENOMEM, "no-memory", "no memory to rewrite the domain");
}

/* `unused`: a copy of the map, from which the entry is taken. */
static int
rewrite_interface(xmlNode *interface, const json_t *map, json_t *unused, struct err *err)
{
	xmlNode *address = xml_doc_child(interface, "mac");
	xmlChar *mac = address ? xmlGetNoNsProp(address, xml_doc_utf8("address")) : NULL;
	const char *text = mac ? (const char *)mac : "";
	const char *key = migration_map_key(map, text);
	int rc;

	if (!mac)
		rc = REFUSE(err, "xml: a vhostuser interface has no <mac address=...>");
	else if (!xml_doc_child(interface, "source"))
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
	xmlNode *interface = xml_doc_child(devices, "interface");
	int changed = 0;

	for (; interface; interface = xml_doc_next(interface->next, "interface")) {
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

/* As rewrite_devices(). libvirt takes the interfaces of each <devices>, however many there are. With an
 * empty map nothing is to be changed. */
static int
rewrite(xmlDoc *doc, const json_t *map, json_t *unused, struct err *err)
{
	const xmlNode *domain = xmlDocGetRootElement(doc);
	xmlNode *devices = xml_doc_child(domain, "devices");
	int changed = 0;

	if (!xmlStrEqual(domain->name, xml_doc_utf8("domain")))
		return REFUSE(err, "xml describes no domain: its root is <%.64s>",
			      (const char *)domain->name);
	if (json_object_size(map) == 0)
		return 0;
	for (; devices; devices = xml_doc_next(devices->next, "devices")) {
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
	xmlDoc *doc;
	int changed;

	if (migration_map_check(map, err) < 0)
		return NULL;
	doc = xml_doc_parse(xml, strlen(xml), err);
	if (!doc)
		return NULL;
	unused = json_copy((json_t *)map);
	changed = rewrite(doc, map, unused, err);
	if (changed >= 0)
		result =
			json_pack("{s:o, s:i, s:o}", "xml", text_of(doc, !strncmp(xml, "<?xml", 5)),
				  "changed", changed, "unused", keys_of(unused));
	json_decref(unused);
	xmlFreeDoc(doc);
	return result;
}
