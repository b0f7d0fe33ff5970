/*-------------------------------------------------------------------------
 *
 * file.h
 *	  A folder as a storage: how objects are named in it.
 *
 * An object is a file.  Beside the file "NAME" there may be ".NAME" with one of
 * the suffixes below, which no listing shows: the mark that belongs to the
 * object, and what a writer has not finished.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_FILE_H
#define PGMAINT_STORAGE_FILE_H

#include "storage/backend.h"

#define MARK_SUFFIX ".pgmaint-mark"
#define UNFINISHED_SUFFIX ".pgmaint-part"

extern char *file_path(const Storage *storage, const char *key);
extern char *file_companion(const Storage *storage, const char *key,
							const char *suffix);
extern bool below_data_directory(const Storage *storage);
extern int file_longest_key(const char *folder);
extern _Noreturn void file_failed(const Storage *storage, const char *key,
								  const char *what);

extern bool is_companion(const char *name);
extern void file_sync_folders(const Storage *storage, const char *key);
extern Sink *file_writer(Storage *storage, const char *key, const char *mark);
extern void file_remove_unfinished(Storage *storage, const char *key);
extern void file_list(Storage *storage, const char *prefix, StorageVisit visit,
					  void *context);

#endif /* PGMAINT_STORAGE_FILE_H */
