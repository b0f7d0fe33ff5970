/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  Queries of pgmaint's own tables with the rights of their owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/settings.h"
#include "ledger/ledger.h"

/*
 * Begin to work on the ledger inside the caller's transaction.
 *
 * The memory of SPI ends with the scope; allocations in the scope are made in
 * the caller's context, which stays current.
 */
void
ledger_enter(LedgerScope *scope)
{
	scope->context = CurrentMemoryContext;
	/* foreign keys need a snapshot that outlives the statement */
	scope->snapshot_set = !ActiveSnapshotSet();
	if (scope->snapshot_set)
		PushActiveSnapshot(GetTransactionSnapshot());
	assume_owner(&scope->caller);
	SPI_connect();
	MemoryContextSwitchTo(scope->context);
}

void
ledger_leave(LedgerScope *scope)
{
	SPI_finish();
	resume_caller(&scope->caller);
	if (scope->snapshot_set)
		PopActiveSnapshot();
	MemoryContextSwitchTo(scope->context);
}

/*
 * Begin to work on the ledger in a new transaction.
 *
 * The lock on the extension comes first, as it does in DROP EXTENSION, so that
 * the two cannot deadlock over the ledger's tables.  With the lock held, the
 * extension must be the one for which this process was started.
 */
void
ledger_begin(LedgerScope *scope, Oid extension)
{
	MemoryContext context = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* lock_timeout is meant for tables of users; the ledger has to wait */
	set_for_transaction("lock_timeout", "0");
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	if (extension_oid(true) != extension)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"pgmaint\" was dropped during a run")));
	MemoryContextSwitchTo(context);
	ledger_enter(scope);
}

void
ledger_commit(LedgerScope *scope)
{
	ledger_leave(scope);
	CommitTransactionCommand();
	MemoryContextSwitchTo(scope->context);
}

/*
 * Commit without waiting for the disk, for states of tasks that can be
 * repeated.  The record of this commit follows that of the task's command in
 * the WAL: a crash may lose the end of a task that was done, but never leaves
 * the end of one that was not.
 */
void
ledger_commit_without_waiting(LedgerScope *scope)
{
	ledger_leave(scope);
	/* not earlier, because the setting ends with those of the scope */
	set_for_transaction("synchronous_commit", "off");
	CommitTransactionCommand();
	MemoryContextSwitchTo(scope->context);
}

/*
 * Append a parameter.
 */
void
bind_datum(LedgerQuery *query, Oid type, Datum value)
{
	Assert(query->count < LEDGER_MAX_PARAMETERS);
	query->types[query->count] = type;
	query->values[query->count] = value;
	query->nulls[query->count] = ' ';
	query->count++;
}

void
bind_null(LedgerQuery *query, Oid type)
{
	bind_datum(query, type, (Datum) 0);
	query->nulls[query->count - 1] = 'n';
}

void
bind_bigint(LedgerQuery *query, int64 value)
{
	bind_datum(query, INT8OID, Int64GetDatum(value));
}

void
bind_integer(LedgerQuery *query, int32 value)
{
	bind_datum(query, INT4OID, Int32GetDatum(value));
}

void
bind_oid(LedgerQuery *query, Oid value)
{
	bind_datum(query, OIDOID, ObjectIdGetDatum(value));
}

void
bind_boolean(LedgerQuery *query, bool value)
{
	bind_datum(query, BOOLOID, BoolGetDatum(value));
}

void
bind_double(LedgerQuery *query, double value)
{
	bind_datum(query, FLOAT8OID, Float8GetDatum(value));
}

/*
 * A NULL pointer stands for the SQL NULL.
 */
void
bind_text(LedgerQuery *query, const char *value)
{
	if (value == NULL)
		bind_null(query, TEXTOID);
	else
		bind_datum(query, TEXTOID, CStringGetTextDatum(value));
}

/*
 * As bigint[].
 */
void
bind_bigints(LedgerQuery *query, const int64 *values, int count)
{
	Datum *elements = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		elements[i] = Int64GetDatum(values[i]);
	bind_datum(query, INT8ARRAYOID,
			   PointerGetDatum(construct_array(
				   elements, count, INT8OID, sizeof(int64),
				   sizeof(Datum) >= sizeof(int64), TYPALIGN_DOUBLE)));
}

/*
 * A list of OIDs as oid[].
 */
