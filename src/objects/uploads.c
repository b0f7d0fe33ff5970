/*-------------------------------------------------------------------------
 *
 * uploads.c
 *	  Uploads to storages, and leftovers of interrupted ones.
 *
 * Before the first byte of an object leaves, a row in pgmaint_internal.uploads
 * says so, and is committed.  The transaction that deletes what the object
 * holds locks that row, and deletes it.  So a row that no session has locked
 * is of an unfinished object; the row has the mark of the object, which
 * identifies it.  No other objects in a storage are removed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/random.h"
#include "objects/keys.h"
#include "objects/marks.h"
#include "objects/storage_names.h"
#include "objects/uploads.h"
#include "storage/storage.h"

#define MARK_BYTES 16

#define UPLOADS                                            \
	"SELECT u.upload_id, u.storage::text, u.key, u.mark, " \
	"u.identity, u.searched_at "                           \
	"FROM pgmaint_internal.uploads u WHERE "

int64
note_upload(int64 task_id, const char *action, const char *storage,
			const char *key)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task_id);
	bind_text(&query, action);
	bind_text(&query, storage);
	bind_text(&query, key);
	bind_text(&query, random_name(MARK_BYTES));
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.uploads (task_id, action, storage, key, mark) "
		"VALUES ($1, $2, $3::pg_catalog.name, $4, $5) RETURNING upload_id");
	return ledger_bigint(0, 1);
}

/*
 * The upload that a query leads to; false if there is none.
 */
static bool
find_upload(LedgerQuery *query, const char *sql, Upload *upload)
{
	if (ledger_query_once(query, sql) == 0)
		return false;
	upload->upload_id = named_bigint(0, "upload_id");
	upload->storage = named_text(0, "storage");
	upload->key = named_text(0, "key");
	upload->mark = named_text(0, "mark");
	upload->identity = named_text(0, "identity");
	upload->searched_at = named_time(0, "searched_at", 0);
	refuse_renamed_storage(upload->storage);
	return true;
}

/*
 * The upload of a task for this key; false if there is none.  The lock, kept
 * until the transaction ends, tells other sessions that the upload is in
 * progress.
 */
bool
lock_upload_of_task(int64 task_id, const char *key, Upload *upload)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task_id);
	bind_text(&query, key);
	return find_upload(&query,
					   UPLOADS "u.task_id = $1 AND u.key = $2 "
							   "ORDER BY u.upload_id DESC LIMIT 1 FOR UPDATE",
					   upload);
}

/*
 * The newest upload of a task, without a lock, for uploads that take too long
 * for an open transaction: here the state of the task tells that the upload is
 * in progress.
 */
bool
find_upload_of_task(int64 task_id, Upload *upload)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task_id);
	return find_upload(
		&query, UPLOADS "u.task_id = $1 ORDER BY u.upload_id DESC LIMIT 1",
		upload);
}

/*
 * A leftover upload, unless a session is still writing it, or it belongs to
 * another database.
 */
bool
lock_leftover(int64 upload_id, Upload *upload)
{
	LedgerQuery query = {0};

	bind_bigint(&query, upload_id);
	return find_upload(
		&query,
		UPLOADS
		"u.upload_id = $1 AND u.identity IN (SELECT o.identity "
		"FROM pgmaint_internal.own_identities o) FOR UPDATE OF u SKIP LOCKED",
		upload);
}

/*
 * The numbers of uploads that earlier attempts of a task have left.
 */
List *
uploads_of_task(int64 task_id)
{
	LedgerQuery query = {0};
	List *uploads = NIL;
	uint64 rows;

	bind_bigint(&query, task_id);
	rows = ledger_query(&query,
						"SELECT u.upload_id FROM pgmaint_internal.uploads u "
						"WHERE u.task_id = $1 ORDER BY u.upload_id");
	for (uint64 row = 0; row < rows; row++)
	{
		int64 *upload_id = palloc(sizeof(int64));

		*upload_id = ledger_bigint(row, 1);
		uploads = lappend(uploads, upload_id);
	}
	return uploads;
}

void
forget_upload(int64 upload_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, upload_id);
	(void) ledger_query(
		&query, "DELETE FROM pgmaint_internal.uploads WHERE upload_id = $1");
}

/*
 * Delete the rows of a task from this upload on, which were never begun.
 */
void
forget_uploads_since(int64 task_id, int64 upload_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task_id);
	bind_bigint(&query, upload_id);
	(void) ledger_query(&query, "DELETE FROM pgmaint_internal.uploads "
								"WHERE task_id = $1 AND upload_id >= $2");
}

/*
 * A storage may still be processing the last request of a process that is
 * gone: a leftover is closed when no object is found long after the first
 * search for it.
 */
void
close_leftover(int64 upload_id, bool found)
{
	LedgerQuery query = {0};

	bind_bigint(&query, upload_id);
	bind_boolean(&query, found);
	if (ledger_query(
			&query,
			"DELETE FROM pgmaint_internal.uploads u WHERE u.upload_id = $1 AND NOT $2 "
			"AND u.searched_at < " SEARCH_AGAIN " RETURNING 1") == 0)
		(void) ledger_query(
			&query,
			"UPDATE pgmaint_internal.uploads SET searched_at = CASE WHEN $2 THEN "
			"pg_catalog.clock_timestamp() ELSE coalesce(searched_at, "
			"pg_catalog.clock_timestamp()) END WHERE upload_id = $1");
}

/*
 * Keep a leftover for now: the time of the first search counts.
 */
void
note_leftover_seen(int64 upload_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, upload_id);
	(void) ledger_query(
		&query, "UPDATE pgmaint_internal.uploads SET searched_at = coalesce("
				"searched_at, pg_catalog.clock_timestamp()) "
				"WHERE upload_id = $1");
}

/*
 * Is the object complete in the storage, and unfinished by the ledger only?
 */
bool
upload_is_complete(const Upload *upload)
{
	Storage *storage = storage_open(upload->storage, STORAGE_WRITE);

	StoredObject object;

	return find_marked(storage, manifest_key(upload->key), upload->mark,
					   &object) &&
		   find_marked(storage, upload->key, upload->mark, &object);
}

static bool
remove_object_of_upload(Storage *storage, const char *key, const char *mark)
{
	storage_remove_unfinished(storage, key);
	return remove_marked(storage, key, mark, NULL);
}

/*
 * Remove what an upload has left in its storage; returns whether there was an
 * object.  The manifest goes first, since an object without one is known to be
 * unfinished.
 */
bool
remove_upload(const Upload *upload)
{
	Storage *storage = storage_open(upload->storage, STORAGE_WRITE);

	(void) remove_object_of_upload(storage, manifest_key(upload->key),
								   upload->mark);
	return remove_object_of_upload(storage, upload->key, upload->mark);
}
