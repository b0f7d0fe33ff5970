/*-------------------------------------------------------------------------
 *
 * headroom.c
 *	  Is there room on the disk for what a command writes beside the old?
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
		"not enough room on the disk: %s needed in %s and %s to stay free "
		"there, but %s free",
		size_text(needed), name_of_tablespace(tablespace), size_text(min_free),
		size_text(free_bytes));
}

/*
 * What is wanting, for a copy on a tablespace and files to sort with on the
 * database's own, where the tasks' sessions have them; NULL where nothing is.
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
