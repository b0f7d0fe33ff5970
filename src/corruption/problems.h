/*-------------------------------------------------------------------------
 *
 * problems.h
 *	  The problems that a check of a relation has found.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PROBLEMS_H
#define PGMAINT_PROBLEMS_H

#include "nodes/pg_list.h"

/* one problem; unknown numbers are negative */
typedef struct Problem
{
	int64 block;
	int offset;
	int attribute;
	char *message;
} Problem;

/* limit of problems that are kept */
#define MAX_PROBLEMS 20

typedef struct Problems
{
	int64 count;
	List *first; /* of Problem, MAX_PROBLEMS at most */
	int sqlstate;
} Problems;

/* does an ERROR mean damage on disk? */
extern bool may_be_damage(const ErrorData *error);

/* room for one more; NULL: there are enough */
extern Problem *next_problem(Problems *problems);

/* an ERROR as a problem; a negative block is one that is not known */
extern void add_problem(Problems *problems, int64 block,
						const ErrorData *error);

#endif /* PGMAINT_PROBLEMS_H */
