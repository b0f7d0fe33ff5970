/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  What archives are called on a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/lsyscache.h"

#include "retention/keys.h"

/*
 * A path in a key: what could be taken for more than a name is written as %XX.
 */
static void
append_name(StringInfo key, const char *name)
{
	for (const char *letter = name; *letter != '\0'; letter++)
	{
		unsigned char c = (unsigned char) *letter;

		if (c >= 0x80 || strchr("_-", c) != NULL ||
			(c == '.' && letter != name) || (c >= '0' && c <= '9') ||
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
			appendStringInfoChar(key, *letter);
		else
			appendStringInfo(key, "%%%02X", c);
	}
}

/*
 * archives/DATABASE/SCHEMA.TABLE/FROM_TO-RUN.csv.gz; where several policies are
 * for one table, with the number of the policy.
 */
char *
object_key(const RetentionPolicy *policy, Oid relation, const char *range,
		   int64 run_id)
{
	StringInfoData key;
	LedgerQuery query = {0};

	bind_oid(&query, policy->relation);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.count(*), pg_catalog.current_database()::text "
		"FROM pgmaint.retention_policies p "
		"WHERE p.relation::pg_catalog.oid = $1");
	initStringInfo(&key);
	appendStringInfoString(&key, "archives/");
	append_name(&key, ledger_text(0, 2));
	appendStringInfoChar(&key, '/');
	append_name(&key, get_namespace_name(get_rel_namespace(relation)));
	appendStringInfoChar(&key, '.');
	append_name(&key, get_rel_name(relation));
	appendStringInfo(&key, "/%s-%lld", range, (long long) run_id);
	if (ledger_bigint(0, 1) > 1)
		appendStringInfo(&key, "-%lld", (long long) policy->policy_id);
	appendStringInfo(&key, ".csv%s", policy->compression->suffix);
	return key.data;
}

/*
 * What an earlier attempt sent may arrive late: no two write the same object.
 */
char *
key_of_attempt(const char *key, int attempt)
{
	const char *suffix = strstr(strrchr(key, '/'), ".csv");

	if (attempt <= 1)
		return pstrdup(key);
	return psprintf("%.*s.%d%s", (int) (suffix - key), key, attempt, suffix);
}

/*
 * audit/2026.csv.gz has its manifest in audit/2026.json.
 */
char *
manifest_key(const char *key)
{
	const char *name = strrchr(key, '/');
	const char *dot = strstr(name == NULL ? key : name, ".csv");

	return psprintf("%.*s.json",
					dot == NULL ? (int) strlen(key) : (int) (dot - key), key);
}
