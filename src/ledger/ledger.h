/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  Queries of pgmaint's own tables with the rights of their owner.
 *
 * The room ledger: pgmaint's own tables, and the only code that writes runs,
 * tasks and findings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_LEDGER_H
#define PGMAINT_LEDGER_H

#include "executor/spi.h"

#include "base/rights.h"

typedef struct LedgerScope
{
	SavedRights caller;
	MemoryContext context;
	bool snapshot_set;
} LedgerScope;

/* inside the caller's transaction */
extern void ledger_enter(LedgerScope *scope);
extern void ledger_leave(LedgerScope *scope);

/* in a transaction of its own, for background workers */
extern void ledger_begin(LedgerScope *scope, Oid extension);
extern void ledger_commit(LedgerScope *scope);
extern void ledger_commit_without_waiting(LedgerScope *scope);

/*
 * Parameters of a query.  The macros number them in the order of the calls.
 */
#define LEDGER_MAX_PARAMETERS 20

typedef struct LedgerQuery
{
	int count;
	Oid types[LEDGER_MAX_PARAMETERS];
	Datum values[LEDGER_MAX_PARAMETERS];
	char nulls[LEDGER_MAX_PARAMETERS];
} LedgerQuery;

extern void bind_bigint(LedgerQuery *query, int64 value);
extern void bind_integer(LedgerQuery *query, int32 value);
extern void bind_oid(LedgerQuery *query, Oid value);
extern void bind_boolean(LedgerQuery *query, bool value);
extern void bind_double(LedgerQuery *query, double value);
extern void bind_text(LedgerQuery *query, const char *value);
extern void bind_bigints(LedgerQuery *query, const int64 *values, int count);
extern void bind_oids(LedgerQuery *query, List *oids);
extern void bind_texts(LedgerQuery *query, const List *texts);
extern void bind_null(LedgerQuery *query, Oid type);
extern void bind_datum(LedgerQuery *query, Oid type, Datum value);

/*
 * Run a statement; returns the number of rows, which are in SPI_tuptable.
 *
 * The plan of a statement is kept for the life of the process, so its text has
 * to be a string literal, which the compiler checks.  For texts composed at
 * run time, use ledger_query_once().
 *
 * ledger_query_by_index() is for statements that run for each task: see
 * find_plan() in ledger.c.
 */
#define ledger_query(query, sql) \
	ledger_execute_kept((query), "" sql, LEDGER_PLAN_AUTO)
#define ledger_query_by_index(query, sql) \
	ledger_execute_kept((query), "" sql, LEDGER_PLAN_BY_INDEX)

typedef enum LedgerPlan
{
	LEDGER_PLAN_AUTO,
	LEDGER_PLAN_BY_INDEX
} LedgerPlan;

extern uint64 ledger_execute_kept(LedgerQuery *query, const char *sql,
								  LedgerPlan kind);
extern uint64 ledger_query_once(LedgerQuery *query, const char *sql);

/*
 * A column of a row of the last query; instead is returned for NULL.
 *
 * Queries of one or two columns may be read by number, all others by the names
 * of the columns, which test/tools/check-columns checks.
 */
extern char *ledger_text(uint64 row, int column);
extern int64 ledger_bigint(uint64 row, int column);
extern Oid ledger_oid(uint64 row, int column);
extern bool ledger_boolean(uint64 row, int column);
extern TimestampTz ledger_time(uint64 row, int column, TimestampTz instead);
extern Datum ledger_datum(uint64 row, int column, bool *isnull);

extern int ledger_column(const char *name);

#define named_text(row, name) ledger_text((row), ledger_column(name))
#define named_bigint(row, name) ledger_bigint((row), ledger_column(name))
#define named_oid(row, name) ledger_oid((row), ledger_column(name))
#define named_boolean(row, name) ledger_boolean((row), ledger_column(name))
#define named_time(row, name, instead) \
	ledger_time((row), ledger_column(name), (instead))
#define named_datum(row, name, isnull) \
	ledger_datum((row), ledger_column(name), (isnull))

#endif /* PGMAINT_LEDGER_H */
