/*-------------------------------------------------------------------------
 *
 * refusal.c
 *	  Reasons why rows cannot be removed from tables.
 *
 * The checks that are made when a policy is added are made again by every run,
 * since tables change.  A policy may be for thousands of partitions, so each
 * catalog is queried once for all of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/subtransaction.h"
#include "retention/refusal.h"

/* of a query, the tables that it is about with their places in a list */
#define TABLES                                                 \
	"pg_catalog.unnest($1) WITH ORDINALITY u (relation, nth) " \
	"JOIN pg_catalog.pg_class c ON c.oid = u.relation "

/*
 * The rows of a query: the place of a table in the list (nth), an SQLSTATE, a
 * message and a hint.  The first refusal of a table counts.
 */
static void
note_refusals(uint64 rows, Refusal *refusals)
{
	for (uint64 row = 0; row < rows; row++)
	{
		Refusal *refusal = &refusals[named_bigint(row, "nth") - 1];

		if (refusal->message != NULL)
			continue;
		refusal->sqlstate = named_text(row, "code");
		refusal->message = named_text(row, "message");
		refusal->hint = named_text(row, "hint");
	}
}

/*
 * Raise the ERROR that a DELETE would raise.  A table that is locked is not
 * checked here, but where it is locked next.
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
 * Does a publication forbid to delete from the tables?  The server checks one
 * table after the other, and the locks on them are released.  Where nothing is
 * published, nothing is forbidden.
 */
void
refuse_published(List *relations, Refusal *refusals)
{
	LedgerQuery query = {0};
	ListCell *cell;

	if (ledger_query(&query,
					 "SELECT FROM pg_catalog.pg_publication LIMIT 1") == 0)
		return;
	foreach (cell, relations)
	{
		Refusal *refusal = &refusals[foreach_current_index(cell)];
		Oid relation = lfirst_oid(cell);
		ErrorData *error;

		CHECK_FOR_INTERRUPTS();
		if (refusal->message != NULL)
			continue;
		error = try_and_undo(check_published, &relation);
		if (error == NULL)
			continue;
		if (asks_to_stop(error))
			ReThrowError(error);
		refusal->sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
		refusal->message =
			error->detail == NULL
				? error->message
				: psprintf("%s: %s", error->message, error->detail);
		refusal->hint = error->hint;
	}
}

/*
 * Note why rows of tables cannot be deleted, or archived first.  A DELETE must
 * delete exactly these rows: no rule may rewrite it, no row may be hidden, and
 * no rows of another table may be deleted with those that are archived.
 */
static void
refuse_tables(List *relations, bool archive, Oid role, Refusal *refusals)
{
	LedgerQuery query = {0};

	bind_oids(&query, relations);
	bind_oid(&query, role);
	bind_boolean(&query, archive);
	note_refusals(
		ledger_query(
			&query,
			"SELECT t.nth, x.code, x.message, x.hint FROM (SELECT u.nth, c.oid, c.relkind, "
			"c.relpersistence, c.relowner, c.relrowsecurity AND c.relforcerowsecurity AS forced, "
			"n.nspname, pg_catalog.format('%I.%I', CASE c.relpersistence WHEN 't' THEN 'pg_temp' "
			"ELSE n.nspname END, c.relname) AS name FROM " TABLES
			"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) t "
			"LEFT JOIN (SELECT DISTINCT ON (k.confrelid) k.confrelid, k.conname, "
			"pg_catalog.format('%I.%I', m.nspname, r.relname) AS name, k.confdeltype "
			"FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class r ON r.oid = k.conrelid "
			"JOIN pg_catalog.pg_namespace m ON m.oid = r.relnamespace "
			"WHERE k.contype = 'f' AND k.confrelid = ANY ($1) AND k.confdeltype IN ('c', 'n', 'd') "
			"AND $3 ORDER BY k.confrelid, k.oid) f ON f.confrelid = t.oid "
			"LEFT JOIN LATERAL (SELECT w.rulename FROM pg_catalog.pg_rewrite w "
			"WHERE w.ev_class = t.oid AND w.ev_type = '4' AND w.ev_enabled <> 'D' "
			"ORDER BY w.rulename LIMIT 1) w ON true "
			"CROSS JOIN LATERAL (SELECT v.code, v.message, v.hint FROM (VALUES "
			"(t.relkind NOT IN ('r', 'p'), '42809', pg_catalog.format('%s is not a table', t.name), "
			"'Name a table or a partitioned table.'), "
			"(t.relpersistence = 't', '42809', pg_catalog.format('%s is a temporary table', t.name), NULL), "
			"(t.oid < 16384 OR t.nspname IN ('pg_catalog', 'information_schema', 'pg_toast', " OWN_SCHEMAS
			"), "
			"'42501', pg_catalog.format('%s belongs to the system', t.name), NULL), "
			"(NOT pg_catalog.pg_has_role($2, t.relowner, 'USAGE'), '42501', "
			"pg_catalog.format('must be owner of table %s', t.name), NULL), "
			"(w.rulename IS NOT NULL, '55000', pg_catalog.format("
			"'rule \"%s\" of table %s rewrites DELETE', w.rulename, t.name), "
			"'Replace the rule with a trigger, or disable the rule with "
			"ALTER TABLE ... DISABLE RULE.'), "
			"(t.forced AND NOT (SELECT o.rolsuper OR o.rolbypassrls FROM pg_catalog.pg_roles o "
			"WHERE o.oid = t.relowner), '55000', pg_catalog.format("
			"'row-level security of table %s may hide rows from its owner', t.name), "
			"'Use ALTER TABLE ... NO FORCE ROW LEVEL SECURITY, or give the owner BYPASSRLS.'), "
			"(f.conname IS NOT NULL, '55000', pg_catalog.format("
			"'foreign key \"%s\" of table %s would %s rows of that table "
			"when rows of %s are archived', "
			"f.conname, f.name, CASE f.confdeltype WHEN 'c' THEN 'delete' ELSE 'change' END, t.name), "
			"'Make the foreign key ON DELETE NO ACTION and archive the rows "
			"of that table first, or add the policy with archive => false.') "
			") v (holds, code, message, hint) WHERE v.holds LIMIT 1) x"),
		refusals);
	refuse_published(relations, refusals);
}

