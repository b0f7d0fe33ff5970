/*-------------------------------------------------------------------------
 *
 * entries.h
 *	  Selection of the entries of a dump that are restored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ENTRIES_H
#define PGMAINT_ENTRIES_H

#include "stream/dumpfile.h"

typedef struct EntryChoice
{
	/* given */
	bool for_scratch;		  /* as a role that has no rights but its own */
	List *created_extensions; /* names: they are there already */
	List *created_schemas;	  /* the same */
	List *without_extensions; /* names: they cannot be there */
	List *extension_tables;	  /* quoted names: they came with these */
	List *languages;		  /* that a function may be in; of for_scratch */
	List *settings;			  /* that a function may have; the same */
	List *missing_roles;	  /* that nothing can be granted to */
	/* found */
	List *chosen;	/* of int, dump_ids */
	List *left_out; /* of LeftOutKind */
	char
		*list; /* JSON array of {"kind", "schema", "tag"}: what was left out */
	char *database_rights; /* GRANT and REVOKE on the database, or NULL */
} EntryChoice;

typedef struct LeftOutKind
{
	char *kind; /* as in the dump: FUNCTION, TABLE DATA, ... */
	int count;
	char *first; /* the name of one */
} LeftOutKind;

extern void choose_entries(DumpFile *dump, EntryChoice *choice);

/* a text of the dump; NULL for NULL */
extern char *in_our_encoding(const DumpFile *dump, const char *text);

#endif /* PGMAINT_ENTRIES_H */
