/*-------------------------------------------------------------------------
 *
 * s3_xml.c
 *	  Parses XML from S3 and STS.
 *
 * libxml2 parses without network access, without document types and without
 * messages on stderr; its tree is copied at once and freed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "storage/s3_xml.h"

#define MAX_DEPTH 8

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

/*
 * The element after this one in document order, and the change of depth.
 */
static const xmlNode *
next_element(const xmlNode *node, int *depth)
{
	if (node->children != NULL)
	{
		node = node->children;
		(*depth)++;
	}
	else
	{
		while (node != NULL && node->next == NULL)
			node = --(*depth) < 0 ? NULL : node->parent;
		if (node != NULL)
			node = node->next;
	}
	return node;
}

/*
 * Copy the root of a document and all elements below it.  Elements that are
 * too deep are omitted.
 */
static S3Element *
copy_document(const xmlNode *root)
{
	S3Element *open[MAX_DEPTH] = {copy_node(root)};
	int depth = 0;

	for (const xmlNode *node = root; node != NULL;
		 node = next_element(node, &depth))
	{
		S3Element *parent =
			depth > 0 && depth < MAX_DEPTH ? open[depth - 1] : NULL;

		if (parent == NULL || node->type != XML_ELEMENT_NODE)
			continue;
		open[depth] = copy_node(node);
		parent->children = lappend(parent->children, open[depth]);
		open[0]->all = lappend(open[0]->all, open[depth]);
	}
	return open[0];
}

/*
 * Parse XML; NULL if the text is not XML.  Document types, which S3 does not
 * use, are refused: they allow a few bytes to expand to many.
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

/*
 * The text of the first element of this name in a document, however deep.
 */
char *
s3_find(const S3Element *document, const char *name)
{
	ListCell *cell;

	if (document == NULL)
		return NULL;
	foreach (cell, document->all)
	{
		const S3Element *element = lfirst(cell);

		if (strcmp(element->name, name) == 0)
			return element->text;
	}
	return NULL;
}
