/*-------------------------------------------------------------------------
 *
 * partition_plan.c
 *	  Plans which partitions are removed as a whole, and from which only rows
 *	  are removed.
 *
 * Each partition is examined in a subtransaction that is rolled back, so only
 * one partition is locked at a time, and only those that may hold old rows.  A
 * partition that is locked is left for the next run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "action/selection.h"
#include "base/error_text.h"
#include "base/subtransaction.h"
#include "retention/retention_plan.h"
#include "retention/slices.h"

/* a partition that is planned in a subtransaction */
typedef struct Look
{
	PlanContext *context;
	const RetentionPolicy *policy;
	const char *cutoff;
	const Partition *partition;
	const char *why; /* its rows leave one by one, if that is to be said */
	bool old;		 /* as a whole */
	bool there;		 /* and could be locked */
	bool empty;		 /* found */
	int64 bytes;	 /* found */
} Look;

static void
note_partition(PlanContext *context, const char *severity,
			   const Partition *partition, char *message)
{
	plan_finding(context, "retention", severity, partition->name, message,
				 NULL);
}

/*
 * False, with a finding, if another session has the partition locked; false if
 * it was dropped.
 */
static bool
lock_for_look(Look *look)
{
	const Partition *partition = look->partition;

	look->there =
		ConditionalLockRelationOid(partition->relation, AccessShareLock);
	if (!look->there)
		note_partition(look->context, "info", partition,
					   psprintf("%s was skipped because another session has "
								"locked it; the next run tries again",
								partition->name));
	else if (get_rel_relkind(partition->relation) == '\0')
		look->there = false;
	return look->there;
}

/*
 * Measure the size of the partition, and if its rows are to be deleted
 * individually, whether it has any.
 */
static void
measure_partition(void *argument)
{
	Look *look = argument;

	if (!lock_for_look(look))
		return;
	look->bytes = DatumGetInt64(DirectFunctionCall1(
		pg_table_size, ObjectIdGetDatum(look->partition->relation)));
	look->empty =
		look->why != NULL && !table_has_rows(look->partition->relation);
}

static void
plan_rows(void *argument)
{
	Look *look = argument;
	PlanContext *context = look->context;
	const Partition *partition = look->partition;

	if (!lock_for_look(look))
		return;
	if (look->old && !table_has_rows(partition->relation))
		note_partition(
			context, "info", partition,
			psprintf("partition %s is older than %s and empty, but is kept "
					 "because the policy has a filter; to drop the "
					 "partition: DROP TABLE %s",
					 partition->name, look->cutoff, partition->name));
	else
		plan_slices(context, look->policy, partition->relation,
					partition->name, look->cutoff, look->why);
}

/*
 * Examine a partition in a subtransaction: results are kept, locks are
 * released.
 */
static void
look_at(Look *look, const Partition *partition, void (*work)(void *argument))
{
	ErrorData *error;

	CHECK_FOR_INTERRUPTS();
	look->partition = partition;
	error = try_and_undo(work, look);
	if (error != NULL)
		ReThrowError(error);
}

/*
 * Note for each partition why its rows cannot be deleted.
 */
static void
refuse_partitions(const RetentionPolicy *policy, List *partitions, Oid role)
{
	List *tables = NIL;
	Refusal *refusals;
	ListCell *cell;

	foreach (cell, partitions)
	{
		Partition *partition = lfirst(cell);

		if (partition->relkind == RELKIND_RELATION ||
			partition->relkind == RELKIND_PARTITIONED_TABLE)
			tables = lappend(tables, partition);
		else
			partition->refusal.message = psprintf(
				"partition %s was skipped because it is not a plain table",
				partition->name);
	}
	if (tables == NIL)
		return;
	refusals = refuse_tables_of_policy(policy, partition_oids(tables), role);
	foreach (cell, tables)
		((Partition *) lfirst(cell))->refusal =
			refusals[foreach_current_index(cell)];
}

/*
 * False, with a finding, where rows of a partition cannot be deleted.
 */
static bool
check_removable(PlanContext *context, const Partition *partition)
{
	const Refusal *refusal = &partition->refusal;

	if (refusal->message == NULL)
		return true;
	note_partition(context, "warning", partition,
				   text_with_hint(refusal->message, refusal->hint));
	return false;
}

/*
 * Plan the deletion of individual rows of a partition.
 */
static void
plan_rows_of(PlanContext *context, const RetentionPolicy *policy,
			 const char *cutoff, const Partition *partition, bool old,
			 const char *why)
{
	Look look = {0};

	look.context = context;
	look.policy = policy;
	look.cutoff = cutoff;
	look.old = old;
	look.why = why;
	if (check_removable(context, partition))
		look_at(&look, partition, plan_rows);
}

