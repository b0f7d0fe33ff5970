/*-------------------------------------------------------------------------
 *
 * extension_member.h
 *	  Functions and tables of other extensions, and calling them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_EXTENSION_MEMBER_H
#define PGMAINT_EXTENSION_MEMBER_H

#include "access/tupdesc.h"
#include "utils/tuplestore.h"

/* of such a function */
#define MEMBER_MAX_ARGUMENTS 6

typedef struct MemberFunction
{
	Oid oid;	   /* InvalidOid: there is none that may be called */
	char *refusal; /* why the one that there is may not be called, or NULL */
} MemberFunction;

extern bool find_member_function(const char *extension, const char *name,
								 int count, const Oid *types,
								 MemberFunction *function);
extern Oid require_member_function(const char *extension, const char *name,
								   int count, const Oid *types);
extern void require_member_table(const char *extension, const char *schema,
								 const char *name);

/* after the check of rights that the server makes of a call in SQL */
extern Datum call_member_function(Oid function, int count,
								  const NullableDatum *arguments);
extern Tuplestorestate *call_member_set(Oid function, int count,
										const NullableDatum *arguments,
										TupleDesc *descriptor);

#endif /* PGMAINT_EXTENSION_MEMBER_H */
