/*-------------------------------------------------------------------------
 *
 * advise.h
 *	  Which indexes the counted statements would gain from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_ADVISE_H
#define PGMAINT_ADVICE_ADVISE_H

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

/* what one statement gains from one index */
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
	char *note; /* what else there is to know, or NULL */
	double bytes;
	double writes_per_day; /* rows of the table */
	double write_ms;	   /* a day, that these would cost */
	double gain_ms;		   /* a day */
} Advice;

/* statements that were not looked at, or tables */
typedef struct LeftOut
{
	char *why;
	int count;
	char *example; /* NULL: not for the caller to see */
} LeftOut;

typedef struct AdviceResult
{
	List *advice;	/* of Advice, the best first */
	List *left_out; /* of LeftOut */
	int looked_at;
} AdviceResult;

extern void find_advice(const AdviceLimits *limits, AdviceResult *result);

/* the parts of it */
extern List *read_statements(const AdviceLimits *limits);
extern void leave_out(AdviceResult *result, const char *why,
					  const char *example);
extern void evaluate_statement(const Statement *statement,
							   const AdviceLimits *limits,
							   AdviceResult *result);
extern double cost_with(const Statement *statement, List *candidates);
extern void merge_advice(AdviceResult *result);
extern void weigh_advice(AdviceResult *result);
extern void compare_with_existing(Advice *advice);

#endif /* PGMAINT_ADVICE_ADVISE_H */
