/*-------------------------------------------------------------------------
 *
 * step_settings.c
 *	  The settings that a step's options bring its tasks' sessions to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "action/option_values.h"
#include "action/step_settings.h"
#include "base/settings.h"

/*
 * Settings must exist, must be the caller's to set, and must not be among
 * those that keep workers safe.
 */
static void
walk_settings(JsonbValue *value, bool apply)
{
	JsonbIterator *iterator = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue element;

	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		char *name;
		char *text;

		if (token != WJB_KEY)
			continue;
		name = json_text(&element);
		/* its value comes next */
		(void) JsonbIteratorNext(&iterator, &element, true);
		text = json_text(&element);
		if (text == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("setting \"%s\" must be text, a number, "
								   "true or false",
								   name)));
		if (setting_is_pinned(name))
			ereport(
				ERROR,
				(errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM),
				 errmsg("setting \"%s\" cannot be changed for a step", name),
				 errhint("Task workers keep it at a value that is safe; "
						 "for lock_timeout, set pgmaint.lock_timeout "
						 "before the call.")));
		(void) set_config_option(
			name, text, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
			GUC_ACTION_SET, apply, ERROR, false);
	}
}

void
check_settings(JsonbValue *settings)
{
	walk_settings(settings, false);
}

/*
 * Bring this session to the settings of a step; checked when it was queued.
 */
void
apply_settings(Jsonb *given)
{
	JsonbValue *value = json_field(given, "settings");

	if (value != NULL)
		walk_settings(value, true);
}
