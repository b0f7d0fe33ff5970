/*-------------------------------------------------------------------------
 *
 * retention.c
 *	  The action "retention": rows that are old enough leave their tables,
 *	  archived first where the policy says so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "actions/leftovers.h"
#include "actions/retention_task.h"
#include "actions/retention_warnings.h"
#include "actions/selection.h"
#include "base/subtransaction.h"
#include "base/wording.h"
#include "retention/keys.h"
#include "retention/partition.h"
#include "retention/slices.h"
#include "retention/timezone.h"

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	PLAIN_OPTION(
		"slice_size", OPTION_BYTES, "64 MB",
		"about how much of a table goes into one task and one object"),
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/* a policy, as planning sees it */
typedef struct Candidate
{
	int64 policy_id;
	char *name; /* NULL: the table is gone */
	char relkind;
} Candidate;

/* planning it */
typedef struct Attempt
{
	PlanContext *context;
	const Candidate *candidate;
} Attempt;

/*
 * The evidence is also what the task is carried out by.
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
describe_work(const RetentionPolicy *policy, const char *kind,
			  const char *cutoff, const char *from, const char *to, bool open,
			  const char *key, int64 rows)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	append_field(&json, "kind", kind);
	append_field(&json, "cutoff", cutoff);
	append_field(&json, "from", from);
	append_field(&json, "to", to);
	append_field(&json, "key", key);
	if (policy->archive)
		append_field(&json, "storage", policy->storage);
	appendStringInfo(&json, ", \"open\": %s, \"policy_id\": %lld",
					 open ? "true" : "false", (long long) policy->policy_id);
	if (rows >= 0)
		appendStringInfo(&json, ", \"rows\": %lld", (long long) rows);
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
 * The old rows of a table or of a partition.  Slices of one table may be at
 * work at the same time, so these tasks claim no table for themselves.
 */
static void
plan_slices(PlanContext *context, const RetentionPolicy *policy, Oid relation,
			const char *name, const char *cutoff)
{
	bool more;
	List *slices = cut_into_slices(
		policy, relation, cutoff,
		option_bytes(options, context->options, "slice_size"), &more);
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
			psprintf("older than %s, from %s to %s, about %lld rows", cutoff,
					 slice->from, slice->to, (long long) slice->rows);
		task->evidence =
			describe_work(policy, "slice", cutoff, slice->from, slice->to,
						  slice->open, key, slice->rows);
		task->bytes = slice->bytes;
	}
	if (more)
		plan_finding(context, "retention", "info", pstrdup(name),
					 psprintf("%s has more old rows than one run takes: the "
							  "next run goes on",
							  name),
					 NULL);
}

/*
 * A partition that leaves as a whole.  The server detaches one at a time.
 */
static void
plan_partition(PlanContext *context, const RetentionPolicy *policy,
			   const Partition *partition, const char *cutoff)
{
	PlannedTask *task;
	char *dependent = dependent_of_partition(partition->relation);
	char *key = NULL;

	if (dependent != NULL)
	{
		plan_finding(
			context, "retention", "warning", partition->name,
			psprintf("partition %s is old enough to leave, but %s depends on "
					 "it or on its table",
					 partition->name, dependent),
			NULL);
		return;
	}
	task = plan_task(context, partition->relation, partition->name);
	task->relations = list_make2_oid(partition->relation, partition->parent);
	task->bytes = DatumGetInt64(DirectFunctionCall1(
		pg_table_size, ObjectIdGetDatum(partition->relation)));
	task->command = psprintf("DETACH PARTITION %s; DROP TABLE %s",
							 partition->name, partition->name);
	if (policy->archive)
	{
		key = object_key(
			policy, partition->relation,
			range_name(time_column_type(policy->relation, policy->time_column),
					   partition->from, partition->to),
			context->run_id);
		task->command =
			psprintf("DETACH PARTITION %s; COPY %s TO '%s/%s'; DROP TABLE %s",
					 partition->name, partition->name, policy->storage, key,
					 partition->name);
	}
	task->reason = psprintf("the whole partition is older than %s, %s", cutoff,
							size_text(task->bytes));
	task->evidence =
		describe_work(policy, "partition", cutoff, partition->from,
					  partition->to, false, key, -1);
}

/*
 * Each partition leaves as a whole, or row by row.
 */
static void
plan_partitions(PlanContext *context, const RetentionPolicy *policy,
				const char *cutoff)
{
	List *partitions = list_partitions(policy, cutoff);
	ListCell *cell;

	foreach (cell, partitions)
	{
		const Partition *partition = lfirst(cell);
		Refusal refusal;

		CHECK_FOR_INTERRUPTS();
		if (!partition->is_table)
		{
			plan_finding(context, "retention", "warning", partition->name,
						 psprintf("partition %s is a foreign table, and is "
								  "left alone",
								  partition->name),
						 NULL);
			continue;
		}
		refuse_policy(policy, partition->relation, context->role, &refusal);
		if (refusal.message != NULL)
			plan_finding(context, "retention", "warning", partition->name,
						 refusal.message, NULL);
		else if (partition->whole)
			plan_partition(context, policy, partition, cutoff);
		else if (ConditionalLockRelationOid(partition->relation,
											AccessShareLock))
			plan_slices(context, policy, partition->relation, partition->name,
						cutoff);
		else
			plan_finding(context, "retention", "info", partition->name,
						 psprintf("%s is locked, and is left for the next run",
								  partition->name),
						 NULL);
	}
}

