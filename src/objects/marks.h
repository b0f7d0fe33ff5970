/*-------------------------------------------------------------------------
 *
 * marks.h
 *	  Objects that are known by the mark that they carry.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_MARKS_H
#define PGMAINT_MARKS_H

#include "storage/storage.h"

/* both with the rights of the current role; a mark that is NULL is nobody's */
extern bool find_marked(Storage *storage, const char *key, const char *mark,
						StoredObject *object);
extern bool remove_marked(Storage *storage, const char *key, const char *mark,
						  int64 *bytes);

#endif /* PGMAINT_MARKS_H */
