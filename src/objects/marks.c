/*-------------------------------------------------------------------------
 *
 * marks.c
 *	  Lookup and removal of objects by their mark.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "objects/marks.h"

bool
find_marked(Storage *storage, const char *key, const char *mark,
			StoredObject *object)
{
	return storage_stat(storage, key, object) && mark != NULL &&
		   object->mark != NULL && strcmp(object->mark, mark) == 0;
}

/*
 * Remove an object if it carries the mark, which is checked right before the
 * removal.  Adds the size of the object to bytes unless that is NULL.
 */
bool
remove_marked(Storage *storage, const char *key, const char *mark,
			  int64 *bytes)
{
	StoredObject object;
	bool found = find_marked(storage, key, mark, &object);

	if (found)
		storage_delete(storage, key);
	if (bytes != NULL)
		*bytes = found ? object.bytes : 0;
	return found;
}