void
refuse_table(Oid relation, bool archive, Oid role, Refusal *refusal)
{
	memset(refusal, 0, sizeof(*refusal));
	refuse_tables(list_make1_oid(relation), archive, role, refusal);
}

/*
 * The same for tables of an existing policy: its own table and partitions of
 * it.
 *
 * Rows are deleted partition by partition, for which a trigger of the
 * partitioned table itself does not fire.
 */
Refusal *
refuse_tables_of_policy(const RetentionPolicy *policy, List *relations,
						Oid role)
{
	Refusal *refusals = palloc0(sizeof(Refusal) * list_length(relations));
	LedgerQuery query = {0};
	ListCell *cell;

	refuse_tables(relations, policy->archive, role, refusals);
	bind_oids(&query, relations);
	bind_text(&query, policy->owner);
	bind_oid(&query, policy->relation);
	bind_boolean(&query, policy->pass_triggers);
	note_refusals(
		ledger_query(
			&query,
			"(SELECT u.nth, '42501' AS code, pg_catalog.format(CASE WHEN c.oid = $3 "
			"THEN 'role \"%s\" owned table %s when the policy was added, but "
			"role \"%s\" owns it now' "
			"ELSE 'the policy belongs to role \"%s\", but partition %s "
			"belongs to role \"%s\"' END, "
			"$2, c.oid::pg_catalog.regclass, o.rolname) AS message, CASE WHEN c.oid = $3 "
			"THEN 'Drop the policy and add it again.' ELSE 'Use ALTER TABLE "
			"... OWNER TO to give the partition the owner of its table.' END AS hint "
			"FROM " TABLES "JOIN pg_catalog.pg_roles o ON o.oid = c.relowner "
			"WHERE o.rolname <> $2) UNION ALL "
			"(SELECT u.nth, '55000', pg_catalog.format("
			"'statement-level trigger \"%s\" of partitioned table %s does not fire when rows of partitions are deleted', t.tgname, c.oid::pg_catalog.regclass), "
			"'Make the trigger FOR EACH ROW, or add the policy with pass_triggers => true.' "
			"FROM " TABLES "JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid "
			"WHERE NOT $4 AND c.relkind = 'p' AND t.tgtype & 9 = 8 "
			"AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal ORDER BY t.tgname)"),
		refusals);
	foreach (cell, relations)
	{
		Refusal *refusal = &refusals[foreach_current_index(cell)];
		Oid relation = lfirst_oid(cell);

		if (refusal->message != NULL ||
			OidIsValid(time_column_type(relation, policy->time_column)))
			continue;
		refusal->sqlstate = "42703";
		refusal->message = psprintf(
			"column \"%s\" of table %s no longer exists or is not a date or "
			"timestamp",
			policy->time_column, get_rel_name(relation));
		refusal->hint = "Drop the policy and add it again.";
	}
	return refusals;
}

void
refuse_policy(const RetentionPolicy *policy, Oid relation, Oid role,
			  Refusal *refusal)
{
	*refusal =
		refuse_tables_of_policy(policy, list_make1_oid(relation), role)[0];
}
