/*-------------------------------------------------------------------------
 *
 * archive.c
 *	  Writing the rows of a query to an object, with its manifest.
 *
 * One statement selects the rows: where it deletes them, exactly the deleted
 * rows are written.  The object is complete and verified before the manifest
 * is written, and both exist before the transaction that deletes the rows can
 * commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/guc.h"

#include "ledger/identity.h"
#include "objects/keys.h"
#include "retention/archive.h"
#include "retention/owner.h"
#include "retention/timezone.h"
#include "storage/storage.h"
#include "stream/copy_out.h"
#include "stream/digest.h"

/*
 * Write the rows of the query to the object.  Returns false if there were no
 * rows; no object exists then.
 */
static bool
write_object(const ArchiveJob *job, Storage *storage, Sink **object,
			 Sink **content, uint64 *rows)
{
	SavedRights caller;
	Sink *chain = storage_writer(
		storage, job->upload.key,
		strcmp(job->policy->compression->name, "none") == 0 ? "text/csv"
		: strcmp(job->policy->compression->name, "gzip") == 0
			? "application/gzip"
			: "application/zstd",
		job->upload.mark);

	*object = digest_create(chain);
	chain = compressor_create(job->policy->compression,
							  job->policy->compression_level, *object);
	*content = digest_create(chain);

	become_table_owner(job->owner, &caller);
	fire_constraints_at_once();
	*rows = copy_out(job->query,
					 GetDatabaseEncoding() == PG_SQL_ASCII
						 ? "FORMAT csv, HEADER"
						 : "FORMAT csv, HEADER, ENCODING 'UTF8'",
					 *content);
	resume_caller(&caller);
	if (*rows == 0)
	{
		sink_abort(*content);
		return false;
	}
	sink_end(*content);
	return true;
}

/*
 * The manifest describes the object for readers that have no database.
 */
static char *
make_manifest(const ArchiveJob *job, const ArchiveResult *result,
			  const char *sha256, const char *content_sha256)
{
	LedgerQuery query = {0};

	bind_text(&query, job->upload.key);
	bind_text(&query, job->relation);
	bind_text(&query, job->partition);
	bind_bigint(&query, result->rows);
	bind_bigint(&query, result->bytes);
	bind_text(&query, sha256);
	bind_bigint(&query, result->content_bytes);
	bind_text(&query, content_sha256);
	bind_text(&query, job->policy->compression->name);
	bind_text(&query, job->from);
	bind_text(&query, job->to);
	bind_text(&query, job->columns.description);
	bind_text(&query, job->columns.generated);
	bind_bigint(&query, job->policy->policy_id);
	bind_bigint(&query, job->run_id);
	bind_text(&query,
			  GetDatabaseEncoding() == PG_SQL_ASCII ? "SQL_ASCII" : "UTF8");
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.jsonb_pretty(pg_catalog.jsonb_strip_nulls("
		"pg_catalog.jsonb_build_object(" MANIFEST_ORIGIN
		", 'pgmaint', 'archive', 'key', $1, "
		"'database', pg_catalog.current_database(), 'relation', $2, 'partition', $3, "
		"'rows', $4, 'bytes', $5, 'sha256', $6, "
		"'content', pg_catalog.jsonb_build_object('format', 'csv', 'header', true, "
		"'encoding', $16, 'bytes', $7, 'sha256', $8), 'compression', $9, "
		"'range_from', $10, 'range_to', $11, 'columns', $12::pg_catalog.jsonb, "
		"'generated_columns', $13::pg_catalog.jsonb, "
		"'created_at', pg_catalog.clock_timestamp(), 'run_id', $15, "
		"'policy', (SELECT pg_catalog.jsonb_build_object('policy_id', p.policy_id, "
		"'time_column', p.time_column, 'keep', p.keep::text, 'filter', p.filter) "
		"FROM pgmaint.retention_policies p WHERE p.policy_id = $14))))");
	return ledger_text(0, 1);
}

/*
 * Add the object to the ledger, with effect when the transaction commits.  A
 * range of local times is in the time zone of the policy.
 */
static int64
add_archive(const ArchiveJob *job, const ArchiveResult *result,
			const char *sha256, const char *content_sha256)
{
	LedgerQuery query = {0};
	int level = NewGUCNestLevel();

	use_timezone(job->policy);
	bind_bigint(&query, job->policy->policy_id);
	bind_bigint(&query, job->run_id);
	bind_text(&query, job->relation);
	bind_text(&query, job->partition);
	bind_text(&query, job->upload.storage);
	bind_text(&query, job->upload.key);
	bind_bigint(&query, result->rows);
	bind_bigint(&query, result->bytes);
	bind_text(&query, sha256);
	bind_bigint(&query, result->content_bytes);
	bind_text(&query, content_sha256);
	bind_text(&query, job->from);
	bind_text(&query, job->to);
	bind_text(&query, job->policy->compression->name);
	bind_datum(&query, TEXTARRAYOID, job->columns.names);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.archives (policy_id, run_id, relation, partition, storage, key, "
		"rows, bytes, sha256, content_bytes, content_sha256, range_from, range_to, "
		"compression, columns) VALUES ($1, $2, $3, $4, $5::pg_catalog.name, $6, $7, $8, $9, "
		"$10, $11, $12::pg_catalog.timestamptz, $13::pg_catalog.timestamptz, $14, $15) "
		"RETURNING archive_id");
	AtEOXact_GUC(false, level);
	return ledger_bigint(0, 1);
}

/*
 * Write an object and its manifest, and add it to the ledger.  The archive is
 * valid only once the caller's transaction commits.
 */
void
write_archive(ArchiveJob *job, ArchiveResult *result)
{
	Storage *storage = storage_open(job->upload.storage, STORAGE_WRITE);
	Sink *object;
	Sink *content;
	uint64 rows;
	LedgerScope scope;
	char *manifest;

	memset(result, 0, sizeof(*result));
	if (!write_object(job, storage, &object, &content, &rows))
	{
		ledger_enter(&scope);
		forget_upload(job->upload.upload_id);
		ledger_leave(&scope);
		return;
	}
	result->rows = (int64) rows;
	result->bytes = (int64) digest_bytes(object);
	result->content_bytes = (int64) digest_bytes(content);

	ledger_enter(&scope);
	manifest = make_manifest(job, result, digest_sha256(object),
							 digest_sha256(content));
	ledger_leave(&scope);
	storage_put_text(storage, manifest_key(job->upload.key),
					 "application/json", job->upload.mark, manifest);

	ledger_enter(&scope);
	result->archive_id = add_archive(job, result, digest_sha256(object),
									 digest_sha256(content));
	forget_upload(job->upload.upload_id);
	ledger_leave(&scope);
}
