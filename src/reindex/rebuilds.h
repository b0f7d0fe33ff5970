/*-------------------------------------------------------------------------
 *
 * rebuilds.h
 *	  The rows of pgmaint_internal.index_rebuilds.
 *
 * The caller is inside a ledger scope.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REBUILDS_H
#define PGMAINT_REBUILDS_H

#include "ledger/ledger.h"

/* the index that an unfinished rebuild has left */
typedef struct Leftover
{
	char *name;	   /* the index to drop; NULL: none */
	Oid successor; /* the new index, if the names were swapped already */
	Oid relation;  /* the table */
} Leftover;

extern void note_rebuild(int64 task_id, Oid replaced, Oid built, Oid relation,
						 const char *name, int64 bytes);
extern void finish_rebuild(int64 task_id, Oid replaced, Oid built,
						   Oid relation, const char *name, int64 bytes_before);
extern void find_leftover(Oid replaced, Leftover *leftover);
extern void forget_rebuilds(Oid relation);

#endif /* PGMAINT_REBUILDS_H */
