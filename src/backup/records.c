/*-------------------------------------------------------------------------
 *
 * records.c
 *	  The rows of pgmaint_internal.backup_records.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"

#include "backup/records.h"
#include "objects/keys.h"

#define RECORD_COLUMNS                                                \
	"b.backup_id, b.storage::text, b.key, b.kind, b.database::text, " \
	"b.selection::text, b.state, b.compression, b.bytes, b.sha256, "  \
	"b.dump_bytes, b.database_bytes, b.run_id FROM pgmaint_internal.backup_records b"

static void
read_record(BackupRecord *record)
{
	record->backup_id = named_bigint(0, "backup_id");
	record->storage = named_text(0, "storage");
	record->key = named_text(0, "key");
	record->kind = named_text(0, "kind");
	record->database = named_text(0, "database");
	record->selection = named_text(0, "selection");
	record->state = named_text(0, "state");
	record->compression = named_text(0, "compression");
	record->bytes = named_bigint(0, "bytes");
	record->sha256 = named_text(0, "sha256");
	record->dump_bytes = named_bigint(0, "dump_bytes");
	record->database_bytes = named_bigint(0, "database_bytes");
	record->run_id = named_bigint(0, "run_id");
}

bool
read_backup_record(int64 backup_id, BackupRecord *record)
{
	LedgerQuery query = {0};

	bind_bigint(&query, backup_id);
	if (ledger_query(&query,
					 "SELECT " RECORD_COLUMNS " WHERE b.backup_id = $1") == 0)
		return false;
	read_record(record);
	return true;
}

/*
 * The number of the backup; 0 if the ledger does not know the key.
 */
int64
find_backup_record(const char *storage, const char *key)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, key);
	if (ledger_query(
			&query,
			"SELECT b.backup_id FROM pgmaint_internal.backup_records b "
			"WHERE b.storage = $1::pg_catalog.name AND b.key = $2") == 0)
		return 0;
	return ledger_bigint(0, 1);
}

bool
backup_key_is_taken(const char *storage, const char *key)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, key_stem(key));
	return ledger_query(&query,
						"SELECT FROM pgmaint_internal.backup_records b "
						"WHERE b.storage = $1::pg_catalog.name "
						"AND pg_catalog.starts_with(b.key, $2) LIMIT 1") > 0;
}

/*
 * After a reload, fsync may have been off until this worker reads the
 * configuration, which it does only after its task.
 */
char *
describe_live_server(bool *durable)
{
	*durable = enableFsync && !ConfigReloadPending;
	return pstrdup(*durable		 ? "live server: fsync on"
				   : enableFsync ? "live server: configuration reloaded"
								 : "live server: fsync off");
}

/*
 * A failed verification keeps the time and duration of the last successful
 * one.
 */
void
record_verification(int64 backup_id, int64 run_id, const char *refusal,
					int64 milliseconds, const char *settings, bool safe)
{
	LedgerQuery query = {0};

	bind_bigint(&query, backup_id);
	bind_bigint(&query, run_id);
	bind_text(&query, refusal);
	bind_double(&query, (double) milliseconds / 1000);
	bind_text(&query, settings);
	bind_boolean(&query, safe);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint_internal.backup_records SET verification_run_id = $2, "
		"verification = CASE WHEN $3 IS NOT NULL THEN 'not restorable' "
		/* roles and tablespaces are verified without a restore */
		"WHEN kind = 'globals' THEN 'intact' ELSE 'restorable' END, "
		"verification_error = $3, verified_at = CASE WHEN $3 IS NULL "
		"THEN pg_catalog.clock_timestamp() ELSE verified_at END, "
		"restore_duration = CASE WHEN $3 IS NULL AND kind = 'database' "
		"THEN pg_catalog.make_interval(secs => $4) ELSE restore_duration END, "
		"restore_settings = CASE WHEN $3 IS NULL AND kind = 'database' "
		"THEN $5 ELSE restore_settings END, "
		"safe_restore_duration = CASE WHEN $3 IS NULL AND kind = 'database' AND $6 "
		"THEN pg_catalog.make_interval(secs => $4) ELSE safe_restore_duration END, "
		"safe_restored_at = CASE WHEN $3 IS NULL AND kind = 'database' AND $6 "
		"THEN pg_catalog.clock_timestamp() ELSE safe_restored_at END "
		"WHERE backup_id = $1");
}

void
record_safe_restore(const char *storage, const char *key, const char *sha256,
					int64 milliseconds)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, key);
	bind_text(&query, sha256);
	bind_double(&query, (double) milliseconds / 1000);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint_internal.backup_records SET "
		"safe_restore_duration = pg_catalog.make_interval(secs => $4), "
		"safe_restored_at = pg_catalog.clock_timestamp() "
		"WHERE storage = $1::pg_catalog.name AND key = $2 AND sha256 = $3");
}

/*
 * The record of the current attempt of a task.
 */
bool
find_backup_of_task(int64 task_id, BackupRecord *record)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task_id);
	if (ledger_query(&query, "SELECT " RECORD_COLUMNS
							 " WHERE b.task_id = $1 AND b.state = 'running' "
							 "ORDER BY b.backup_id DESC LIMIT 1") == 0)
		return false;
	read_record(record);
	return true;
}

/*
 * Committed before the first byte is sent; the state is running until the
 * backup ends.
 */
void
add_backup_record(const BackupRecord *record, int64 task_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, record->run_id);
	bind_bigint(&query, task_id);
	bind_text(&query, record->storage);
	bind_text(&query, record->key);
	bind_text(&query, record->kind);
	bind_text(&query, record->database);
	bind_text(&query, record->selection);
	bind_text(&query, record->compression);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.backup_records (run_id, task_id, storage, key, kind, database, "
		"selection, compression) VALUES ($1, $2, $3::pg_catalog.name, $4, $5, "
		"$6::pg_catalog.name, $7::pg_catalog.jsonb, $8)");
}

/*
 * The backup counts when the transaction commits, unless its record was
 * deleted meanwhile.
 */
void
finish_backup_record(const BackupRecord *record, const char *server_version)
{
	LedgerQuery query = {0};

	bind_bigint(&query, record->backup_id);
	bind_bigint(&query, record->bytes);
	bind_text(&query, record->sha256);
	bind_bigint(&query, record->dump_bytes);
	if (record->database_bytes > 0)
		bind_bigint(&query, record->database_bytes);
	else
		bind_null(&query, INT8OID);
	bind_text(&query, server_version);
	if (ledger_query(
			&query,
			"UPDATE pgmaint_internal.backup_records SET state = 'succeeded', bytes = $2, sha256 = $3, "
			"dump_bytes = $4, database_bytes = $5, server_version = $6, "
			"finished_at = pg_catalog.clock_timestamp() WHERE backup_id = $1") ==
		0)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("record of backup %lld was deleted while the "
							   "backup was being made",
							   (long long) record->backup_id),
						errdetail("pgmaint.stay_copy() deletes the records "
								  "of backups that began before the call.")));
}

/*
 * Set running records of a task to failed; false if there are none.
 */
bool
fail_backup_records(int64 task_id, const char *error)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task_id);
	bind_text(&query, error);
	return ledger_query(
			   &query,
			   "UPDATE pgmaint_internal.backup_records SET state = 'failed', error = $2, "
			   "finished_at = pg_catalog.clock_timestamp() WHERE task_id = $1 AND state = 'running' RETURNING 1") >
		   0;
}
