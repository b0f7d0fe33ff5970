/*-------------------------------------------------------------------------
 *
 * s3_xml.c
 *	  What S3 says in XML: a list of things, each with values that have names.
 *
 * No answer of S3 that matters is deeper.  libxml2 reads it without the
 * network, without document types and without a word to stderr; its tree is
 * copied at once and freed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "storage/s3_xml.h"

static char *
text_of(const xmlNode *node)
{
	StringInfoData text;

	initStringInfo(&text);
	for (const xmlNode *part = node->children; part != NULL; part = part->next)
		if ((part->type == XML_TEXT_NODE ||
			 part->type == XML_CDATA_SECTION_NODE) &&
			part->content != NULL)
			appendStringInfoString(&text, (const char *) part->content);
	return pg_any_to_server(text.data, text.len, PG_UTF8);
}

static S3Element *
copy_node(const xmlNode *node)
{
	S3Element *element = palloc0(sizeof(S3Element));

	element->name = pstrdup((const char *) node->name);
	element->text = text_of(node);
	return element;
}

static void
copy_children(S3Element *element, const xmlNode *node)
{
	for (const xmlNode *child = node->children; child != NULL;
		 child = child->next)
		if (child->type == XML_ELEMENT_NODE)
			element->children = lappend(element->children, copy_node(child));
}

/*
 * The root of a document, its children and theirs.
 */
static S3Element *
copy_document(const xmlNode *root)
{
	S3Element *element = copy_node(root);
	int i = 0;

	copy_children(element, root);
	for (const xmlNode *child = root->children; child != NULL;
		 child = child->next)
		if (child->type == XML_ELEMENT_NODE)
			copy_children(list_nth(element->children, i++), child);
	return element;
}

/*
 * NULL for what is no XML.  S3 uses no document types, with which a few bytes
 * can stand for many.
 */
S3Element *
s3_parse(const char *data, size_t length)
{
	S3Element *volatile element = NULL;
	xmlDoc *document;

	if (length == 0 || length > INT_MAX)
		return NULL;
	document = xmlReadMemory(data, (int) length, "answer", NULL,
							 XML_PARSE_NONET | XML_PARSE_NOERROR |
								 XML_PARSE_NOWARNING);
	xmlResetLastError();
	if (document == NULL)
		return NULL;
	PG_TRY();
	{
		const xmlNode *root = xmlDocGetRootElement(document);

		if (root != NULL && document->intSubset == NULL)
			element = copy_document(root);
	}
	PG_FINALLY();
	{
		xmlFreeDoc(document);
	}
	PG_END_TRY();
	return element;
}

/*
 * The text of the first child of this name; NULL if there is none.
 */
const char *
s3_text(const S3Element *element, const char *name)
{
	ListCell *cell;

	if (element == NULL)
		return NULL;
	foreach (cell, element->children)
	{
		const S3Element *child = lfirst(cell);

		if (strcmp(child->name, name) == 0)
			return child->text;
	}
	return NULL;
}
