/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  The partitions of a table, their bounds, and what depends on them.
 *
 * pg_partition_tree() would lock every partition until the end of the
 * transaction, and pg_get_expr() would wait for locked partitions.  So the
 * catalogs are read here, and the result may be out of date: code that changes
 * a partition locks it first, and reads again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/error_text.h"
#include "retention/partition.h"

/* the operator family datetime_ops of B-trees: times are in their usual order */
#define DATETIME_FAMILY "434"

static int64
datum_as_number(Oid type, Datum value)
{
	return type == DATEOID ? DatumGetDateADT(value) : DatumGetTimestamp(value);
}

int64
time_as_number(Oid type, const char *time)
{
	Oid function;
	Oid parameter;

	getTypeInputInfo(type, &function, &parameter);
	return datum_as_number(
		type, OidInputFunctionCall(function, pstrdup(time), parameter, -1));
}

/*
 * In ISO format and, where there is a time zone, in UTC, whatever the session's
 * settings are.
 */
char *
number_as_time(Oid type, int64 number)
{
	char buffer[MAXDATELEN + 1];
	int utc = 0;

	if (number == PG_INT64_MIN)
		return pstrdup("-infinity");
	return pstrdup(JsonEncodeDateTime(buffer,
									  type == DATEOID
										  ? DateADTGetDatum((DateADT) number)
										  : TimestampGetDatum(number),
									  type, &utc));
}

/*
 * The first column of a bound; instead is returned for MINVALUE and MAXVALUE.
 */
static int64
bound_as_number(Oid type, List *bound, int64 instead)
{
	const PartitionRangeDatum *first =
		linitial_node(PartitionRangeDatum, bound);
	const Const *value;

	if (first->kind != PARTITION_RANGE_DATUM_VALUE)
		return instead;
	value = castNode(Const, first->value);
	return datum_as_number(type, value->constvalue);
}

/*
 * Read the range of times from the bounds.  A partition of several columns TO
 * ('2024-01-01', 5) may have rows of 2024-01-01, so its upper bound is one
 * more.
 */
static void
read_bounds(Partition *partition, Oid type, const char *text)
{
	const PartitionBoundSpec *bound =
		castNode(PartitionBoundSpec, stringToNode(text));

	if (bound->is_default)
		return;
	partition->timed = true;
	partition->lower = bound_as_number(type, bound->lowerdatums, PG_INT64_MIN);
	partition->upper = bound_as_number(type, bound->upperdatums, PG_INT64_MAX);
	if (list_length(bound->upperdatums) > 1 &&
		lsecond_node(PartitionRangeDatum, bound->upperdatums)->kind !=
			PARTITION_RANGE_DATUM_MINVALUE &&
		partition->upper < PG_INT64_MAX)
		partition->upper++;
}

/*
 * List the partitions below a table, or a partition and those below it: each
 * partition is followed by its own partitions.
 *
 * The planner cannot estimate how many partitions are below a table.  OFFSET 0
 * makes it look up each of them by OID, where it would otherwise read all of
 * pg_class for one partition.
 */
static List *
list_below(const RetentionPolicy *policy, const char *start, Oid relation)
{
	LedgerQuery query = {0};
	Oid type = time_column_type(policy->relation, policy->time_column);
	List *partitions = NIL;
	uint64 rows;

	bind_oid(&query, relation);
	bind_text(&query, policy->time_column);
	rows = ledger_query_once(
		&query,
		psprintf(
			"WITH RECURSIVE tree AS (SELECT i.inhrelid AS relation, i.inhparent AS parent, "
			"ARRAY[i.inhrelid] AS path FROM pg_catalog.pg_inherits i "
			"WHERE i.%s = $1 AND NOT i.inhdetachpending "
			"UNION ALL SELECT b.inhrelid, t.relation, t.path || b.inhrelid FROM tree t "
			"CROSS JOIN LATERAL (SELECT i.inhrelid FROM pg_catalog.pg_inherits i "
			"WHERE i.inhparent = t.relation AND NOT i.inhdetachpending OFFSET 0) b) "
			"SELECT t.relation, t.parent, pg_catalog.format('%%I.%%I', c.nspname, c.relname) AS name, "
			"c.relkind, pg_catalog.cardinality(t.path)::pg_catalog.int8 AS level, "
			"CASE WHEN k.parent IS NOT NULL THEN c.relpartbound END AS bound FROM tree t "
			"CROSS JOIN LATERAL (SELECT n.nspname, c.relname, c.relkind::text, c.relpartbound::text "
			"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
			"WHERE c.oid = t.relation AND c.relispartition OFFSET 0) c "
			"LEFT JOIN (SELECT p.partrelid AS parent FROM pg_catalog.pg_partitioned_table p "
			"JOIN pg_catalog.pg_opclass o ON o.oid = p.partclass[0] "
			"JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid "
			"AND a.attnum = p.partattrs[0] WHERE p.partstrat = 'r' "
			"AND o.opcfamily = " DATETIME_FAMILY " AND a.attname = $2) k "
			"ON k.parent = t.parent ORDER BY t.path",
			start));
	for (uint64 row = 0; row < rows; row++)
	{
		Partition *partition = palloc0(sizeof(Partition));
		char *bound = named_text(row, "bound");

		CHECK_FOR_INTERRUPTS();
		partition->relation = named_oid(row, "relation");
		partition->parent = named_oid(row, "parent");
		partition->name = named_text(row, "name");
		partition->relkind = named_text(row, "relkind")[0];
		partition->level = (int) named_bigint(row, "level");
		partition->lower = PG_INT64_MIN;
		partition->upper = PG_INT64_MAX;
		if (bound != NULL)
			read_bounds(partition, type, bound);
		partitions = lappend(partitions, partition);
	}
	return partitions;
}

