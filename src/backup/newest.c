/*-------------------------------------------------------------------------
 *
 * newest.c
 *	  The newest backup of a database, by what a storage itself says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"

#include "backup/manifest.h"
#include "backup/newest.h"
#include "base/subtransaction.h"

/* one manifest, for try_in_subtransaction() */
typedef struct Candidate
{
	const char *database;
	char *key;
	char *manifest;
	bool fits;
	TimestampTz started_at;
} Candidate;

static bool
collect_dump(void *context, const StoredObject *object)
{
	List **keys = context;

	if (strstr(object->key, ".dump") != NULL)
		*keys = lappend(*keys, pstrdup(object->key));
	return true;
}

static void
read_candidate(void *argument)
{
	Candidate *candidate = argument;
	LedgerQuery query = {0};
	LedgerScope scope;

	ledger_enter(&scope);
	bind_text(&query, candidate->manifest);
	bind_text(&query, candidate->key);
	bind_text(&query, candidate->database);
	candidate->fits =
		ledger_query(
			&query,
			"SELECT (m ->> 'started_at')::pg_catalog.timestamptz "
			"FROM (SELECT $1::pg_catalog.jsonb AS m) AS x "
			"WHERE m ->> 'pgmaint' = 'backup' AND m ->> 'kind' = 'database' "
			"AND m ->> 'key' = $2 AND m ->> 'database' = $3 "
			"AND coalesce(m -> 'selection', 'null') = 'null'") > 0;
	if (candidate->fits)
		candidate->started_at = ledger_time(0, 1, DT_NOBEGIN);
	ledger_leave(&scope);
}

/*
 * What cannot be read is no manifest of a backup.
 */
static bool
is_backup(Candidate *candidate)
{
	ErrorData *error = try_in_subtransaction(read_candidate, candidate);

	if (error != NULL && (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
						  error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN))
		ReThrowError(error);
	return error == NULL && candidate->fits;
}

char *
find_newest_backup(Storage *storage, const char *database)
{
	List *keys = NIL;
	char *newest = NULL;
	TimestampTz newest_start = DT_NOBEGIN;
	ListCell *cell;

	storage_list(storage, "", collect_dump, &keys);
	foreach (cell, keys)
	{
		Candidate candidate = {.database = database, .key = lfirst(cell)};

		candidate.manifest = read_manifest(storage, candidate.key);
		if (candidate.manifest == NULL || !is_backup(&candidate) ||
			(newest != NULL && candidate.started_at <= newest_start))
			continue;
		newest = candidate.key;
		newest_start = candidate.started_at;
	}
	return newest;
}
