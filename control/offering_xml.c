/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/offering_xml.h"

#include <errno.h>
#include <string.h>

#include "control/orchestrator.h"
#include "control/xml_doc.h"
#include "control/xml_piece.h"

static bool
has_value(const xmlNode *node, const char *attribute, const char *value)
{
	xmlChar *text = node ? xmlGetNoNsProp(node, xml_doc_utf8(attribute)) : NULL;
	bool has = xmlStrEqual(text, xml_doc_utf8(value));

	xmlFree(text);
	return has;
}

xmlDoc *
offering_xml_read(const char *text, const char *name, const char *param, const char *key,
		  struct err *err)
{
	xmlDoc *doc = xmlNewDoc(xml_doc_utf8("1.0"));
	xmlNode *root = xmlNewNode(NULL, xml_doc_utf8("domain"));
	const xmlNode *first;

	xmlDocSetRootElement(doc, root);
	if (xml_piece_add(root, text, param, key, err) < 0)
		goto fail;
	first = root->children;
	if (name && (first->next || !xmlStrEqual(first->name, xml_doc_utf8(name)))) {
		err_set_key(err, EINVAL, "wrong-element", param, key,
			    "%.63s must be one <%s> element, and has <%.63s>%s", key, name,
			    (const char *)first->name, first->next ? " and more" : "");
		goto fail;
	}
	return doc;

fail:
	xmlFreeDoc(doc);
	return NULL;
}

static const xmlNode *
root_of(const xmlDoc *doc)
{
	return doc ? xmlDocGetRootElement(doc)->children : NULL;
}

bool
offering_xml_shares(const char *backing)
{
	struct err err;
	xmlDoc *doc = offering_xml_read(backing, "memoryBacking", "", "", &err);
	bool shares = has_value(xml_doc_child(root_of(doc), "access"), "mode", "shared");

	xmlFreeDoc(doc);
	return shares;
}

static bool
can_be_shared(const xmlNode *backing)
{
	return xml_doc_child(backing, "hugepages") ||
	       has_value(xml_doc_child(backing, "source"), "type", "memfd");
}

/* Whether each <cell> of each <numa> is shared. */
static bool
is_shared(const xmlNode *cpu, bool shared)
{
	xmlNode *cell = xml_doc_child(xml_doc_child(cpu, "numa"), "cell");

	if (!cell)
		return shared;
	for (; cell; cell = xml_doc_next(cell->next, "cell")) {
		bool silent = !xmlHasProp(cell, xml_doc_utf8("memAccess"));

		if (!(silent && shared) && !has_value(cell, "memAccess", "shared"))
			return false;
	}
	return true;
}

static int
check_numa(const xmlNode *cpu, bool shared, struct err *why)
{
	if (is_shared(cpu, shared))
		return 0;
	return err_set(why, EINVAL, "no-shared-memory",
		       ORCHESTRATOR_NUMA_KEY
		       ": not every <cell> has memAccess='shared', so that the switch cannot reach the"
		       " guest's memory: its vhost-user network cards would carry nothing");
}

static int
check_hugepages(const xmlNode *backing, struct err *why)
{
	if (can_be_shared(backing))
		return 0;
	return err_set(why, EINVAL, "no-shared-memory",
		       ORCHESTRATOR_HUGEPAGES_KEY
		       ": neither <hugepages> nor <source type='memfd'/>, so that the guest's memory is"
		       " nothing that the switch can map: its vhost-user network cards would carry"
		       " nothing");
}

int
offering_xml_check(const char *key, const char *text, bool shared, struct err *why)
{
	bool is_numa = !strcmp(key, ORCHESTRATOR_NUMA_KEY);
	bool is_backing = !strcmp(key, ORCHESTRATOR_HUGEPAGES_KEY);
	struct err err;
	xmlDoc *doc = offering_xml_read(text,
					is_numa	   ? "cpu" :
					is_backing ? "memoryBacking" :
						     NULL,
					"", key, &err);
	int rc = 0;

	if (!doc)
		rc = err_set(why, EINVAL, err.code,
			     "%s; libvirt would not take the domain, and the guest not start",
			     err.message);
	else if (is_numa)
		rc = check_numa(root_of(doc), shared, why);
	else if (is_backing)
		rc = check_hugepages(root_of(doc), why);
	xmlFreeDoc(doc);
	return rc;
}
