/*-------------------------------------------------------------------------
 *
 * amcheck.h
 *	  Lookup and calls of amcheck's functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_AMCHECK_H
#define PGMAINT_AMCHECK_H

#include "storage/block.h"

#include "corruption/problems.h"

typedef enum AmcheckKind
{
	AMCHECK_HEAP,
	AMCHECK_INDEX,
	AMCHECK_INDEX_WITH_PARENT,
	AMCHECK_GIN,
	AMCHECK_KINDS /* how many there are, or none of them */
} AmcheckKind;

typedef struct AmcheckFunction
{
	Oid oid; /* InvalidOid: this version does not have it, or see refusal */
	char *refusal; /* why the only one that there is is not called, or NULL */
	int arguments;
	char *signature;
	bool allowed; /* may the role execute it? */
} AmcheckFunction;

typedef struct Amcheck
{
	char *version; /* NULL: not installed in this database */
	char *schema;
	AmcheckFunction functions[AMCHECK_KINDS];
} Amcheck;

/* inside a ledger scope */
extern void find_amcheck(Oid role, Amcheck *amcheck);
extern bool can_be_checked(const Amcheck *amcheck, AmcheckKind kind);
extern char *amcheck_command(const Amcheck *amcheck, AmcheckKind kind,
							 const char *target);
extern const char *amcheck_name(AmcheckKind kind);
extern AmcheckKind amcheck_kind(const char *name);

/* as the role; damage is added to the problems */
extern BlockNumber count_blocks(Oid relation, Problems *problems);
extern void check_blocks(const Amcheck *amcheck, Oid relation,
						 BlockNumber first, BlockNumber last,
						 Problems *problems);
extern void check_index(const Amcheck *amcheck, AmcheckKind kind,
						Problems *problems, Oid index, Oid table_owner);

#endif /* PGMAINT_AMCHECK_H */
