/*-------------------------------------------------------------------------
 *
 * advice.h
 *	  Structures of advice on indexes, shared by the files of the room.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_ADVICE_H
#define PGMAINT_ADVICE_ADVICE_H

#include "advice/candidate.h"
#include "advice/statement.h"

typedef struct AdviceLimits
{
	int64 min_calls;
	double min_mean_ms;
	int max_statements;
	double min_gain;  /* share of a statement's cost */
	double min_bytes; /* of the table */
} AdviceLimits;

/* the gain of one statement from one index */
typedef struct StatementGain
{
	const Statement *statement;
	double before; /* costs, in the planner's units */
	double after;
	List *others; /* indexes that it uses as well: of Candidate */
} StatementGain;

typedef struct Advice
{
	Candidate *index;
	List *gains; /* of StatementGain */
	char *command;
	char *note; /* a remark, or NULL */
	double bytes;
	double writes_per_day; /* rows of the table */
	double write_ms;	   /* a day, that these would cost */
	double gain_ms;		   /* a day */
} Advice;

/* statements, or tables, without advice */
typedef struct LeftOut
{
	char *why;
	int count;
	char *example; /* NULL: the caller may not see the statement */
} LeftOut;

typedef struct AdviceResult
{
	List *advice;	/* of Advice, the best first */
	List *left_out; /* of LeftOut */
	int looked_at;
} AdviceResult;

/* statistics.c */
extern List *read_statements(const AdviceLimits *limits);
extern void leave_out(AdviceResult *result, const char *why,
					  const char *example);

/* evaluate.c */
extern void evaluate_statement(const Statement *statement,
							   const AdviceLimits *limits,
							   AdviceResult *result);
extern double cost_with(const Statement *statement, List *candidates);

/* existing.c */
extern void compare_with_existing(Advice *advice);

#endif /* PGMAINT_ADVICE_ADVICE_H */
