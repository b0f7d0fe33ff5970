/*-------------------------------------------------------------------------
 *
 * owners.c
 *	  Who writes to a storage: the owner records on it.
 *
 * A copy of a database cannot see from its own ledger that its original goes on:
 * only the storage knows who wrote last.  So every run that writes to a storage,
 * or removes something from it, leaves a record there under a random nonce, for
 * each identity that this database has:
 *
 *	.pgmaint/owners/IDENTITY/NONCE
 *
 * The nonce is committed to the ledger first, then the record is written, then
 * all records of the identity are listed.  One that the ledger does not know was
 * written by another database that calls itself by the same identity: from then
 * on this one is in doubt.  Of two that do so at the same time, at least the one
 * that lists later sees the other's record.  Records are never replaced and
 * never removed, so that a storage may lock them.
 *
 * The race that remains: a copy whose signs are those of its original (a clone
 * of a machine) lists the records, the original commits an object and leaves no
 * record after it, the copy removes the object.  The records are listed again
 * right before each removal, and a complete object that only the ledger calls
 * unfinished stays for pgmaint.takeover_delay (action/leftovers.c), so the
 * original must have begun no run for that long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/error_text.h"
#include "base/locks.h"
#include "base/random.h"
#include "base/subtransaction.h"
#include "base/settings.h"
#include "ledger/identity.h"
#include "objects/owner_records.h"
#include "objects/owner_verdicts.h"
#include "objects/owners.h"
#include "objects/storage_names.h"

/* the work of one worker on the records of its run */
typedef struct Declaration
{
	Storage *storage;
	List *records; /* of OwnerRecord */
	int64 run_id;
	bool write;		/* else they are only listed */
	List *listings; /* of List of nonces, as records */
} Declaration;

/*
 * The records that this run is to have in the storage, noted and committed
 * before they are written; and the identities whose records are watched.  That
 * the database is the one that it was, has been looked at since the run was
 * queued and the leader began.
 */
static List *
note_records(const char *storage, int64 run_id, Oid extension)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	List *records = NIL;
	ListCell *cell;
	uint64 rows;

	ledger_begin(&scope, extension);
	refuse_renamed_storage(storage);
	bind_text(&query, storage);
	bind_bigint(&query, run_id);
	rows = ledger_query(
		&query, "SELECT i.identity, i.state FROM pgmaint.identities i "
				"WHERE i.state = 'former' OR i.identity IN "
				"(SELECT o.identity FROM pgmaint_internal.own_identities o)");
	for (uint64 row = 0; row < rows; row++)
	{
		OwnerRecord *record = palloc0(sizeof(OwnerRecord));

		record->identity = ledger_text(row, 1);
		record->state = ledger_text(row, 2);
		records = lappend(records, record);
	}
	foreach (cell, records)
	{
		OwnerRecord *record = lfirst(cell);
		LedgerQuery note = {0};

		if (strcmp(record->state, "former") == 0)
			continue;
		bind_text(&note, storage);
		bind_bigint(&note, run_id);
		bind_text(&note, record->identity);
		bind_text(&note, random_name(OWNER_NONCE_BYTES));
		(void) ledger_query(
			&note,
			"INSERT INTO pgmaint_internal.owner_records (storage, run_id, identity, nonce) "
			"VALUES ($1::pg_catalog.name, $2, $3, $4) "
			"ON CONFLICT (run_id, storage, identity) DO NOTHING");
		(void) ledger_query(
			&note,
			"SELECT r.nonce, r.verdict IS NOT NULL FROM pgmaint_internal.owner_records r "
			"WHERE r.storage = $1::pg_catalog.name AND r.run_id = $2 AND r.identity = $3");
		record->nonce = ledger_text(0, 1);
		record->judged = ledger_boolean(0, 2);
	}
	ledger_commit(&scope);
	return records;
}

/*
 * The content of a record is for people; pgmaint uses its key only.
 */
static char *
describe_record(const OwnerRecord *record, int64 run_id)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	char *text;

	bind_text(&query, record->identity);
	bind_text(&query, record->nonce);
	bind_bigint(&query, run_id);
	ledger_enter(&scope);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.jsonb_pretty(pg_catalog.jsonb_build_object("
		"'pgmaint', 'owner', 'identity', $1, 'nonce', $2, 'run_id', $3, "
		"'writer', i.identity, 'database', pg_catalog.current_database(), "
		"'system_identifier', i.system_identifier, 'timeline', i.timeline, 'host', i.host, "
		"'written_at', pg_catalog.clock_timestamp())) "
		"FROM pgmaint_internal.own_identities i WHERE i.state = 'current'");
	text = ledger_text(0, 1);
	ledger_leave(&scope);
	return text;
}

