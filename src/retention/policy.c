/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  A retention policy, and whether it can be carried out.
 *
 * What is checked when a policy is added is checked again by every run: tables
 * change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/subtransaction.h"
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
			"p.timezone, p.pass_triggers "
			"FROM pgmaint.retention_policies p WHERE p.policy_id = $1") == 0)
		return false;
	memset(policy, 0, sizeof(*policy));
	policy->policy_id = policy_id;
	policy->relation = ledger_oid(0, 1);
	policy->time_column = ledger_text(0, 2);
	policy->filter = ledger_text(0, 3);
	policy->archive = ledger_boolean(0, 4);
	policy->storage = ledger_text(0, 5);
	compression = ledger_text(0, 6);
	policy->owner = ledger_text(0, 8);
	policy->timezone = ledger_text(0, 9);
	policy->pass_triggers = ledger_boolean(0, 10);
	if (!policy->archive)
		return true;
	policy->compression = find_compression(compression);
	if (policy->compression == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("retention policy %lld compresses with %s, which this "
						"server does not have",
						(long long) policy_id, compression),
				 errhint("Drop the policy and add it with one of these: %s.",
						 compression_names())));
	policy->compression_level = (int) ledger_bigint(0, 7);
	return true;
}

/*
 * Raise the ERROR that a DELETE would raise.  A table that is locked is left for
 * whoever locks it next.
 */
static void
check_published(void *argument)
{
	Oid relation = *(Oid *) argument;
	Relation opened;

	if (!ConditionalLockRelationOid(relation, AccessShareLock))
		return;
	opened = try_relation_open(relation, NoLock);
	if (opened == NULL)
		return;
	if (opened->rd_rel->relkind == RELKIND_RELATION)
		CheckCmdReplicaIdentity(opened, CMD_DELETE);
	relation_close(opened, NoLock);
}

/*
 * Does a publication forbid to delete from the table?  The server is asked, and
 * the lock on the table is given back.
 */
void
refuse_published(Oid relation, Refusal *refusal)
{
	ErrorData *error = try_and_undo(check_published, &relation);

	if (error == NULL)
		return;
	if (asks_to_stop(error))
		ReThrowError(error);
	refusal->sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	refusal->message = error->detail == NULL
						   ? error->message
						   : psprintf("%s: %s", error->message, error->detail);
	refusal->hint = error->hint;
}

/*
 * What stands in the way of deleting rows of a table, or of archiving them
 * first.  Deleting must do just that: no rule may turn it into something else,
 * no row may be out of sight, and no other table's rows may go with those that
 * are archived.
 */
void
refuse_table(Oid relation, bool archive, Oid role, Refusal *refusal)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_oid(&query, relation);
	bind_oid(&query, role);
	bind_boolean(&query, archive);
	rows = ledger_query(
		&query,
		"SELECT x.code, x.message, x.hint FROM (SELECT c.oid, c.relkind, "
		"c.relpersistence, c.relowner, c.relrowsecurity AND c.relforcerowsecurity AS forced, "
		"n.nspname, pg_catalog.format('%I.%I', CASE c.relpersistence WHEN 't' THEN 'pg_temp' "
		"ELSE n.nspname END, c.relname) AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"WHERE c.oid = $1) t "
		"LEFT JOIN LATERAL (SELECT k.conname, "
		"pg_catalog.format('%I.%I', m.nspname, r.relname) AS name, k.confdeltype "
		"FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class r ON r.oid = k.conrelid "
		"JOIN pg_catalog.pg_namespace m ON m.oid = r.relnamespace "
		"WHERE k.contype = 'f' AND k.confrelid = t.oid AND k.confdeltype IN ('c', 'n', 'd') "
		"ORDER BY k.oid LIMIT 1) f ON $3 "
		"LEFT JOIN LATERAL (SELECT w.rulename FROM pg_catalog.pg_rewrite w "
		"WHERE w.ev_class = t.oid AND w.ev_type = '4' AND w.ev_enabled <> 'D' "
		"ORDER BY w.rulename LIMIT 1) w ON true "
		"CROSS JOIN LATERAL (VALUES "
		"(t.relkind NOT IN ('r', 'p'), '42809', pg_catalog.format('%s is not a table', t.name), "
		"'Retention is for tables and partitioned tables.'), "
		"(t.relpersistence = 't', '42809', pg_catalog.format('%s is a temporary table', t.name), NULL), "
		"(t.oid < 16384 OR t.nspname IN ('pg_catalog', 'information_schema', 'pg_toast', 'pgmaint'), "
		"'42501', pg_catalog.format('%s belongs to the system', t.name), NULL), "
		"(NOT pg_catalog.pg_has_role($2, t.relowner, 'USAGE'), '42501', "
		"pg_catalog.format('must be owner of table %s', t.name), NULL), "
		"(w.rulename IS NOT NULL, '55000', pg_catalog.format("
		"'rule \"%s\" of table %s changes what a DELETE does', w.rulename, t.name), "
		"'Make it a trigger, or disable it with ALTER TABLE ... DISABLE RULE.'), "
		"(t.forced AND NOT (SELECT o.rolsuper OR o.rolbypassrls FROM pg_catalog.pg_roles o "
		"WHERE o.oid = t.relowner), '55000', pg_catalog.format("
		"'row-level security of table %s may hide rows from its owner', t.name), "
		"'Use ALTER TABLE ... NO FORCE ROW LEVEL SECURITY, or give the owner BYPASSRLS.'), "
		"(f.conname IS NOT NULL, '55000', pg_catalog.format("
		"'foreign key \"%s\" of table %s would %s rows there when rows of %s are archived', "
		"f.conname, f.name, CASE f.confdeltype WHEN 'c' THEN 'delete' ELSE 'change' END, t.name), "
		"'Archive that table first and make the foreign key ON DELETE NO ACTION, or delete "
		"without an archive (archive => false).') "
		") x (holds, code, message, hint) WHERE x.holds LIMIT 1");
	memset(refusal, 0, sizeof(*refusal));
	if (rows == 0)
	{
		refuse_published(relation, refusal);
		return;
	}
	refusal->sqlstate = ledger_text(0, 1);
	refusal->message = ledger_text(0, 2);
	refusal->hint = ledger_text(0, 3);
}

