/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Partitions that leave as a whole.
 *
 * A partition whose every row is old is not emptied row by row.  It is noted in
 * pgmaint.detached_partitions, detached, archived as a table that nobody writes
 * to, and dropped in the transaction that makes the archive count.  Whatever
 * happens in between, its rows are in the table tree, or in a table that the
 * next run finds in its notes, or in an archive.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "exec/toplevel.h"
#include "retention/owner.h"
#include "retention/partition.h"
#include "retention/slices.h"

static Partition *
partition_from_row(uint64 row)
{
	Partition *partition = palloc0(sizeof(Partition));

	partition->relation = ledger_oid(row, 1);
	partition->name = ledger_text(row, 2);
	partition->parent = ledger_oid(row, 3);
	partition->is_table = ledger_boolean(row, 4);
	partition->whole = ledger_boolean(row, 5);
	partition->from = ledger_text(row, 6);
	partition->to = ledger_text(row, 7);
	return partition;
}

/*
 * The partitions that hold rows, oldest first.  One leaves as a whole if its
 * bounds are times of the policy's column and lie before the cut-off, and the
 * policy is for every row.
 */
List *
list_partitions(const RetentionPolicy *policy, const char *cutoff)
{
	LedgerQuery query = {0};
	List *partitions = NIL;
	uint64 rows;

	bind_oid(&query, policy->relation);
	bind_text(&query, policy->time_column);
	bind_text(&query, cutoff);
	bind_boolean(&query, policy->filter == NULL);
	rows = ledger_query(
		&query,
		psprintf(
			"SELECT c.oid, pg_catalog.format('%%I.%%I', n.nspname, c.relname), t.parentrelid::pg_catalog.oid, "
			"c.relkind = 'r', coalesce(w.whole, false), "
			"CASE WHEN w.whole THEN coalesce(pg_catalog.to_jsonb(b.f::%1$s) #>> '{}', '-infinity') END, "
			"CASE WHEN w.whole THEN pg_catalog.to_jsonb(b.t::%1$s) #>> '{}' END "
			"FROM pg_catalog.pg_partition_tree($1) t "
			"JOIN pg_catalog.pg_class c ON c.oid = t.relid "
			"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
			"JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.parentrelid "
			"LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.parentrelid AND a.attname = $2 "
			"AND p.partstrat = 'r' AND p.partnatts = 1 AND p.partattrs[0] = a.attnum "
			"CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound) e "
			"CROSS JOIN LATERAL (SELECT CASE WHEN a.attnum IS NOT NULL THEN "
			"(pg_catalog.regexp_match(e.bound, 'FROM \\(''([^'']*)''\\)'))[1] END AS f, "
			"CASE WHEN a.attnum IS NOT NULL THEN "
			"(pg_catalog.regexp_match(e.bound, 'TO \\(''([^'']*)''\\)'))[1] END AS t) b "
			"CROSS JOIN LATERAL (SELECT $4 AND c.relkind = 'r' AND b.t::%1$s <= $3::%1$s AS whole) w "
			"WHERE t.isleaf AND t.relid <> $1 ORDER BY b.t::%1$s NULLS LAST, c.oid",
			time_type_name(
				time_column_type(policy->relation, policy->time_column))));
	for (uint64 row = 0; row < rows; row++)
		partitions = lappend(partitions, partition_from_row(row));
	return partitions;
}

/*
 * What earlier runs have begun to detach, and not dropped.
 */
List *
list_detached_partitions(const RetentionPolicy *policy)
{
	LedgerQuery query = {0};
	List *partitions = NIL;
	uint64 rows;

	bind_bigint(&query, policy->policy_id);
	rows = ledger_query(
		&query,
		"SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), d.parent, true, true, "
		"d.range_from, d.range_to FROM pgmaint.detached_partitions d "
		"JOIN pg_catalog.pg_class c ON c.oid = d.relation "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid "
		"WHERE d.policy_id = $1 AND (i.inhrelid IS NULL OR i.inhdetachpending) "
		"ORDER BY d.noted_at");
	for (uint64 row = 0; row < rows; row++)
		partitions = lappend(partitions, partition_from_row(row));
	return partitions;
}

void
note_detached_partition(const RetentionPolicy *policy, Oid relation,
						Oid parent, const char *from, const char *to)
{
	LedgerQuery query = {0};

	bind_oid(&query, relation);
	bind_bigint(&query, policy->policy_id);
	bind_oid(&query, parent);
	bind_text(&query, from);
	bind_text(&query, to);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.detached_partitions (relation, policy_id, parent, range_from, range_to) "
		"VALUES ($1, $2, $3, $4, $5) ON CONFLICT (relation) DO UPDATE SET "
		"policy_id = excluded.policy_id, parent = excluded.parent, "
		"range_from = excluded.range_from, range_to = excluded.range_to, "
		"noted_at = pg_catalog.clock_timestamp()");
}

/*
 * What keeps a partition from being dropped, for a person; NULL if nothing
 * does.
 */
char *
dependent_of_partition(Oid partition)
{
	LedgerQuery query = {0};
	char *foreign_key = foreign_key_onto(partition);

	if (foreign_key != NULL)
		return foreign_key;
	bind_oid(&query, partition);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) "
			"FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
			"AND d.refobjid = $1 AND d.deptype = 'n' "
			"AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o WHERE o.classid = d.classid "
			"AND o.objid = d.objid AND o.refclassid = d.refclassid "
			"AND o.refobjid = d.refobjid AND o.deptype IN ('i', 'a')) "
			"ORDER BY d.objid LIMIT 1") == 0)
		return NULL;
	return ledger_text(0, 1);
}

/*
 * The command that takes the partition out of its table, as things are now;
 * NULL if that is done.  Without a default partition the server does it without
 * a lock that readers and writers of the table would feel.
 */
static char *
detach_command(Oid relation)
{
	LedgerQuery query = {0};

	bind_oid(&query, relation);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.format('ALTER TABLE %s DETACH PARTITION %s%s', "
			"i.inhparent::pg_catalog.regclass, i.inhrelid::pg_catalog.regclass, "
			"CASE WHEN i.inhdetachpending THEN ' FINALIZE' WHEN p.partdefid = 0 THEN ' CONCURRENTLY' "
			"ELSE '' END) FROM pg_catalog.pg_inherits i "
			"JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent "
			"WHERE i.inhrelid = $1") == 0)
		return NULL;
	return ledger_text(0, 1);
}

void
detach_partition(Oid relation)
{
	MemoryContext context = CurrentMemoryContext;
	LedgerScope scope;
	char *command;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	ledger_enter(&scope);
	command = detach_command(relation);
	ledger_leave(&scope);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (command != NULL)
		execute_at_top_level(command);
}

/*
 * Keep writers out until the transaction ends; whoever reads the table by its
 * own name may go on until it is dropped.
 */
void
lock_detached_partition(Oid relation)
{
	LockRelationOid(relation, ShareRowExclusiveLock);
	if (get_rel_relkind(relation) == '\0' || get_rel_relispartition(relation))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("partition %u was dropped or attached again meanwhile",
						relation)));
}

void
drop_detached_partition(Oid relation, Oid owner)
{
	LedgerScope scope;
	LedgerQuery query = {0};

	(void) execute_as_owner(
		owner, psprintf("DROP TABLE %s", qualified_name(relation)));
	bind_oid(&query, relation);
	ledger_enter(&scope);
	(void) ledger_query(
		&query, "DELETE FROM pgmaint.detached_partitions WHERE relation = $1");
	ledger_leave(&scope);
}
