/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/libvirt_domain.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "control/schema.h"
#include "control/xml_doc.h"

#define REFUSE(err, ...) err_set_param(err, EINVAL, "bad-xml", "xml", __VA_ARGS__)

/* An attribute, for the caller to xmlFree(); NULL: there is none, or no node. */
static char *
attribute(const xmlNode *node, const char *name)
{
	return node ? (char *)xmlGetNoNsProp(node, xml_doc_utf8(name)) : NULL;
}

static bool
attribute_is(const xmlNode *node, const char *name, const char *value)
{
	char *text = attribute(node, name);
	bool is = text && !strcmp(text, value);

	xmlFree(text);
	return is;
}

static bool
is_ours(const xmlNode *node)
{
	return node->ns && xmlStrEqual(node->ns->href, xml_doc_utf8(LIBVIRT_DOMAIN_NAMESPACE));
}

/* "9f8c...": 36 bytes of hex digits and dashes. */
static int
read_uuid(const xmlNode *domain, char owner[64], struct err *err)
{
	const xmlNode *element = xml_doc_child(domain, "uuid");
	xmlChar *text = element ? xmlNodeGetContent(element) : NULL;
	const char *uuid = text ? (const char *)text : "";
	bool good = strlen(uuid) == 36;

	for (size_t i = 0; good && i < 36; i++)
		good = i == 8 || i == 13 || i == 18 || i == 23 ? uuid[i] == '-' :
								 isxdigit((unsigned char)uuid[i]);
	if (good) {
		snprintf(owner, 64, "libvirt:%s", uuid);
		for (char *c = owner; *c; c++)
			*c = tolower((unsigned char)*c);
	}
	xmlFree(text);
	return good ? 0 :
		      REFUSE(err, "xml: the domain has no <uuid>, by which its ports are known");
}

int
libvirt_domain_read(struct libvirt_domain *domain, const char *text, size_t len, struct err *err)
{
	const xmlNode *root, *node;

	*domain = (struct libvirt_domain){0};
	domain->doc = xml_doc_parse(text, len, err);
	if (!domain->doc)
		return -EINVAL;
	root = xmlDocGetRootElement(domain->doc);
	if (!xmlStrEqual(root->name, xml_doc_utf8("domain")))
		return REFUSE(err, "xml describes no domain: its root is <%.64s>",
			      (const char *)root->name);
	node = xml_doc_child(root, "metadata");
	for (node = node ? node->children : NULL; node; node = node->next) {
		if (node->type != XML_ELEMENT_NODE || !is_ours(node))
			continue;
		if (domain->ports || !xmlStrEqual(node->name, xml_doc_utf8("ports")))
			return REFUSE(err,
				      "metadata: <%.64s> of sluice is not known here; there may be"
				      " one <ports>",
				      (const char *)node->name);
		domain->ports = node;
	}
	return domain->ports ? read_uuid(root, domain->owner, err) : 0;
}

void
libvirt_domain_free(struct libvirt_domain *domain)
{
	xmlFreeDoc(domain->doc);
	domain->doc = NULL;
}

static const struct param *
attach_param(const char *name)
{
	const struct param *p = schema_find("port.attach")->params;

	while (p->name && strcmp(p->name, name) != 0)
		p++;
	return p->name ? p : NULL;
}

/* Sets a parameter of port.attach from an attribute, where there is one. */
static int
take(json_t *params, const char *name, const xmlNode *node, const char *attribute_name,
     struct err *err)
{
	char *text = attribute(node, attribute_name);
	json_t *value = text ? schema_value(attach_param(name), text, err) : NULL;
	int rc = text && !value ? -EINVAL : 0;

	if (value)
		json_object_set_new(params, name, value);
	xmlFree(text);
	return rc;
}

