/*-------------------------------------------------------------------------
 *
 * s3_xml.h
 *	  Parses XML from S3 and STS.
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
	List *all;		/* of the root: what is below it, in the text's order */
} S3Element;

extern S3Element *s3_parse(const char *data, size_t length);
extern const char *s3_text(const S3Element *element, const char *name);
extern char *s3_find(const S3Element *document, const char *name);

#endif /* PGMAINT_S3_XML_H */