List *
list_partitions(const RetentionPolicy *policy)
{
	return list_below(policy, "inhparent", policy->relation);
}

/*
 * List a partition and those below it; NIL if it is no longer a partition.
 */
List *
list_partition_tree(const RetentionPolicy *policy, Oid relation)
{
	return list_below(policy, "inhrelid", relation);
}

static List *
partitions_from_rows(uint64 rows)
{
	List *partitions = NIL;

	for (uint64 row = 0; row < rows; row++)
	{
		Partition *partition = palloc0(sizeof(Partition));

		partition->relation = named_oid(row, "relation");
		partition->name = named_text(row, "name");
		partition->parent = named_oid(row, "parent");
		partition->detached = named_boolean(row, "detached");
		partition->from = named_text(row, "range_from");
		partition->to = named_text(row, "range_to");
		partitions = lappend(partitions, partition);
	}
	return partitions;
}

#define DETACHED_PARTITIONS                                                                \
	"SELECT c.oid AS relation, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, " \
	"coalesce(i.inhparent, d.parent) AS parent, i.inhrelid IS NULL AS detached, "          \
	"d.range_from, d.range_to "                                                            \
	"FROM pgmaint_internal.detached_partitions d "                                         \
	"JOIN pg_catalog.pg_class c ON c.oid = d.relation "                                    \
	"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "                            \
	"LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid "                            \
	"WHERE (i.inhrelid IS NULL OR i.inhdetachpending) AND "

/*
 * Partitions that earlier versions have begun to detach for a policy, and have
 * not dropped: they are detached, or their detachment is pending.
 */
List *
list_detached_partitions(const RetentionPolicy *policy)
{
	LedgerQuery query = {0};

	bind_bigint(&query, policy->policy_id);
	return partitions_from_rows(
		ledger_query(&query, DETACHED_PARTITIONS
					 "d.policy_id = $1 ORDER BY d.noted_at, c.oid"));
}

/*
 * The same for policies that were dropped.
 */
List *
list_abandoned_partitions(void)
{
	LedgerQuery query = {0};

	return partitions_from_rows(ledger_query(
		&query, DETACHED_PARTITIONS
		"NOT EXISTS (SELECT FROM pgmaint.retention_policies p "
		"WHERE p.policy_id = d.policy_id) ORDER BY d.noted_at, c.oid"));
}

List *
partition_oids(List *partitions)
{
	List *oids = NIL;
	ListCell *cell;

	foreach (cell, partitions)
		oids = lappend_oid(oids, ((Partition *) lfirst(cell))->relation);
	return oids;
}

/*
 * For queries about several lists of partitions: $1 has the partitions, $2 has
 * the place of the list that each is in.
 */
static void
bind_trees(LedgerQuery *query, List *trees)
{
	List *relations = NIL;
	List *places = NIL;
	ListCell *cell;

	foreach (cell, trees)
	{
		List *tree = partition_oids(lfirst(cell));

		relations = list_concat(relations, tree);
		for (int i = 0; i < list_length(tree); i++)
			places = lappend_oid(places, (Oid) foreach_current_index(cell));
	}
	bind_oids(query, relations);
	bind_oids(query, places);
}

#define TREES                                                                \
	"ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) m (relation, " \
	"place) "

/*
 * The objects that depend on the tables of an array.  OFFSET 0 makes the
 * server look up these tables by OID only: without statistics on its catalogs,
 * it would also read each time all dependencies on any table.
 */
#define DEPENDENTS                                                     \
	"(SELECT x.classid, x.objid, x.objsubid, x.refclassid, x.deptype " \
	"FROM pg_catalog.pg_depend x "                                     \
	"WHERE x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass " \
	"AND x.refobjid = ANY (t.relations) OFFSET 0) d "

