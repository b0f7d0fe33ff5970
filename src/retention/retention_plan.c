/*-------------------------------------------------------------------------
 *
 * retention_plan.c
 *	  The tasks of the action "retention".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "action/selection.h"
#include "base/wording.h"
#include "retention/keys.h"
#include "retention/retention_plan.h"
#include "retention/slices.h"

const ActionOption retention_options[] = {
	SELECTION_OPTIONS,
	PLAIN_OPTION(
		"slice_size", OPTION_BYTES, "64 MB",
		"approximate size of the part of a table that one task removes and "
		"one archive object holds"),
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/* of so many partitions a task's command shows the COPY */
#define MAX_COPIES_SHOWN 3

/*
 * The evidence is also the input of the task.
 */
static void
append_field(StringInfo json, const char *name, const char *value)
{
	if (json->len > 1)
		appendStringInfoString(json, ", ");
	escape_json(json, name);
	appendStringInfoString(json, ": ");
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

static char *
describe_slice_work(const RetentionPolicy *policy, const char *cutoff,
					const Slice *slice, const char *key)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_field(&json, "kind", "slice");
	append_field(&json, "cutoff", cutoff);
	append_field(&json, "from", slice->from);
	append_field(&json, "to", slice->to);
	append_field(&json, "key", key);
	if (policy->archive)
		append_field(&json, "storage", policy->storage);
	appendStringInfo(&json,
					 ", \"open\": %s, \"policy_id\": %lld, \"rows\": %lld",
					 slice->open ? "true" : "false",
					 (long long) policy->policy_id, (long long) slice->rows);
	appendStringInfoChar(&json, '}');
	return json.data;
}

static PlannedTask *
plan_task(PlanContext *context, Oid relation, const char *target)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));

	task->action = "retention";
	task->relation = relation;
	task->target = pstrdup(target);
	context->tasks = lappend(context->tasks, task);
	return task;
}

/*
 * Plan the deletion of the old rows of a table or of a partition; why is the
 * reason for deleting them individually, or NULL.  Slices of one table may be
 * processed at the same time, so these tasks claim no table for themselves.
 */
void
plan_slices(PlanContext *context, const RetentionPolicy *policy, Oid relation,
			const char *name, const char *cutoff, const char *why)
{
	bool more;
	List *slices = cut_into_slices(
		policy, relation, cutoff,
		option_bytes(retention_options, context->options, "slice_size"),
		&more);
	ListCell *cell;

	foreach (cell, slices)
	{
		const Slice *slice = lfirst(cell);
		PlannedTask *task = plan_task(context, relation, name);
		char *key = NULL;

		task->command =
			psprintf("DELETE FROM ONLY %s WHERE %s", name,
					 describe_slice(policy, slice->open ? NULL : slice->from,
									slice->to));
		if (policy->archive)
		{
			key = object_key(policy, relation, slice->name, context->run_id);
			task->command = psprintf("COPY (%s RETURNING *) TO '%s/%s'",
									 task->command, policy->storage, key);
		}
		task->reason =
			psprintf("older than %s, from %s to %s, about %lld rows%s%s",
					 cutoff, slice->from, slice->to, (long long) slice->rows,
					 why == NULL ? "" : "; deleted individually because ",
					 why == NULL ? "" : why);
		task->evidence = describe_slice_work(policy, cutoff, slice, key);
		task->bytes = slice->bytes;
	}
	if (more)
		plan_finding(context, "retention", "info", pstrdup(name),
					 psprintf("%s has more old rows than one run removes; "
							  "the next run continues",
							  name),
					 NULL);
}

/*
 * The evidence of the task of a partition, which is its input.
 */
static char *
describe_partition_work(const RetentionPolicy *policy, const char *kind,
						const char *cutoff, const char *from, const char *to,
						Oid parent, bool empty)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_field(&json, "kind", kind);
	append_field(&json, "cutoff", cutoff);
	append_field(&json, "from", from);
	append_field(&json, "to", to);
	if (policy->archive)
		append_field(&json, "storage", policy->storage);
	appendStringInfo(
		&json, ", \"policy_id\": %lld, \"parent\": %u, \"empty\": %s}",
		(long long) policy->policy_id, parent, empty ? "true" : "false");
	return json.data;
}

/*
 * The commands that archive partitions; of many, the first ones and how many
 * follow.
 */
static char *
describe_copies(PlanContext *context, const RetentionPolicy *policy,
				List *partitions, const char *range)
{
	StringInfoData text;
	int leaves = 0;
	ListCell *cell;

	initStringInfo(&text);
	foreach (cell, partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->relkind != RELKIND_RELATION ||
			++leaves > MAX_COPIES_SHOWN)
			continue;
		appendStringInfo(
			&text, "COPY %s TO '%s/%s'; ", partition->name, policy->storage,
			object_key(policy, partition->relation, range, context->run_id));
	}
	if (leaves > MAX_COPIES_SHOWN)
		appendStringInfo(&text, "and %d more partitions; ",
						 leaves - MAX_COPIES_SHOWN);
	return text.data;
}

/*
 * Plan the removal of a whole partition, with those below it.
 */
void
plan_whole_partition(PlanContext *context, const RetentionPolicy *policy,
					 List *partitions, const char *cutoff, int64 bytes,
					 bool empty)
{
	const Partition *partition = linitial(partitions);
	Oid type = time_column_type(policy->relation, policy->time_column);
	char *from = number_as_time(type, partition->lower);
	char *to = number_as_time(type, partition->upper);
	PlannedTask *task =
		plan_task(context, partition->relation, partition->name);

	task->relations =
		lappend_oid(partition_oids(partitions), partition->parent);
	task->bytes = bytes;
	task->command = psprintf(
		"%sALTER TABLE %s DETACH PARTITION %s; DROP TABLE %s",
		policy->archive && !empty
			? describe_copies(context, policy, partitions,
							  range_name(type, from, to))
			: "",
		qualified_name(partition->parent), partition->name, partition->name);
	task->reason =
		empty
			? psprintf("the whole partition is older than %s, and has no rows",
					   cutoff)
			: psprintf("the whole partition is older than %s, %s", cutoff,
					   size_text(bytes));
	task->evidence = describe_partition_work(policy, "partition", cutoff, from,
											 to, partition->parent, empty);
}

/*
 * Plan the removal of a partition that an earlier version began to detach.
 */
void
plan_detached_partition(PlanContext *context, const RetentionPolicy *policy,
						const Partition *partition)
{
	PlannedTask *task =
		plan_task(context, partition->relation, partition->name);
	char *key = NULL;

	task->relations = list_make2_oid(partition->relation, partition->parent);
	task->bytes = -1;
	if (policy->archive)
		key = object_key(policy, partition->relation,
						 range_name(time_column_type(partition->relation,
													 policy->time_column),
									partition->from, partition->to),
						 context->run_id);
	task->command = psprintf(
		"%s%sDROP TABLE %s",
		partition->detached
			? ""
			: psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE; ",
					   qualified_name(partition->parent), partition->name),
		key == NULL ? ""
					: psprintf("COPY %s TO '%s/%s'; ", partition->name,
							   policy->storage, key),
		partition->name);
	task->reason = "an earlier run began to detach the partition but did not "
				   "archive and drop it";
	task->evidence =
		describe_partition_work(policy, "detached", NULL, partition->from,
								partition->to, InvalidOid, false);
}
