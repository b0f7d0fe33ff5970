/*-------------------------------------------------------------------------
 *
 * columns.h
 *	  The columns of a table that go into its archives.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COLUMNS_H
#define PGMAINT_COLUMNS_H

#include "postgres_ext.h"

typedef struct ArchivedColumns
{
	char *list;		   /* quoted, for a query */
	char *description; /* JSON: names and types, in the order of the archive */
	char *generated;   /* JSON: names of those that are left out */
	Datum names;	   /* text[] */
} ArchivedColumns;

/* in a ledger scope */
extern void read_archived_columns(Oid relation, ArchivedColumns *columns);

#endif /* PGMAINT_COLUMNS_H */
