/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  The way back: verify_archive and restore_archive.
 *
 * Both read the whole object, and hold it against what was written down in the
 * transaction that deleted its rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/settings.h"
#include "ledger/ledger.h"
#include "retention/reading.h"
#include "storage/storage.h"

PG_FUNCTION_INFO_V1(pgmaint_verify_archive);
PG_FUNCTION_INFO_V1(pgmaint_restore_archive);

#define VERIFY_COLUMNS 4

/* what was written down */
typedef struct Archive
{
	int64 archive_id;
	char *storage;
	char *key;
	char *compression;
	int64 rows;
	int64 bytes;
	char *sha256;
	int64 content_bytes;
	char *content_sha256;
	List *columns; /* of String */
} Archive;

/*
 * The caller must be able to see the archives.
 */
static void
read_archive(int64 archive_id, Archive *archive)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	ArrayType *array;
	Datum *names;
	bool isnull;
	int count;

	bind_bigint(&query, archive_id);
	ledger_enter(&scope);
	if (ledger_query(
			&query,
			"SELECT a.storage::text, a.key, a.compression, a.rows, a.bytes, a.sha256, "
			"a.content_bytes, a.content_sha256, a.columns FROM pgmaint.archives a "
			"WHERE a.archive_id = $1") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("archive %lld does not exist", (long long) archive_id),
				 errhint("See pgmaint.archives for those that do.")));
	archive->archive_id = archive_id;
	archive->storage = ledger_text(0, 1);
	archive->key = ledger_text(0, 2);
	archive->compression = ledger_text(0, 3);
	archive->rows = ledger_bigint(0, 4);
	archive->bytes = ledger_bigint(0, 5);
	archive->sha256 = ledger_text(0, 6);
	archive->content_bytes = ledger_bigint(0, 7);
	archive->content_sha256 = ledger_text(0, 8);
	array = DatumGetArrayTypePCopy(ledger_datum(0, 9, &isnull));
	ledger_leave(&scope);

	archive->columns = NIL;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL,
					  &count);
	for (int i = 0; i < count; i++)
		archive->columns = lappend(archive->columns,
								   makeString(TextDatumGetCString(names[i])));
}

/*
 * The object as it is read: its own bytes are hashed on the way to the
 * decompression, and what comes out of that again.
 */
static void
open_archive(const Archive *archive, ArchiveReading *reading)
{
	const CompressionMethod *method = find_compression(archive->compression);
	Storage *storage;

	if (method == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("archive %lld is compressed with %s, which this "
						"server does not have",
						(long long) archive->archive_id, archive->compression),
				 errhint("Read it on a server that was built with it.")));
	storage = storage_open(archive->storage, STORAGE_READ);
	reading->object =
		hashing_source_create(storage_reader(storage, archive->key));
	reading->content =
		hashing_source_create(decompressor_create(method, reading->object));
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
	ArchiveReading reading;
	CsvCounter counter = {0};
	char *buffer = palloc(READING_BUFFER_SIZE);

	materialize_result(fcinfo);
	read_archive(PG_GETARG_INT64(0), &archive);
	open_archive(&archive, &reading);
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

	put_line(result, "bytes", number_text(archive.bytes),
			 number_text((int64) hashed_bytes(reading.object)));
	put_line(result, "sha256", archive.sha256, hashed_sha256(reading.object));
	put_line(result, "content_bytes", number_text(archive.content_bytes),
			 number_text((int64) hashed_bytes(reading.content)));
	put_line(result, "content_sha256", archive.content_sha256,
			 hashed_sha256(reading.content));
	put_line(result, "rows", number_text(archive.rows),
			 number_text(csv_rows(&counter)));
	if (!RecoveryInProgress() && !XactReadOnly &&
		strcmp(archive.sha256, hashed_sha256(reading.object)) == 0 &&
		strcmp(archive.content_sha256, hashed_sha256(reading.content)) == 0 &&
		archive.rows == csv_rows(&counter))
	{
		LedgerScope scope;
		LedgerQuery query = {0};

		bind_bigint(&query, archive.archive_id);
		ledger_enter(&scope);
		(void) ledger_query(
			&query,
			"UPDATE pgmaint.archives SET verified_at = pg_catalog.clock_timestamp() "
			"WHERE archive_id = $1");
		ledger_leave(&scope);
	}
	return (Datum) 0;
}

/* COPY asks a function that knows nothing but where to put bytes */
static Source *copied = NULL;

static int
give_bytes(void *buffer, int minimum, int maximum)
{
	int given = 0;

	CHECK_FOR_INTERRUPTS();
	while (given < Max(minimum, 1))
	{
		size_t length = source_read(copied, (char *) buffer + given,
									(size_t) (maximum - given));

		if (length == 0)
			break;
		given += (int) length;
	}
	return given;
}

/*
 * Each archived column must be there, and be one that can be written.
 */