/*
 * For each list of partitions, an object that prevents dropping them together,
 * as text; NULL if there is none.  Foreign keys that point at the partitioned
 * table are dropped when the partition is detached, which checks them.
 *
 * A partition whose detachment is pending is in no list of partitions, but is
 * dropped with the table that it is being detached from: its rows would be lost.
 */
char **
find_dependents(List *trees)
{
	char **dependents = palloc0(sizeof(char *) * (list_length(trees) + 1));
	LedgerQuery query = {0};
	uint64 rows;

	bind_trees(&query, trees);
	rows = ledger_query(
		&query,
		"SELECT t.place::pg_catalog.int8, y.message, y.hint FROM "
		"(SELECT m.place, pg_catalog.array_agg(m.relation) AS relations FROM " TREES
		"GROUP BY m.place) t CROSS JOIN LATERAL ("
		"(SELECT pg_catalog.concat(pg_catalog.pg_describe_object(d.classid, d.objid, 0), "
		"CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits i "
		"WHERE i.inhrelid = d.objid AND i.inhdetachpending) "
		"THEN ', whose detachment is pending,' END), "
		"(SELECT pg_catalog.format('Execute ALTER TABLE %s DETACH PARTITION %s FINALIZE.', "
		"i.inhparent::pg_catalog.regclass, i.inhrelid::pg_catalog.regclass) "
		"FROM pg_catalog.pg_inherits i WHERE i.inhrelid = d.objid AND i.inhdetachpending) "
		"FROM " DEPENDENTS "JOIN pg_catalog.pg_class c ON c.oid = d.objid "
		"WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass "
		"AND d.objid <> ALL (t.relations) AND d.deptype IN ('a', 'i') "
		"AND c.relkind IN ('r', 'p', 'f', 'm') ORDER BY d.objid) UNION ALL "
		"(SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid), NULL "
		"FROM " DEPENDENTS "WHERE d.deptype = 'n' "
		"AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o WHERE o.classid = d.classid "
		"AND o.objid = d.objid AND o.refclassid = d.refclassid "
		"AND o.refobjid = ANY (t.relations) AND o.deptype IN ('i', 'a')) "
		"AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k "
		"WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid "
		"AND (k.conparentid <> 0 OR k.conrelid = ANY (t.relations))) "
		"ORDER BY d.objid) LIMIT 1) y (message, hint)");
	for (uint64 row = 0; row < rows; row++)
		dependents[named_bigint(row, "place")] =
			text_with_hint(psprintf("%s depends on the partition",
									named_text(row, "message")),
						   named_text(row, "hint"));
	return dependents;
}

/*
 * For each list of partitions, the reason why their rows must be deleted
 * individually, as text: a trigger or a foreign key that reacts to each
 * deletion.  NULL if there is none.  The check that detaching a partition
 * makes for a foreign key would block other sessions.
 */
char **
find_reasons_for_rows(const RetentionPolicy *policy, List *trees)
{
	char **reasons = palloc0(sizeof(char *) * (list_length(trees) + 1));
	LedgerQuery query = {0};
	uint64 rows;

	bind_trees(&query, trees);
	bind_boolean(&query, policy->pass_triggers);
	rows = ledger_query(
		&query,
		"WITH m AS (SELECT m.relation, m.place FROM " TREES
		") SELECT DISTINCT ON (x.place) x.place::pg_catalog.int8, x.reason FROM ("
		"SELECT m.place, 1 AS kind, k.oid, "
		"pg_catalog.format('foreign key \"%s\" of table %s references the partition', "
		"coalesce(p.conname, k.conname), k.conrelid::pg_catalog.regclass) AS reason "
		"FROM m JOIN pg_catalog.pg_constraint k ON k.confrelid = m.relation AND k.contype = 'f' "
		"LEFT JOIN pg_catalog.pg_constraint p ON p.oid = k.conparentid "
		"WHERE NOT EXISTS (SELECT FROM m o WHERE o.relation = k.conrelid AND o.place = m.place) "
		"UNION ALL SELECT m.place, 2, t.oid, pg_catalog.format(CASE WHEN t.tgtype & 1 = 1 "
		"THEN 'trigger \"%s\" fires for each deleted row' "
		"ELSE 'trigger \"%s\" fires for each DELETE' END, t.tgname) "
		"FROM m JOIN pg_catalog.pg_trigger t ON t.tgrelid = m.relation WHERE NOT $3 "
		"AND t.tgtype & 8 = 8 AND t.tgenabled IN ('O', 'A') "
		"AND (NOT t.tgisinternal OR t.tgparentid <> 0) "
		"AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k "
		"WHERE k.oid = t.tgconstraint AND k.contype = 'f')) x "
		"ORDER BY x.place, x.kind, x.oid");
	for (uint64 row = 0; row < rows; row++)
		reasons[ledger_bigint(row, 1)] = ledger_text(row, 2);
	return reasons;
}
