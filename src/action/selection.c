/*-------------------------------------------------------------------------
 *
 * selection.c
 *	  The tables that a step selects, and their tasks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "action/selection.h"
#include "base/compat.h"

/*
 * A list of strings as an array of the given type, through its input.
 */
static void
bind_names(LedgerQuery *query, List *names, bool relations)
{
	Datum *values = palloc(sizeof(Datum) * (list_length(names) + 1));
	int count = 0;
	ListCell *cell;

	foreach (cell, names)
	{
		Datum name = CStringGetTextDatum(lfirst(cell));

		if (relations)
		{
			LedgerQuery lookup = {0};

			bind_datum(&lookup, TEXTOID, name);
			(void) ledger_query(
				&lookup, "SELECT pg_catalog.to_regclass($1)::pg_catalog.oid");
			name = ObjectIdGetDatum(ledger_oid(0, 1));
		}
		values[count++] = name;
	}
	if (relations)
		bind_datum(
			query, OIDARRAYOID,
			PointerGetDatum(construct_array(values, count, OIDOID, sizeof(Oid),
											true, TYPALIGN_INT)));
	else
		bind_datum(query, TEXTARRAYOID,
				   PointerGetDatum(construct_array(values, count, TEXTOID, -1,
												   false, TYPALIGN_INT)));
}

/*
 * Bind two parameters for SELECTION_CONDITION: the tables and the schemas of
 * the options, or NULL.  A table that was dropped since then matches nothing.
 */
void
bind_selection(PlanContext *context, LedgerQuery *query)
{
	if (option_given(context->options, "tables"))
		bind_names(query, option_names(context->options, "tables"), true);
	else
		bind_null(query, OIDARRAYOID);
	if (option_given(context->options, "schemas"))
		bind_names(query, option_names(context->options, "schemas"), false);
	else
		bind_null(query, TEXTARRAYOID);
}

/*
 * Does the step select all tables, due or not?  A list of tables implies that.
 */
bool
scope_is_all(PlanContext *context, const ActionOption *options)
{
	char *scope = option_text(options, context->options, "scope");

	if (scope == NULL)
		return option_given(context->options, "tables");
	return strcmp(scope, "all") == 0;
}

/*
 * A task from a row of a planning query, which has the columns relation,
 * target, reason, bytes, evidence and relations.  The caller adds the command.
 */
PlannedTask *
task_from_row(PlanContext *context, const char *action, uint64 row)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));
	ArrayType *array;
	Datum *members;
	Datum value;
	bool isnull;
	int count;

	task->action = action;
	task->relation = named_oid(row, "relation");
	task->target = named_text(row, "target");
	task->reason = named_text(row, "reason");
	value = named_datum(row, "bytes", &isnull);
	task->bytes = isnull ? -1 : DatumGetInt64(value);
	task->evidence = named_text(row, "evidence");
	array = DatumGetArrayTypeP(named_datum(row, "relations", &isnull));
	deconstruct_array(array, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &members,
					  NULL, &count);
	for (int i = 0; i < count; i++)
		task->relations =
			lappend_oid(task->relations, DatumGetObjectId(members[i]));
	context->tasks = lappend(context->tasks, task);
	return task;
}

void
plan_finding(PlanContext *context, const char *check_id, const char *severity,
			 char *object, char *message, char *detail)
{
	note_finding(&context->findings, check_id, severity,
				 object == NULL ? NULL : pstrdup(object), pstrdup(message))
		->detail = detail == NULL ? NULL : pstrdup(detail);
}

/* why servers without the fix are refused */
static const char *const dangers[] = {
	[FIX_MAINTENANCE_AS_OWNER] =
		"executes code of a table's owner with the rights of the role of the "
		"run (CVE-2022-1552)",
	[FIX_DUMP_OF_REPLACED_TABLES] =
		"lets the owner of a table execute code with the rights of the role "
		"of the run (CVE-2024-7348)",
	[FIX_COMMANDS_IN_DUMPS] =
		"lets names of objects inject commands into its output (CVE-2025-8715)",
};

static char *
describe_danger(ReleaseFix fix, const char *fixed_in)
{
	return psprintf(
		"PostgreSQL %s, which %s; update the server to %s or later",
		GetConfigOption("server_version", false, false), dangers[fix],
		fixed_in);
}

/*
 * On a server that lacks the fix, the step has no tasks and the run fails.
 */
bool
refuse_unsafe_release(PlanContext *context, ReleaseFix fix,
					  const char *command)
{
	char *fixed_in = find_missing_fix(fix);

	if (fixed_in == NULL)
		return false;
	context->failures =
		lappend(context->failures, psprintf("%s is refused on %s", command,
											describe_danger(fix, fixed_in)));
	return true;
}

/*
 * For commands whose omission would be worse than the danger.
 */
void
warn_of_unsafe_release(PlanContext *context, ReleaseFix fix,
					   const char *command)
{
	char *fixed_in = find_missing_fix(fix);

	if (fixed_in != NULL)
		plan_finding(context, "server_release", "warning", (char *) command,
					 psprintf("%s is part of %s", command,
							  describe_danger(fix, fixed_in)),
					 NULL);
}

/*
 * Record a finding that names the tables for which the role of the run lacks
 * privileges.
 */
void
note_left_alone(PlanContext *context, const char *action, List *targets)
{
	StringInfoData message;
	int shown = 0;
	ListCell *cell;

	if (targets == NIL)
		return;
	initStringInfo(&message);
	appendStringInfo(
		&message,
		"%s is due for %d %s on which the role of the run lacks privileges: ",
		action, list_length(targets),
		list_length(targets) == 1 ? "table" : "tables");
	foreach (cell, targets)
	{
		if (shown == 10)
		{
			appendStringInfoString(&message, ", ...");
			break;
		}
		appendStringInfo(&message, "%s%s", shown++ > 0 ? ", " : "",
						 (char *) lfirst(cell));
	}
	plan_finding(context, "privileges", "info", NULL, message.data, NULL);
}