/*
 * Rows leave partition by partition, for which a trigger of the partitioned
 * table itself does not fire.
 */
static bool
has_passed_trigger(Oid relation, Refusal *refusal)
{
	LedgerQuery query = {0};

	bind_oid(&query, relation);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.format('trigger \"%s\" of partitioned table %s is for each statement, "
			"and does not fire when rows of partitions are deleted', t.tgname, c.oid::pg_catalog.regclass) "
			"FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid "
			"WHERE t.tgrelid = $1 AND c.relkind = 'p' AND t.tgtype & 9 = 8 "
			"AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal ORDER BY t.tgname LIMIT 1") ==
		0)
		return false;
	refusal->sqlstate = "55000";
	refusal->message = ledger_text(0, 1);
	refusal->hint =
		"Make it FOR EACH ROW, or add the policy with pass_triggers => true.";
	return true;
}

/*
 * The same for a policy that is there already, and a table that it is for: its
 * own or a partition of it.
 */
void
refuse_policy(const RetentionPolicy *policy, Oid relation, Oid role,
			  Refusal *refusal)
{
	LedgerQuery query = {0};

	refuse_table(relation, policy->archive, role, refusal);
	if (refusal->message != NULL)
		return;
	bind_oid(&query, relation);
	bind_text(&query, policy->owner);
	bind_boolean(&query, relation == policy->relation);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.format(CASE WHEN $3 "
			"THEN 'role \"%s\" owned table %s when the policy was added, now role \"%s\" does' "
			"ELSE 'the policy is of role \"%s\", but partition %s belongs to role \"%s\"' END, "
			"$2, c.oid::pg_catalog.regclass, o.rolname) "
			"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner "
			"WHERE c.oid = $1 AND o.rolname <> $2") > 0)
	{
		refusal->sqlstate = "42501";
		refusal->message = ledger_text(0, 1);
		refusal->hint = relation == policy->relation
							? "Drop the policy and add it again."
							: "Give it the owner of its table.";
	}
	else if (!policy->pass_triggers && has_passed_trigger(relation, refusal))
		return;
	else if (!OidIsValid(time_column_type(relation, policy->time_column)))
	{
		refusal->sqlstate = "42703";
		refusal->message = psprintf(
			"table %s has no column \"%s\" of type date or timestamp any more",
			get_rel_name(relation), policy->time_column);
		refusal->hint = "Drop the policy and add it again.";
	}
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
 * the schema may rename it, and have another table take this one's place, whose
 * code would get the rights of this table's owner.  So the row of the schema is
 * locked like the table, until the transaction ends; a rename that has begun is
 * not waited for.
 *
 * Where rows cannot be locked, nothing but planning is done.
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
 * A table that is locked keeps its name, but its schema may be renamed, and
 * another take its place: a command by name was about another table then.
 */
void
require_name(Oid relation, const char *name)
{
	if (get_rel_relkind(relation) == '\0' ||
		strcmp(qualified_name(relation), name) != 0)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("%s has got another name meanwhile", name)));
}

Oid
table_owner(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
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
 * Say where in the filter an error is: positions are not those of the text that
 * the client sent.
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
 * A filter must be one expression, so that nothing in it can get out of the
 * parentheses that it is put in.  What it means is for the server to check.
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
			 errhint("Give what would stand after WHERE, such as status IN "
					 "('completed', 'failed').")));
}

/*
 * To be put after another condition.  A comment at the end of the filter ends
 * with its line.
 */
char *
filter_condition(const char *filter)
{
	if (filter == NULL)
		return pstrdup("");
	return psprintf(" AND (%s%s)", filter,
					strstr(filter, "--") != NULL ? "\n" : "");
}