static void
check_columns(Relation relation, const Archive *archive)
{
	ListCell *cell;

	foreach (cell, archive->columns)
	{
		const char *name = strVal(lfirst(cell));
		AttrNumber number = get_attnum(RelationGetRelid(relation), name);

		if (number <= 0)
			ereport(
				ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg(
					 "table \"%s\" has no column \"%s\", but archive %lld has",
					 RelationGetRelationName(relation), name,
					 (long long) archive->archive_id),
				 errhint(
					 "Add the column, or restore into a table that has it.")));
		if (TupleDescAttr(RelationGetDescr(relation), number - 1)
				->attgenerated != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" of table \"%s\" is generated, and "
							"cannot be restored from archive %lld",
							name, RelationGetRelationName(relation),
							(long long) archive->archive_id),
					 errhint("Restore into a table in which it is a plain "
							 "column.")));
	}
}

/*
 * What COPY FROM checks before it begins.
 */
static void
check_rights(Relation relation)
{
	Oid relid = RelationGetRelid(relation);
	AclResult result = pg_class_aclcheck(relid, GetUserId(), ACL_INSERT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(relation->rd_rel->relkind),
					   RelationGetRelationName(relation));
	if (check_enable_rls(relid, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("archives cannot be restored into table \"%s\", which "
						"has row-level security for this role",
						RelationGetRelationName(relation)),
				 errhint("Restore as the owner of the table.")));
}

/*
 * COPY complains about lines of a file; say of which.
 */
static void
name_archive(void *arg)
{
	const Archive *archive = arg;

	errcontext("restoring archive %lld, object \"%s\" on storage \"%s\"",
			   (long long) archive->archive_id, archive->key,
			   archive->storage);
}

/*
 * COPY the content into the table, with the rights of the current role.
 */
static int64
copy_in(Relation relation, const Archive *archive, ArchiveReading *reading)
{
	ParseState *state = make_parsestate(NULL);
	List *options = list_make3(
		makeDefElem("format", (Node *) makeString("csv"), -1),
		makeDefElem("header", (Node *) makeString("true"), -1),
		makeDefElem("encoding",
					(Node *) makeString(GetDatabaseEncoding() == PG_SQL_ASCII
											? "SQL_ASCII"
											: "UTF8"),
					-1));
	ErrorContextCallback context = {error_context_stack, name_archive,
									unconstify(Archive *, archive)};
	Source *outer = copied;
	CopyFromState copy;
	uint64 rows = 0;
	int level = NewGUCNestLevel();

	pin_round_trip_settings();
	(void) addRangeTableEntryForRelation(state, relation, RowExclusiveLock,
										 NULL, false, false);
	error_context_stack = &context;
	PG_TRY();
	{
		copied = reading->content;
		copy = BeginCopyFrom(state, relation, NULL, NULL, false, give_bytes,
							 archive->columns, options);
		rows = CopyFrom(copy);
		EndCopyFrom(copy);
	}
	PG_FINALLY();
	{
		copied = outer;
		source_close(reading->content);
	}
	PG_END_TRY();
	error_context_stack = context.previous;
	AtEOXact_GUC(false, level);
	free_parsestate(state);
	return (int64) rows;
}

/*
 * pgmaint.restore_archive(archive_id bigint, into regclass)
 *
 * All or nothing: what turns out not to be what was archived is an ERROR, and
 * leaves no row.
 */
Datum
pgmaint_restore_archive(PG_FUNCTION_ARGS)
{
	Oid target = PG_GETARG_OID(1);
	Archive archive;
	ArchiveReading reading;
	Relation relation;
	int64 rows;

	PreventCommandDuringRecovery("pgmaint.restore_archive()");
	PreventCommandIfReadOnly("pgmaint.restore_archive()");
	read_archive(PG_GETARG_INT64(0), &archive);
	relation = table_open(target, RowExclusiveLock);
	if (relation->rd_rel->relkind != RELKIND_RELATION &&
		relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a table",
							   RelationGetRelationName(relation)),
						errhint("Restore into a table.")));
	check_rights(relation);
	check_columns(relation, &archive);
	open_archive(&archive, &reading);
	rows = copy_in(relation, &archive, &reading);
	table_close(relation, NoLock);

	if (strcmp(archive.content_sha256, hashed_sha256(reading.content)) != 0 ||
		strcmp(archive.sha256, hashed_sha256(reading.object)) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("archive %lld is not what was written: its digest differs",
					(long long) archive.archive_id),
			 errdetail("Object \"%s\" on storage \"%s\" has %lld bytes, %lld "
					   "were written.",
					   archive.key, archive.storage,
					   (long long) hashed_bytes(reading.object),
					   (long long) archive.bytes),
			 errhint("See pgmaint.verify_archive(%lld); no row was restored.",
					 (long long) archive.archive_id)));
	PG_RETURN_INT64(rows);
}
