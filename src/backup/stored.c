/*-------------------------------------------------------------------------
 *
 * stored.c
 *	  Reading the backups in a storage without the ledger.
 *
 * All keys are listed once; then each manifest is read.  An error in one
 * backup does not hide the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "backup/stored.h"
#include "base/subtransaction.h"
#include "objects/keys.h"

#define VERIFICATION_SUFFIX ".verified.json"

/* an object that may belong to a backup */
typedef struct ListedObject
{
	char *key;
	int64 bytes;
} ListedObject;

typedef struct Listing
{
	Storage *storage;
	ListedObject *objects; /* dumps and verifications, in the order of keys */
	int count;
	int allocated;
	List *manifests;	   /* keys of what may be one */
	char *last_archive;	   /* the manifest of the archive that was seen last */
	List *backups;		   /* of StoredBackup */
	MemoryContext scratch; /* of one manifest */
} Listing;

/* one manifest, in a subtransaction of its own */
typedef struct Reading
{
	Storage *storage;
	const char *key;
	StoredBackup *backup;
	bool is_backup;
} Reading;

static bool
ends_with(const char *text, const char *suffix)
{
	size_t length = strlen(text);
	size_t end = strlen(suffix);

	return length >= end && strcmp(text + length - end, suffix) == 0;
}

static const char *
name_of(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash == NULL ? key : slash + 1;
}

static void
read_backup(void *argument)
{
	Reading *reading = argument;
	char *text =
		storage_get_text(reading->storage, reading->key, MAX_MANIFEST_BYTES);

	reading->is_backup = parse_manifest(text, reading->backup);
	if (reading->is_backup &&
		strcmp(manifest_key(reading->backup->key), reading->key) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the manifest describes another object, \"%s\"",
							   reading->backup->key)));
}

static void
read_verification(void *argument)
{
	Reading *reading = argument;

	parse_verification(
		storage_get_text(reading->storage, reading->key, MAX_MANIFEST_BYTES),
		reading->backup);
}

/*
 * Read one object; returns why it could not be read, or NULL. Errors of the
 * storage as a whole, and cancellation, are raised.
 */
static ErrorData *
try_to_read(void (*work)(void *), Reading *reading)
{
	ErrorData *error = try_in_subtransaction(work, reading);
	int category;

	if (error == NULL)
		return NULL;
	category = ERRCODE_TO_CATEGORY(error->sqlerrcode);
	if (category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_CONNECTION_EXCEPTION ||
		category == ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION)
		ReThrowError(error);
	return error;
}

static int
compare_objects(const void *a, const void *b)
{
	return strcmp(((const ListedObject *) a)->key,
				  ((const ListedObject *) b)->key);
}

static const ListedObject *
find_listed(const Listing *listing, const char *key)
{
	ListedObject wanted = {.key = unconstify(char *, key)};

	return bsearch(&wanted, listing->objects, listing->count,
				   sizeof(ListedObject), compare_objects);
}

/*
 * The object that belongs to a manifest, by their names alone.
 */
static const ListedObject *
find_beside(const Listing *listing, const char *manifest)
{
	size_t stem = strlen(manifest) - strlen("json");
	int low = 0;
	int high = listing->count;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (strncmp(listing->objects[middle].key, manifest, stem) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < listing->count &&
		   strncmp(listing->objects[low].key, manifest, stem) == 0;
		 low++)
	{
		const ListedObject *object = &listing->objects[low];

		if (!ends_with(object->key, VERIFICATION_SUFFIX) &&
			strcmp(manifest_key(object->key), manifest) == 0)
			return object;
	}
	return NULL;
}

/*
 * Keep objects with the suffix of a backup, and objects that may be manifests.
 * Manifests of archives are skipped: their objects come before them in the
 * listing.
 */
static bool
visit_object(void *context, const StoredObject *object)
{
	Listing *listing = context;
	const char *name = name_of(object->key);

	CHECK_FOR_INTERRUPTS();
	if (ends_with(name, ".json") && !ends_with(name, VERIFICATION_SUFFIX))
	{
		if (listing->last_archive == NULL ||
			strcmp(listing->last_archive, object->key) != 0 ||
			find_beside(listing, object->key) != NULL)
			listing->manifests =
				lappend(listing->manifests, pstrdup(object->key));
	}
	else if (strstr(name, ".dump") != NULL || strstr(name, ".sql") != NULL ||
			 ends_with(name, VERIFICATION_SUFFIX))
	{
		if (listing->count == listing->allocated)
		{
			listing->allocated = Max(2 * listing->allocated, 64);
			listing->objects =
				listing->objects == NULL
					? palloc(sizeof(ListedObject) * listing->allocated)
					: repalloc_huge(listing->objects,
									sizeof(ListedObject) * listing->allocated);
		}
		listing->objects[listing->count].key = pstrdup(object->key);
		listing->objects[listing->count++].bytes = object->bytes;
	}
	else if (strstr(name, ".csv") != NULL)
	{
		if (listing->last_archive != NULL)
			pfree(listing->last_archive);
		listing->last_archive = manifest_key(object->key);
	}
	return true;
}

