/*-------------------------------------------------------------------------
 *
 * file.h
 *	  A folder as a storage: how objects are named in it.
 *
 * An object is a file.  Beside the file "NAME" there may be ".NAME" with one
 * of the suffixes below, which no listing shows: the mark of the object, and
 * the unfinished file of a writer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_FILE_H
#define PGMAINT_STORAGE_FILE_H

#include "storage/backend.h"
#include "storage/folder.h"

#define MARK_SUFFIX ".pgmaint-mark"
#define UNFINISHED_SUFFIX ".pgmaint-part"

extern Handle *file_top(Storage *storage, bool make);
extern Handle *file_folder(Storage *storage, const char *key,
						   const char *what);
extern const char *file_name(const Storage *storage, const char *key);
extern char *file_companion(const char *key, const char *suffix);
extern void file_sync_folders(Storage *storage, const char *key);
extern bool below_data_directory(const Storage *storage);
extern int file_longest_key(const char *folder);
extern _Noreturn void file_failed(const Storage *storage, const char *key,
								  const char *what);

extern bool is_companion(const char *name);
extern Sink *file_writer(Storage *storage, const char *key, const char *mark);
extern void file_remove_unfinished(Storage *storage, const char *key);
extern void file_list(Storage *storage, const char *prefix, StorageVisit visit,
					  void *context);

#endif /* PGMAINT_STORAGE_FILE_H */
