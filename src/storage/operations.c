/*-------------------------------------------------------------------------
 *
 * operations.c
 *	  Operations in a storage of any kind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "base/utf8.h"
#include "storage/backend.h"
#include "storage/file.h"

/*
 * In every kind of storage, a key names one object below the storage's own
 * prefix or folder.
 */
static void
check_key(const Storage *storage, const char *key)
{
	const char *complaint = path_complaint(key);

	if (complaint == NULL && strlen(key) > MAX_KEY_LENGTH)
		complaint =
			psprintf("The key is longer than %d bytes.", MAX_KEY_LENGTH);
	if (complaint != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" cannot be a key in storage \"%s\"", key,
							   storage_name(storage)),
						errdetail("%s", complaint)));
}

/*
 * A mark is written to headers and files without quoting.
 */
static void
check_mark(const char *mark)
{
	for (const char *c = mark; *c != '\0'; c++)
	{
		if (*c < ' ' || *c >= 0x7f || c - mark == MAX_MARK_LENGTH)
			elog(ERROR, "invalid mark for an object: \"%s\"", mark);
	}
}

Storage *
storage_open(const char *server, StorageAccess access)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint storage", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Storage *storage = palloc0(sizeof(Storage));

	storage->context = context;
	storage->options = read_storage_options(server);
	storage->backend =
		storage->options->kind == STORAGE_S3 ? &s3_backend : &file_backend;
	storage->backend->open(storage, access);
	MemoryContextSwitchTo(caller);
	return storage;
}

int
storage_longest_key(const char *server)
{
	ForeignServer *found = GetForeignServerByName(server, true);
	StorageOptions options = {0};
	ListCell *cell;

	if (found == NULL)
		return MAX_KEY_LENGTH;
	foreach (cell, found->options)
	{
		DefElem *option = lfirst(cell);

		if (strcmp(option->defname, "url") == 0 &&
			parse_storage_url(defGetString(option), &options) &&
			options.kind == STORAGE_FILE)
			return file_longest_key(options.folder);
	}
	return MAX_KEY_LENGTH;
}

Sink *
storage_writer(Storage *storage, const char *key, const char *content_type,
			   const char *mark)
{
	check_key(storage, key);
	if (mark != NULL)
		check_mark(mark);
	return storage->backend->writer(storage, key, content_type, mark);
}

Source *
storage_reader(Storage *storage, const char *key)
{
	check_key(storage, key);
	return storage->backend->reader(storage, key);
}

bool
storage_stat(Storage *storage, const char *key, StoredObject *object)
{
	check_key(storage, key);
	return storage->backend->stat(storage, key, object);
}

void
storage_list(Storage *storage, const char *prefix, StorageVisit visit,
			 void *context)
{
	storage->backend->list(storage, prefix, visit, context);
}

void
storage_delete(Storage *storage, const char *key)
{
	check_key(storage, key);
	storage->backend->remove(storage, key);
}

void
/* cppcheck-suppress unusedFunction ; test/modules is not looked at */
storage_remove_unfinished(Storage *storage, const char *key)
{
	check_key(storage, key);
	storage->backend->remove_unfinished(storage, key);
}

int64
storage_free_bytes(Storage *storage)
{
	if (storage->backend->free_bytes == NULL)
		return -1;
	return storage->backend->free_bytes(storage);
}

/*
 * Texts are stored in UTF-8, whatever the encoding of the database is.
 */
void
storage_put_text(Storage *storage, const char *key, const char *content_type,
				 const char *mark, const char *text)
{
	char *bytes = text_in_utf8(text);
	Sink *sink = storage_writer(storage, key, content_type, mark);

	PG_TRY();
	{
		sink_begin(sink);
		sink_write(sink, bytes, strlen(bytes));
	}
	PG_CATCH();
	{
		sink_abort(sink);
		PG_RE_THROW();
	}
	PG_END_TRY();
	sink_end(sink);
	sink_free(sink);
}

/*
 * The limit is needed because another writer may have written the object, in
 * any size.
 */
char *
storage_get_text(Storage *storage, const char *key, size_t limit)
{
	Source *source = storage_reader(storage, key);
	StringInfoData bytes;

	initStringInfo(&bytes);
	PG_TRY();
	{
		char piece[8192];
		size_t length;

		while ((length = source_read(source, piece, sizeof(piece))) > 0)
		{
			if (bytes.len + length > limit)
				ereport(
					ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("object \"%s\" in storage \"%s\" is longer than "
							"%zu bytes",
							key, storage_name(storage), limit)));
			appendBinaryStringInfo(&bytes, piece, (int) length);
		}
	}
	PG_FINALLY();
	{
		source_close(source);
	}
	PG_END_TRY();
	source_free(source);
	/* refuses what is not UTF-8, and zero bytes */
	return pg_any_to_server(bytes.data, bytes.len, PG_UTF8);
}
