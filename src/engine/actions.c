/*-------------------------------------------------------------------------
 *
 * action.c
 *	  The table of actions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/action.h"

static const Action *const actions[] = {
	&bloat_report_action,	   &vacuum_action,		   &vacuum_full_action,
	&analyze_action,		   &retention_action,	   &reindex_action,
	&check_corruption_action,  &backup_action,		   &verify_backup_action,
	&restore_backup_action,	   &expire_backups_action, &validate_action,
	&connection_review_action, &review_queries_action, &index_advice_action,
	&index_usage_action,	   &escalate_action,
};

/*
 * For walking over all of them; NULL past the last.
 */
const Action *
action_by_number(int number)
{
	return number < (int) lengthof(actions) ? actions[number] : NULL;
}

/*
 * Find an action by its name; NULL when there is none.
 */
const Action *
find_action(const char *name)
{
	for (int i = 0; i < (int) lengthof(actions); i++)
	{
		if (strcmp(actions[i]->name, name) == 0)
			return actions[i];
	}
	return NULL;
}

/*
 * The names of all actions, for hints.
 */
char *
list_actions(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(actions); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", actions[i]->name);
	return names.data;
}
