/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  A retention policy, and the table that it is for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/rights.h"
#include "ledger/identity.h"
#include "retention/policy.h"

bool
read_policy(int64 policy_id, RetentionPolicy *policy)
{
	LedgerQuery query = {0};
	char *compression;

	bind_bigint(&query, policy_id);
	if (ledger_query(
			&query,
			"SELECT p.relation::pg_catalog.oid, p.time_column::text, p.filter, p.archive, "
			"p.storage::text, p.compression, p.compression_level::int8, p.owner::text, "
			"p.timezone, p.pass_triggers, EXISTS (SELECT FROM pgmaint.retention_policies o "
			"WHERE o.relation = p.relation AND o.policy_id <> p.policy_id) AS shares_table "
			"FROM pgmaint.retention_policies p WHERE p.policy_id = $1") == 0)
		return false;
	memset(policy, 0, sizeof(*policy));
	policy->policy_id = policy_id;
	policy->relation = named_oid(0, "relation");
	policy->time_column = named_text(0, "time_column");
	policy->filter = named_text(0, "filter");
	policy->archive = named_boolean(0, "archive");
	policy->storage = named_text(0, "storage");
	compression = named_text(0, "compression");
	policy->owner = named_text(0, "owner");
	policy->timezone = named_text(0, "timezone");
	policy->pass_triggers = named_boolean(0, "pass_triggers");
	policy->shares_table = named_boolean(0, "shares_table");
	if (!policy->archive)
		return true;
	policy->compression = find_compression(compression);
	if (policy->compression == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("retention policy %lld uses compression %s, which "
						"this server does not support",
						(long long) policy_id, compression),
				 errhint("Drop the policy, and add it again with one of "
						 "these compressions: %s.",
						 compression_names())));
	policy->compression_level = (int) named_bigint(0, "compression_level");
	policy->writer = identity_tag();
	return true;
}

char *
qualified_name(Oid relation)
{
	return quote_qualified_identifier(
		get_namespace_name(get_rel_namespace(relation)),
		get_rel_name(relation));
}

/*
 * The name of a table for a command that runs code of its owner.  The owner of
 * the schema may rename it, so that another table has this name, whose code
 * would get the rights of this table's owner.  So the row of the schema is
 * locked like the table, until the transaction ends; a rename that has begun
 * is not waited for.
 *
 * Where rows cannot be locked, only planning is done.
 */
char *
hold_name(Oid relation)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	bool held = true;

	LockRelationOid(relation, AccessShareLock);
	if (!RecoveryInProgress() && !XactReadOnly)
	{
		bind_oid(&query, get_rel_namespace(relation));
		ledger_enter(&scope);
		held = ledger_query(&query,
							"SELECT FROM pg_catalog.pg_namespace n "
							"WHERE n.oid = $1 FOR KEY SHARE SKIP LOCKED") > 0;
		ledger_leave(&scope);
		AcceptInvalidationMessages();
	}
	if (get_rel_relkind(relation) == '\0')
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("table with OID %u was dropped", relation)));
	if (!held)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("the schema of %s is being renamed or dropped",
							   qualified_name(relation))));
	return qualified_name(relation);
}

/*
 * A locked table keeps its name, but its schema may be renamed, and another
 * table may get this name: a command by name would then be about that table.
 */
void
require_name(Oid relation, const char *name)
{
	if (get_rel_relkind(relation) == '\0' ||
		strcmp(qualified_name(relation), name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("table %s was renamed by another session", name)));
}

Oid
table_owner(Oid relation)
{
	Oid owner = owner_of_object(RELOID, relation, Anum_pg_class_relowner);

	if (!OidIsValid(owner))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	return owner;
}

Oid
time_column_type(Oid relation, const char *column)
{
	AttrNumber number = get_attnum(relation, column);
	Oid type;

	if (number <= 0)
		return InvalidOid;
	type = getBaseType(get_atttype(relation, number));
	return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID
			   ? type
			   : InvalidOid;
}

/*
 * Report the position of an error within the filter: the position in the
 * statement is not that in the text that the client sent.
 */
static void
point_into_filter(void *arg)
{
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(arg);
	}
}

/*
 * A filter must be one expression, so that no part of it can leave the
 * parentheses around it.  The server checks the rest.
 */
void
check_filter(const char *filter)
{
	ErrorContextCallback context = {error_context_stack, point_into_filter,
									unconstify(char *, filter)};
	List *parsed;
	SelectStmt *select;

	error_context_stack = &context;
	parsed = raw_parser(filter, RAW_PARSE_PLPGSQL_EXPR);
	error_context_stack = context.previous;
	select = castNode(SelectStmt, linitial_node(RawStmt, parsed)->stmt);
	if (select->op != SETOP_NONE || list_length(select->targetList) != 1 ||
		linitial_node(ResTarget, select->targetList)->name != NULL ||
		select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL ||
		select->havingClause != NULL || select->windowClause != NIL ||
		select->sortClause != NIL || select->limitOffset != NULL ||
		select->limitCount != NULL || select->lockingClause != NIL)
		ereport(
			ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("the filter must be one condition, not \"%s\"", filter),
			 errhint("Pass a condition as it would follow WHERE, for example "
					 "status IN ('completed', 'failed').")));
}

/*
 * The filter as a text that is appended to another condition.  A comment at
 * the end of the filter ends with its line.
 */
char *
filter_condition(const char *filter)
{
	if (filter == NULL)
		return pstrdup("");
	return psprintf(" AND (%s%s)", filter,
					strstr(filter, "--") != NULL ? "\n" : "");
}