/* What is the interface's to say, so that it is not said twice. */
static const char *
place_of(const char *name)
{
	static const struct {
		const char *name, *place;
	} places[] = {
		{"name", "the last part of <source path=...>"},
		{"socket", "<source path=...>"},
		{"mode", "<source mode=...>"},
		{"queues", "<driver queues=...>"},
		{"mtu", "<mtu size=...>"},
		{"incoming", "libvirt's hook"},
		{"owner", "the domain's <uuid>"},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (!strcmp(places[i].name, name))
			return places[i].place;
	return NULL;
}

/* Takes the attributes of <port>, of which each is a parameter of port.attach. */
static int
read_port(const xmlNode *port, json_t *params, struct err *err)
{
	for (const xmlAttr *a = port->properties; a; a = a->next) {
		const char *name = (const char *)a->name, *place = place_of(name);

		if (place)
			return REFUSE(err, "leave out %s: %s says it", name, place);
		if (a->ns || !attach_param(name))
			return REFUSE(err,
				      "port has no attribute %.64s; see `sluicectl port attach"
				      " --help` for those it may have",
				      name);
		if (take(params, name, port, name, err) < 0)
			return -EINVAL;
	}
	return 0;
}

/* Takes the name of a port from the path of its socket. */
static int
take_name(json_t *params, const char *path, struct err *err)
{
	const char *name;

	if (path[0] != '/')
		return REFUSE(err, "its interface needs <source path='/...'>");
	name = strrchr(path, '/') + 1;
	/* The name "auto" would get it another one. */
	if (!schema_name_ok(name) || !strcmp(name, "auto"))
		return REFUSE(err,
			      "the port cannot be named \"%.80s\" as its socket is: a name has 1 to"
			      " 63 letters, digits, '_', '.' or '-', begins with a letter, digit or"
			      " '_', and is not auto",
			      name);
	json_object_set_new(params, "name", json_string(name));
	return 0;
}

/* Takes what a vhostuser interface says. */
static int
read_interface(const xmlNode *interface, json_t *params, struct err *err)
{
	const xmlNode *source = xml_doc_child(interface, "source");
	const char *path;

	if (attribute_is(source, "mode", "client"))
		json_object_set_new(params, "mode", json_string("server"));
	else if (attribute_is(source, "mode", "server"))
		json_object_set_new(params, "mode", json_string("client"));
	else
		return REFUSE(err, "its interface needs <source mode=...>: 'client' where sluice"
				   " listens, 'server' where QEMU does");
	if (take(params, "socket", source, "path", err) < 0 ||
	    take(params, "queues", xml_doc_child(interface, "driver"), "queues", err) < 0 ||
	    take(params, "mtu", xml_doc_child(interface, "mtu"), "size", err) < 0)
		return -EINVAL;
	path = json_string_value(json_object_get(params, "socket"));
	return take_name(params, path ? path : "", err);
}

static bool
has_mac(const xmlNode *interface, const char *mac)
{
	char *text = attribute(xml_doc_child(interface, "mac"), "address");
	bool has = text && !strcasecmp(text, mac);

	xmlFree(text);
	return has;
}

/* The vhostuser interface of that MAC, in letters of any case. Two would have one port. */
static const xmlNode *
find_interface(const struct libvirt_domain *domain, const char *mac, struct err *err)
{
	const xmlNode *found = NULL;
	xmlNode *devices = xml_doc_child(xmlDocGetRootElement(domain->doc), "devices"), *node;

	for (; devices; devices = xml_doc_next(devices->next, "devices"))
		for (node = xml_doc_child(devices, "interface"); node;
		     node = xml_doc_next(node->next, "interface")) {
			if (!attribute_is(node, "type", "vhostuser") || !has_mac(node, mac))
				continue;
			if (found) {
				REFUSE(err, "two vhostuser interfaces have this MAC");
				return NULL;
			}
			found = node;
		}
	if (!found)
		REFUSE(err, "no vhostuser interface of the domain has this MAC");
	return found;
}

/* Checked parameters for a <port>. NULL with *err set, whose sentence lacks which port it is. */
static json_t *
port_params(const struct libvirt_domain *domain, const xmlNode *port, bool incoming,
	    struct err *err)
{
	json_t *params = json_pack("{s:s}", "owner", domain->owner);
	const xmlNode *interface = NULL;
	char *mac = attribute(port, "mac");

	if (incoming)
		json_object_set_new(params, "incoming", json_true());
	if (mac)
		interface = find_interface(domain, mac, err);
	else
		REFUSE(err, "it has no mac; give that of its interface");
	xmlFree(mac);
	if (!interface || read_port(port, params, err) < 0 ||
	    read_interface(interface, params, err) < 0 ||
	    schema_check(schema_find("port.attach"), params, err) < 0)
		goto fail;
	return params;

fail:
	json_decref(params);
	return NULL;
}

static bool
has_name(const json_t *ports, const char *name)
{
	size_t i;
	json_t *port;

	json_array_foreach(ports, i, port)
	{
		if (!strcmp(json_string_value(json_object_get(port, "name")), name))
			return true;
	}
	return false;
}

static int
add_port(const struct libvirt_domain *domain, const xmlNode *node, bool incoming, json_t *ports,
	 struct err *err)
{
	struct err why;
	json_t *params;
	const char *name;

	if (json_array_size(ports) == SCHEMA_NICS_MAX)
		return REFUSE(err, "metadata: <ports> of sluice has more than %d ports",
			      SCHEMA_NICS_MAX);
	if (!is_ours(node) || !xmlStrEqual(node->name, xml_doc_utf8("port")))
		return REFUSE(err,
			      "metadata: <ports> of sluice has a <%.64s>; only its <port> are"
			      " known",
			      (const char *)node->name);
	params = port_params(domain, node, incoming, &why);
	if (!params) {
		char *mac = attribute(node, "mac");

		err_set_param(err, EINVAL, why.code, "xml", "metadata: port mac='%.20s': %s",
			      mac ? mac : "", why.message);
		xmlFree(mac);
		return -EINVAL;
	}
	name = json_string_value(json_object_get(params, "name"));
	if (has_name(ports, name)) {
		REFUSE(err, "metadata: two ports would be named \"%s\", as their sockets are",
		       name);
		json_decref(params);
		return -EINVAL;
	}
	return json_array_append_new(ports, params);
}

json_t *
libvirt_domain_ports(const struct libvirt_domain *domain, bool incoming, struct err *err)
{
	json_t *ports = json_array();

	if (domain->ports->properties) {
		REFUSE(err, "metadata: <ports> of sluice has attributes; each <port> in it has its"
			    " own");
		goto fail;
	}
	for (const xmlNode *node = domain->ports->children; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE &&
		    add_port(domain, node, incoming, ports, err) < 0)
			goto fail;
	return ports;

fail:
	json_decref(ports);
	return NULL;
}
