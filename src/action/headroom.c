/*-------------------------------------------------------------------------
 *
 * headroom.c
 *	  Disk space for the copy that a command writes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/tablespace.h"
#include "utils/builtins.h"

#include "action/headroom.h"
#include "base/diskspace.h"
#include "base/wording.h"

static char *
name_of_tablespace(Oid tablespace)
{
	char *name = NULL;

	if (OidIsValid(tablespace))
		name = get_tablespace_name(tablespace);
	return name != NULL ? psprintf("tablespace %s", quote_identifier(name))
						: pstrdup("the database's own tablespace");
}

static char *
compare_with_free(Oid tablespace, int64 needed, int64 min_free)
{
	int64 free_bytes = free_bytes_of_tablespace(tablespace);

	if (needed <= free_bytes && min_free <= free_bytes - needed)
		return NULL;
	return psprintf(
		"not enough disk space: %s needed in %s and %s to be kept free there, but only %s free",
		size_text(needed), name_of_tablespace(tablespace), size_text(min_free),
		size_text(free_bytes));
}

/*
 * Returns which space is missing for a copy on a tablespace and for sort files
 * on the tablespace of the database, where the sessions of the tasks put them;
 * NULL if none is.
 */
char *
lack_of_room(Oid tablespace, int64 copy_bytes, int64 sort_bytes,
			 int64 min_free)
{
	char *reason;

	if (tablespaces_share_disk(tablespace, InvalidOid))
		return compare_with_free(tablespace, copy_bytes + sort_bytes,
								 min_free);
	reason = compare_with_free(tablespace, copy_bytes, min_free);
	if (reason == NULL && sort_bytes > 0)
		reason = compare_with_free(InvalidOid, sort_bytes, min_free);
	return reason;
}
