/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Keys of archives in a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "objects/keys.h"
#include "retention/keys.h"
#include "storage/storage.h"

#define ARCHIVES "archives/"

/* length of the suffix that is added later for an attempt, such as .10 */
#define ADDED_LENGTH 3

/*
 * archives/DATABASE/SCHEMA.TABLE/FROM_TO-RUN-IDENTITY.csv.gz; where several
 * policies are for one table, with the number of the policy.
 *
 * If that is too long for the storage,
 * archives/TABLE-HASH/FROM-RUN-IDENTITY.csv.gz with as much of the table's
 * name as fits; the manifest has the full name.
 */
char *
object_key(const RetentionPolicy *policy, Oid relation, const char *range,
		   int64 run_id)
{
	StringInfoData folder;
	StringInfoData end;
	StringInfoData key;
	char *from;
	int longest = storage_longest_key(policy->storage) - ADDED_LENGTH;

	initStringInfo(&folder);
	append_key_part(&folder, get_database_name(MyDatabaseId));
	appendStringInfoChar(&folder, '/');
	append_key_part(&folder, get_namespace_name(get_rel_namespace(relation)));
	appendStringInfoChar(&folder, '.');
	append_key_part(&folder, get_rel_name(relation));
	initStringInfo(&end);
	appendStringInfo(&end, "-%lld-%s", (long long) run_id, policy->writer);
	if (policy->shares_table)
		appendStringInfo(&end, "-%lld", (long long) policy->policy_id);
	appendStringInfo(&end, ".csv%s", policy->compression->suffix);

	initStringInfo(&key);
	appendStringInfo(&key, ARCHIVES "%s/%s%s", folder.data, range, end.data);
	if (key.len <= longest)
		return key.data;
	from = pnstrdup(range, strcspn(range, "_"));
	resetStringInfo(&key);
	appendStringInfoString(&key, ARCHIVES);
	append_short_key_part(&key, get_rel_name(relation), folder.data,
						  longest - key.len - (int) strlen(from) - end.len -
							  1);
	appendStringInfo(&key, "/%s%s", from, end.data);
	return key.data;
}