static char *
copy(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/*
 * Manifests may be large: only the parsed fields are kept.
 */
static void
keep_backup(Listing *listing, const StoredBackup *read, const char *error)
{
	StoredBackup *backup = palloc(sizeof(StoredBackup));

	*backup = *read;
	backup->key = copy(read->key);
	backup->kind = copy(read->kind);
	backup->database = copy(read->database);
	backup->selection = copy(read->selection);
	backup->compression = copy(read->compression);
	backup->sha256 = copy(read->sha256);
	backup->mark = copy(read->mark);
	backup->identity = copy(read->identity);
	backup->server_version = copy(read->server_version);
	backup->verification = copy(read->verification);
	backup->verification_error = copy(read->verification_error);
	backup->restore_settings = copy(read->restore_settings);
	backup->error = copy(error);
	listing->backups = lappend(listing->backups, backup);
}

/*
 * Keep a manifest that cannot be read, if its name or its object shows that it
 * is one: other JSON objects may be in the storage, too.
 */
static void
keep_unreadable(Listing *listing, const char *manifest, const char *message)
{
	const ListedObject *object = find_beside(listing, manifest);
	StoredBackup backup = {.bytes = -1,
						   .dump_bytes = -1,
						   .database_bytes = -1,
						   .run_id = -1,
						   .restore_seconds = -1};

	if (object == NULL && strncmp(name_of(manifest), "backup-", 7) != 0)
		return;
	backup.key = unconstify(char *, manifest);
	if (object != NULL)
	{
		backup.key = object->key;
		backup.bytes = object->bytes;
	}
	keep_backup(listing, &backup,
				psprintf("the manifest cannot be read: %s", message));
}

/*
 * Read one manifest, and compare it with its object.
 */
static void
add_backup(Listing *listing, const char *manifest)
{
	StoredBackup backup = {.restore_seconds = -1};
	Reading reading = {
		.storage = listing->storage, .key = manifest, .backup = &backup};
	MemoryContext caller = MemoryContextSwitchTo(listing->scratch);
	ErrorData *error = try_to_read(read_backup, &reading);
	char *complaint = NULL;

	if (error == NULL && reading.is_backup)
	{
		const ListedObject *object = find_listed(listing, backup.key);

		if (object == NULL)
			complaint = "the object is missing";
		else if (object->bytes != backup.bytes)
			complaint =
				psprintf("the object has %lld bytes, the manifest says %lld",
						 (long long) object->bytes, (long long) backup.bytes);
		reading.key = verification_key(backup.key);
		if (find_listed(listing, reading.key) != NULL)
			(void) try_to_read(read_verification, &reading);
	}
	MemoryContextSwitchTo(caller);
	if (error != NULL)
		keep_unreadable(listing, manifest, error->message);
	else if (reading.is_backup)
		keep_backup(listing, &backup, complaint);
}

/*
 * Newest first; backups of unknown time come last.
 */
static int
compare_backups(const ListCell *a, const ListCell *b)
{
	const StoredBackup *left = lfirst(a);
	const StoredBackup *right = lfirst(b);

	if (left->started_at != right->started_at)
		return left->started_at == 0				  ? 1
			   : right->started_at == 0				  ? -1
			   : left->started_at < right->started_at ? 1
													  : -1;
	return strcmp(left->key, right->key);
}

List *
list_stored_backups(Storage *storage)
{
	Listing listing = {.storage = storage};
	ListCell *cell;

	listing.scratch = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint manifest", ALLOCSET_DEFAULT_SIZES);
	storage_list(storage, "", visit_object, &listing);
	if (listing.count > 1)
		qsort(listing.objects, listing.count, sizeof(ListedObject),
			  compare_objects);
	foreach (cell, listing.manifests)
	{
		CHECK_FOR_INTERRUPTS();
		add_backup(&listing, lfirst(cell));
		MemoryContextReset(listing.scratch);
	}
	MemoryContextDelete(listing.scratch);
	list_sort(listing.backups, compare_backups);
	return listing.backups;
}

/*
 * Manifests of earlier versions have no identity: the ledger may know it.
 */
bool
is_own_backup(const char *storage, const StoredBackup *backup)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	bool own;

	bind_text(&query, backup->identity);
	bind_text(&query, storage);
	bind_text(&query, backup->key);
	ledger_enter(&scope);
	own =
		ledger_query(
			&query,
			"SELECT FROM pgmaint_internal.own_identities o WHERE o.identity = coalesce($1, "
			"(SELECT b.identity FROM pgmaint_internal.backup_records b "
			"WHERE b.storage = $2::pg_catalog.name AND b.key = $3))") > 0;
	ledger_leave(&scope);
	return own;
}

/*
 * Backups that are damaged, partial or not restorable are skipped.
 */
StoredBackup *
find_newest_backup(Storage *storage, const char *database, bool own)
{
	ListCell *cell;

	foreach (cell, list_stored_backups(storage))
	{
		StoredBackup *backup = lfirst(cell);

		if (backup->error == NULL && backup->selection == NULL &&
			backup->database != NULL &&
			strcmp(backup->database, database) == 0 &&
			(backup->verification == NULL ||
			 strcmp(backup->verification, "not restorable") != 0) &&
			is_own_backup(storage_name(storage), backup) == own)
			return backup;
	}
	return NULL;
}
