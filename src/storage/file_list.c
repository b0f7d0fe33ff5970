/*-------------------------------------------------------------------------
 *
 * file_list.c
 *	  The objects in a folder, in the order of their keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "storage/file.h"

typedef struct Walk
{
	Storage *storage;
	const char *prefix;
	StorageVisit visit;
	void *context;
	MemoryContext memory; /* of the visitor: folders have their own */
	int64 passed_over;
	char example[MAX_KEY_LENGTH + 1];
} Walk;

typedef struct Entry
{
	char
		*key; /* a folder's ends in a slash, so that it sorts with its files */
	bool is_folder;
	StoredObject object;
} Entry;

static int
compare_keys(const ListCell *a, const ListCell *b)
{
	return strcmp(((const Entry *) lfirst(a))->key,
				  ((const Entry *) lfirst(b))->key);
}

/*
 * Can the key, or a longer key that begins with it, begin with the prefix?
 */
static bool
may_match(const Walk *walk, const char *key)
{
	return strncmp(key, walk->prefix,
				   Min(strlen(key), strlen(walk->prefix))) == 0;
}

/*
 * Count an entry that is neither a file nor a folder: links are not followed,
 * since they may lead anywhere, and opening a FIFO or a device may have side
 * effects.
 */
static void
count_skipped_entry(Walk *walk, const char *key)
{
	if (walk->passed_over++ == 0)
		strlcpy(walk->example, key, sizeof(walk->example));
}

/*
 * The entry of a key; NULL if it is not part of a list.
 */
static Entry *
look_at(Walk *walk, const Handle *folder, const char *name, const char *key)
{
	struct stat status;
	Entry *entry;

	if (!look_in(folder, name, &status))
	{
		/* the entry was just removed */
		if (errno == ENOENT)
			return NULL;
		file_failed(walk->storage, key, "look up");
	}
	if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
	{
		count_skipped_entry(walk, key);
		return NULL;
	}

	entry = palloc0(sizeof(Entry));
	entry->is_folder = S_ISDIR(status.st_mode);
	entry->key = psprintf("%s%s", key, entry->is_folder ? "/" : "");
	entry->object.key = entry->key;
	entry->object.bytes = status.st_size;
	entry->object.modified = time_t_to_timestamptz(status.st_mtime);
	if (!may_match(walk, entry->key) ||
		(!entry->is_folder && strlen(entry->key) < strlen(walk->prefix)))
		return NULL;
	return entry;
}

/*
 * The next name in a folder; NULL at its end.
 */
static const char *
next_name(const Walk *walk, DIR *dir, const char *folder)
{
	struct dirent *found;

	errno = 0;
	/* cppcheck-suppress readdirCalled ; a backend has one thread */
	found = readdir(dir);
	if (found == NULL && errno != 0)
		file_failed(walk->storage, folder, "list");
	return found == NULL ? NULL : found->d_name;
}

/*
 * The entries of a folder, whose key is "" or ends in a slash.
 */
static List *
read_folder(Walk *walk, const char *key_of_folder)
{
	Handle *folder = file_folder(walk->storage, key_of_folder, "list");
	List *entries = NIL;
	const char *name;
	DIR *dir;

	/* not yet made, or just gone */
	if (folder == NULL)
		return NIL;
	dir = read_folder_of(folder);
	if (dir == NULL)
		file_failed(walk->storage, key_of_folder, "list");
	while ((name = next_name(walk, dir, key_of_folder)) != NULL)
	{
		char *key = psprintf("%s%s", key_of_folder, name);
		Entry *entry;

		CHECK_FOR_INTERRUPTS();
		if (strlen(key) <= MAX_KEY_LENGTH && path_complaint(key) == NULL &&
			!is_companion(name) && may_match(walk, key) &&
			(entry = look_at(walk, folder, name, key)) != NULL)
			entries = lappend(entries, entry);
		pfree(key);
	}
	(void) close_handle(folder);
	list_sort(entries, compare_keys);
	return entries;
}

/*
 * Visit the objects in a folder and below it; false if the visitor wants no
 * more.
 */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): keys are not that long */
walk_folder(Walk *walk, const char *folder)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint folder", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	List *entries = read_folder(walk, folder);
	bool more = true;
	ListCell *cell;

	foreach (cell, entries)
	{
		const Entry *entry = lfirst(cell);

		if (entry->is_folder)
			more = walk_folder(walk, entry->key);
		else
		{
			MemoryContextSwitchTo(walk->memory);
			more = walk->visit(walk->context, &entry->object);
			MemoryContextSwitchTo(context);
		}
		if (!more)
			break;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return more;
}

void
file_list(Storage *storage, const char *prefix, StorageVisit visit,
		  void *context)
{
	Walk walk = {.storage = storage,
				 .prefix = prefix,
				 .visit = visit,
				 .context = context,
				 .memory = CurrentMemoryContext};

	(void) walk_folder(&walk, "");
	if (walk.passed_over > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("storage \"%s\" contains " INT64_FORMAT
						" entries that are not regular files, such as \"%s\"",
						storage_name(storage), walk.passed_over, walk.example),
				 errdetail("The storage is the folder \"%s\". Symbolic links "
						   "in the folder are not followed.",
						   storage->options->folder),
				 errhint("Replace symbolic links with the files they point "
						 "to, and remove other entries that pgmaint did not "
						 "create.")));
}
