/*-------------------------------------------------------------------------
 *
 * actions.c
 *	  The table of actions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "engine/actions.h"

#define POINT_TO_ACTION(name) &name##_action,
static const Action *const actions[] = {LIST_OF_ACTIONS(POINT_TO_ACTION)};

/*
 * To iterate over all actions; NULL past the last.
 */
const Action *
action_by_number(int number)
{
	return number < (int) lengthof(actions) ? actions[number] : NULL;
}

/*
 * Find an action by its name; NULL if there is none.
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
