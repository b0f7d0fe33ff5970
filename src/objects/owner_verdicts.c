/*-------------------------------------------------------------------------
 *
 * owner_verdicts.c
 *	  The verdict on the owner records of a storage, and whether an object may
 *	  be removed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "ledger/findings.h"
#include "ledger/identity.h"
#include "ledger/runs.h"
#include "objects/owner_verdicts.h"

static bool
is_listed(const List *nonces, const char *nonce)
{
	ListCell *cell;

	foreach (cell, nonces)
	{
		if (strcmp(lfirst(cell), nonce) == 0)
			return true;
	}
	return false;
}

/*
 * The number of records that the ledger does not know under any name of the
 * storage: the storage may have been renamed, or share the folder of another
 * one.
 */
static int64
count_unknown(const char *identity, const List *nonces)
{
	LedgerQuery query = {0};

	bind_text(&query, identity);
	bind_texts(&query, nonces);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.count(*) FROM pg_catalog.unnest($2) n WHERE NOT EXISTS ("
		"SELECT FROM pgmaint_internal.owner_records r WHERE r.identity = $1 AND r.nonce = n)");
	return ledger_bigint(0, 1);
}

static void
remember_unknown(const char *storage, const char *identity, const List *nonces)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, identity);
	bind_texts(&query, nonces);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.owner_records (storage, identity, nonce) "
		"SELECT $1::pg_catalog.name, $2, n FROM pg_catalog.unnest($3) n "
		"ON CONFLICT (storage, identity, nonce) DO NOTHING");
}

/*
 * Records that were written before an identity was taken over are ignored, but
 * only when the storage is used for the first time since.
 */
static bool
is_first_use(const char *storage, const OwnerRecord *record, int64 run_id)
{
	LedgerQuery query = {0};

	if (strcmp(record->state, "taken over") != 0)
		return false;
	bind_text(&query, storage);
	bind_text(&query, record->identity);
	bind_bigint(&query, run_id);
	return ledger_query(
			   &query,
			   "SELECT FROM pgmaint_internal.owner_records r JOIN pgmaint.identities i "
			   "ON i.identity = r.identity WHERE r.storage = $1::pg_catalog.name "
			   "AND r.identity = $2 AND r.run_id <> $3 AND r.verdict IS NOT NULL "
			   "AND r.noted_at > i.taken_over_at LIMIT 1") == 0;
}

/*
 * Is the record of this run there, and that of the run before it?
 */
static bool
has_gap(const char *storage, const OwnerRecord *record, int64 run_id,
		const List *nonces)
{
	LedgerQuery query = {0};

	if (record->written && !is_listed(nonces, record->nonce))
		return true;
	bind_text(&query, storage);
	bind_text(&query, record->identity);
	bind_bigint(&query, run_id);
	if (ledger_query(
			&query,
			"SELECT r.nonce FROM pgmaint_internal.owner_records r "
			"WHERE r.storage = $1::pg_catalog.name AND r.identity = $2 "
			"AND r.run_id <> $3 AND r.written_at IS NOT NULL "
			"ORDER BY r.noted_at DESC LIMIT 1") == 0)
		return false;
	return !is_listed(nonces, ledger_text(0, 1));
}

static void
note_verdict(const char *storage, const OwnerRecord *record, int64 run_id,
			 const char *verdict)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, record->identity);
	bind_bigint(&query, run_id);
	bind_text(&query, verdict);
	bind_boolean(&query, record->written);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint_internal.owner_records SET verdict = $4, written_at = "
		"CASE WHEN $5 THEN coalesce(written_at, pg_catalog.clock_timestamp()) END "
		"WHERE storage = $1::pg_catalog.name AND identity = $2 AND run_id = $3");
}

/*
 * Record that another database uses this identity.
 */
static void
note_contest(const char *storage, const OwnerRecord *record, int64 run_id)
{
	char *doubt =
		psprintf("another database writes to storage %s as identity %s",
				 quote_identifier(storage), record->identity);

	note_verdict(storage, record, run_id, "contested");
	if (strcmp(record->state, "current") == 0)
	{
		/* other workers of the run may have said so */
		if (strcmp(known_identity(), record->identity) == 0)
		{
			begin_to_doubt(doubt);
			keep_queued_runs(record->identity);
		}
	}
	else
		doubt_what_was_taken_over(record->identity, doubt);
	note_doubt(run_id);
}

