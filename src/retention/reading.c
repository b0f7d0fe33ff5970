/*-------------------------------------------------------------------------
 *
 * reading.c
 *	  Reading an archive: its row in the ledger, and the bytes of its object.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "ledger/ledger.h"
#include "objects/storage_names.h"
#include "retention/reading.h"
#include "storage/storage.h"

/*
 * The caller must be able to see the archives.
 */
void
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
	follow_storage_names(false);
	if (ledger_query(
			&query,
			"SELECT a.storage::text, a.key, a.compression, a.rows, a.bytes, a.sha256, "
			"a.content_bytes, a.content_sha256, a.columns FROM pgmaint.archives a "
			"WHERE a.archive_id = $1") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("archive %lld does not exist", (long long) archive_id),
				 errhint("List the archives with SELECT * FROM "
						 "pgmaint.archives.")));
	archive->archive_id = archive_id;
	archive->storage = named_text(0, "storage");
	archive->key = named_text(0, "key");
	archive->compression = named_text(0, "compression");
	archive->rows = named_bigint(0, "rows");
	archive->bytes = named_bigint(0, "bytes");
	archive->sha256 = named_text(0, "sha256");
	archive->content_bytes = named_bigint(0, "content_bytes");
	archive->content_sha256 = named_text(0, "content_sha256");
	array = DatumGetArrayTypePCopy(named_datum(0, "columns", &isnull));
	ledger_leave(&scope);

	archive->columns = NIL;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL,
					  &count);
	for (int i = 0; i < count; i++)
		archive->columns = lappend(archive->columns,
								   makeString(TextDatumGetCString(names[i])));
}

/*
 * Open the object for reading: its bytes are hashed before decompression, and
 * the content is hashed after it.
 */
void
open_archive(const Archive *archive, ArchiveReading *reading)
{
	const CompressionMethod *method = find_compression(archive->compression);
	Storage *storage;

	if (method == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("archive %lld is compressed with %s, which this "
						"server does not support",
						(long long) archive->archive_id, archive->compression),
				 errhint("Read the archive on a server that supports %s.",
						 archive->compression)));
	storage = storage_open(archive->storage, STORAGE_READ);
	reading->object =
		hashing_source_create(storage_reader(storage, archive->key));
	reading->content =
		hashing_source_create(decompressor_create(method, reading->object));
}
