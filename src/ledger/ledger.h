/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  Reading and writing pgmaint's own tables with their owner's rights.
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
extern void bind_oids(LedgerQuery *query, List *oids);
extern void bind_texts(LedgerQuery *query, const List *texts);
extern void bind_null(LedgerQuery *query, Oid type);
extern void bind_datum(LedgerQuery *query, Oid type, Datum value);

/* run a statement; returns the number of rows, which are in SPI_tuptable */
extern uint64 ledger_query(LedgerQuery *query, const char *sql);

/* a column of a row of the last query; instead is for NULL */
extern char *ledger_text(uint64 row, int column);
extern int64 ledger_bigint(uint64 row, int column);
extern Oid ledger_oid(uint64 row, int column);
extern bool ledger_boolean(uint64 row, int column);
extern TimestampTz ledger_time(uint64 row, int column, TimestampTz instead);
extern Datum ledger_datum(uint64 row, int column, bool *isnull);

#endif /* PGMAINT_LEDGER_H */
