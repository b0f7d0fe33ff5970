/*-------------------------------------------------------------------------
 *
 * step_settings.c
 *	  Settings that the options of a step set in the sessions of its tasks.
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
 * Settings must exist, the caller must be allowed to set them, and they must
 * not be among those that keep workers safe.
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
				 errhint(
					 "Remove the setting, which task workers keep at a safe value.  To change lock_timeout, set pgmaint.lock_timeout before the call.")));
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
 * Set the settings of a step, which were checked when the run was queued.
 */
void
apply_settings(Jsonb *given)
{
	JsonbValue *value = json_field(given, "settings");

	if (value != NULL)
		walk_settings(value, true);
}