/*
 * Plan the removal of a partition that is old as a whole, with those below
 * it.  If a trigger or a foreign key requires that its rows be deleted
 * individually, the partition is removed once it is empty.
 */
static void
plan_old_partition(PlanContext *context, const RetentionPolicy *policy,
				   const char *cutoff, List *partitions, const char *why,
				   const char *dependent)
{
	const Partition *partition = linitial(partitions);
	Look look = {0};
	bool empty;
	int64 bytes = 0;
	ListCell *cell;

	foreach (cell, partitions)
	{
		if (!check_removable(context, lfirst(cell)))
			return;
	}
	look.context = context;
	look.why = why;
	empty = look.why != NULL;
	foreach (cell, partitions)
	{
		if (((Partition *) lfirst(cell))->relkind != RELKIND_RELATION)
			continue;
		look_at(&look, lfirst(cell), measure_partition);
		if (!look.there)
			return;
		bytes += look.bytes;
		empty = empty && look.empty;
	}
	if (look.why != NULL && !empty)
	{
		foreach (cell, partitions)
		{
			if (((Partition *) lfirst(cell))->relkind == RELKIND_RELATION)
				plan_rows_of(context, policy, cutoff, lfirst(cell), false,
							 look.why);
		}
		return;
	}
	if (dependent == NULL)
		plan_whole_partition(context, policy, partitions, cutoff, bytes,
							 empty);
	else
		note_partition(context, "warning", partition,
					   psprintf("partition %s is older than the cut-off but "
								"cannot be dropped: %s",
								partition->name, dependent));
}

/*
 * Order partitions by age, oldest first, and by OID.
 */
static int
compare_ends(const ListCell *left, const ListCell *right)
{
	const Partition *a = linitial(lfirst(left));
	const Partition *b = linitial(lfirst(right));

	if (a->upper != b->upper)
		return a->upper < b->upper ? -1 : 1;
	return a->relation < b->relation ? -1 : a->relation > b->relation;
}

/*
 * The nth partition of the list, and those below it.
 */
static List *
with_those_below(List *partitions, int nth)
{
	const Partition *top = list_nth(partitions, nth);
	List *tree = list_make1((void *) top);

	for (int i = nth + 1; i < list_length(partitions); i++)
	{
		Partition *partition = list_nth(partitions, i);

		if (partition->level <= top->level)
			break;
		tree = lappend(tree, partition);
	}
	return tree;
}

/*
 * Plan the partitions that are old as a whole, each with those below it,
 * oldest first.
 */
static void
plan_old_partitions(PlanContext *context, const RetentionPolicy *policy,
					const char *cutoff, List *trees)
{
	char **reasons;
	char **dependents;
	ListCell *cell;

	if (trees == NIL)
		return;
	list_sort(trees, compare_ends);
	reasons = find_reasons_for_rows(policy, trees);
	dependents = find_dependents(trees);
	foreach (cell, trees)
	{
		int nth = foreach_current_index(cell);

		plan_old_partition(context, policy, cutoff, lfirst(cell), reasons[nth],
						   dependents[nth]);
	}
}

/*
 * Descend from the table until the bounds say that all rows are old, or that
 * none is.  A partition that is old as a whole is removed as a whole, unless
 * the policy has a filter.  Partitions that are young are not examined.
 */
void
plan_partitions(PlanContext *context, const RetentionPolicy *policy,
				const char *cutoff)
{
	int64 limit = time_as_number(
		time_column_type(policy->relation, policy->time_column), cutoff);
	List *partitions = list_partitions(policy);
	List *whole = NIL;
	List *others = NIL;
	List *due = NIL;
	ListCell *cell;

	for (int i = 0; i < list_length(partitions); i++)
	{
		Partition *partition = list_nth(partitions, i);
		bool old = partition->timed && partition->upper <= limit;
		bool young = partition->timed && partition->lower >= limit;
		List *tree = list_make1(partition);

		CHECK_FOR_INTERRUPTS();
		if (young || (old && policy->filter == NULL))
		{
			tree = with_those_below(partitions, i);
			i += list_length(tree) - 1;
		}
		else if (partition->relkind == RELKIND_PARTITIONED_TABLE)
			continue;
		else
			others = lappend(others, partition);
		if (young)
			continue;
		if (old && policy->filter == NULL)
			whole = lappend(whole, tree);
		due = list_concat(due, tree);
	}
	refuse_partitions(policy, due, context->role);
	plan_old_partitions(context, policy, cutoff, whole);
	foreach (cell, others)
	{
		const Partition *partition = lfirst(cell);

		plan_rows_of(context, policy, cutoff, partition,
					 partition->timed && partition->upper <= limit, NULL);
	}
}
