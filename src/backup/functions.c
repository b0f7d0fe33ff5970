/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  list_backups() and adopt_backups(), which read backups from a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "backup/stored.h"
#include "base/compat.h"
#include "base/wording.h"
#include "ledger/identity.h"
#include "objects/storage_names.h"

PG_FUNCTION_INFO_V1(pgmaint_list_backups);
PG_FUNCTION_INFO_V1(pgmaint_adopt_backups);

/* the columns of list_backups */
enum
{
	COLUMN_BACKUP_ID,
	COLUMN_RUN_ID,
	COLUMN_STORAGE,
	COLUMN_KEY,
	COLUMN_DATABASE,
	COLUMN_STATE,
	COLUMN_BYTES,
	COLUMN_SHA256,
	COLUMN_STARTED_AT,
	COLUMN_FINISHED_AT,
	COLUMN_VERIFIED_AT,
	COLUMN_RESTORE_DURATION,
	COLUMN_SIZE,
	COLUMN_DURATION,
	COLUMN_DATABASE_SIZE,
	COLUMN_SERVER_VERSION,
	COLUMN_VERIFICATION,
	COLUMN_KIND,
	COLUMN_SELECTION,
	COLUMN_ERROR,
	COLUMN_OWN,
	COLUMN_IDENTITY,
	COLUMN_RESTORE_SETTINGS,
	LIST_COLUMNS
};

typedef struct Row
{
	Datum values[LIST_COLUMNS];
	bool nulls[LIST_COLUMNS];
} Row;

static char *
required_storage(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("storage must not be null")));
	return text_to_cstring(PG_GETARG_TEXT_PP(0));
}

static void
put(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
put_text(Row *row, int column, const char *text)
{
	if (text != NULL)
		put(row, column, CStringGetTextDatum(text));
}

static void
put_name(Row *row, int column, const char *text)
{
	if (text != NULL)
		put(row, column, DirectFunctionCall1(namein, CStringGetDatum(text)));
}

static void
put_size(Row *row, int column, int64 bytes)
{
	if (bytes >= 0)
		put_text(row, column, size_text(bytes));
}

static void
put_interval(Row *row, int column, int64 microseconds)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	put(row, column, IntervalPGetDatum(interval));
}

/*
 * Milliseconds are enough, as in pgmaint.backups.
 */
static void
put_times(Row *row, const StoredBackup *backup)
{
	if (backup->started_at != 0)
		put(row, COLUMN_STARTED_AT, TimestampTzGetDatum(backup->started_at));
	if (backup->finished_at != 0)
		put(row, COLUMN_FINISHED_AT, TimestampTzGetDatum(backup->finished_at));
	if (backup->started_at != 0 && backup->finished_at != 0)
		put_interval(row, COLUMN_DURATION,
					 (backup->finished_at - backup->started_at) / 1000 * 1000);
	if (backup->verified_at != 0)
		put(row, COLUMN_VERIFIED_AT, TimestampTzGetDatum(backup->verified_at));
	if (backup->restore_seconds >= 0)
		put_interval(row, COLUMN_RESTORE_DURATION,
					 (int64) (backup->restore_seconds * USECS_PER_SEC));
}

/*
 * The number of a backup in the ledger, 0 if it is not there.
 */
static int64
known_as(const char *storage, const char *key)
{
	LedgerScope scope;
	int64 backup_id;

	ledger_enter(&scope);
	backup_id = find_backup_record(storage, key);
	ledger_leave(&scope);
	return backup_id;
}

static void
put_backup(ReturnSetInfo *result, const char *storage,
		   const StoredBackup *backup)
{
	Row row;
	int64 backup_id = known_as(storage, backup->key);

	memset(row.nulls, true, sizeof(row.nulls));
	if (backup_id != 0)
		put(&row, COLUMN_BACKUP_ID, Int64GetDatum(backup_id));
	if (backup->run_id >= 0)
		put(&row, COLUMN_RUN_ID, Int64GetDatum(backup->run_id));
	put_name(&row, COLUMN_STORAGE, storage);
	put_text(&row, COLUMN_KEY, backup->key);
	put_name(&row, COLUMN_DATABASE, backup->database);
	put_text(&row, COLUMN_STATE,
			 backup->error == NULL ? "succeeded" : "damaged");
	if (backup->bytes >= 0)
		put(&row, COLUMN_BYTES, Int64GetDatum(backup->bytes));
	put_text(&row, COLUMN_SHA256, backup->sha256);
	put_times(&row, backup);
	put_size(&row, COLUMN_SIZE, backup->bytes);
	put_size(&row, COLUMN_DATABASE_SIZE, backup->database_bytes);
	put_text(&row, COLUMN_SERVER_VERSION, backup->server_version);
	put_text(&row, COLUMN_VERIFICATION,
			 backup->verification != NULL ? backup->verification
			 : backup->error == NULL	  ? "never verified"
										  : NULL);
	put_text(&row, COLUMN_KIND, backup->kind);
	if (backup->selection != NULL)
		put(&row, COLUMN_SELECTION,
			DirectFunctionCall1(jsonb_in, CStringGetDatum(backup->selection)));
	put_text(&row, COLUMN_ERROR,
			 backup->error != NULL ? backup->error
								   : backup->verification_error);
	put(&row, COLUMN_OWN, BoolGetDatum(is_own_backup(storage, backup)));
	put_text(&row, COLUMN_IDENTITY, backup->identity);
	put_text(&row, COLUMN_RESTORE_SETTINGS, backup->restore_settings);
	tuplestore_putvalues(result->setResult, result->setDesc, row.values,
						 row.nulls);
}

