/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Compares the object of an archive with the ledger.
 *
 * The whole object is read and compared with the ledger, whose row was written
 * in the transaction that deleted the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "ledger/ledger.h"
#include "retention/verify.h"

PG_FUNCTION_INFO_V1(pgmaint_verify_archive);

#define VERIFY_COLUMNS 4

typedef struct CsvCounter
{
	bool quoted;
	bool in_line;
	int64 lines;
} CsvCounter;

/*
 * A newline between quotes belongs to a value.  A doubled quote ends one
 * quoted part and begins another, with the same result.
 */
static void
count_csv_rows(CsvCounter *counter, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		if (data[i] == '"')
			counter->quoted = !counter->quoted;
		if (data[i] == '\n' && !counter->quoted)
		{
			counter->lines++;
			counter->in_line = false;
		}
		else
			counter->in_line = true;
	}
}

/*
 * The number of rows, without the header.
 */
static int64
csv_rows(const CsvCounter *counter)
{
	return Max(counter->lines + (counter->in_line ? 1 : 0) - 1, 0);
}

/*
 * Read the whole object.
 */
void
read_content(const Archive *archive, ArchiveContent *content)
{
	ArchiveReading reading;
	CsvCounter counter = {0};
	char *buffer = palloc(READING_BUFFER_SIZE);

	open_archive(archive, &reading);
	PG_TRY();
	{
		for (;;)
		{
			size_t length =
				source_read(reading.content, buffer, READING_BUFFER_SIZE);

			CHECK_FOR_INTERRUPTS();
			if (length == 0)
				break;
			count_csv_rows(&counter, buffer, length);
		}
	}
	PG_FINALLY();
	{
		source_close(reading.content);
	}
	PG_END_TRY();
	pfree(buffer);
	content->bytes = (int64) hashed_bytes(reading.object);
	content->sha256 = hashed_sha256(reading.object);
	content->content_bytes = (int64) hashed_bytes(reading.content);
	content->content_sha256 = hashed_sha256(reading.content);
	content->rows = csv_rows(&counter);
}

char *
describe_damage(const Archive *archive, const ArchiveContent *content)
{
	if (content->bytes != archive->bytes)
		return psprintf("the object has %lld bytes instead of %lld",
						(long long) content->bytes,
						(long long) archive->bytes);
	if (strcmp(content->sha256, archive->sha256) != 0)
		return psprintf("the SHA-256 of the object is %s instead of %s",
						content->sha256, archive->sha256);
	if (strcmp(content->content_sha256, archive->content_sha256) != 0)
		return psprintf("the SHA-256 of the CSV in the object is %s instead "
						"of %s",
						content->content_sha256, archive->content_sha256);
	if (content->rows != archive->rows)
		return psprintf("the object has %lld rows instead of %lld",
						(long long) content->rows, (long long) archive->rows);
	return NULL;
}

/*
 * verified_at stays the time at which the archive was last found whole.
 */
bool
note_archive_check(int64 archive_id, const char *result, const char *error)
{
	LedgerQuery query = {0};

	bind_bigint(&query, archive_id);
	bind_text(&query, result);
	bind_text(&query, error);
	return ledger_query(
			   &query,
			   "WITH before AS MATERIALIZED (SELECT a.archive_id, a.check_result "
			   "FROM pgmaint.archives a WHERE a.archive_id = $1 FOR UPDATE) "
			   "UPDATE pgmaint.archives a SET check_result = $2, check_error = $3, "
			   "checked_at = pg_catalog.clock_timestamp(), "
			   "verified_at = CASE WHEN $2 = '" ARCHIVE_WHOLE
			   "' THEN pg_catalog.clock_timestamp() ELSE a.verified_at END "
			   "FROM before b WHERE a.archive_id = b.archive_id "
			   "RETURNING b.check_result IS DISTINCT FROM $2") > 0 &&
		   ledger_boolean(0, 1);
}

static void
put_line(ReturnSetInfo *result, const char *item, const char *expected,
		 const char *found)
{
	Datum values[VERIFY_COLUMNS];
	bool nulls[VERIFY_COLUMNS] = {0};

	values[0] = CStringGetTextDatum(item);
	values[1] = CStringGetTextDatum(expected);
	values[2] = CStringGetTextDatum(found);
	values[3] = BoolGetDatum(strcmp(expected, found) == 0);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static char *
number_text(int64 number)
{
	return psprintf("%lld", (long long) number);
}

/*
 * pgmaint.verify_archive(archive_id bigint)
 */
Datum
pgmaint_verify_archive(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Archive archive;
	ArchiveContent content;

	materialize_result(fcinfo);
	read_archive(PG_GETARG_INT64(0), &archive);
	read_content(&archive, &content);
	put_line(result, "bytes", number_text(archive.bytes),
			 number_text(content.bytes));
	put_line(result, "sha256", archive.sha256, content.sha256);
	put_line(result, "content_bytes", number_text(archive.content_bytes),
			 number_text(content.content_bytes));
	put_line(result, "content_sha256", archive.content_sha256,
			 content.content_sha256);
	put_line(result, "rows", number_text(archive.rows),
			 number_text(content.rows));
	if (!RecoveryInProgress() && !XactReadOnly)
	{
		char *damage = describe_damage(&archive, &content);
		LedgerScope scope;

		ledger_enter(&scope);
		(void) note_archive_check(
			archive.archive_id,
			damage == NULL ? ARCHIVE_WHOLE : ARCHIVE_DAMAGED, damage);
		ledger_leave(&scope);
	}
	return (Datum) 0;
}
