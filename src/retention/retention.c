/*-------------------------------------------------------------------------
 *
 * retention.c
 *	  The action "retention": removes old rows from their tables, after
 *	  archiving them where the policy says so.
 *
 * The room retention: removing old rows from tables, archiving them first;
 * verifying and restoring archives.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "action/leftovers.h"
#include "action/result.h"
#include "action/selection.h"
#include "base/locks.h"
#include "base/subtransaction.h"
#include "base/wording.h"
#include "ledger/failure.h"
#include "retention/partition_task.h"
#include "retention/retention_plan.h"
#include "retention/retention_task.h"
#include "retention/retention_warnings.h"
#include "retention/slices.h"
#include "retention/timezone.h"

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
 * Plan the tasks of a policy.
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
		plan_detached_partition(context, &policy, lfirst(cell));
	if (candidate->name == NULL)
	{
		plan_finding(context, "retention", "warning", NULL,
					 psprintf("the table of retention policy %lld was "
							  "dropped; to drop the policy: SELECT "
							  "pgmaint.drop_retention(%lld)",
							  (long long) policy.policy_id,
							  (long long) policy.policy_id),
					 NULL);
		return;
	}
	refuse_policy(&policy, policy.relation, context->role, &refusal);
	if (refusal.message != NULL)
	{
		plan_finding(context, "retention", "warning", candidate->name,
					 psprintf("retention policy %lld is suspended: %s%s%s",
							  (long long) policy.policy_id, refusal.message,
							  refusal.hint == NULL ? "" : ". ",
							  refusal.hint == NULL ? "" : refusal.hint),
					 NULL);
		return;
	}
	if (!ConditionalLockRelationOid(policy.relation, AccessShareLock))
	{
		plan_finding(context, "retention", "info", candidate->name,
					 psprintf("%s was skipped because another session has "
							  "locked it; the next run tries again",
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
					 psprintf("%lld rows of %s have no %s and are never "
							  "removed",
							  (long long) timeless, candidate->name,
							  policy.time_column),
					 NULL);
	plan_slices(context, &policy, policy.relation, candidate->name, cutoff,
				NULL);
}

/*
 * A policy that cannot be planned, because its filter raises an ERROR for
 * example, does not prevent others from being planned; but the run fails in
 * the end.  No lock is kept, however many tables have policies.
 */
static void
plan_policy_apart(PlanContext *context, const Candidate *candidate)
{
	Attempt attempt = {context, candidate};
	List *tasks = list_copy(context->tasks);
	List *findings = list_copy(context->findings);
	ErrorData *error;
	char *message;

	guard_engine_locks();
	error = try_and_undo(plan_policy, &attempt);
	restore_engine_locks();
	if (error == NULL)
		return;
	if (asks_to_stop(error))
		ReThrowError(error);
	context->tasks = tasks;
	context->findings = findings;
	message =
		psprintf("retention policy %lld could not be planned: %s",
				 (long long) candidate->policy_id, describe_failure(error));
	plan_finding(context, "retention", "warning", candidate->name, message,
				 NULL);
	context->failures = lappend(context->failures, message);
}

/*
 * Rows of partitions that were being detached for a policy when it was dropped
 * are in no table that queries read.
 */
static void
report_abandoned_partitions(PlanContext *context)
{
	ListCell *cell;

	foreach (cell, list_abandoned_partitions())
	{
		const Partition *partition = lfirst(cell);
		char *parent = get_rel_name(partition->parent) == NULL
						   ? psprintf("%u", partition->parent)
						   : qualified_name(partition->parent);

		plan_finding(
			context, "retention", "warning", partition->name,
			partition->detached
				? psprintf("partition %s was detached from %s for a "
						   "retention policy that was dropped, and its rows "
						   "are not in that table; attach the partition "
						   "again with ALTER TABLE %s ATTACH PARTITION %s "
						   "FOR VALUES FROM ('%s') TO ('%s'), or drop the "
						   "partition",
						   partition->name, parent, parent, partition->name,
						   partition->from, partition->to)
				: psprintf(
					  "the detachment of partition %s from %s is pending for a retention policy that "
					  "was dropped, and queries on that table do not "
					  "see its rows; finish the detachment with ALTER "
					  "TABLE %s DETACH PARTITION %s FINALIZE",
					  partition->name, parent, parent, partition->name),
			NULL);
	}
}

static void
plan_retention(PlanContext *context)
{
	LedgerQuery query = {0};
	List *candidates = NIL;
	ListCell *cell;
	uint64 rows;

	/* queries on catalogs take less time than it would take to compile them */
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	plan_leftovers(context, "retention");
	plan_retention_warnings(context);
	report_abandoned_partitions(context);
	bind_selection(context, &query);
	rows = ledger_query(
		&query,
		"SELECT p.policy_id, CASE WHEN c.oid IS NOT NULL THEN "
		"pg_catalog.format('%I.%I', n.nspname, c.relname) END AS name, "
		"c.relkind::text FROM pgmaint.retention_policies p "
		"LEFT JOIN pg_catalog.pg_class c ON c.oid = p.relation "
		"LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"WHERE " SELECTION_CONDITION("c.oid", "n.nspname", "$1",
									 "$2") " ORDER BY p.policy_id");
	for (uint64 row = 0; row < rows; row++)
	{
		Candidate *candidate = palloc0(sizeof(Candidate));

		candidate->policy_id = named_bigint(row, "policy_id");
		candidate->name = named_text(row, "name");
		if (candidate->name != NULL)
			candidate->relkind = named_text(row, "relkind")[0];
		candidates = lappend(candidates, candidate);
	}
	foreach (cell, candidates)
	{
		CHECK_FOR_INTERRUPTS();
		plan_policy_apart(context, lfirst(cell));
	}
}

static char *
describe_retention(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	int64 bytes = result_number(result, ARCHIVED_BYTES);

	if (is_leftover(task))
		return describe_leftover(result);
	initStringInfo(&words);
	if (result_has(result, DELETED_ROWS))
		add_phrase(&words,
				   psprintf("%s %s",
							counted(result_number(result, DELETED_ROWS), "row",
									"rows"),
							result_has(result, ARCHIVED_BYTES)
								? "archived and deleted"
								: "deleted"));
	if (bytes > 0)
		add_phrase(&words, psprintf("%s in the archive", size_text(bytes)));
	if (result_flag(result, "dropped"))
		add_phrase(&words, "partition dropped");
	return words.data;
}

DEFINE_ACTION(retention) = {
	.name = "retention",
	.description =
		"remove the rows that retention policies no longer keep, after "
		"archiving them unless the policy has archive => false",
	.options = retention_options,
	.uses_storage = true,
	.plan = plan_retention,
	.consider = consider_retention,
	.outside = finalize_detachment,
	.execute = execute_retention,
	.describe = describe_retention,
	.clean_up = clean_up_retention,
};