/*
 * pgmaint.list_backups(storage text)
 */
Datum
pgmaint_list_backups(PG_FUNCTION_ARGS)
{
	char *name = required_storage(fcinfo);
	Storage *storage = storage_open(name, STORAGE_READ);
	ListCell *cell;

	materialize_result(fcinfo);
	foreach (cell, list_stored_backups(storage))
		put_backup((ReturnSetInfo *) fcinfo->resultinfo, name, lfirst(cell));
	return (Datum) 0;
}

static void
bind_number(LedgerQuery *query, int64 number)
{
	if (number < 0)
		bind_null(query, INT8OID);
	else
		bind_bigint(query, number);
}

static void
bind_time(LedgerQuery *query, TimestampTz time)
{
	if (time == 0)
		bind_null(query, TIMESTAMPTZOID);
	else
		bind_datum(query, TIMESTAMPTZOID, TimestampTzGetDatum(time));
}

/*
 * Add a row for a backup, unless there is one.  Its run was not a run of this
 * ledger.  A duration that was measured elsewhere is no measure for this
 * server, so safe_restore_duration stays null.
 */
static bool
adopt_backup(const char *storage, const StoredBackup *backup)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, backup->key);
	bind_text(&query, backup->kind);
	bind_text(&query, backup->database);
	bind_text(&query, backup->selection);
	bind_text(&query, backup->compression);
	bind_bigint(&query, backup->bytes);
	bind_text(&query, backup->sha256);
	bind_number(&query, backup->dump_bytes);
	bind_number(&query, backup->database_bytes);
	bind_text(&query, backup->server_version);
	bind_time(&query, backup->started_at);
	bind_time(&query, backup->finished_at);
	bind_time(&query, backup->verified_at);
	bind_text(&query, backup->verification);
	if (backup->restore_seconds < 0)
		bind_null(&query, FLOAT8OID);
	else
		bind_double(&query, backup->restore_seconds);
	bind_text(&query, backup->verification_error);
	bind_text(&query, backup->identity);
	bind_text(&query, backup->restore_settings);
	return ledger_query(
			   &query,
			   "INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, selection, state, "
			   "compression, bytes, sha256, dump_bytes, database_bytes, server_version, started_at, "
			   "finished_at, verified_at, verification, restore_duration, verification_error, identity, "
			   "restore_settings) "
			   "VALUES ($1::pg_catalog.name, $2, $3, $4::pg_catalog.name, $5::pg_catalog.jsonb, "
			   "'succeeded', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, "
			   "pg_catalog.make_interval(secs => $16), $17, $18, $19) "
			   "ON CONFLICT (storage, key) DO NOTHING RETURNING 1") > 0;
}

/*
 * pgmaint.adopt_backups(storage text, database name) returns bigint
 */
Datum
pgmaint_adopt_backups(PG_FUNCTION_ARGS)
{
	char *name = required_storage(fcinfo);
	char *database = PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1));
	LedgerScope scope;
	List *backups;
	ListCell *cell;
	int64 adopted = 0;

	PreventCommandDuringRecovery("pgmaint.adopt_backups()");
	PreventCommandIfReadOnly("pgmaint.adopt_backups()");
	backups = list_stored_backups(storage_open(name, STORAGE_READ));
	ledger_enter(&scope);
	(void) ensure_identity();
	follow_storage_names(true);
	foreach (cell, backups)
	{
		const StoredBackup *backup = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (backup->error == NULL &&
			(database == NULL || (backup->database != NULL &&
								  strcmp(backup->database, database) == 0)) &&
			adopt_backup(name, backup))
			adopted++;
	}
	ledger_leave(&scope);
	PG_RETURN_INT64(adopted);
}
