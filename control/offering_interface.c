/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/offering_interface.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/migration_map.h"
#include "control/offering.h"
#include "control/offering_xml.h"
#include "control/orchestrator.h"
#include "control/schema.h"
#include "control/xml_doc.h"
#include "control/xml_piece.h"

#define SOCKET_LEN_MAX 107 /* of a unix socket's path */

#define REFUSE(param, err, ...) err_set_key(err, EINVAL, "bad-parameter", param, param, __VA_ARGS__)

/* A network card, checked. */
struct card {
	const char *port, *mac;
	char *path; /* of the socket */
	bool client; /* the switch's side */
	int vlan; /* 0: a trunk */
	int queues;
};

static const char *
text_of(const json_t *params, const char *name)
{
	return json_string_value(json_object_get(params, name));
}

static int
check_port(const char *port, struct err *err)
{
	if (!port || !schema_name_ok(port))
		return err_set_key(err, EINVAL, "invalid-port", "port", "port",
				   "port \"%.64s\" is no name of a port; csdpdk-N, or 1 to 63 letters,"
				   " digits, '_', '.' and '-' are",
				   port ? port : "");
	return 0;
}

static int
check_mac(const char *mac, struct err *err)
{
	uint8_t bytes[6];

	if (!mac || !schema_mac_parse(mac, bytes) || bytes[0] & 1 ||
	    !memcmp(bytes, (uint8_t[6]){0}, 6))
		return REFUSE("mac", err,
			      "mac \"%.64s\" is no address of a network card such as"
			      " 52:54:00:12:34:56",
			      mac ? mac : "");
	return 0;
}

static int
check_directory(const char *directory, const char *port, struct err *err)
{
	size_t len = directory ? strlen(directory) + 1 + strlen(port) : 0;

	if (!directory || !orchestrator_is_directory(directory))
		return REFUSE("socket_dir", err,
			      "socket_dir must be an absolute path without \"..\" in it");
	if (len > SOCKET_LEN_MAX)
		return REFUSE("socket_dir", err,
			      "socket_dir and port together have %zu bytes, a socket's path may have"
			      " %d",
			      len, SOCKET_LEN_MAX);
	return 0;
}

/* "server" where there is none. */
static int
read_mode(const json_t *value, bool *client, struct err *err)
{
	if (value && !json_is_null(value) && !json_is_string(value))
		return err_set_key(err, EINVAL, "invalid-mode", "mode", "mode",
				   "mode must be text: client or server");
	return orchestrator_mode(json_string_value(value), client, "mode", "mode", err);
}

/* card_close() in every case. */
static int
card_open(struct card *card, const json_t *params, struct err *err)
{
	const char *directory = text_of(params, "socket_dir");
	const json_t *queues = json_object_get(params, "queues");
	json_t *entry;

	*card = (struct card){.port = text_of(params, "port"),
			      .mac = text_of(params, "mac"),
			      .queues = queues ? json_integer_value(queues) : 1};
	if (check_port(card->port, err) < 0 || check_mac(card->mac, err) < 0 ||
	    check_directory(directory, card->port, err) < 0 ||
	    read_mode(json_object_get(params, "mode"), &card->client, err) < 0 ||
	    orchestrator_vlan(json_object_get(params, "vlan"), &card->vlan, "vlan", err) < 0)
		return -EINVAL;
	entry = json_pack("{s:s, s:s}", "path", directory, "port", card->port);
	card->path = migration_map_socket(entry);
	json_decref(entry);
	return card->path ? 0 :
			    err_set(err, ENOMEM, "no-memory", "no memory for the socket's path");
}

static void
card_close(struct card *card)
{
	free(card->path);
}

static xmlNode *
add_child(xmlNode *parent, const char *name)
{
	return xmlNewChild(parent, NULL, xml_doc_utf8(name), NULL);
}

static void
set(xmlNode *node, const char *attribute, const char *value)
{
	xmlNewProp(node, xml_doc_utf8(attribute), xml_doc_utf8(value));
}

/* An extra configuration that is not for interfaces has no place here. */
static bool
is_for_interfaces(const char *key)
{
	return !strncmp(key, ORCHESTRATOR_INTERFACE_PREFIX,
			strlen(ORCHESTRATOR_INTERFACE_PREFIX)) ||
	       strncmp(key, ORCHESTRATOR_EXTRA_PREFIX, strlen(ORCHESTRATOR_EXTRA_PREFIX)) != 0;
}

static int
add_extra(xmlNode *interface, const json_t *extra, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)extra, key, value)
	{
		const char *text = json_string_value(value);

		if (!is_for_interfaces(key))
			continue;
		if (!text)
			return err_set_key(err, EINVAL, "bad-parameter", "interface_extra", key,
					   "interface_extra: %.63s must be text", key);
		if (xml_piece_add(interface, text, "interface_extra", key, err) < 0)
			return -EINVAL;
	}
	return 0;
}

/* How many queues there are; the offering may say so in a <driver> of its own. */
static int
add_queues(xmlNode *interface, int queues, struct err *err)
{
	xmlNode *driver = xml_doc_child(interface, "driver");
	xmlChar *given = driver ? xmlGetNoNsProp(driver, xml_doc_utf8("queues")) : NULL;
	char text[16];
	int rc = 0;

	snprintf(text, sizeof(text), "%d", queues);
	if (queues > 1 && given && !xmlStrEqual(given, xml_doc_utf8(text)))
		rc = REFUSE("queues", err,
			    "queues is %d, and a <driver> of the extra configuration says %.16s;"
			    " the port and its guest need the same",
			    queues, (const char *)given);
	else if (queues > 1 && !given)
		set(driver ? driver : add_child(interface, "driver"), "queues", text);
	xmlFree(given);
	return rc;
}

