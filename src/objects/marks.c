/*-------------------------------------------------------------------------
 *
 * marks.c
 *	  Objects that are known by the mark that they carry.
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
 * Whose it is, is looked at in the last moment.  How many bytes are gone is of
 * interest unless bytes is NULL.
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
