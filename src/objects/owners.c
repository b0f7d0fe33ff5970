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
 * of a machine) removes an object between listing the records and the moment in
 * which the original, which has not begun a run since, writes its next one.  The
 * records are listed again before each removal, so this takes milliseconds; only
 * a clone that was made while an upload was under way, and is started before the
 * original's next run, can remove that one upload after the original committed
 * it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/locks.h"
#include "base/random.h"
#include "ledger/findings.h"
#include "ledger/identity.h"
#include "objects/owners.h"

#define NONCE_BYTES 8

/* one identity, on one storage, in one run */
typedef struct OwnerRecord
{
	char *identity;
	char *state; /* of the identity */
	char *nonce; /* NULL: another's records are only watched */
	bool judged; /* by another worker of the run, or an earlier task */
} OwnerRecord;

/* what is on the storage */
typedef struct Listing
{
	size_t prefix;
	List *nonces; /* of char * */
} Listing;

/*
 * The records that this run is to have on the storage, noted and committed
 * before they are written; and the identities whose records are watched.
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
	(void) ensure_identity();
	bind_text(&query, storage);
	bind_bigint(&query, run_id);
	rows = ledger_query(&query,
						"SELECT i.identity, i.state FROM pgmaint.identities i "
						"WHERE i.state = 'former' OR i.identity IN "
						"(SELECT o.identity FROM pgmaint.own_identities o)");
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
		bind_text(&note, random_name(NONCE_BYTES));
		(void) ledger_query(
			&note,
			"INSERT INTO pgmaint.owner_records (storage, run_id, identity, nonce) "
			"VALUES ($1::pg_catalog.name, $2, $3, $4) "
			"ON CONFLICT (run_id, storage, identity) DO NOTHING");
		(void) ledger_query(
			&note,
			"SELECT r.nonce, r.verdict IS NOT NULL FROM pgmaint.owner_records r "
			"WHERE r.storage = $1::pg_catalog.name AND r.run_id = $2 AND r.identity = $3");
		record->nonce = ledger_text(0, 1);
		record->judged = ledger_boolean(0, 2);
	}
	ledger_commit(&scope);
	return records;
}

/*
 * For a person who finds it; pgmaint goes by its key.
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
		"FROM pgmaint.own_identities i WHERE i.state = 'current'");
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
note_nonce(void *context, const StoredObject *object)
{
	Listing *listing = context;

	CHECK_FOR_INTERRUPTS();
	listing->nonces =
		lappend(listing->nonces, pstrdup(object->key + listing->prefix));
	return true;
}

static List *
list_records(Storage *storage, const char *identity)
{
	char *prefix = psprintf(OWNER_RECORDS "%s/", identity);
	Listing listing = {.prefix = strlen(prefix)};

	storage_list(storage, prefix, note_nonce, &listing);
	return listing.nonces;
}

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

static Datum
text_array(const List *texts)
{
	Datum *elements = palloc(sizeof(Datum) * Max(list_length(texts), 1));
	int count = 0;
	ListCell *cell;

	foreach (cell, texts)
		elements[count++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(
		construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * How many of the records the ledger does not know.
 */
static int64
count_unknown(const char *storage, const char *identity, const List *nonces)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, identity);
	bind_datum(&query, TEXTARRAYOID, text_array(nonces));
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.count(*) FROM pg_catalog.unnest($3) n WHERE NOT EXISTS ("
		"SELECT FROM pgmaint.owner_records r WHERE r.storage = $1::pg_catalog.name "
		"AND r.identity = $2 AND r.nonce = n)");
	return ledger_bigint(0, 1);
}

static void
remember_unknown(const char *storage, const char *identity, const List *nonces)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, identity);
	bind_datum(&query, TEXTARRAYOID, text_array(nonces));
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.owner_records (storage, identity, nonce) "
		"SELECT $1::pg_catalog.name, $2, n FROM pg_catalog.unnest($3) n "
		"ON CONFLICT (storage, identity, nonce) DO NOTHING");
}