/* The <interface>, root of a document of its own. NULL with *err set. */
static xmlDoc *
build(const struct card *card, const json_t *extra, struct err *err)
{
	xmlDoc *doc = xmlNewDoc(xml_doc_utf8("1.0"));
	xmlNode *interface = xmlNewNode(NULL, xml_doc_utf8("interface")), *source;

	xmlDocSetRootElement(doc, interface);
	set(interface, "type", "vhostuser");
	source = add_child(interface, "source");
	set(source, "type", "unix");
	set(source, "path", card->path);
	set(source, "mode", card->client ? "server" : "client");
	set(add_child(interface, "mac"), "address", card->mac);
	set(add_child(interface, "model"), "type", "virtio");
	if (add_extra(interface, extra, err) == 0 && add_queues(interface, card->queues, err) == 0)
		return doc;
	xmlFreeDoc(doc);
	return NULL;
}

json_t *
offering_interface(const json_t *params, struct err *err)
{
	json_t *result = NULL;
	xmlDoc *doc = NULL;
	struct card card;

	if (card_open(&card, params, err) == 0)
		doc = build(&card, json_object_get(params, "interface_extra"), err);
	if (doc)
		result = json_pack("{s:o, s:s, s:o}", "xml",
				   xml_piece_text(xmlDocGetRootElement(doc)), "ovs_type",
				   card.client ? "dpdkvhostuserclient" : "dpdkvhostuser", "tag",
				   card.vlan ? json_integer(card.vlan) : json_null());
	xmlFreeDoc(doc);
	card_close(&card);
	return result;
}

/* Parameters of one of the two methods that offering.xml stands for. */
static json_t *
pick(const json_t *params, const char *method)
{
	json_t *picked = json_object();

	for (const struct param *p = schema_find(method)->params; p->name; p++)
		json_object_set(picked, p->name, json_object_get(params, p->name));
	return picked;
}

/* An extra configuration as it is written anew. NULL with *err set. */
static json_t *
reprint(const json_t *extra, const char *key, const char *name, struct err *err)
{
	xmlDoc *doc = offering_xml_read(text_of(extra, key), name, "offering", key, err);
	json_t *text = doc ? xml_piece_text(xmlDocGetRootElement(doc)->children) : NULL;

	xmlFreeDoc(doc);
	return text;
}

/* What the VM's own configuration has beside ours. What is no XML has been warned of. */
static json_t *
others_of(const json_t *extra)
{
	json_t *others = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)extra, key, value)
	{
		xmlDoc *doc;
		struct err err;

		if (!strcmp(key, ORCHESTRATOR_NUMA_KEY) ||
		    !strcmp(key, ORCHESTRATOR_HUGEPAGES_KEY) || is_for_interfaces(key))
			continue;
		doc = offering_xml_read(json_string_value(value), NULL, "vm", key, &err);
		for (xmlNode *at = doc ? xmlDocGetRootElement(doc)->children : NULL; at;
		     at = at->next)
			json_array_append_new(others, xml_piece_text(at));
		xmlFreeDoc(doc);
	}
	return others;
}

/* The <interface> for the offering's network card; null where none is named. NULL with *err set. */
static json_t *
interface_of(const json_t *params, const json_t *resolved, struct err *err)
{
	json_t *card = pick(params, "offering.interface"), *extra, *interface, *text;

	if (json_object_size(card) == 0) {
		json_decref(card);
		return json_null();
	}
	extra = json_copy(json_object_get(resolved, "extra"));
	json_object_update(extra, json_object_get(card, "interface_extra"));
	json_object_set_new(card, "interface_extra", extra);
	if (!json_object_get(card, "mode"))
		json_object_set(card, "mode", json_object_get(resolved, "mode"));
	interface = offering_interface(card, err);
	text = json_incref(json_object_get(interface, "xml"));
	json_decref(interface);
	json_decref(card);
	return text;
}

/* All pieces of a VM that has vhost-user ports. */
static json_t *
pieces_of(const json_t *params, const json_t *resolved, struct err *err)
{
	const json_t *extra = json_object_get(resolved, "extra");
	json_t *interface = interface_of(params, resolved, err), *cpu = NULL, *backing = NULL;

	if (interface)
		cpu = reprint(extra, ORCHESTRATOR_NUMA_KEY, "cpu", err);
	if (cpu)
		backing = reprint(extra, ORCHESTRATOR_HUGEPAGES_KEY, "memoryBacking", err);
	if (!backing) {
		json_decref(interface);
		json_decref(cpu);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:O}", "interface", interface, "cpu", cpu,
			 "memory_backing", backing, "others", others_of(extra), "warnings",
			 json_object_get(resolved, "warnings"));
}

json_t *
offering_xml(const json_t *params, struct err *err)
{
	json_t *picked = pick(params, "offering.resolve");
	json_t *resolved = offering_resolve(picked, err), *pieces = NULL;

	json_decref(picked);
	if (resolved && json_is_false(json_object_get(resolved, "dpdk")))
		err_set_param(err, EINVAL, "not-dpdk", "offering",
			      "this VM has no vhost-user ports (%s): its interfaces are not for sluice",
			      text_of(resolved, "reason"));
	else if (resolved)
		pieces = pieces_of(params, resolved, err);
	json_decref(resolved);
	return pieces;
}
