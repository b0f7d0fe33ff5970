/*-------------------------------------------------------------------------
 *
 * candidate.h
 *	  Candidate indexes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_CANDIDATE_H
#define PGMAINT_ADVICE_CANDIDATE_H

#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

/* one column, in which an expression refers to its table as number 1 */
typedef struct IndexColumn
{
	AttrNumber attnum; /* 0: an expression */
	Node *expression;
	Oid collation;		/* InvalidOid: of no collatable type */
	bool own_collation; /* it is not the column's */
	Oid opclass;
	bool own_opclass; /* it is not the type's default */
	Oid opfamily;
	Oid opcintype;
	bool descending;
	bool nulls_first;
	double distinct; /* values in the table */
	int width;
} IndexColumn;

typedef struct Candidate
{
	Oid relation;
	List *columns;	 /* of IndexColumn */
	List *predicate; /* conditions that all have to hold */
	double fraction; /* of the table's rows that the predicate leaves */
	Oid number;		 /* stands for it in plans */
	double bytes;	 /* as it was estimated last */
} Candidate;

extern Candidate *make_candidate(Oid relation, List *columns, List *predicate,
								 double fraction);
extern bool same_column(const IndexColumn *one, const IndexColumn *other);
extern bool same_candidate(const Candidate *one, const Candidate *other);
extern bool is_prefix_of(const Candidate *shorter, const Candidate *longer);
extern double estimate_index_bytes(const Candidate *candidate, double tuples);
extern char *describe_columns(const Candidate *candidate);
extern char *create_index_command(const Candidate *candidate);

#endif /* PGMAINT_ADVICE_CANDIDATE_H */
