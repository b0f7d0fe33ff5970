/*-------------------------------------------------------------------------
 *
 * marks.h
 *	  Lookup and removal of objects by their mark.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_MARKS_H
#define PGMAINT_MARKS_H

#include "storage/storage.h"

/* both with the rights of the current role; no object has a mark that is NULL */
extern bool find_marked(Storage *storage, const char *key, const char *mark,
						StoredObject *object);
extern bool remove_marked(Storage *storage, const char *key, const char *mark,
						  int64 *bytes);

#endif /* PGMAINT_MARKS_H */