/*
 * What was written before an identity was taken over is of no concern, but only
 * the first time that the storage is used since.
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
			   "SELECT FROM pgmaint.owner_records r JOIN pgmaint.identities i "
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

	if (!is_listed(nonces, record->nonce))
		return true;
	bind_text(&query, storage);
	bind_text(&query, record->identity);
	bind_bigint(&query, run_id);
	if (ledger_query(
			&query,
			"SELECT r.nonce FROM pgmaint.owner_records r "
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
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.owner_records SET verdict = $4, "
		"written_at = coalesce(written_at, pg_catalog.clock_timestamp()) "
		"WHERE storage = $1::pg_catalog.name AND identity = $2 AND run_id = $3");
}

/*
 * Another database calls itself by this identity, and is alive.
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
			begin_to_doubt(doubt, true);
	}
	else
		doubt_what_was_taken_over(record->identity, doubt);
	note_doubt(run_id);
}

/*
 * What the records on the storage say, in a ledger scope.
 */
static void
judge_record(const char *storage, const OwnerRecord *record, int64 run_id,
			 const List *nonces)
{
	int64 unknown = count_unknown(storage, record->identity, nonces);

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
		psprintf("the owner record that an earlier run wrote to storage %s is "
				 "gone: this run removes nothing from it; exclude keys that "
				 "begin with " OWNER_RECORDS " from rules that expire objects",
				 quote_identifier(storage)),
		NULL);
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
				"SELECT FROM pgmaint.owner_records r "
				"WHERE r.storage = $1::pg_catalog.name AND r.run_id = $2 "
				"AND r.identity = $3 AND r.verdict IS NOT NULL") > 0;
	}
}

/*
 * Each worker of a run calls this before each task that touches the storage;
 * the first one does the work.
 */
void
declare_ownership(const char *storage, int64 run_id, Oid extension)
{
	MemoryContext context = CurrentMemoryContext;
	List *records = note_records(storage, run_id, extension);
	List *listings = NIL;
	Storage *opened;
	LedgerScope scope;
	ListCell *cell;
	ListCell *listing;

	if (all_are_judged(records))
		return;
	/* the workers of a run do so one after the other */
	ledger_begin(&scope, extension);
	lock_in_transaction(LOCK_OWNERS, true);
	read_verdicts(records, storage, run_id);
	ledger_leave(&scope);
	if (all_are_judged(records))
	{
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
		return;
	}
	opened = storage_open(storage, STORAGE_WRITE);
	foreach (cell, records)
	{
		const OwnerRecord *record = lfirst(cell);

		if (record->nonce != NULL)
			write_record(opened, record, run_id);
	}
	/* all are listed after all are written */
	foreach (cell, records)
	{
		const OwnerRecord *record = lfirst(cell);

		listings = lappend(listings, list_records(opened, record->identity));
	}
	ledger_enter(&scope);
	forboth(cell, records, listing, listings)
	{
		const OwnerRecord *record = lfirst(cell);

		if (!record->judged)
			judge_record(storage, record, run_id, lfirst(listing));
	}
	ledger_commit(&scope);
}

/*
 * Why the ledger alone says that something must stay.
 */
static char *
forbidding_reason(const char *storage, const char *identity, int64 run_id)
{
	LedgerQuery query = {0};
	char *verdict;

	bind_text(&query, identity);
	if (ledger_query(&query, "SELECT FROM pgmaint.removable_identities r "
							 "WHERE r.identity = $1") == 0)
	{
		char *doubt = was_own_identity(identity) ? current_doubt() : NULL;

		return doubt != NULL
				   ? doubt
				   : psprintf("another database wrote it, of identity %s",
							  identity == NULL ? "unknown" : identity);
	}
	bind_text(&query, storage);
	bind_bigint(&query, run_id);
	if (ledger_query(
			&query,
			"SELECT r.verdict FROM pgmaint.owner_records r "
			"WHERE r.identity = $1 AND r.storage = $2::pg_catalog.name AND r.run_id = $3") ==
		0)
		return "the run has no owner record on the storage";
	verdict = ledger_text(0, 1);
	if (verdict == NULL || strcmp(verdict, "clear") != 0)
		return verdict != NULL && strcmp(verdict, "gap") == 0
				   ? "the owner record that an earlier run wrote to the storage is gone"
				   : "the owner records on the storage are not this database's alone";
	return NULL;
}

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
	if (count_unknown(name, identity, nonces) > 0)
		reason = psprintf("another database has just written to storage %s as "
						  "identity %s",
						  quote_identifier(name), identity);
	ledger_leave(&scope);
	return reason;
}
