/*-------------------------------------------------------------------------
 *
 * records.c
 *	  The rows of pgmaint.backup_records.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backup/records.h"

bool
read_backup_record(int64 backup_id, BackupRecord *record)
{
	LedgerQuery query = {0};

	bind_bigint(&query, backup_id);
	if (ledger_query(
			&query,
			"SELECT b.backup_id, b.storage::text, b.key, b.kind, b.database::text, "
			"b.selection::text, b.state, b.compression, b.bytes, b.sha256, b.dump_bytes, "
			"b.database_bytes FROM pgmaint.backup_records b WHERE b.backup_id = $1") ==
		0)
		return false;
	record->backup_id = ledger_bigint(0, 1);
	record->storage = ledger_text(0, 2);
	record->key = ledger_text(0, 3);
	record->kind = ledger_text(0, 4);
	record->database = ledger_text(0, 5);
	record->selection = ledger_text(0, 6);
	record->state = ledger_text(0, 7);
	record->compression = ledger_text(0, 8);
	record->bytes = ledger_bigint(0, 9);
	record->sha256 = ledger_text(0, 10);
	record->dump_bytes = ledger_bigint(0, 11);
	record->database_bytes = ledger_bigint(0, 12);
	return true;
}

/*
 * 0: the ledger does not know it.
 */
int64
find_backup_record(const char *storage, const char *key)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, key);
	if (ledger_query(&query,
					 "SELECT b.backup_id FROM pgmaint.backup_records b "
					 "WHERE b.storage = $1::pg_catalog.name AND b.key = $2") ==
		0)
		return 0;
	return ledger_bigint(0, 1);
}

/*
 * A failure keeps when it was last proven, and how long that took.
 */
void
record_verification(int64 backup_id, int64 run_id, const char *refusal,
					int64 milliseconds)
{
	LedgerQuery query = {0};

	bind_bigint(&query, backup_id);
	bind_bigint(&query, run_id);
	bind_text(&query, refusal);
	bind_double(&query, (double) milliseconds / 1000);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.backup_records SET verification_run_id = $2, "
		"verification = CASE WHEN $3 IS NULL THEN 'restorable' ELSE 'not restorable' END, "
		"verification_error = $3, verified_at = CASE WHEN $3 IS NULL "
		"THEN pg_catalog.clock_timestamp() ELSE verified_at END, "
		/* there is nothing to time of roles and tablespaces */
		"restore_duration = CASE WHEN $3 IS NULL AND kind = 'database' "
		"THEN pg_catalog.make_interval(secs => $4) ELSE restore_duration END "
		"WHERE backup_id = $1");
}
