/*-------------------------------------------------------------------------
 *
 * selection.h
 *	  The tables that a step selects: the options tables, schemas and scope.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SELECTION_H
#define PGMAINT_SELECTION_H

#include "action/action.h"
#include "base/compat.h"

/* for the tables of options; the macros go first in every list */
#define SELECTION_OPTIONS                                                  \
	PLAIN_OPTION(                                                          \
		"tables", OPTION_RELATIONS, NULL,                                  \
		"only these tables; a partitioned table includes its partitions"), \
		PLAIN_OPTION("schemas", OPTION_NAMES, NULL,                        \
					 "only tables of these schemas")
#define SCOPE_OPTION               \
	CHOICE_OPTION(                 \
		"scope", "due, all", NULL, \
		"due: tables that need the action (the default); all: every table (the default where tables are named)")
#define SETTINGS_OPTION                    \
	PLAIN_OPTION(                          \
		"settings", OPTION_SETTINGS, NULL, \
		"settings for the sessions of the tasks, such as {\"maintenance_work_mem\": \"1GB\"}")

#define WINDOW_OPTION                             \
	PLAIN_OPTION(                                 \
		"ignore_window", OPTION_BOOLEAN, "false", \
		"run disruptive tasks also outside of maintenance windows and past their end")

/*
 * Columns of a planning query that task_from_row() reads, for the table c in
 * the schema n: the relation of the task, and the tables that no other task
 * may use meanwhile.
 */
#define TARGET_TABLE      \
	"c.oid AS relation, " \
	"pg_catalog.format('%I.%I', n.nspname, c.relname) AS target"
#define TABLE_WITH_TOAST                                      \
	"pg_catalog.array_remove(ARRAY[c.oid, c.reltoastrelid], " \
	"0::pg_catalog.oid) AS relations"

/* a condition on the relation and the schema in a planning query */
#define SELECTION_CONDITION(relation, schema, tables, schemas)             \
	"(" tables "::pg_catalog.oid[] IS NULL OR " relation " = ANY (" tables \
	") OR EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(" relation \
	") x WHERE x.relid = ANY (" tables "))) AND (" schemas                 \
	"::pg_catalog.text[] IS NULL OR " schema                               \
	"::pg_catalog.text = ANY (" schemas "))"

extern void bind_selection(PlanContext *context, LedgerQuery *query);
extern bool scope_is_all(PlanContext *context, const ActionOption *options);
extern PlannedTask *task_from_row(PlanContext *context, const char *action,
								  uint64 row);
extern void plan_finding(PlanContext *context, const char *check_id,
						 const char *severity, char *object, char *message,
						 char *detail);
extern bool refuse_unsafe_release(PlanContext *context, ReleaseFix fix,
								  const char *command);
extern void warn_of_unsafe_release(PlanContext *context, ReleaseFix fix,
								   const char *command);
extern void note_left_alone(PlanContext *context, const char *action,
							List *targets);

#endif /* PGMAINT_SELECTION_H */