void
bind_oids(LedgerQuery *query, List *oids)
{
	Datum *values = palloc(sizeof(Datum) * (list_length(oids) + 1));
	int count = 0;
	ListCell *cell;

	foreach (cell, oids)
		values[count++] = ObjectIdGetDatum(lfirst_oid(cell));
	bind_datum(query, OIDARRAYOID,
			   PointerGetDatum(construct_array(
				   values, count, OIDOID, sizeof(Oid), true, TYPALIGN_INT)));
}

/*
 * A list of char * as text[].  None may be NULL, unlike options that are
 * absent.
 */
void
bind_texts(LedgerQuery *query, const List *texts)
{
	Datum *values = palloc(sizeof(Datum) * (list_length(texts) + 1));
	int count = 0;
	ListCell *cell;

	if (texts == NIL)
	{
		bind_null(query, TEXTARRAYOID);
		return;
	}
	foreach (cell, texts)
		values[count++] = CStringGetTextDatum(lfirst(cell));
	bind_datum(query, TEXTARRAYOID,
			   PointerGetDatum(construct_array(values, count, TEXTOID, -1,
											   false, TYPALIGN_INT)));
}

/* a statement, by the address of its text, with the types of its parameters */
typedef struct KeptPlanKey
{
	const char *sql;
	Oid types[LEDGER_MAX_PARAMETERS];
} KeptPlanKey;

typedef struct KeptPlan
{
	KeptPlanKey key;
	SPIPlanPtr plan;
} KeptPlan;

static HTAB *kept_plans = NULL;

static void
create_kept_plans(void)
{
	HASHCTL control = {0};

	control.keysize = sizeof(KeptPlanKey);
	control.entrysize = sizeof(KeptPlan);
	control.hcxt = TopMemoryContext;
	kept_plans = hash_create("pgmaint ledger statements", 64, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * The plan of a statement, prepared at its first use.  The server analyzes the
 * text again when a table in it has changed, or was dropped and created again
 * with the extension.
 *
 * Statements by index are the same for every value of their parameters: the
 * plan is generic from the start, and independent of how large the tables
 * seemed when the first task was planned.
 */
static SPIPlanPtr
find_plan(const LedgerQuery *query, const char *sql, LedgerPlan kind)
{
	KeptPlanKey key;
	KeptPlan *entry;
	SPIPlanPtr plan;

	if (kept_plans == NULL)
		create_kept_plans();
	memset(&key, 0, sizeof(key));
	key.sql = sql;
	memcpy(key.types, query->types, sizeof(Oid) * query->count);
	entry = hash_search(kept_plans, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->plan;

	plan = SPI_prepare_cursor(
		sql, query->count, (Oid *) query->types,
		kind == LEDGER_PLAN_BY_INDEX ? CURSOR_OPT_GENERIC_PLAN : 0);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s",
			 SPI_result_code_string(SPI_result));
	entry = hash_search(kept_plans, &key, HASH_ENTER, NULL);
	entry->plan = plan;
	(void) SPI_keepplan(plan);
	return plan;
}

/*
 * Let the planner use indexes only, until the settings are restored to the
 * returned level.  The server may plan again at any time.
 */
static int
plan_by_index(void)
{
	static const char *const others[] = {
		"enable_seqscan",	"enable_bitmapscan", "enable_hashjoin",
		"enable_mergejoin", "enable_sort",		 "enable_incremental_sort",
	};
	int level = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(others); i++)
		(void) set_config_option(others[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/*
 * Run one statement with its parameters.
 */
uint64
ledger_execute_kept(LedgerQuery *query, const char *sql, LedgerPlan kind)
{
	MemoryContext context = CurrentMemoryContext;
	int level = kind == LEDGER_PLAN_BY_INDEX ? plan_by_index() : 0;
	int result = SPI_execute_plan(find_plan(query, sql, kind), query->values,
								  query->nulls, false, 0);

	if (level > 0)
		AtEOXact_GUC(false, level);
	MemoryContextSwitchTo(context);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s",
			 SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * The same for a text that is composed at run time, whose plan is not kept.
 */
uint64
ledger_query_once(LedgerQuery *query, const char *sql)
{
	MemoryContext context = CurrentMemoryContext;
	int result = SPI_execute_with_args(sql, query->count, query->types,
									   query->values, query->nulls, false, 0);

	MemoryContextSwitchTo(context);
	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s",
			 SPI_result_code_string(result));
	return SPI_processed;
}
