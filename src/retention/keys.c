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

#include "ledger/identity.h"
#include "objects/keys.h"
#include "retention/keys.h"

/*
 * archives/DATABASE/SCHEMA.TABLE/FROM_TO-RUN-IDENTITY.csv.gz; where several
 * policies are for one table, with the number of the policy.
 */
char *
object_key(const RetentionPolicy *policy, Oid relation, const char *range,
		   int64 run_id)
{
	StringInfoData key;
	LedgerQuery query = {0};
	bool several;

	bind_oid(&query, policy->relation);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.count(*), pg_catalog.current_database()::text "
		"FROM pgmaint.retention_policies p "
		"WHERE p.relation::pg_catalog.oid = $1");
	several = ledger_bigint(0, 1) > 1;
	initStringInfo(&key);
	appendStringInfoString(&key, "archives/");
	append_key_part(&key, ledger_text(0, 2));
	appendStringInfoChar(&key, '/');
	append_key_part(&key, get_namespace_name(get_rel_namespace(relation)));
	appendStringInfoChar(&key, '.');
	append_key_part(&key, get_rel_name(relation));
	appendStringInfo(&key, "/%s-%lld-%s", range, (long long) run_id,
					 identity_tag());
	if (several)
		appendStringInfo(&key, "-%lld", (long long) policy->policy_id);
	appendStringInfo(&key, ".csv%s", policy->compression->suffix);
	return key.data;
}
