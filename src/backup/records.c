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
