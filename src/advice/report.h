/*-------------------------------------------------------------------------
 *
 * report.h
 *	  Advice on indexes, in words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_REPORT_H
#define PGMAINT_ADVICE_REPORT_H

#include "advice/advice.h"

extern char *describe_gain(const Advice *advice);
extern char *describe_price(const Advice *advice);
extern char *describe_queries(const Advice *advice);
extern char *describe_what_was_left(const AdviceResult *result);
extern Datum list_query_ids(const Advice *advice);
extern Datum list_cost_ratios(const Advice *advice);
extern void report_left_out(const AdviceResult *result);

#endif /* PGMAINT_ADVICE_REPORT_H */
