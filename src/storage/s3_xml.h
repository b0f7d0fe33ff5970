/*-------------------------------------------------------------------------
 *
 * s3_xml.h
 *	  What S3 says in XML: a list of things, each with values that have names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_S3_XML_H
#define PGMAINT_S3_XML_H

#include "nodes/pg_list.h"

typedef struct S3Element
{
	char *name;
	char *text;		/* directly in it, in the database's encoding */
	List *children; /* of S3Element */
} S3Element;

extern S3Element *s3_parse(const char *data, size_t length);
extern const char *s3_text(const S3Element *element, const char *name);

#endif /* PGMAINT_S3_XML_H */
