/*-------------------------------------------------------------------------
 *
 * file_list.c
 *	  The objects in a folder, in the order of their keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "storage/file.h"

typedef struct Walk
{
	const Storage *storage;
	const char *prefix;
	StorageVisit visit;
	void *context;
	MemoryContext memory; /* of who visits: folders have their own */
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
 * Can the key, or something that begins with it, begin with the prefix?
 */
static bool
may_match(const Walk *walk, const char *key)
{
	return strncmp(key, walk->prefix,
				   Min(strlen(key), strlen(walk->prefix))) == 0;
}

/*
 * What is there under the key; NULL if nothing that belongs into a list.  A
 * link to a file is that file, and a link to a folder is nothing, since it
 * could lead back.
 */
static Entry *
look_at(const Walk *walk, const char *key)
{
	char *path = psprintf("%s/%s", walk->storage->options->folder, key);
	struct stat status;
	Entry *entry;
	bool is_link;

	if (lstat(path, &status) != 0)
	{
		/* it has just gone */
		if (errno == ENOENT)
			return NULL;
		file_failed(walk->storage, key, "look at");
	}
	is_link = S_ISLNK(status.st_mode);
	if ((is_link && stat(path, &status) != 0) ||
		!(S_ISREG(status.st_mode) || (S_ISDIR(status.st_mode) && !is_link)))
		return NULL;
	pfree(path);

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
 * What is in a folder, whose key is "" or ends in a slash.
 */
static List *
read_folder(const Walk *walk, const char *folder)
{
	char *path = psprintf("%s/%s", walk->storage->options->folder, folder);
	DIR *dir = AllocateDir(path);
	List *entries = NIL;
	struct dirent *found;

	/* not yet made, or just gone; that it must be there was looked at before */
	if (dir == NULL && errno == ENOENT)
		return NIL;
	while ((found = ReadDir(dir, path)) != NULL)
	{
		char *key = psprintf("%s%s", folder, found->d_name);
		Entry *entry;

		CHECK_FOR_INTERRUPTS();
		if (strlen(key) <= MAX_KEY_LENGTH && path_complaint(key) == NULL &&
			!is_companion(found->d_name) && may_match(walk, key) &&
			(entry = look_at(walk, key)) != NULL)
			entries = lappend(entries, entry);
		pfree(key);
	}
	FreeDir(dir);
	list_sort(entries, compare_keys);
	return entries;
}

/*
 * Visit what is in a folder and below; false when no more is wanted.
 */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): keys are not that long */
walk_folder(const Walk *walk, const char *folder)
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
	Walk walk = {storage, prefix, visit, context, CurrentMemoryContext};

	(void) walk_folder(&walk, "");
}
