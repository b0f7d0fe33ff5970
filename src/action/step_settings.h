/*-------------------------------------------------------------------------
 *
 * step_settings.h
 *	  Settings that the options of a step set in the sessions of its tasks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STEP_SETTINGS_H
#define PGMAINT_STEP_SETTINGS_H

#include "utils/jsonb.h"

extern void check_settings(JsonbValue *settings);
extern void apply_settings(Jsonb *given);

#endif /* PGMAINT_STEP_SETTINGS_H */