/*
 * Judge the records in the storage, in a ledger scope.
 */
void
judge_record(const char *storage, const OwnerRecord *record, int64 run_id,
			 const List *nonces)
{
	int64 unknown = count_unknown(record->identity, nonces);

	if (unknown > 0)
	{
		bool first = is_first_use(storage, record, run_id);

		remember_unknown(storage, record->identity, nonces);
		if (record->nonce == NULL)
		{
			note_former_seen();
			return;
		}
		if (!first)
		{
			note_contest(storage, record, run_id);
			return;
		}
	}
	if (record->nonce == NULL)
		return;
	if (!has_gap(storage, record, run_id, nonces))
	{
		note_verdict(storage, record, run_id, "clear");
		return;
	}
	note_verdict(storage, record, run_id, "gap");
	add_finding(
		run_id, 0, 0, "identity", "warning", storage,
		psprintf(
			"the owner record that an earlier run wrote to storage %s is "
			"gone: this run removes no objects from the storage; exclude keys that "
			"begin with " OWNER_RECORDS " from rules that expire objects",
			quote_identifier(storage)),
		NULL);
}

/*
 * Record that the owner records are unreadable.  Backups and archives are
 * still written, but whether another database writes there is not known.
 */
void
note_unread(const char *storage, const List *records, int64 run_id,
			const char *error)
{
	ListCell *cell;

	foreach (cell, records)
	{
		const OwnerRecord *record = lfirst(cell);

		if (record->nonce != NULL && !record->judged)
			note_verdict(storage, record, run_id, "unread");
	}
	add_finding(
		run_id, 0, 0, "identity", "warning", storage,
		psprintf(
			"the owner records in storage %s cannot be written or listed: %s; this run removes no objects from the storage; allow the role to list objects, and to write objects with keys that begin with " OWNER_RECORDS,
			quote_identifier(storage), error),
		NULL);
}

/*
 * The reason from the ledger alone that an object must not be removed, or
 * NULL.
 */
static char *
forbidding_reason(const char *storage, const char *identity, int64 run_id)
{
	LedgerQuery query = {0};
	char *verdict;

	bind_text(&query, identity);
	if (ledger_query(&query,
					 "SELECT FROM pgmaint_internal.removable_identities r "
					 "WHERE r.identity = $1") == 0)
	{
		char *doubt = was_own_identity(identity) ? current_doubt() : NULL;

		return doubt != NULL
				   ? doubt
				   : psprintf(
						 "the object was written by another database, with identity %s",
						 identity == NULL ? "unknown" : identity);
	}
	bind_text(&query, storage);
	bind_bigint(&query, run_id);
	if (ledger_query(
			&query,
			"SELECT r.verdict FROM pgmaint_internal.owner_records r "
			"WHERE r.identity = $1 AND r.storage = $2::pg_catalog.name AND r.run_id = $3") ==
		0)
		return "the run has no owner record in the storage";
	verdict = ledger_text(0, 1);
	if (verdict == NULL)
		return "the run has no owner record in the storage";
	if (strcmp(verdict, "gap") == 0)
		return "the owner record that an earlier run wrote to the storage is gone";
	if (strcmp(verdict, "unread") == 0)
		return "the owner records in the storage cannot be written or listed";
	return strcmp(verdict, "clear") == 0
			   ? NULL
			   : "another database has owner records of this identity in the storage";
}

/*
 * The ledger is checked first, the storage right before the removal.
 */
char *
why_not_ours(Storage *storage, const char *identity, int64 run_id)
{
	const char *name = storage_name(storage);
	LedgerScope scope;
	char *reason;
	List *nonces;

	ledger_enter(&scope);
	reason = forbidding_reason(name, identity, run_id);
	ledger_leave(&scope);
	if (reason != NULL)
		return reason;
	nonces = list_records(storage, identity);
	ledger_enter(&scope);
	if (count_unknown(identity, nonces) > 0)
		reason = psprintf("another database has just written to storage %s as "
						  "identity %s",
						  quote_identifier(name), identity);
	ledger_leave(&scope);
	return reason;
}