static char *
record_key(const OwnerRecord *record)
{
	return psprintf(OWNER_RECORDS "%s/%s", record->identity, record->nonce);
}

/*
 * A worker that was stopped may have written it already.
 */
static void
write_record(Storage *storage, const OwnerRecord *record, int64 run_id)
{
	char *key = record_key(record);
	StoredObject object;

	if (!storage_stat(storage, key, &object))
		storage_put_text(storage, key, "application/json", NULL,
						 describe_record(record, run_id));
}

static bool
all_are_judged(const List *records)
{
	ListCell *cell;

	foreach (cell, records)
	{
		const OwnerRecord *record = lfirst(cell);

		if (!record->judged && record->nonce != NULL)
			return false;
	}
	return true;
}

/*
 * Another worker may have done the work meanwhile.
 */
static void
read_verdicts(const List *records, const char *storage, int64 run_id)
{
	ListCell *cell;

	foreach (cell, records)
	{
		OwnerRecord *record = lfirst(cell);
		LedgerQuery query = {0};

		bind_text(&query, storage);
		bind_bigint(&query, run_id);
		bind_text(&query, record->identity);
		record->judged =
			ledger_query(
				&query,
				"SELECT FROM pgmaint_internal.owner_records r "
				"WHERE r.storage = $1::pg_catalog.name AND r.run_id = $2 "
				"AND r.identity = $3 AND r.verdict IS NOT NULL") > 0;
	}
}

/*
 * All records are listed after all are written.
 */
static void
write_and_list(void *argument)
{
	Declaration *declaration = argument;
	ListCell *cell;

	declaration->listings = NIL;
	foreach (cell, declaration->records)
	{
		OwnerRecord *record = lfirst(cell);

		if (record->nonce == NULL || !declaration->write)
			continue;
		write_record(declaration->storage, record, declaration->run_id);
		record->written = true;
	}
	foreach (cell, declaration->records)
	{
		const OwnerRecord *record = lfirst(cell);

		declaration->listings =
			lappend(declaration->listings,
					list_records(declaration->storage, record->identity));
	}
}

/*
 * A storage that is full is listed all the same: what is to be removed would
 * make room.  Returns why records can be neither written nor listed, or NULL.
 */
static char *
try_to_write_and_list(Declaration *declaration)
{
	ErrorData *error;

	declaration->write = true;
	error = try_unless_stopped(write_and_list, declaration);
	if (error != NULL && error->sqlerrcode == ERRCODE_DISK_FULL)
	{
		declaration->write = false;
		error = try_unless_stopped(write_and_list, declaration);
	}
	if (error == NULL)
		return NULL;
	if (error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
		ReThrowError(error);
	return error_text(error);
}

/*
 * Wait for the lock before there is a snapshot.
 */
static void
begin_to_declare(void)
{
	MemoryContext context = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	set_for_transaction("lock_timeout", "0");
	lock_in_transaction(LOCK_OWNERS, true);
}

/*
 * Write, list, and see what the records say.
 */
static void
declare_and_judge(const char *storage, Declaration *declaration)
{
	LedgerScope scope;
	char *problem;
	ListCell *cell;
	ListCell *listing;

	declaration->storage = storage_open(storage, STORAGE_WRITE);
	problem = try_to_write_and_list(declaration);
	ledger_enter(&scope);
	if (problem != NULL)
	{
		note_unread(storage, declaration->records, declaration->run_id,
					problem);
		ledger_leave(&scope);
		return;
	}
	forboth(cell, declaration->records, listing, declaration->listings)
	{
		const OwnerRecord *record = lfirst(cell);

		if (!record->judged)
			judge_record(storage, record, declaration->run_id,
						 lfirst(listing));
	}
	ledger_leave(&scope);
}

/*
 * Each worker of a run calls this before each task that touches the storage; the
 * first one does the work, and others wait for it.
 */
void
declare_ownership(const char *storage, int64 run_id, Oid extension)
{
	MemoryContext context = CurrentMemoryContext;
	List *records = note_records(storage, run_id, extension);
	Declaration declaration = {.records = records, .run_id = run_id};
	LedgerScope scope;

	if (all_are_judged(records))
		return;
	begin_to_declare();
	ledger_enter(&scope);
	read_verdicts(records, storage, run_id);
	ledger_leave(&scope);
	if (!all_are_judged(records))
		declare_and_judge(storage, &declaration);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}