/*
 * What a policy asks for now.
 */
static void
plan_policy(void *argument)
{
	const Attempt *attempt = argument;
	PlanContext *context = attempt->context;
	const Candidate *candidate = attempt->candidate;
	RetentionPolicy policy;
	Refusal refusal;
	char *cutoff;
	int64 timeless;
	ListCell *cell;

	if (!read_policy(candidate->policy_id, &policy))
		return;
	foreach (cell, list_detached_partitions(&policy))
		plan_partition(context, &policy, lfirst(cell),
					   "the cut-off of its run");
	if (candidate->name == NULL)
	{
		plan_finding(context, "retention", "warning", NULL,
					 psprintf("the table of retention policy %lld is gone; "
							  "pgmaint.drop_retention(%lld) drops the policy",
							  (long long) policy.policy_id,
							  (long long) policy.policy_id),
					 NULL);
		return;
	}
	refuse_policy(&policy, policy.relation, context->role, &refusal);
	if (refusal.message != NULL)
	{
		plan_finding(context, "retention", "warning", candidate->name,
					 psprintf("retention policy %lld rests: %s%s%s",
							  (long long) policy.policy_id, refusal.message,
							  refusal.hint == NULL ? "" : ". ",
							  refusal.hint == NULL ? "" : refusal.hint),
					 NULL);
		return;
	}
	if (!ConditionalLockRelationOid(policy.relation, AccessShareLock))
	{
		plan_finding(context, "retention", "info", candidate->name,
					 psprintf("%s is locked, and is left for the next run",
							  candidate->name),
					 NULL);
		return;
	}
	cutoff = cut_off(&policy, context->run_id);
	if (candidate->relkind == RELKIND_PARTITIONED_TABLE)
	{
		plan_partitions(context, &policy, cutoff);
		return;
	}
	timeless = rows_without_time(&policy, policy.relation);
	if (timeless > 0)
		plan_finding(context, "retention", "info", candidate->name,
					 psprintf("%lld rows of %s have no %s, and never leave",
							  (long long) timeless, candidate->name,
							  policy.time_column),
					 NULL);
	plan_slices(context, &policy, policy.relation, candidate->name, cutoff);
}

/*
 * A policy that cannot be planned, because its filter raises an ERROR for
 * example, keeps no other from its work.
 */
static void
plan_policy_apart(PlanContext *context, const Candidate *candidate)
{
	Attempt attempt = {context, candidate};
	List *tasks = list_copy(context->tasks);
	List *findings = list_copy(context->findings);
	ErrorData *error = try_unless_stopped(plan_policy, &attempt);

	if (error == NULL)
		return;
	context->tasks = tasks;
	context->findings = findings;
	plan_finding(context, "retention", "warning", candidate->name,
				 psprintf("retention policy %lld could not be planned: %s",
						  (long long) candidate->policy_id, error->message),
				 NULL);
}

static void
plan_retention(PlanContext *context)
{
	LedgerQuery query = {0};
	List *candidates = NIL;
	ListCell *cell;
	uint64 rows;

	plan_leftovers(context, "retention");
	plan_retention_warnings(context);
	bind_selection(context, &query);
	rows = ledger_query(
		&query,
		"SELECT p.policy_id, CASE WHEN c.oid IS NOT NULL THEN "
		"pg_catalog.format('%I.%I', n.nspname, c.relname) END, "
		"c.relkind::text FROM pgmaint.retention_policies p "
		"LEFT JOIN pg_catalog.pg_class c ON c.oid = p.relation "
		"LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"WHERE " SELECTION_CONDITION("c.oid", "n.nspname", "$1",
									 "$2") " ORDER BY p.policy_id");
	for (uint64 row = 0; row < rows; row++)
	{
		Candidate *candidate = palloc0(sizeof(Candidate));

		candidate->policy_id = ledger_bigint(row, 1);
		candidate->name = ledger_text(row, 2);
		if (candidate->name != NULL)
			candidate->relkind = ledger_text(row, 3)[0];
		candidates = lappend(candidates, candidate);
	}
	foreach (cell, candidates)
	{
		CHECK_FOR_INTERRUPTS();
		plan_policy_apart(context, lfirst(cell));
	}
}

const Action retention_action = {
	.name = "retention",
	.description =
		"take rows out of their tables when they are old enough, archived first unless the policy says otherwise",
	.options = options,
	.uses_storage = true,
	.plan = plan_retention,
	.consider = consider_retention,
	.outside = detach_for_retention,
	.execute = execute_retention,
};
